//! The wire. The only code that names etcd-client, tonic or protobuf.

mod accounts;
mod answers;
mod auth;
mod body;
mod call;
mod claim;
mod classify;
mod cluster;
mod compacted;
mod dial;
mod entry;
mod error;
mod failover;
mod identity;
mod link;
mod node;
mod probe;
mod range;
mod raw;
mod reframe;
mod scratch;
mod single;
mod snapshot;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod types;
mod watch;
mod wire;
mod writer;

pub use accounts::LiveLease;
pub use claim::{Claims, Holder};
pub use cluster::Cluster;
pub use error::{Failure, RpcError};
pub use failover::AllFailed;
pub use node::Node;
pub use range::{RangePart, RangeParts, Way};
pub use scratch::Scratch;
pub use snapshot::SnapshotStream;
pub use tls::{BadFile, BadSetting, Refusal, Trusted};
pub use types::{Alarm, AlarmKind, Consistency, HashKv, KeyValue, RangePage, RangeQuery, SnapshotChunk, Status};
pub use watch::{Changes, KeyChange, News, Of};
pub use writer::Writer;
