//! What is to be different in a copy of a database, and the copy that is written anew from the first row to the last.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use super::bits::Pages;
use super::bucket::{Bucket, Root};
use super::flaw::Flaw;
use super::image::Image;
use super::out::Out;
use super::tree::Tree;
use super::walk::Walk;
use crate::format::ahead::Gate;
use crate::format::problem::{Problem, Result};

/// Rows of a bucket, in the order of their keys.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is to be different in a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Buckets whose rows are replaced by these, all of them; those that are missing are made.
    pub buckets: BTreeMap<Vec<u8>, Rows>,
    /// A row behind all others of a bucket.
    pub appended: Option<Appended>,
}

/// A row that goes behind all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The bucket; it is made if it is missing.
    pub bucket: Vec<u8>,
    /// The row's key, which is above all others there.
    pub key: Vec<u8>,
    /// The row's value.
    pub value: Vec<u8>,
}

impl Changes {
    /// Returns the row that goes behind all others of this bucket, if there is one.
    pub(super) fn appended_to(&self, bucket: &[u8]) -> Option<&Appended> {
        self.appended.as_ref().filter(|row| row.bucket == bucket)
    }
}

/// Writes a database anew: its rows lie in order, and its free pages are gone.
///
/// # Errors
/// It cannot be written, or there is damage to the one that is read.
pub fn rewrite<W: Write + Seek>(image: &Image, gate: Option<&Gate>, changes: &Changes, mut out: Out<W>) -> Result<W> {
    let mut seen = Pages::new(image.meta().pages);
    let (buckets, _) = image.list_buckets(&mut seen, gate, Err)?;
    let mut buckets: BTreeMap<Box<[u8]>, Option<Bucket>> =
        buckets.into_iter().map(|bucket| (bucket.name.clone(), Some(bucket))).collect();
    for name in changes.buckets.keys().chain(changes.appended.as_ref().map(|row| &row.bucket)) {
        buckets.entry(name.as_slice().into()).or_default();
    }
    let mut root = Tree::new();
    for (name, bucket) in &buckets {
        let mut tree = Tree::new();
        match (changes.buckets.get(&**name), bucket) {
            (Some(rows), _) => push_all(&mut tree, rows, &mut out)?,
            (None, Some(bucket)) => copy(image, gate, bucket, &mut seen, &mut tree, &mut out)?,
            (None, None) => {}
        }
        if let Some(row) = changes.appended_to(name) {
            tree.push(&mut out, &row.key, &row.value, false)?;
        }
        let entry = tree.finish(&mut out)?.entry();
        root.push(&mut out, name, &entry, true)?;
    }
    let root = root.finish_pages(&mut out)?;
    out.finish(root, image.meta().transaction)
}

/// Writes a bucket of these rows.
pub(super) fn bucket_of<W: Write + Seek>(rows: &Rows, out: &mut Out<W>) -> Result<Root> {
    let mut tree = Tree::new();
    push_all(&mut tree, rows, out)?;
    tree.finish(out)
}

fn push_all<W: Write + Seek>(tree: &mut Tree, rows: &Rows, out: &mut Out<W>) -> Result<()> {
    rows.iter().try_for_each(|(key, value)| tree.push(out, key, value, false))
}

fn copy<W: Write + Seek>(
    image: &Image,
    gate: Option<&Gate>,
    bucket: &Bucket,
    seen: &mut Pages,
    tree: &mut Tree,
    out: &mut Out<W>,
) -> Result<()> {
    let mut walk = Walk::new(image, bucket, seen, gate);
    while let Some(row) = walk.next_row()? {
        if row.is_bucket {
            return Err(Problem::new(image.row_place(&bucket.name, &row), Flaw::Nested));
        }
        tree.push(out, row.key, row.value, false)?;
    }
    Ok(())
}
