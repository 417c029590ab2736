//! etcd's files: the database with its rows and records, the write-ahead log and the `.snap` files. Every length is checked before
//! it is used. What is read is never opened for writing; what is written is another file, which its caller has made.
//!
//! In reading order: what can be wrong and where ([`problem`]), the file of pages ([`bolt`]), the rows of the store ([`mvcc`]),
//! etcd's own records ([`schema`]), one reading from front to back with the SHA-256 ([`ahead`], [`trailer`]), the figures of a
//! snapshot ([`figures`]), all that can be checked about it ([`check`]), the hash that a member tells ([`hashkv`]), the keys of the
//! store in their order ([`view`]), what takes the room in it ([`usage`], by [`prefix`]), its leases ([`leases`]), what two stores
//! differ in ([`diff`]), the write-ahead log ([`wal`]) and the `.snap` files with the old store in them ([`snap`], [`v2`]); the copy
//! of a file ([`copy`]).
//!
//! Memory is bounded whatever the size of a file: about 4 MB for what is read at a time, a bit for each page, 20 MB for the
//! counting of keys (up to 60 MB for [`hashkv`], [`view`], [`usage`], [`leases`] and [`diff`]), and the room of the largest page,
//! which grows with the largest value.

pub mod ahead;
pub mod bolt;
pub mod check;
pub mod copy;
pub mod diff;
pub mod figures;
pub(crate) mod go_json;
pub mod hashkv;
pub mod leases;
pub mod mvcc;
pub mod prefix;
pub mod problem;
pub mod proto;
pub mod schema;
pub mod snap;
#[cfg(test)]
pub(crate) mod tests;
pub mod trailer;
pub mod usage;
pub mod v2;
pub mod view;
pub mod wal;
