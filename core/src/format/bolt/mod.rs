//! The file of bolt, etcd's database: pages of a fixed size that form one tree of trees. It is read with positioned reads, each
//! of them checked against the length of the file, so that a file that lies, or that changes meanwhile, is an error and never a
//! signal. A file that is read is never written to; writing makes another one.
//!
//! In reading order: the two meta pages ([`Meta`]), one page and its elements (`page`), the open file ([`Image`]), the walk
//! through a tree ([`Walk`]), the list of buckets ([`Bucket`]), the whole file in one walk ([`survey`]) and the list of free
//! pages ([`check_freelist`]). Then writing: one page (`draft`), the file ([`Out`]), a tree (`tree`), and the two ways to make a
//! copy with [`Changes`]: anew ([`rewrite`]), or the old pages with others behind them ([`patch`]).

mod bits;
mod bucket;
mod changes;
mod draft;
#[cfg(test)]
pub(crate) mod fixture;
mod flaw;
mod freelist;
mod image;
mod meta;
mod out;
mod page;
mod patch;
mod survey;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod walk;
mod window;
#[cfg(test)]
mod writing_tests;

pub use bits::Pages;
pub use bucket::{Bucket, Root};
pub use changes::{Appended, Changes, Rows, rewrite};
pub use flaw::Flaw;
pub use freelist::check_freelist;
pub use image::{Image, Stamp};
pub use meta::{BadMeta, Meta, Metas};
pub use out::Out;
pub use patch::{Edge, patch};
pub use survey::{Shape, Visit, survey};
pub use walk::{Row, Walk};
pub(in crate::format) use window::Window;
