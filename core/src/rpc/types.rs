//! What members answer, in our own types.

use crate::id::{ClusterId, LeaseId, MemberId, Revision};

/// Whether a read asks a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Confirmed by a quorum: it sees every write that was acknowledged before.
    Linearizable,
    /// What this one member knows.
    Serializable,
}

/// What a member says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The cluster that it believes to be part of.
    pub cluster_id: ClusterId,
    /// Itself.
    pub member_id: MemberId,
    /// Its version, for example 3.6.16.
    pub version: String,
    /// The version of its data's form; from 3.6 on.
    pub storage_version: Option<String>,
    /// The size of its database file in bytes.
    pub db_size: i64,
    /// The part of it that holds data.
    pub db_in_use: i64,
    /// The size beyond which it refuses writes, if there is one; from 3.6 on.
    pub db_quota: Option<i64>,
    /// The leader that it follows, if it knows one.
    pub leader: Option<MemberId>,
    /// Its raft term.
    pub raft_term: i64,
    /// The last index of its log that it knows to be committed.
    pub raft_index: i64,
    /// The last index that it has applied.
    pub raft_applied_index: i64,
    /// Whether it has no vote.
    pub is_learner: bool,
    /// The revision of its store.
    pub revision: Revision,
    /// What it complains about.
    pub errors: Vec<String>,
    /// The version that a downgrade under way leads to.
    pub downgrade_target: Option<String>,
}

crate::choice! {
    /// What an alarm is about.
    pub enum AlarmKind {
        /// The database has outgrown its quota; only reads, deletions and compaction are served.
        NoSpace = "nospace",
        /// The data of a member differs from the others'.
        Corrupt = "corrupt",
        /// A kind that this program does not know.
        Unknown = "unknown",
    }
}

/// An alarm that is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// The member that it is about; zero when nobody could tell.
    pub member_id: MemberId,
    /// What it is about.
    pub kind: AlarmKind,
}

/// A key with its value, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value; empty when only keys were asked for.
    pub value: Vec<u8>,
    /// The revision at which it was created.
    pub create_revision: Revision,
    /// The revision at which it was last changed.
    pub mod_revision: Revision,
    /// How often it was changed since it was created.
    pub version: i64,
    /// The lease that it dies with.
    pub lease: Option<LeaseId>,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// The first key.
    pub key: Vec<u8>,
    /// The first key that is not read any more: empty for one key, a single zero byte for no end.
    pub end: Vec<u8>,
    /// At which revision; zero for the newest.
    pub revision: i64,
    /// At most this many; zero for all.
    pub limit: i64,
    /// Whether values are left out.
    pub keys_only: bool,
    /// Whether only the number of keys is asked for.
    pub count_only: bool,
    /// Whether a quorum confirms the read.
    pub consistency: Consistency,
}

/// A page of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangePage {
    /// The revision of the store when it was read.
    pub revision: Revision,
    /// The keys, in order.
    pub items: Vec<KeyValue>,
    /// Whether there are more in the range.
    pub more: bool,
    /// How many keys the range holds altogether.
    pub count: i64,
}

/// The hash of a member's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// Whose.
    pub member_id: MemberId,
    /// The hash of all changes from the compacted revision to the one that was asked for.
    pub hash: u32,
    /// The revision that the hash is for; from 3.6 on.
    pub hash_revision: Option<Revision>,
    /// The revision that the store was compacted to. Hashes of differently compacted stores do not compare.
    pub compact_revision: Option<Revision>,
}

/// A piece of a snapshot. The last one, of 32 bytes, is the SHA-256 of all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// The bytes.
    pub blob: Vec<u8>,
    /// How many bytes come after it.
    pub remaining: u64,
    /// The version of the data's form; empty before 3.6.
    pub version: String,
}
