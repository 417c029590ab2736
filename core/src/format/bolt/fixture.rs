//! Small database files, made by the tests that read them. They are as bolt writes them, in the layout that `page`, `bucket` and
//! `meta` describe.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use super::bucket::BUCKET_HEADER;
use super::meta::{self, Meta};
use super::page::{BRANCH, ELEMENT, HEADER, IS_BUCKET, LEAF};

/// Rows of a bucket: keys and values, in order.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The page size of the files.
pub(crate) const PAGE: usize = 1024;

/// Makes a file of buckets, which must be in the order of their names.
pub(crate) fn file(buckets: &[(&str, Rows)]) -> Vec<u8> {
    let mut pages = vec![0; 2 * PAGE];
    let mut entries = Vec::new();
    for (name, rows) in buckets {
        let inline = page_image(0, LEAF, &leaf_elements(rows, 0));
        let mut value = vec![0; BUCKET_HEADER];
        if inline.len() <= PAGE / 4 {
            value.extend(inline);
        } else {
            let root = tree(&mut pages, rows, 0);
            value[..8].copy_from_slice(&root.to_le_bytes());
        }
        entries.push((name.as_bytes().to_vec(), value));
    }
    let root = tree(&mut pages, &entries, IS_BUCKET);
    finish(pages, root, None)
}

/// Puts the two meta pages before pages, as in a snapshot: the newer one first.
pub(crate) fn finish(mut pages: Vec<u8>, root: u64, freelist: Option<u64>) -> Vec<u8> {
    for page in 0..2 {
        let count = (pages.len() / PAGE) as u64;
        let meta = Meta { page_size: PAGE as u32, root, freelist, pages: count, transaction: 9 - page as u64 };
        let start = page * PAGE;
        let content = meta::write(&meta);
        pages[start..start + content.len()].copy_from_slice(&content);
        pages[start..start + 8].copy_from_slice(&(page as u64).to_le_bytes());
        pages[start + 8] = 0x04;
    }
    pages
}

/// Appends the SHA-256 that makes a snapshot of it.
pub(crate) fn snapshot(mut file: Vec<u8>) -> Vec<u8> {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &file);
    file.extend(sum.as_ref());
    file
}

/// An element: the words before the position, the words behind it, key and value.
struct Item {
    words: [u32; 4],
    position_at: usize,
    bytes: Vec<u8>,
    key: Vec<u8>,
}

fn leaf_elements(rows: &Rows, flags: u32) -> Vec<Item> {
    let item = |(key, value): &(Vec<u8>, Vec<u8>)| Item {
        words: [flags, 0, key.len() as u32, value.len() as u32],
        position_at: 1,
        bytes: [key.as_slice(), value].concat(),
        key: key.clone(),
    };
    rows.iter().map(item).collect()
}

fn page_image(id: u64, kind: u16, items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(id.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend((items.len() as u16).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    let mut position = HEADER + items.len() * ELEMENT;
    for (index, item) in items.iter().enumerate() {
        let mut words = item.words;
        words[item.position_at] = (position - HEADER - index * ELEMENT) as u32;
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        position += item.bytes.len();
    }
    for item in items {
        bytes.extend(&item.bytes);
    }
    bytes
}

/// Appends a page, over several pages where it is long, and returns its number.
fn append(pages: &mut Vec<u8>, kind: u16, items: &[Item]) -> u64 {
    let id = (pages.len() / PAGE) as u64;
    let mut page = page_image(id, kind, items);
    let count = page.len().div_ceil(PAGE);
    page[12..16].copy_from_slice(&(count as u32 - 1).to_le_bytes());
    page.resize(count * PAGE, 0);
    pages.extend(page);
    id
}

/// Appends a tree, level by level, and returns its root page.
fn tree(pages: &mut Vec<u8>, rows: &Rows, flags: u32) -> u64 {
    let mut level = leaf_elements(rows, flags);
    let mut kind = LEAF;
    loop {
        let mut above = Vec::new();
        let mut group: Vec<Item> = Vec::new();
        let mut size = HEADER;
        let mut items = level.into_iter().peekable();
        while let Some(item) = items.next() {
            size += ELEMENT + item.bytes.len();
            group.push(item);
            let next = items.peek().map(|item| ELEMENT + item.bytes.len());
            if next.is_none_or(|next| size + next > PAGE) {
                let key = group[0].key.clone();
                let id = append(pages, kind, &group);
                let words = [0, key.len() as u32, id as u32, 0];
                above.push(Item { words, position_at: 0, bytes: key.clone(), key });
                group.clear();
                size = HEADER;
            }
        }
        match above.len() {
            0 => return append(pages, kind, &[]),
            1 => return u64::from(above[0].words[2]),
            _ => (level, kind) = (above, BRANCH),
        }
    }
}
