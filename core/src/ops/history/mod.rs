//! `history`: all versions of one key that the store still has.

mod live;

use std::collections::VecDeque;
use std::sync::Arc;

use self::live::Reading;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::{Fault, Result};
use crate::format::mvcc;
use crate::format::view::rows_of;
use crate::id::{LeaseId, Revision};
use crate::operation::Operation;
use crate::ops::keys::{at_most, one_key};
use crate::rpc::KeyValue;
use crate::stream::Rows;
use crate::units::{Bytes, Octets};
use crate::{args, at_rest, choice, record};

/// How many bytes of a file's rows go at a time, about.
const PAGE: usize = 1 << 20;
/// What a row takes beside its value, about.
const PER_ROW: usize = 256;

args! {
    /// What to read.
    pub struct Args(
        /// The key.
        key: Octets,
    ) {
        /// At most this many: the newest, which are kept in memory until all were read.
        limit: Option<i64>,
    }
}

choice! {
    /// What was done to a key.
    pub enum Change {
        /// It was created, or got another value or lease.
        Put = "put",
        /// It was deleted, also by the end of its lease.
        Delete = "delete",
    }
}

record! {
    /// One change of the key.
    pub struct Row {
        /// The revision that made it.
        revision: Revision,
        /// What was done: put or delete. All columns behind this one are null for a delete.
        change: Change,
        /// How often the key was changed since it was created; 1 for a new key.
        version: Option<i64>,
        /// The revision at which it was created.
        create_revision: Option<Revision>,
        /// The value that it got: text, or bytes where it is not clean text.
        value: Option<Octets>,
        /// The lease that it was bound to, in hex.
        lease: Option<LeaseId>,
        /// The size of key and value together.
        size: Option<Bytes>,
    }
}

impl Row {
    fn put(item: KeyValue) -> Self {
        Row {
            revision: item.mod_revision,
            change: Change::Put,
            version: Some(item.version),
            create_revision: Some(item.create_revision),
            size: Some(Bytes::new(item.key.len() as u64 + item.value.len() as u64)),
            value: Some(Octets(item.value)),
            lease: item.lease,
        }
    }

    fn delete(revision: Revision) -> Self {
        let change = Change::Delete;
        Row { revision, change, version: None, create_revision: None, value: None, lease: None, size: None }
    }

    fn at_rest(change: mvcc::Change, pair: &mvcc::KeyValue<'_>) -> Self {
        if change.is_tombstone {
            return Row::delete(Revision(change.rev.main));
        }
        Row::put(KeyValue {
            key: pair.key.to_vec(),
            value: pair.value.to_vec(),
            create_revision: Revision(pair.created),
            mod_revision: Revision(pair.modified),
            version: pair.version,
            lease: Some(LeaseId(pair.lease.cast_unsigned())).filter(|lease| lease.0 != 0),
        })
    }

    fn room(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.0.len()) + PER_ROW
    }
}

/// See [`Operation::CARD`].
pub struct History;

impl Operation for History {
    const CARD: Card = Card {
        name: "history",
        summary: "Read all versions of one key that the store still has, oldest first, with its deletions.",
        details: "All are of one revision, the newest. Of what a compaction took away only the last version is left, where the key \
                  lived then. A server looks through all of its changes for those of one key, again for every 1000 that it finds, \
                  and takes no writes meanwhile: where it has very many, ask a snapshot, or give a limit. The last 100 versions of \
                  a key that lives are read one by one, which costs it nothing. Of a key that is deleted, a server before 3.4.25 or \
                  3.5.8 has to send the changes of all keys, which the user must be allowed to read.",
        search: &["etcdctl", "watch", "versions", "revisions", "audit", "who changed", "undelete"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "Read the history of a key", args: &[("key", Sample::Text("/config/limit"))] },
            Example {
                about: "Read the last five versions of a key",
                args: &[("key", Sample::Text("/config/limit")), ("limit", Sample::Int(5))],
            },
            Example {
                about: "Read the history of a key out of a snapshot",
                args: &[("key", Sample::Text("/config/limit")), ("db", Sample::Text("backup.db"))],
            },
        ],
    };
    type Args = Args;
    type Report = Rows<Row>;

    async fn run(ctx: &Context<'_>, Args { key, limit }: Args) -> Result<Rows<Row>> {
        let (key, limit) = (one_key(key)?, at_most(limit)?);
        let mut newest = Newest::new(limit);
        match ctx.source()? {
            _ if limit == Some(0) => ctx.rows(async move |_| Ok(())).await,
            Source::File(path) => {
                at_rest::rows(ctx, "db", path, move |image, take| {
                    let mut wanted = true;
                    rows_of(image, &key, |change, pair| {
                        newest.push(Row::at_rest(change, &pair));
                        if newest.bytes >= PAGE {
                            let page = newest.ready();
                            wanted = page.is_empty() || take(page);
                        }
                        wanted
                    })?;
                    if wanted {
                        take(newest.end());
                    }
                    Ok(())
                })
                .await
            }
            Source::Cluster(cluster) => {
                let cluster = Arc::clone(cluster);
                ctx.rows(move |pages| async move { Reading::begin(cluster, key, newest, pages).await?.all().await })
                    .await
            }
        }
    }
}

/// Rows that wait: for a page of them to be full, or, where not all of them are wanted, for newer ones.
struct Newest {
    limit: Option<usize>,
    rows: VecDeque<Row>,
    bytes: usize,
}

impl Newest {
    fn new(limit: Option<i64>) -> Self {
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Newest { limit, rows: VecDeque::new(), bytes: 0 }
    }

    fn push(&mut self, row: Row) {
        if self.limit == Some(self.rows.len()) {
            self.rows.pop_front();
        }
        self.bytes += row.room();
        self.rows.push_back(row);
    }

    /// Returns the rows that no newer ones can replace.
    fn ready(&mut self) -> Vec<Row> {
        self.bytes = 0;
        if self.limit.is_none() { self.rows.drain(..).collect() } else { Vec::new() }
    }

    fn end(self) -> Vec<Row> {
        self.rows.into()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store was compacted while this history was read")]
struct CompactedMeanwhile;

impl Fault for CompactedMeanwhile {
    fn code(&self) -> &'static str {
        "compacted"
    }

    fn help(&self) -> Option<String> {
        Some("try again: the versions from there on are left".to_owned())
    }

    fn retryable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;

    #[test]
    fn a_compaction_in_the_middle_is_told() {
        insta::assert_snapshot!(shown([CompactedMeanwhile.into()]), @"
        compacted: the store was compacted while this history was read
          help: try again: the versions from there on are left
        ");
    }

    #[test]
    fn a_limit_keeps_the_newest() {
        let read = |limit| {
            let mut newest = Newest::new(limit);
            let mut rows = Vec::new();
            for revision in 1..=5 {
                newest.push(Row::delete(Revision(revision)));
                rows.extend(newest.ready());
            }
            rows.extend(newest.end());
            rows.iter().map(|row| row.revision.0).collect::<Vec<_>>()
        };
        assert_eq!([None, Some(9)].map(read), [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]);
        assert_eq!([Some(2), Some(1)].map(read), [vec![4, 5], vec![5]]);
    }
}
