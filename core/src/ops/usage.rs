//! `usage`: what takes the room, by prefix.

use std::cmp::Reverse;

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::prefix::Grouping;
use crate::format::usage::{Big, Folder, Live, usage};
use crate::operation::Operation;
use crate::ops::keys::query_below;
use crate::ops::keys::read::{Take, read};
use crate::rpc::KeyValue;
use crate::units::{Bytes, Octets};
use crate::{args, at_rest, record};

args! {
    /// How to group the keys.
    pub struct Args() {
        /// How many parts of a key make a prefix; 0 takes all keys together.
        depth: i64 = 2,
        /// What separates the parts of a key.
        separator: String = "/",
    }
}

record! {
    /// What the keys below one prefix take.
    pub struct Row {
        /// The prefix; null for all keys whose prefixes came after the first 100000.
        prefix: Option<Octets>,
        /// How many keys live.
        keys: i64,
        /// How much their newest revisions take, with what etcd stores beside key and value.
        size: Bytes,
        /// How many older revisions and deletions there are, which a compaction can take away; only a file tells.
        old_revisions: Option<i64>,
        /// How much those take.
        old_size: Option<Bytes>,
        /// How many of all revisions are deletions.
        tombstones: Option<i64>,
        /// How many revisions there are for each key, those of deleted keys among them.
        revisions_per_key: Option<f64>,
        /// Which share of the keys is bound to a lease, from 0 to 1.
        leased: f64,
        /// The largest key; of several that are as large, any of them.
        largest_key: Option<Octets>,
        /// How much that takes.
        largest_size: Option<Bytes>,
    }
}

/// See [`Operation::CARD`].
pub struct Usage;

impl Operation for Usage {
    const CARD: Card = Card {
        name: "usage",
        summary: "Show what takes the room, by prefix, the largest first.",
        details: "Of a cluster it reads all keys with their values, at one revision. Older revisions are not to be had from a \
                  cluster; a snapshot has them, and with db all columns are filled. Sizes are what bolt stores of each row; free pages, \
                  which `defrag` gives back, are in none of them.",
        search: &["space", "size", "disk", "biggest", "du", "quota", "prefix"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "See what takes the room of the cluster", args: &[] },
            Example {
                about: "See what takes the room in a snapshot, more finely",
                args: &[("depth", Sample::Int(3)), ("db", Sample::Text("backup.db"))],
            },
        ],
    };
    type Args = Args;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, Args { depth, separator }: Args) -> Result<Vec<Row>> {
        let grouping = grouping(depth, separator)?;
        let (folders, rest, is_file) = match ctx.source()? {
            Source::File(path) => {
                let all = at_rest::read(ctx, "db", path, move |image| usage(image, grouping, 0)).await?;
                (all.folders, all.rest, true)
            }
            Source::Cluster(cluster) => {
                let mut sum = Sum(Live::new(grouping));
                read(cluster, query_below(&[], 0), None, &mut sum).await?;
                let all = sum.0.end();
                (all.folders, all.rest, false)
            }
        };
        let mut rows: Vec<Row> = folders.into_iter().map(|folder| row(folder, is_file, false)).collect();
        rows.extend(rest.map(|rest| row(rest, is_file, true)));
        rows.sort_by_key(|row| Reverse(row.size.0.saturating_add(row.old_size.map_or(0, |size| size.0))));
        Ok(rows)
    }
}

/// Reads how keys are to be grouped.
pub(crate) fn grouping(depth: i64, separator: String) -> Result<Grouping, BadArgument> {
    let depth = usize::try_from(depth).map_err(|_| BadArgument::invalid("depth", "is negative", "give 0 or more"))?;
    if separator.is_empty() {
        return Err(BadArgument::invalid("separator", "is empty", "give what stands between the parts of a key"));
    }
    Ok(Grouping { separator: separator.into_bytes(), depth })
}

struct Sum(Live);

impl Take for Sum {
    async fn take(&mut self, items: Vec<KeyValue>) -> Result<()> {
        for item in items {
            let lease = item.lease.map_or(0, |lease| lease.0.cast_signed());
            let (created, modified) = (item.create_revision.0, item.mod_revision.0);
            let pair = crate::format::mvcc::KeyValue {
                key: &item.key,
                created,
                modified,
                version: item.version,
                value: &item.value,
                lease,
            };
            self.0.add(&pair);
        }
        Ok(())
    }
}

fn row(Folder { prefix, usage, largest }: Folder, is_file: bool, is_rest: bool) -> Row {
    let (largest_key, largest_size) = match largest {
        Some(Big { key, size }) => (key.map(Octets), Some(Bytes::new(size))),
        None => (None, None),
    };
    let told = |count: u64| is_file.then_some(number(count));
    Row {
        prefix: (!is_rest).then_some(Octets(prefix)),
        keys: number(usage.live_keys),
        size: Bytes::new(usage.live_bytes),
        old_revisions: told(usage.old_rows),
        old_size: is_file.then_some(Bytes::new(usage.old_bytes)),
        tombstones: told(usage.tombstones),
        revisions_per_key: is_file.then(|| ratio(usage.rows, usage.keys)),
        leased: ratio(usage.leased_keys, usage.live_keys),
        largest_key,
        largest_size,
    }
}

/// Shows a count, which no store has more of than a signed number holds.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people; counts beyond 2^53 do not occur")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
