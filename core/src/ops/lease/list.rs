//! `lease list`: which leases there are, how long they live, and how many keys die with them.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::leases::{Bound, leases};
use crate::id::LeaseId;
use crate::operation::Operation;
use crate::rpc::LiveLease;
use crate::stream::Rows;
use crate::units::Elapsed;
use crate::{at_rest, record};

/// How many leases are asked about at the same time; the leader answers all of it.
const AT_ONCE: usize = 32;
/// How many rows go at a time.
const PAGE: usize = 256;

record! {
    /// One lease.
    pub struct Row {
        /// The lease's id, in hex.
        lease_id: LeaseId,
        /// The time to live that was granted.
        ttl: Elapsed,
        /// What remains of it. In a file it is what remained when a leader last wrote that down, and null where none did.
        remaining: Option<Elapsed>,
        /// How many keys that live are bound to it.
        keys: i64,
    }
}

fn seconds(count: i64) -> Elapsed {
    Elapsed(count.saturating_mul(1_000_000_000))
}

impl From<LiveLease> for Row {
    fn from(lease: LiveLease) -> Self {
        let (lease_id, ttl, keys) = (lease.id, seconds(lease.granted), lease.keys.try_into().unwrap_or(i64::MAX));
        Row { lease_id, ttl, remaining: Some(seconds(lease.remaining)), keys }
    }
}

impl From<Bound> for Row {
    fn from(Bound { lease, keys }: Bound) -> Self {
        let remaining = Some(lease.remaining).filter(|remaining| *remaining > 0).map(seconds);
        Row { lease_id: lease.id, ttl: seconds(lease.ttl), remaining, keys: keys.try_into().unwrap_or(i64::MAX) }
    }
}

/// See [`Operation::CARD`].
pub struct LeaseList;

impl Operation for LeaseList {
    const CARD: Card = Card {
        name: "lease list",
        summary: "List the leases, with what remains of them and how many keys are bound to each.",
        details: "A cluster is asked about each lease, and one that ends meanwhile is left out. When a lease in a file ends cannot be \
                  told: that is counted from the moment when a member begins to lead.",
        search: &["etcdctl", "ttl", "timetolive", "expire"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "List the leases", args: &[] },
            Example { about: "List the leases that a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = NoArgs;
    type Report = Rows<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Rows<Row>> {
        let cluster = match ctx.source()? {
            Source::Cluster(cluster) => Arc::clone(cluster),
            Source::File(path) => {
                let read = |image: &_, take: at_rest::Take<'_, Row>| {
                    leases(image, |part| take(part.into_iter().map(Row::from).collect()))?;
                    Ok(())
                };
                return at_rest::rows(ctx, "db", path, read).await;
            }
        };
        ctx.rows(move |pages| async move {
            let deadline = cluster.deadline();
            let node = cluster.any(deadline, async |node| node.leases(deadline).await.map(|ids| (node, ids)));
            let (node, mut ids) = node.await?;
            ids.sort();
            let ask = |id| {
                let (node, deadline) = (Arc::clone(&node), cluster.deadline());
                async move { node.lease(id, deadline).await }
            };
            let mut answers = std::pin::pin!(iter(ids).map(ask).buffered(AT_ONCE).ready_chunks(PAGE));
            while let Some(part) = answers.next().await {
                let part = part.into_iter().collect::<Result<Vec<Option<LiveLease>>>>()?;
                pages.send(part.into_iter().flatten().map(Row::from).collect()).await?;
            }
            Ok(())
        })
        .await
    }
}
