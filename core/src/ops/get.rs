//! `get`: one key.

use crate::args;
use crate::at_rest;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::view::{View, Wanted};
use crate::operation::Operation;
use crate::ops::keys::read::reader;
use crate::ops::keys::{Row, about_revision, at_revision, one_key};
use crate::rpc::{Consistency, RangeQuery};
use crate::units::Octets;

args! {
    /// What to read.
    pub struct Args(
        /// The key.
        key: Octets,
    ) {
        /// Read as of this revision; without it, the newest.
        revision: Option<i64>,
        /// Ask one member only, which needs no quorum, and may miss the newest writes.
        serializable: bool,
    }
}

/// See [`Operation::CARD`].
pub struct Get;

impl Operation for Get {
    const CARD: Card = Card {
        name: "get",
        summary: "Read one key.",
        details: "A key that is not there is no error: the answer is nothing. A key or value that is not clean text is shown as \
                  bytes.",
        search: &["etcdctl", "read", "value", "fetch"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "Read a key", args: &[("key", Sample::Text("/config/limit"))] },
            Example {
                about: "Read a key as it was",
                args: &[("key", Sample::Text("/config/limit")), ("revision", Sample::Int(42))],
            },
            Example {
                about: "Read a key out of a snapshot",
                args: &[("key", Sample::Text("/config/limit")), ("db", Sample::Text("backup.db"))],
            },
        ],
    };
    type Args = Args;
    type Report = Option<Row>;

    async fn run(ctx: &Context<'_>, Args { key, revision, serializable }: Args) -> Result<Option<Row>> {
        let query = RangeQuery {
            key: one_key(key)?,
            end: Vec::new(),
            revision: at_revision(revision)?,
            limit: 1,
            keys_only: false,
            count_only: false,
            consistency: if serializable { Consistency::Serializable } else { Consistency::Linearizable },
        };
        let cluster = match ctx.source()? {
            Source::Cluster(cluster) => cluster,
            Source::File(path) => {
                let wanted = Wanted { end: Some([query.key.as_slice(), &[0]].concat()), ..query.at_rest(Some(1)) };
                let page = at_rest::read(ctx, "db", path, move |image| View::new(image, wanted)?.next_page()).await?;
                return Ok(page.unwrap_or_default().into_iter().next().map(|item| Row::new(item.into(), false)));
            }
        };
        let page = reader(cluster, query.consistency).await?.range(&query, cluster.deadline()).await;
        let page = page.map_err(about_revision)?;
        Ok(page.items.into_iter().next().map(|item| Row::new(item, false)))
    }
}
