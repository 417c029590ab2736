//! The history of a key, from a cluster.
//!
//! No read tells when a key was deleted, so that its changes are watched from the first revision on. A server that compacted
//! answers with the compacted revision, and from there the watch is made again. It ends with the change that a linearizable read
//! before it has seen last, or, where that found no key, with the server's word that the watch has caught up.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{CompactedMeanwhile, Newest, Row};
use crate::error::{Error, Result};
use crate::id::Revision;
use crate::ops::keys::read::reader;
use crate::rpc::{Cluster, Consistency, KeyChange, News, Node, Of, RangeQuery};
use crate::stream::Pages;

/// The revision from which a server without a compaction has all changes.
const FIRST: Revision = Revision(1);
/// Up to how many versions are read one by one: each costs the server next to nothing, and the way to it and back.
const MOST_ONE_BY_ONE: usize = 100;

/// By what the end of a history is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By the change of this revision, with which the key became what it is.
    Change(Revision),
    /// By the server's word that all changes up to this revision have come.
    Word(Revision),
    /// By a change of any key at this revision, as each revision has one. For that all keys are watched.
    AnyChange(Revision),
}

/// The reading of a history from a cluster.
pub(super) struct Reading {
    cluster: Arc<Cluster>,
    node: Arc<Node>,
    key: Vec<u8>,
    /// No change is read that is newer.
    revision: Revision,
    end: End,
    /// The last change that was read.
    last: Revision,
    newest: Newest,
    pages: Pages<Row>,
}

impl Reading {
    pub(super) async fn begin(cluster: Arc<Cluster>, key: Vec<u8>, newest: Newest, pages: Pages<Row>) -> Result<Self> {
        let node = reader(&cluster, Consistency::Linearizable).await?;
        let now = node.range(&version_at(&key, 0), cluster.deadline()).await?;
        let (revision, last) = (now.revision, Revision(0));
        let end = now.items.first().map_or(End::Word(revision), |item| End::Change(item.mod_revision));
        let mut reading = Reading { cluster, node, key, revision, end, last, newest, pages };
        reading.suit_end().await?;
        Ok(reading)
    }

    /// Sees to it that the member can tell the end.
    async fn suit_end(&mut self) -> Result<()> {
        if let End::Word(last) = self.end
            && !self.node.tells_progress(self.cluster.deadline()).await?
        {
            self.end = End::AnyChange(last);
        }
        Ok(())
    }

    /// Reads the newest versions, each by its revision, where few of them are wanted and enough of them are there. Says whether those
    /// are all that were wanted.
    async fn one_by_one(&mut self) -> Result<bool> {
        let (End::Change(_), Some(most @ 1..=MOST_ONE_BY_ONE)) = (self.end, self.newest.limit) else {
            return Ok(false);
        };
        let (mut at, mut rows) = (self.revision, VecDeque::new());
        while rows.len() < most {
            let item = match self.node.range(&version_at(&self.key, at.0), self.cluster.deadline()).await {
                Ok(page) => page.items.into_iter().next(),
                // The version before this was the one that a compaction left.
                Err(error) if error.code() == "compacted" && !rows.is_empty() => break,
                Err(error) => return Err(meanwhile(error)),
            };
            match item {
                Some(item) if item.mod_revision <= at && (item.version > 1 || rows.len() + 1 == most) => {
                    at = Revision(item.mod_revision.0 - 1);
                    rows.push_front(Row::put(item));
                }
                // No read tells what there was before it was created.
                _ => return Ok(false),
            }
        }
        self.newest.rows = rows;
        Ok(true)
    }

    /// Reads all of it. What breaks off is gone on with by another member, unless nothing came since it did the last time.
    pub(super) async fn all(mut self) -> Result<()> {
        if self.one_by_one().await? {
            return self.pages.send(self.newest.end()).await;
        }
        let (mut from, mut failed_at) = (FIRST, None);
        loop {
            match self.since(&mut from).await {
                Ok(None) => return self.pages.send(self.newest.end()).await,
                // It is told so how far the store was compacted.
                Ok(Some(compacted)) if from == FIRST && compacted <= self.revision => {
                    if !self.begin_after(compacted).await? {
                        return self.pages.send(self.newest.end()).await;
                    }
                    from = compacted;
                }
                Ok(Some(_)) => return Err(CompactedMeanwhile.into()),
                Err(error) if error.retryable() && failed_at.replace(from) != Some(from) => {
                    self.node = reader(&self.cluster, Consistency::Linearizable).await?;
                    self.suit_end().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins with what a compaction left, and says whether more comes after it.
    async fn begin_after(&mut self, compacted: Revision) -> Result<bool> {
        let left = self.node.range(&version_at(&self.key, compacted.0), self.cluster.deadline()).await;
        let left = left.map_err(meanwhile)?;
        let is_last = match self.end {
            End::Change(last) | End::AnyChange(last) => last <= compacted,
            // A deletion at that very revision may be there.
            End::Word(_) => false,
        };
        // What was changed at that very revision comes with the changes from there on.
        let item = left.items.into_iter().next().filter(|item| is_last || item.mod_revision < compacted);
        item.map(Row::put).into_iter().for_each(|row| self.newest.push(row));
        Ok(!is_last)
    }

    /// Reads the changes from a revision on, which moves on with them. Returns to which revision the store is compacted, where they
    /// are gone.
    async fn since(&mut self, from: &mut Revision) -> Result<Option<Revision>> {
        let idle = self.cluster.profile().timeout;
        let of = if matches!(self.end, End::AnyChange(_)) { Of::All } else { Of::Key(&self.key) };
        let mut changes = self.node.changes(of, *from, idle).await?;
        loop {
            match changes.next(matches!(self.end, End::Word(_))).await? {
                News::Compacted(compacted) => return Ok(Some(compacted)),
                News::Reached(reached) if matches!(self.end, End::Word(last) if reached >= last) => return Ok(None),
                News::Reached(_) => {}
                News::Changes { changes: some, whole } => {
                    let upto = some.last().map_or(*from, |change| change.revision);
                    self.take(some).await?;
                    *from = if whole { Revision(upto.0.saturating_add(1)) } else { upto };
                    match self.end {
                        End::Change(last) if upto >= last && self.last < last => return Err(changes.left_out(last)),
                        End::Change(last) | End::AnyChange(last) if whole && upto >= last => return Ok(None),
                        End::Word(last) if upto > last => return Ok(None),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Takes those changes that are of this key and this history, and were not read before.
    async fn take(&mut self, changes: Vec<KeyChange>) -> Result<()> {
        for KeyChange { revision, key, put } in changes {
            if key == self.key && revision <= self.revision && revision > self.last {
                self.last = revision;
                self.newest.push(put.map_or_else(|| Row::delete(revision), Row::put));
            }
        }
        let page = self.newest.ready();
        if page.is_empty() { Ok(()) } else { self.pages.send(page).await }
    }
}

/// Says that what was just there has been compacted away.
fn meanwhile(error: Error) -> Error {
    if error.code() == "compacted" { CompactedMeanwhile.into() } else { error }
}

/// Asks for a key as of a revision, or the newest where it is 0. Which member is asked was decided before.
fn version_at(key: &[u8], revision: i64) -> RangeQuery {
    RangeQuery {
        key: key.to_vec(),
        end: Vec::new(),
        revision,
        limit: 1,
        keys_only: revision == 0,
        count_only: false,
        consistency: if revision == 0 { Consistency::Linearizable } else { Consistency::Serializable },
    }
}
