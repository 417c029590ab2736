//! Files that are written, and read back.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use super::page::{ELEMENT, HEADER};
use super::tests::{Dice, look, on_disk};
use super::*;

/// The buckets of a file with their rows.
type Buckets = BTreeMap<Vec<u8>, Rows>;

fn out(page_size: usize) -> Out<Cursor<Vec<u8>>> {
    Out::new(Cursor::new(Vec::new()), Path::new("new"), page_size as u32).unwrap()
}

/// Writes a file of these buckets: a copy of an empty one, with changes.
fn written(page_size: usize, buckets: &Buckets) -> Vec<u8> {
    let empty = tree::Tree::new();
    let mut first = out(page_size);
    let root = empty.finish_pages(&mut first).unwrap();
    let empty = on_disk(&first.finish(root, 6).unwrap().into_inner());
    let changes = Changes { buckets: buckets.clone(), appended: None };
    rewrite(&Image::open(&empty.path).unwrap(), None, &changes, out(page_size)).unwrap().into_inner()
}

fn rewritten(file: &[u8], changes: &Changes) -> Vec<u8> {
    let file = on_disk(file);
    let image = Image::open(&file.path).unwrap();
    rewrite(&image, None, changes, out(image.meta().page_size as usize)).unwrap().into_inner()
}

fn patched(file: &[u8], changes: &Changes) -> Vec<u8> {
    let on_disk = on_disk(file);
    let image = Image::open(&on_disk.path).unwrap();
    patch(&image, changes, Cursor::new(file.to_vec()), Path::new("new")).unwrap().into_inner()
}

/// Checks that a file is sound and has just these rows, and returns the shapes of its buckets.
fn assert_holds(file: &[u8], buckets: &Buckets) -> Vec<Shape> {
    let (found, _) = look(file).unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    let rows = |(name, rows): (&Vec<u8>, &Rows)| {
        rows.iter().map(|(key, value)| (name.clone(), key.clone(), value.clone())).collect::<Vec<_>>()
    };
    assert!(found.rows == buckets.iter().flat_map(rows).collect::<Vec<_>>(), "the rows are others");
    found.shapes
}

fn bytes(dice: &mut Dice, length: usize) -> Vec<u8> {
    (0..length).map(|_| dice.below(256) as u8).collect()
}

/// Makes rows whose lengths are often those at which something else is done with them.
fn random_rows(dice: &mut Dice, page: usize) -> Rows {
    let count = [0_u64, 1, 2, 5, 40, 300][dice.below(6)];
    let edges = [0, 1, page / 4 - HEADER - ELEMENT - 9, page - HEADER - ELEMENT - 9, page, 3 * page];
    let mut rows = Rows::new();
    for number in 0..count {
        let long = dice.below(20) == 0;
        let length = if long { (edges[dice.below(6)] + dice.below(3)).saturating_sub(1) } else { dice.below(60) };
        let tail = dice.below(3) * 20;
        let key = [&number.to_be_bytes()[..], &bytes(dice, 1 + tail)].concat();
        let value = bytes(dice, length);
        rows.insert(key, value);
    }
    rows
}

fn random_buckets(dice: &mut Dice, page: usize) -> Buckets {
    (0..1 + dice.below(12))
        .map(|number| (format!("bucket {number:02}").into_bytes(), random_rows(dice, page)))
        .collect()
}

fn appended(bucket: &[u8], rows: &Rows, value: Vec<u8>) -> Appended {
    let mut key = rows.keys().next_back().cloned().unwrap_or_default();
    key.push(0);
    Appended { bucket: bucket.to_vec(), key, value }
}

#[test]
fn any_rows_that_are_written_are_read_back_and_any_changes_too() {
    let mut dice = Dice::new(0xB017);
    for round in 0..60 {
        let page = [1024, 4096, 16384, 65536][round % 4];
        let mut buckets = random_buckets(&mut dice, page);
        let file = written(page, &buckets);
        assert_holds(&file, &buckets);

        let (name, replaced) = (format!("bucket {:02}", dice.below(14)).into_bytes(), random_rows(&mut dice, page));
        let last = format!("bucket {:02}", dice.below(14)).into_bytes();
        buckets.insert(name.clone(), replaced.clone());
        let rows = buckets.entry(last.clone()).or_default();
        let length = dice.below(2) * dice.below(2 * page);
        let row = appended(&last, rows, bytes(&mut dice, length));
        rows.insert(row.key.clone(), row.value.clone());
        let changes = Changes { buckets: [(name, replaced)].into(), appended: Some(row) };
        let (anew, behind) = (rewritten(&file, &changes), patched(&file, &changes));
        assert_holds(&anew, &buckets);
        assert_holds(&behind, &buckets);
        // All old pages are still there, and what is written anew has no page that is not used.
        assert!(behind.len() > file.len() && behind[2 * page..file.len()] == file[2 * page..]);
        let (_, used) = look(&anew).unwrap();
        assert_eq!(used.count() as usize, anew.len() / page);
    }
}

/// One bucket with rows of a key as the store has it and so many bytes of value.
fn store(rows: usize, value: usize) -> Buckets {
    let row = |number: usize| ([&(number as u64).to_be_bytes()[..], b"_\0\0\0\0\0\0\0\0"].concat(), vec![7; value]);
    [(b"key".to_vec(), (0..rows).map(row).collect())].into()
}

#[test]
fn a_bucket_lies_in_its_entry_up_to_a_quarter_of_a_page() {
    for (beyond, leaves) in [(0, 0), (1, 1)] {
        let buckets = store(1, 1024 / 4 - HEADER - ELEMENT - 17 + beyond);
        assert_eq!(assert_holds(&written(1024, &buckets), &buckets)[0].leaf_pages, leaves);
    }
}

#[test]
fn a_row_goes_on_in_the_next_page_where_one_has_no_room() {
    for (beyond, overflow) in [(0, 0), (1, 1)] {
        let buckets = store(1, 1024 - HEADER - ELEMENT - 17 + beyond);
        assert_eq!(assert_holds(&written(1024, &buckets), &buckets)[0].overflow_pages, overflow);
    }
}

#[test]
fn a_row_more_fits_into_the_last_leaf_or_makes_a_leaf_and_branches_and_a_root() {
    let mut seen = BTreeMap::new();
    // A page of this size has room for 30 of these rows, and a branch for 30 children.
    for count in (0..65).chain(895..905).chain(26_995..27_005) {
        let mut buckets = store(count, 0);
        let rows = buckets.values().next().unwrap();
        let row = appended(b"key", rows, Vec::new());
        let file: Vec<(&str, fixture::Rows)> = vec![("key", rows.clone().into_iter().collect())];
        let file = fixture::file(&file);
        let before = assert_holds(&file, &buckets)[0];
        buckets.values_mut().next().unwrap().insert(row.key.clone(), Vec::new());
        let changes = Changes { buckets: BTreeMap::new(), appended: Some(row) };
        let after = assert_holds(&patched(&file, &changes), &buckets)[0];
        let step = (before.depth, after.depth, after.leaf_pages - before.leaf_pages);
        seen.entry(step).or_insert(count);
    }
    let told = |((before, after, leaves), count): (&(usize, usize, u64), &usize)| {
        format!("{count} rows: from {before} to {after} levels, and {leaves} leaves more\n")
    };
    insta::assert_snapshot!(seen.iter().map(told).collect::<String>(), @r"
    0 rows: from 1 to 1 levels, and 0 leaves more
    7 rows: from 1 to 1 levels, and 1 leaves more
    30 rows: from 1 to 2 levels, and 1 leaves more
    31 rows: from 2 to 2 levels, and 0 leaves more
    60 rows: from 2 to 2 levels, and 1 leaves more
    900 rows: from 2 to 3 levels, and 1 leaves more
    901 rows: from 3 to 3 levels, and 0 leaves more
    27000 rows: from 3 to 4 levels, and 1 leaves more
    27001 rows: from 4 to 4 levels, and 0 leaves more
    ");
}

#[test]
fn every_branch_has_two_children() {
    for count in 1..120 {
        // Keys that leave a branch few children, with one too many at its end now and then.
        let rows: Rows = (0..count).map(|n: u32| ([&n.to_be_bytes()[..], &[1; 300]].concat(), vec![2; 500])).collect();
        let buckets = [(b"key".to_vec(), rows)].into();
        let file = written(1024, &buckets);
        assert_holds(&file, &buckets);
        for page in file.chunks(1024).filter(|page| page[8] == 1) {
            assert!(page[10] >= 2, "{count} rows");
        }
    }
}

#[test]
fn a_bucket_in_a_bucket_is_not_copied() {
    let mut first = out(1024);
    let (mut inner, mut root) = (tree::Tree::new(), tree::Tree::new());
    inner.push(&mut first, b"nested", &[0; 32], true).unwrap();
    let entry = inner.finish(&mut first).unwrap().entry();
    root.push(&mut first, b"key", &entry, true).unwrap();
    let root = root.finish_pages(&mut first).unwrap();
    let file = on_disk(&first.finish(root, 1).unwrap().into_inner());
    let refused = rewrite(&Image::open(&file.path).unwrap(), None, &Changes::default(), out(1024)).unwrap_err();
    assert_eq!(refused.flaw().to_string(), "a bucket lies within a bucket, which etcd never makes");
}

#[test]
fn a_small_file_to_the_byte() {
    let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let buckets: Buckets = [
        (b"key".to_vec(), [row(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", &[0xaa; 250])].into()),
        (b"meta".to_vec(), [row(b"term", b"\0\0\0\0\0\0\0\x01")].into()),
    ]
    .into();
    let file = written(1024, &buckets);
    let line = |(number, line): (usize, &[u8])| {
        let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        line.iter().any(|byte| *byte != 0).then(|| format!("{:04x} {hex}\n", number * 16))
    };
    insta::assert_snapshot!(file.chunks(16).enumerate().filter_map(line).collect::<String>(), @r"
    0000 00000000000000000400000000000000
    0010 edda0ced020000000004000000000000
    0020 03000000000000000000000000000000
    0030 ffffffffffffffff0400000000000000
    0040 0800000000000000d09b461190c85e31
    0400 01000000000000000400000000000000
    0410 edda0ced020000000004000000000000
    0420 03000000000000000000000000000000
    0430 ffffffffffffffff0400000000000000
    0440 0700000000000000bff34bb517721002
    0800 02000000000000000200010000000000
    0810 000000001000000011000000fa000000
    0820 00000000000000025f00000000000000
    0830 00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0840 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0850 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0860 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0870 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0880 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0890 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08a0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08b0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08c0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08d0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08e0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    08f0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0900 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0910 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0920 aaaaaaaaaaaaaaaaaaaaaa0000000000
    0c00 03000000000000000200020000000000
    0c10 01000000200000000300000010000000
    0c20 0100000023000000040000003c000000
    0c30 6b657902000000000000000000000000
    0c40 0000006d657461000000000000000000
    0c50 00000000000000000000000000000002
    0c60 00010000000000000000001000000004
    0c70 000000080000007465726d0000000000
    0c80 00000100000000000000000000000000
    ");
    assert_eq!(file.len(), 4096);
}

#[test]
fn a_list_of_free_pages_is_gone_whatever_it_says() {
    let buckets = store(100, 40);
    let mut pages = written(1024, &buckets);
    let (root, list) = (pages.len() as u64 / 1024 - 1, pages.len() as u64 / 1024);
    // A list that has the root, which is in use, and has it twice.
    pages.extend(list.to_le_bytes());
    pages.extend([0x10, 0, 2, 0, 0, 0, 0, 0]);
    pages.extend([root.to_le_bytes(), root.to_le_bytes()].concat());
    pages.resize((list as usize + 1) * 1024, 0);
    let file = fixture::finish(pages, root, Some(list));
    assert!(!look(&file).unwrap().0.problems.is_empty());
    for copy in [rewritten(&file, &Changes::default()), patched(&file, &Changes::default())] {
        assert_holds(&copy, &buckets);
    }
}
