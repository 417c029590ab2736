//! Small database files, made for the tests that read them, with pages as full as they can be.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use std::io::Cursor;
use std::path::Path;

use super::changes;
use super::meta::{self, Meta};
use super::out::Out;
use super::tree::Tree;

/// Rows of a bucket: keys and values, in order.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The page size of the files.
pub(crate) const PAGE: usize = 1024;

/// Makes a file of buckets, which must be in the order of their names.
pub(crate) fn file(buckets: &[(&str, Rows)]) -> Vec<u8> {
    let mut out = Out::new(Cursor::new(Vec::new()), Path::new("fixture"), PAGE as u32).unwrap().full();
    let mut root = Tree::new();
    for (name, rows) in buckets {
        let rows: changes::Rows = rows.iter().cloned().collect();
        let entry = changes::bucket_of(&rows, &mut out).unwrap().entry();
        root.push(&mut out, name.as_bytes(), &entry, true).unwrap();
    }
    let root = root.finish_pages(&mut out).unwrap();
    out.finish(root, 8).unwrap().into_inner()
}

/// Puts the two meta pages before pages, as in a snapshot: the newer one first.
pub(crate) fn finish(mut pages: Vec<u8>, root: u64, freelist: Option<u64>) -> Vec<u8> {
    for page in 0..2 {
        let count = (pages.len() / PAGE) as u64;
        let meta = Meta { page_size: PAGE as u32, root, freelist, pages: count, transaction: 9 - page as u64 };
        let content = meta::write(&meta, page as u64);
        pages[page * PAGE..][..content.len()].copy_from_slice(&content);
    }
    pages
}

/// Appends the SHA-256 that makes a snapshot of it.
pub(crate) fn snapshot(mut file: Vec<u8>) -> Vec<u8> {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &file);
    file.extend(sum.as_ref());
    file
}
