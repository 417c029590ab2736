//! The rows of the store: the bucket `key`, where each change of a key is a row of its own, in the order of revisions.
//!
//! In reading order: one row ([`Change`]), all of them ([`each_row`]), the revisions that a store reaches from and to ([`Span`]),
//! what is known about each key in bounded memory ([`Keys`]), and the counting of keys that live ([`live`]).

mod keys;
pub mod live;
mod prints;
mod row;
mod rows;
mod span;
mod table;

pub use keys::Keys;
pub use prints::Prints;
#[cfg(test)]
pub(crate) use row::tests as row_tests;
pub use row::{Change, Flaw, KeyValue, Rev};
pub use rows::each_row;
pub(in crate::format) use rows::{Rows, Store, StoreRow};
pub use span::Span;

/// The name of the bucket.
pub const BUCKET: &[u8] = b"key";
