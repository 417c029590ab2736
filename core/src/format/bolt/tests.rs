//! Files that are whole, cut, flipped, and made to mislead.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::fixture::{self, PAGE, Rows};
use super::*;
use crate::format::problem::{Problem, Result};

/// A file in a folder of its own, which goes with it.
pub(crate) struct OnDisk {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl OnDisk {
    /// Replaces bytes at offsets, and returns what was there.
    pub(crate) fn replace(&self, bytes: &[(usize, u8)]) -> Vec<(usize, u8)> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&self.path).unwrap();
        let mut before = Vec::new();
        for (at, byte) in bytes {
            let mut old = [0];
            file.read_exact_at(&mut old, *at as u64).unwrap();
            file.write_all_at(&[*byte], *at as u64).unwrap();
            before.insert(0, (*at, old[0]));
        }
        before
    }
}

pub(crate) fn on_disk(bytes: &[u8]) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    std::fs::write(&path, bytes).unwrap();
    OnDisk { _folder: folder, path }
}

/// Collects what a survey finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    pub(super) problems: Vec<String>,
    pub(super) shapes: Vec<Shape>,
}

impl Visit for Found {
    fn row(&mut self, _: &Image, bucket: &[u8], row: &Row<'_>) -> Result<()> {
        self.rows.push((bucket.to_vec(), row.key.to_vec(), row.value.to_vec()));
        Ok(())
    }

    fn shape(&mut self, _: &[u8], shape: Shape) {
        self.shapes.push(shape);
    }

    fn problem(&mut self, problem: Problem) -> Result<()> {
        self.problems.push(format!("{}: {}", problem.place().within(), problem.flaw()));
        Ok(())
    }
}

pub(super) fn look(bytes: &[u8]) -> std::result::Result<(Found, Pages), String> {
    let file = on_disk(bytes);
    let image = Image::open(&file.path).map_err(|problem| problem.flaw().to_string())?;
    let mut found = Found::default();
    let seen = survey(&image, None, &mut found).map_err(|problem| problem.flaw().to_string())?;
    check_freelist(&image, &seen, |problem| found.problem(problem)).unwrap();
    Ok((found, seen))
}

fn problems(bytes: &[u8]) -> Vec<String> {
    look(bytes).map_or_else(|problem| vec![problem], |(found, _)| found.problems)
}

fn rows(count: usize, value: usize) -> Rows {
    (0..count).map(|number| (format!("key{number:05}").into_bytes(), vec![number as u8; value])).collect()
}

fn sample() -> Vec<(&'static str, Rows)> {
    let mut large = rows(3, 10);
    large.insert(1, (b"key00000+".to_vec(), vec![7; 5 * PAGE]));
    vec![("alarm", vec![]), ("key", rows(400, 40)), ("lease", large), ("meta", rows(4, 8))]
}

#[test]
fn every_row_comes_in_order() {
    let sample = sample();
    let (found, seen) = look(&fixture::file(&sample)).unwrap();
    let rows = |(name, rows): &(&str, Rows)| {
        let name = name.as_bytes().to_vec();
        rows.iter().map(move |(key, value)| (name.clone(), key.clone(), value.clone())).collect::<Vec<_>>()
    };
    let expected: Vec<_> = sample.iter().flat_map(rows).collect();
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!(found.rows, expected);
    assert_eq!(found.shapes.iter().map(|shape| shape.rows).collect::<Vec<_>>(), [0, 400, 4, 4]);
    let key = found.shapes[1];
    assert_eq!((key.depth, key.branch_pages, key.leaf_pages, key.overflow_pages), (2, 1, 27, 0));
    assert_eq!(found.shapes[2].overflow_pages, 5);
    assert_eq!(seen.count(), fixture::file(&sample).len() as u64 / PAGE as u64);
}

#[test]
fn a_cut_at_any_byte_is_an_error() {
    let whole = fixture::file(&[("key", rows(40, 40)), ("meta", rows(2, 8))]);
    for length in 0..whole.len() {
        let problem = look(&whole[..length]).err().unwrap_or_else(|| panic!("{length} bytes are taken"));
        assert!(
            problem.contains("the end is missing") || problem.contains("is missing, page 1"),
            "{length}: {problem}"
        );
    }
}

/// A generator of numbers that are the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn no_flip_does_more_than_harm_the_result() {
    let whole = fixture::file(&sample());
    let clean = look(&whole).unwrap().0.rows.len();
    let file = on_disk(&whole);
    let mut dice = Dice::new(0x5EED);
    for _ in 0..10_000 {
        let flip = |at: usize, bit: usize| (at, whole[at] ^ 1 << bit);
        let flips: Vec<_> = (0..=dice.below(3)).map(|_| flip(dice.below(whole.len()), dice.below(8))).collect();
        let before = file.replace(&flips);
        if let Ok(image) = Image::open(&file.path) {
            let mut found = Found::default();
            let seen = survey(&image, None, &mut found).unwrap();
            assert!(found.problems.len() < 1000 && seen.count() <= image.meta().pages);
            assert!(found.rows.len() <= clean + 10);
        }
        file.replace(&before);
    }
}

/// Returns the sample with some bytes of a page replaced.
fn with(page: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = fixture::file(&sample());
    file[page * PAGE + at..][..bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn every_kind_of_damage_has_its_place_and_its_words() {
    // Page 29 is the branch of the bucket `key`; its first child is page 2.
    let damaged = [
        ("another page's number", with(5, 0, &[6])),
        ("flags of a meta page", with(5, 8, &[4])),
        ("too many elements", with(5, 10, &[255, 0])),
        ("pages beyond the end", with(5, 12, &[255])),
        ("somebody else's page", with(5, 12, &[1])),
        ("a key out of the page", with(5, 16 + 4, &[255, 255])),
        ("an empty key", with(5, 16 + 8, &[0])),
        ("a child out of the file", with(29, 16 + 8, &[255])),
        ("a circle", with(29, 16 + 8, &[29])),
        ("a child twice", with(29, 16 + 8, &[3])),
        ("no children", with(29, 10, &[0])),
    ];
    let told = damaged.map(|(what, file)| format!("{what}: {:?}\n", problems(&file))).concat();
    insta::assert_snapshot!(told, @r#"
    another page's number: ["bucket key, page 5, byte 5120: it says that it is page 6"]
    flags of a meta page: ["bucket key, page 5, byte 5120: it is neither branch nor leaf: its flags are 0x0004"]
    too many elements: ["bucket key, page 5, byte 5120: it counts 255 elements, more than it has room for"]
    pages beyond the end: ["bucket key, page 5, byte 5120: it goes on to page 260, and pages end before 40"]
    somebody else's page: ["bucket key, page 6, byte 6144: it belongs to the tree in two places"]
    a key out of the page: ["bucket key, page 5, element 0, byte 5120: its key or value reaches out of the page: at 65535, 8 and 40 bytes"]
    an empty key: ["bucket key, page 5, element 0, byte 5120: its key has 0 bytes; bolt allows 1 to 32768"]
    a child out of the file: ["bucket key, page 29, element 0, byte 29696: it refers to page 255, and pages reach from 2 to below 40"]
    a circle: ["bucket key, page 29, byte 29696: it belongs to the tree in two places"]
    a child twice: ["bucket key, page 3, element 14, byte 3072: its key belongs into a page further to the right", "bucket key, page 3, byte 3072: it belongs to the tree in two places"]
    no children: ["bucket key, page 29, byte 29696: it is a branch without children"]
    "#);
}

/// Makes a page of so many elements with keys in order, which all reach to its end, and has a bucket begin with it.
fn overlapping(kind: u8, count: usize, longest: usize) -> Vec<u8> {
    let pages = (16 + count * 17 + longest).div_ceil(PAGE);
    let mut page = vec![b'k'; pages * PAGE];
    page[..8].copy_from_slice(&2_u64.to_le_bytes());
    page[8..10].copy_from_slice(&[kind, 0]);
    page[10..12].copy_from_slice(&(count as u16).to_le_bytes());
    page[12..16].copy_from_slice(&(pages as u32 - 1).to_le_bytes());
    // Each key is one byte longer than the one before.
    for index in 0..count {
        let start = page.len() - longest;
        let (at, length) = (16 + index * 16, longest - count + index);
        let position = (start - at) as u32;
        let words = match kind {
            1 => [position, length as u32, 3 + index as u32, 0],
            _ => [0, position, index as u32 + 1, (longest - index - 1) as u32],
        };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        page[at..at + 16].copy_from_slice(&bytes);
    }
    let root = 2 + pages as u64;
    let mut buckets = vec![0; PAGE];
    buckets[..8].copy_from_slice(&root.to_le_bytes());
    buckets[8..12].copy_from_slice(&[2, 0, 1, 0]);
    let words: [u32; 4] = [1, 16, 3, 16];
    let element: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let entry = [&element[..], b"key", &2_u64.to_le_bytes(), &[0; 8]].concat();
    buckets[16..16 + entry.len()].copy_from_slice(&entry);
    fixture::finish([vec![0; 2 * PAGE], page, buckets].concat(), root, None)
}

#[test]
fn a_page_is_no_larger_than_its_bytes() {
    let mut told = Vec::new();
    for (what, kind) in [("leaf", 2), ("branch", 1)] {
        let file = on_disk(&overlapping(kind, 600, 4000));
        let image = Image::open(&file.path).unwrap();
        let mut found = Found::default();
        survey(&image, None, &mut found).unwrap();
        let bytes: usize = found.rows.iter().map(|(_, key, value)| key.len() + value.len()).sum();
        assert!(bytes as u64 <= image.length(), "{bytes}");
        let shared: Vec<_> = found.problems.iter().filter(|problem| problem.contains("share bytes")).collect();
        assert!(shared.len() > 500, "{}", shared.len());
        told.push(format!("{what}: {}", shared[0]));
        // Of branches, a restore keeps the keys of all children.
        let bucket = image.bucket(b"key").unwrap().unwrap();
        let edge = Edge::of(&image, &bucket).map_err(|problem| problem.flaw().to_string());
        told.push(format!("  in a restore: {:?}", edge.map(|_| ())));
    }
    let mut file = overlapping(2, 1, 10);
    let root = file.len() - PAGE + 35;
    file[root] = 99;
    told.push(format!("no page: {}", problems(&file).concat()));
    insta::assert_snapshot!(told.join("\n"), @r#"
    leaf: bucket key, page 2, element 1, byte 2048: its key and value share bytes with others: the page has no room for all of them
      in a restore: Ok(())
    branch: bucket key, page 2, element 1, byte 2048: its key and value share bytes with others: the page has no room for all of them
      in a restore: Err("its key and value share bytes with others: the page has no room for all of them")
    no page: bucket key: it refers to page 99, and pages reach from 2 to below 4
    "#);
}

#[test]
fn what_is_no_database_is_named() {
    let good = fixture::file(&sample());
    let without = |from: usize, to: usize| [vec![0; to - from], good[to..].to_vec()].concat();
    let swapped: Vec<u8> = good.chunks(4).flat_map(|word| word.iter().rev().copied().collect::<Vec<_>>()).collect();
    let files = [
        ("empty", vec![]),
        ("zeros", vec![0; 4096]),
        ("gzip", [b"\x1f\x8b\x08\x00".as_slice(), &good].concat()),
        ("big-endian", swapped),
        ("both lost", without(0, 2 * PAGE)),
    ];
    let told = files.map(|(what, file)| format!("{what}: {}\n", look(&file).err().unwrap_or_default())).concat();
    insta::assert_snapshot!(told, @r"
    empty: it is no etcd database, or its first two pages are lost: page 0 is missing, page 1 is missing
    zeros: it is no etcd database, or its first two pages are lost: page 0 does not begin with bolt's magic number, page 1 does not begin with bolt's magic number
    gzip: it is a gzip archive, not a database; unpack it first
    big-endian: it was written on a big-endian machine, and can only be read there
    both lost: it is no etcd database, or its first two pages are lost: page 0 does not begin with bolt's magic number, page 1 does not begin with bolt's magic number
    ");
    // One lost meta page is no loss.
    let (found, _) = look(&without(0, PAGE)).unwrap();
    assert_eq!(found.rows.len(), 408);
}

#[test]
fn a_list_of_free_pages_is_checked() {
    let list = |entries: &[u64]| {
        let mut pages = fixture::file(&sample());
        let id = (pages.len() / PAGE) as u64 + 1;
        pages.extend([0; PAGE]);
        pages.extend(id.to_le_bytes());
        pages.extend([0x10, 0, entries.len() as u8, 0, 0, 0, 0, 0]);
        pages.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
        pages.resize((id as usize + 1) * PAGE, 0);
        let root = id - 2;
        fixture::finish(pages, root, Some(id))
    };
    let free = fixture::file(&sample()).len() as u64 / PAGE as u64;
    let nowhere = fixture::finish(fixture::file(&sample()), free - 1, Some(999));
    insta::assert_snapshot!(problems(&nowhere).concat(), @"page 0, byte 0: the list of free pages is damaged: it lies outside of the file");
    assert_eq!(problems(&list(&[free])), Vec::<String>::new());
    let told =
        [&[][..], &[free, free], &[5, free], &[free, 999]].map(|entries| format!("{:?}\n", problems(&list(entries))));
    insta::assert_snapshot!(told.concat(), @r#"
    ["page 40, byte 40960: it is neither listed as free nor part of the tree"]
    ["page 40, byte 40960: it is listed as free twice"]
    ["page 5, byte 5120: it is listed as free, and belongs to the tree"]
    ["page 41, byte 41984: it lists page 999 as free, and pages reach from 2 to below 42"]
    "#);
}

#[test]
fn a_file_that_changes_is_noticed() {
    let file = on_disk(&fixture::file(&sample()));
    let image = Image::open(&file.path).unwrap();
    assert!(image.unchanged().is_ok());
    std::fs::OpenOptions::new().write(true).open(&file.path).unwrap().set_len(3 * PAGE as u64).unwrap();
    assert_eq!(image.unchanged().unwrap_err().flaw().to_string(), "it was changed while it was read");
    let mut found = Found::default();
    let cut = survey(&image, None, &mut found).map(|_| ()).unwrap_err();
    assert_eq!(cut.flaw().to_string(), "it was changed while it was read");
}

#[test]
fn a_database_in_use_is_left_alone() {
    let file = on_disk(&fixture::file(&sample()));
    let etcd = std::fs::File::open(&file.path).unwrap();
    etcd.lock().unwrap();
    assert_eq!(Image::open(&file.path).unwrap_err().flaw().to_string(), "it is in use by a running etcd");
    etcd.unlock().unwrap();
    let (first, second) = (Image::open(&file.path), Image::open(&file.path));
    assert!(first.is_ok() && second.is_ok());
}
