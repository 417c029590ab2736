//! The buckets of a file. Each is a row of the root tree; a small one lies in that row as a whole.
//!
//! | offset in value | bytes | field |
//! | --------------- | ----- | --- |
//! | 0  | 8 | root page of the bucket's tree, or 0 |
//! | 8  | 8 | sequence, which etcd does not use |
//! | 16 | the rest | where the root is 0: a leaf page, as `page` describes it, with the number 0 |
//!
//! Source: bbolt's `internal/common/bucket.go` and `inode.go`.

use super::bits::Pages;
use super::flaw::Flaw;
use super::image::Image;
use super::page::{Header, LEAF, u64_at};
use super::survey::Shape;
use super::walk::{Row, Walk};
use crate::format::ahead::Gate;
use crate::format::problem::{Place, Problem, Result, shown};

/// The length of what precedes a bucket's inline page.
pub(super) const BUCKET_HEADER: usize = 16;
/// More buckets than this are none of etcd's, which has ten.
const MOST_BUCKETS: usize = 256;
/// The longest page that lies in a bucket's entry: a quarter of the largest page that systems have.
pub(super) const LONGEST_INLINE: usize = 16 << 10;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: Box<[u8]>,
    /// Where its rows are.
    pub root: Root,
    /// Where its entry begins in the file, in bytes.
    pub at: u64,
}

/// Where the rows of a bucket are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// In a tree with this root page.
    Page(u64),
    /// In this image of a leaf page.
    Inline(Box<[u8]>),
}

impl Root {
    /// Returns the value of the bucket's entry.
    pub(super) fn entry(&self) -> Vec<u8> {
        let (root, inline) = match self {
            Root::Page(page) => (*page, &[][..]),
            Root::Inline(page) => (0, &**page),
        };
        let mut entry = root.to_le_bytes().to_vec();
        entry.resize(BUCKET_HEADER, 0);
        entry.extend(inline);
        entry
    }
}

impl Bucket {
    fn read(row: &Row<'_>) -> Result<Self, Flaw> {
        if !row.is_bucket {
            return Err(Flaw::NotABucket(shown(row.key)));
        }
        let root = u64_at(row.value, 0).ok_or(Flaw::BucketEntry("it is too short"))?;
        let (name, at) = (row.key.into(), row.offset);
        if root != 0 {
            return Ok(Bucket { name, root: Root::Page(root), at });
        }
        let bytes = row.value.get(BUCKET_HEADER..).unwrap_or_default();
        let header = Header::read(bytes).ok_or(Flaw::BucketEntry("its page is too short"))?;
        if header.flags != LEAF || header.id != 0 || header.overflow != 0 {
            return Err(Flaw::BucketEntry("its page is no leaf"));
        }
        if bytes.len() > LONGEST_INLINE {
            return Err(Flaw::BucketEntry("its page is too long"));
        }
        header.fits(bytes.len())?;
        Ok(Bucket { name, root: Root::Inline(bytes.into()), at })
    }
}

impl Image {
    /// Reads the list of buckets, in the order of their names. Whatever is wrong with it is handed to `problem`, whose error ends
    /// the reading.
    ///
    /// # Errors
    /// Those of `problem`.
    pub(super) fn list_buckets(
        &self,
        seen: &mut Pages,
        gate: Option<&Gate>,
        mut problem: impl FnMut(Problem) -> Result<()>,
    ) -> Result<(Vec<Bucket>, Shape)> {
        let mut buckets = Vec::new();
        let mut walk = Walk::of_root(self, seen, gate);
        loop {
            let row = match walk.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok((buckets, walk.shape())),
                Err(met) => {
                    problem(met)?;
                    continue;
                }
            };
            if buckets.len() == MOST_BUCKETS {
                problem(Problem::new(self.place(), Flaw::TooManyBuckets(MOST_BUCKETS)))?;
                return Ok((buckets, walk.shape()));
            }
            match Bucket::read(&row) {
                Ok(bucket) => buckets.push(bucket),
                Err(flaw) => problem(Problem::new(self.row_place(row.key, &row), flaw))?,
            }
        }
    }

    /// Reads the list of buckets, in the order of their names.
    ///
    /// # Errors
    /// The root tree is damaged.
    pub fn buckets(&self) -> Result<Vec<Bucket>> {
        self.list_buckets(&mut Pages::new(self.meta().pages), None, Err).map(|(buckets, _)| buckets)
    }

    /// Returns one bucket, if it is there.
    ///
    /// # Errors
    /// The root tree is damaged.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket>> {
        Ok(self.buckets()?.into_iter().find(|bucket| &*bucket.name == name))
    }

    /// Names a row of a bucket as a place.
    pub fn row_place(&self, bucket: &[u8], row: &Row<'_>) -> Place {
        let place = if row.page == 0 { self.place() } else { self.page_place(row.page) };
        Place { element: Some(u32::from(row.element)), ..place.in_bucket(bucket) }
    }
}
