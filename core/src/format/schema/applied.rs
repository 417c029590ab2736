//! The bucket `meta`: how far the log was applied and the store compacted, and in which form the data is.
//!
//! | key | value | since |
//! | --- | --- | --- |
//! | `consistent_index` | raft index of the last entry applied, 8 bytes big-endian | |
//! | `term` | its term, 8 bytes big-endian | 3.5 |
//! | `confState` | the voters, JSON | 3.5 |
//! | `scheduledCompactRev`, `finishedCompactRev` | key of a row, 17 bytes | |
//! | `storageVersion` | text such as `3.6.0` | 3.6 |

use serde::Deserialize;

use super::flaw::{Flaw, json, number, text};
use crate::format::mvcc::{Change, Span};
use crate::id::MemberId;

/// The bucket `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The raft index of the last entry that was applied.
    pub consistent_index: Option<u64>,
    /// The term of that entry.
    pub term: Option<u64>,
    /// Who votes, as of that entry. After a restore it is that of the old cluster; etcd does not read it.
    pub conf_state: Option<ConfState>,
    /// To which revision a compaction was last asked for.
    pub scheduled_compact: Option<i64>,
    /// To which revision a compaction last ended.
    pub finished_compact: Option<i64>,
    /// The form of the data, as text.
    pub storage_version: Option<String>,
}

impl Applied {
    /// Returns the span of the store, without its newest row.
    pub fn compactions(&self) -> Span {
        Span { last: None, finished: self.finished_compact, scheduled: self.scheduled_compact }
    }
}

/// Who votes in raft.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConfState {
    /// The voters.
    #[serde(deserialize_with = "ids")]
    pub voters: Vec<MemberId>,
    /// The learners.
    #[serde(deserialize_with = "ids")]
    pub learners: Vec<MemberId>,
    /// The voters of the configuration that is being left.
    #[serde(deserialize_with = "ids")]
    pub voters_outgoing: Vec<MemberId>,
    /// Who becomes a learner when that configuration is left.
    #[serde(deserialize_with = "ids")]
    pub learners_next: Vec<MemberId>,
    /// Whether it is left without being asked.
    pub auto_leave: bool,
}

/// Reads ids as the bare numbers that they are in etcd's JSON.
fn ids<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<MemberId>, D::Error> {
    let numbers = Option::<Vec<u64>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(numbers.into_iter().map(MemberId).collect())
}

impl Applied {
    /// Takes a row of the bucket.
    pub(super) fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Flaw> {
        match key {
            b"consistent_index" => self.consistent_index = Some(number("the consistent index", value)?),
            b"term" => self.term = Some(number("the term", value)?),
            b"confState" => self.conf_state = Some(json("the list of voters", value)?),
            b"scheduledCompactRev" => self.scheduled_compact = Some(revision("the scheduled compaction", value)?),
            b"finishedCompactRev" => self.finished_compact = Some(revision("the finished compaction", value)?),
            b"storageVersion" => self.storage_version = Some(text("the storage version", value)?),
            _ => {}
        }
        Ok(())
    }

    /// Returns which etcd the data is for, as `3.6`, by the rule that etcd itself uses: 3.6 and later write it down, 3.5 writes
    /// the term, and older ones neither.
    pub fn written_by(&self) -> &str {
        match (&self.storage_version, self.term) {
            (Some(version), _) => version,
            (None, Some(_)) => "3.5",
            (None, None) => "3.4",
        }
    }
}

fn revision(what: &'static str, value: &[u8]) -> Result<i64, Flaw> {
    let change = Change::read(value).ok().filter(|change| !change.is_tombstone);
    Ok(change.ok_or(Flaw::Revision { what })?.rev.main)
}
