//! The write-ahead log of a member: what raft decided, in files of about 64 MB in a folder.
//!
//! In reading order: the files ([`Segment`]), one record in its frame (`frame`), what records say ([`Item`]), all of them in a row
//! ([`Log`]), the whole log in short ([`Summary`]), and the beginning of a new one ([`Writer`]).

mod flaw;
mod frame;
mod item;
mod log;
mod request;
mod segment;
mod summary;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use flaw::Flaw;
pub use item::{Change, ChangeKind, Entry, EntryKind, HardState, Item, Metadata, Snapshot, metadata_of};
pub use log::{Log, Record};
pub use request::request_name;
pub(crate) use segment::parse as parse_name;
pub use segment::{Segment, segments};
pub use summary::{Amount, Summary, summary};
pub use write::Writer;
