//! etcd's messages, written out by hand: the fake server must not share a mistake with the client that it is to catch.

/// The header of every answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    /// The cluster.
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// Who answers.
    #[prost(uint64, tag = "2")]
    pub member_id: u64,
    /// The revision of the store.
    #[prost(int64, tag = "3")]
    pub revision: i64,
    /// The raft term.
    #[prost(uint64, tag = "4")]
    pub raft_term: u64,
}

/// A member.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Member {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where peers reach it.
    #[prost(string, repeated, tag = "3")]
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    #[prost(string, repeated, tag = "4")]
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    #[prost(bool, tag = "5")]
    pub is_learner: bool,
}

/// The membership list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MemberList {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// The members.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

/// What a member says about itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// The size of its database.
    #[prost(int64, tag = "3")]
    pub db_size: i64,
    /// The leader.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// The last index of its log.
    #[prost(uint64, tag = "5")]
    pub raft_index: u64,
    /// Its raft term.
    #[prost(uint64, tag = "6")]
    pub raft_term: u64,
    /// The last index that it has applied.
    #[prost(uint64, tag = "7")]
    pub raft_applied_index: u64,
    /// What it complains about.
    #[prost(string, repeated, tag = "8")]
    pub errors: Vec<String>,
    /// The part of the database that is in use.
    #[prost(int64, tag = "9")]
    pub db_size_in_use: i64,
    /// Whether it has no vote.
    #[prost(bool, tag = "10")]
    pub is_learner: bool,
    /// The version of its data's form.
    #[prost(string, tag = "11")]
    pub storage_version: String,
    /// The quota of its database.
    #[prost(int64, tag = "12")]
    pub db_size_quota: i64,
}

/// A key with its value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// The key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// When it was created.
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    /// When it was last changed.
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    /// How often it was changed.
    #[prost(int64, tag = "4")]
    pub version: i64,
    /// The value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
    /// Its lease.
    #[prost(int64, tag = "6")]
    pub lease: i64,
}

/// A page of keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Range {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// The keys.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    /// Whether there are more.
    #[prost(bool, tag = "3")]
    pub more: bool,
    /// How many there are altogether.
    #[prost(int64, tag = "4")]
    pub count: i64,
}

/// A part of a stream of keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RangeStream {
    /// What is in it.
    #[prost(message, optional, tag = "1")]
    pub range: Option<Range>,
}

/// A change of a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// What it is: 0 for a put, 1 for a deletion.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The key with its value.
    #[prost(message, optional, tag = "2")]
    pub pair: Option<KeyValue>,
}

/// What a watch answers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Watched {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// Which watch.
    #[prost(int64, tag = "2")]
    pub watch_id: i64,
    /// Whether it was made.
    #[prost(bool, tag = "3")]
    pub created: bool,
    /// Whether it has ended.
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    /// To what the store was compacted, where that ended it.
    #[prost(int64, tag = "5")]
    pub compact_revision: i64,
    /// What ended it otherwise.
    #[prost(string, tag = "6")]
    pub cancel_reason: String,
    /// Whether more of the same revision comes.
    #[prost(bool, tag = "7")]
    pub fragment: bool,
    /// The changes.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// How much comes after it.
    #[prost(uint64, tag = "2")]
    pub remaining: u64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub blob: Vec<u8>,
    /// The version of the data's form.
    #[prost(string, tag = "4")]
    pub version: String,
}

/// The answer to a password.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Authenticated {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// The token.
    #[prost(string, tag = "2")]
    pub token: String,
}
