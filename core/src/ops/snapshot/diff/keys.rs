//! `snapshot diff keys`: the keys in which two stores differ.

use std::sync::Arc;

use super::{Args, Other, Tell, files, with_cluster};
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::format::diff::{self, Difference};
use crate::format::view::Item;
use crate::id::{LeaseId, Revision};
use crate::operation::Operation;
use crate::stream::Rows;
use crate::units::{Bytes, Octets};
use crate::{at_rest, choice, record};

/// How many rows go at a time.
const PAGE: usize = 256;

choice! {
    /// How a key differs.
    pub enum Kind {
        /// Only the second side has it.
        Added = "added",
        /// Only the first side has it.
        Removed = "removed",
        /// It has another value.
        Changed = "changed",
        /// It has the same value, and another revision or lease.
        Touched = "touched",
    }
}

record! {
    /// A key that differs.
    pub struct Row {
        /// The key: text, or bytes where it is not clean text.
        key: Octets,
        /// How it differs: added, removed, changed or touched.
        kind: Kind,
        /// The revision that changed it last on the first side.
        revision_a: Option<Revision>,
        /// The revision that changed it last on the second side.
        revision_b: Option<Revision>,
        /// The size of key and value on the first side.
        size_a: Option<Bytes>,
        /// The size of key and value on the second side.
        size_b: Option<Bytes>,
        /// The lease on the first side, in hex.
        lease_a: Option<LeaseId>,
        /// The lease on the second side, in hex.
        lease_b: Option<LeaseId>,
        /// The value on the first side.
        value_a: Option<Octets>,
        /// The value on the second side.
        value_b: Option<Octets>,
    }
}

impl From<Difference> for Row {
    fn from(difference: Difference) -> Self {
        let kind = match difference.kind {
            diff::Kind::Added => Kind::Added,
            diff::Kind::Removed => Kind::Removed,
            diff::Kind::Changed => Kind::Changed,
            diff::Kind::Touched => Kind::Touched,
        };
        let key = Octets(difference.key().to_vec());
        let revision = |item: &Option<Item>| item.as_ref().map(|item| Revision(item.modified));
        let size = |item: &Option<Item>| {
            item.as_ref().map(|item| Bytes::new((item.key.len() + item.value.as_ref().map_or(0, Vec::len)) as u64))
        };
        let lease = |item: &Option<Item>| {
            item.as_ref().map(|item| LeaseId(item.lease.cast_unsigned())).filter(|lease| lease.0 != 0)
        };
        let Difference { a, b, .. } = difference;
        Row {
            key,
            kind,
            revision_a: revision(&a),
            revision_b: revision(&b),
            size_a: size(&a),
            size_b: size(&b),
            lease_a: lease(&a),
            lease_b: lease(&b),
            value_a: a.and_then(|item| item.value).map(Octets),
            value_b: b.and_then(|item| item.value).map(Octets),
        }
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotDiffKeys;

impl Operation for SnapshotDiffKeys {
    const CARD: Card = Card {
        name: "snapshot diff keys",
        summary: "List the keys in which two snapshots, or a snapshot and the cluster, differ.",
        details: "The keys come in order, with their revisions and values on both sides. A key that was written again with the value \
                  that it had is touched.",
        search: &["compare", "changes", "divergence", "backup"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterIf(&["live"]),
        examples: &[
            Example {
                about: "List what has changed from one snapshot to the next",
                args: &[("a", Sample::Text("monday.db")), ("b", Sample::Text("tuesday.db"))],
            },
            Example {
                about: "List what a prefix has had since a revision, in one snapshot",
                args: &[
                    ("a", Sample::Text("backup.db")),
                    ("revision_a", Sample::Int(1200)),
                    ("prefix", Sample::Text("/config/")),
                ],
            },
        ],
    };
    type Args = Args;
    type Report = Rows<Row>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Rows<Row>> {
        let (asked, other) = (args.asked()?, args.other()?);
        match other {
            Other::File(b) => {
                let b = at_rest::database(&b).map_err(|error| error.for_argument("b"))?;
                at_rest::rows(ctx, "a", &args.a, move |a, take| {
                    let mut list = Paged { page: Vec::new(), take };
                    files(a, &b, &asked, |difference| list.add(difference))?;
                    list.end();
                    Ok(())
                })
                .await
            }
            Other::Cluster => {
                let cluster = Arc::clone(ctx.cluster()?);
                ctx.rows(move |pages| async move {
                    let list = Paged { page: Vec::new(), take: move |page| pages.send_blocking(page) };
                    with_cluster(cluster, &args.a, asked, list).await.map(drop)
                })
                .await
            }
        }
    }
}

/// Hands rows out page by page.
struct Paged<F> {
    page: Vec<Row>,
    take: F,
}

impl<F: FnMut(Vec<Row>) -> bool + Send> Tell for Paged<F> {
    fn add(&mut self, difference: Difference) -> bool {
        self.page.push(difference.into());
        self.page.len() < PAGE || (self.take)(std::mem::take(&mut self.page))
    }

    fn end(&mut self) {
        (self.take)(std::mem::take(&mut self.page));
    }
}
