//! Small database files, made for the tests that read them, with pages as full as they can be.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use std::io::Cursor;
use std::path::Path;

use super::changes;
use super::meta::{self, Meta};
use super::out::Out;
use super::page::{u32_at, u64_at};
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

/// Makes the sums of a file right again: those of its meta pages, which then also count no more pages than there are, and the SHA-256
/// at its end, if there is one.
pub(crate) fn repaired(mut file: Vec<u8>) -> Vec<u8> {
    let size = u32_at(&file, 24).filter(|size| size.is_power_of_two() && meta::PAGE_SIZES.contains(size));
    let size = size.unwrap_or(PAGE as u32) as usize;
    let has_sum = file.len() % 512 == 32;
    let end = if has_sum { file.len() - 32 } else { file.len() };
    for start in [0, size] {
        if let Some(page) = file.get_mut(start..start + meta::META_END) {
            let pages = u64_at(page, 56).unwrap_or(0).min((end / size) as u64);
            page[56..64].copy_from_slice(&pages.to_le_bytes());
            let sum = meta::fnv(&page[16..72]);
            page[72..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    if has_sum {
        file.truncate(end);
        file = snapshot(file);
    }
    file
}
