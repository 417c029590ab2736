//! Whole snapshots: the figures, the check, and what both refuse.

pub(crate) mod corpus;
pub(crate) mod model;
mod words;

use std::sync::Arc;

use super::ahead::Control;
use super::bolt::fixture::{self, PAGE, Rows};
use super::bolt::tests::{Dice, OnDisk, on_disk};
use super::bolt::{Bucket, Image, Pages, Root, Walk};
use super::check::{Checked, Severity, check};
use super::diff::{Asked, diff};
use super::figures::figures;
use super::hashkv::hashkv;
use super::leases::leases;
use super::mvcc::live::Live;
use super::mvcc::row_tests::{row_key, row_value};
use super::mvcc::{KeyValue, Keys, each_row};
use super::prefix::Grouping;
use super::problem::{Flaw, Result};
use super::usage::usage;
use super::view::{Wanted, view};
use crate::error::Fault;

/// A store of 60 keys, of which every third was put again and every fifth was deleted.
fn changes() -> Rows {
    let mut rows = Rows::new();
    let mut main = 1;
    let mut add = |rows: &mut Rows, number: u8, version: i64, created: i64| -> i64 {
        main += 1;
        let key = [b'k', number];
        let deleted = version == 0;
        let created = if version == 1 { main } else { created };
        let put = KeyValue { key: &key, created, modified: main, version, value: b"value", lease: 0 };
        let pair = if deleted { KeyValue { key: &key, ..KeyValue::default() } } else { put };
        rows.push((row_key(main, 0, deleted), row_value(&pair)));
        main
    };
    for number in 0..60 {
        let created = add(&mut rows, number, 1, 0);
        if number % 3 == 0 {
            add(&mut rows, number, 2, created);
        }
        if number % 5 == 0 {
            add(&mut rows, number, 0, 0);
        }
    }
    rows
}

fn buckets() -> Vec<(&'static str, Rows)> {
    let row = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let member = row("2", br#"{"id":2,"peerURLs":["http://b:2380"],"name":"s1"}"#);
    let meta = vec![row("consistent_index", b"\0\0\0\0\0\0\x01\x02"), row("storageVersion", b"3.6.0")];
    vec![("alarm", vec![]), ("key", changes()), ("members", vec![member]), ("meta", meta)]
}

fn snapshot() -> Vec<u8> {
    fixture::snapshot(fixture::file(&buckets()))
}

fn checked(bytes: &[u8]) -> Result<Checked> {
    let file = on_disk(bytes);
    check(&Image::open(&file.path)?)
}

fn told(checked: &Checked) -> String {
    let finding = |finding: &super::check::Finding| {
        let (severity, problem) = (finding.severity, &finding.problem);
        format!("{severity:?} {} ({}): {}\n", problem.code(), problem.place().within(), problem.flaw())
    };
    let untold = checked.untold.iter().map(|(code, count)| format!("{count} more: {code}\n"));
    checked.findings.iter().map(finding).chain(untold).collect()
}

#[test]
fn figures_are_those_of_all_rows() {
    let file = on_disk(&snapshot());
    let image = Image::open(&file.path).unwrap();
    let (figures, records) = figures(&image).unwrap();
    // The hash by its definition: all names, keys and values one behind the other.
    let parts = |(name, rows): (&str, Rows)| {
        let rows = rows.into_iter().flat_map(|(key, value)| [key, value]);
        std::iter::once(name.as_bytes().to_vec()).chain(rows).collect::<Vec<_>>()
    };
    let all: Vec<u8> = buckets().into_iter().flat_map(parts).flatten().collect();
    assert_eq!(figures.hash, crc32c::crc32c(&all));
    assert_eq!((figures.revision, figures.keys, figures.changes, figures.rows), (93, 48, 92, 95));
    assert_eq!(figures.size + 32, image.length());
    assert_eq!((records.members.len(), records.applied.written_by()), (1, "3.6.0"));
    let stopped = on_disk(&snapshot());
    let image = Image::open(&stopped.path).unwrap();
    image.control().stop();
    assert_eq!(super::figures::figures(&image).unwrap_err().code(), "interrupted");
}

#[test]
fn keys_are_counted_in_shares_where_there_are_too_many() {
    let file = on_disk(&snapshot());
    let image = Image::open(&file.path).unwrap();
    for room in [64, 256, 1 << 20] {
        let mut live = Live::with(Keys::with_room(0, room));
        each_row(&image, None, |_, change, pair| {
            live.row(pair.key, change.is_tombstone);
            true
        })
        .unwrap();
        assert_eq!(live.count(&image).unwrap(), 48, "{room}");
    }
}

#[test]
fn a_sound_file_has_no_findings_and_a_copy_of_a_database_has_one() {
    let sound = checked(&snapshot()).unwrap();
    assert_eq!((sound.is_sound(), told(&sound)), (true, String::new()));
    assert_eq!(sound.used_pages, (snapshot().len() / PAGE) as u64);
    // A member's own file has room for growth and no sum.
    let mut copied = fixture::file(&buckets());
    copied.extend(vec![0; 4 * PAGE]);
    let copied = checked(&copied).unwrap();
    assert!(copied.is_sound() && copied.figures.is_some());
    insta::assert_snapshot!(told(&copied), @"Warning sha256_missing (): it has no SHA-256 at its end, so nothing tells whether its values are as they were");
}

#[test]
fn a_file_that_was_cut_or_added_to_is_neither_a_snapshot_nor_a_members_own() {
    let whole = snapshot();
    let data = whole.len() - 32;
    let read = |bytes: &[u8]| {
        let file = on_disk(bytes);
        let image = Image::open(&file.path).unwrap();
        let skipping = Image::open_with(&file.path, Arc::new(Control::new(true))).unwrap();
        assert!(figures(&skipping).is_ok());
        let codes = check(&image).unwrap().findings.iter().map(|finding| finding.problem.code()).collect::<Vec<_>>();
        (codes.concat(), figures(&image).err().map(|problem| problem.code()))
    };
    let grown = |by: usize| [&whole[..], &vec![0; by]].concat();
    for odd in [data + 31, data + 1, data + 16] {
        assert_eq!(read(&whole[..odd]), ("length_odd".to_owned(), Some("length_odd")), "{odd}");
    }
    for by in [1, 32, 480, PAGE - 33] {
        assert_eq!(read(&grown(by)), ("length_odd".to_owned(), Some("length_odd")), "{by}");
    }
    // Without any of its sum it is as long as a member's own file; with the length of a snapshot it has to be one.
    assert_eq!(read(&whole[..data]), ("sha256_missing".to_owned(), None));
    assert_eq!(read(&grown(PAGE - 32)), ("sha256_missing".to_owned(), None));
    assert_eq!(read(&grown(512)), ("sha256_mismatch".to_owned(), Some("sha256_mismatch")));
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_refused() {
    let whole = snapshot();
    let file = on_disk(&whole);
    let mut dice = Dice::new(0xF11B);
    for _ in 0..2000 {
        let (at, bit) = (dice.below(whole.len()), dice.below(8));
        let before = file.replace(&[(at, whole[at] ^ 1 << bit)]);
        let refused = Image::open(&file.path).and_then(|image| {
            let status = figures(&image).map(|_| ());
            assert_eq!(check(&image).unwrap().is_sound(), status.is_ok());
            status
        });
        assert!(refused.is_err(), "byte {at}, bit {bit}");
        file.replace(&before);
    }
}

#[test]
fn no_flip_makes_a_check_of_a_file_without_a_sum_fail() {
    let whole = fixture::file(&buckets());
    let file = on_disk(&whole);
    let mut dice = Dice::new(0xC4EC);
    for _ in 0..1500 {
        let mut any = || (dice.below(whole.len()), dice.below(256).to_le_bytes()[0]);
        let before = file.replace(&[any(), any(), any()]);
        if let Ok(image) = Image::open(&file.path) {
            let checked = check(&image).unwrap();
            assert!(figures(&image).is_ok() || !checked.is_sound());
            let _ = super::hashkv::hashkv(&image, None, Some(9));
        }
        file.replace(&before);
    }
}

#[test]
fn findings_say_what_is_wrong_and_where() {
    let mut buckets = buckets();
    let key = &mut buckets[1].1;
    key[3].1 = key[4].1.clone();
    key[7].1 = b"\xff".to_vec();
    key.push((b"no revision\xff".to_vec(), vec![]));
    buckets[3].1[0].1.truncate(4);
    let mut file = fixture::snapshot(fixture::file(&buckets));
    let end = file.len() - 1;
    file[end] ^= 1;
    let told = told(&checked(&file).unwrap());
    let sums = told.find("its SHA-256 is").unwrap();
    insta::assert_snapshot!(told[..sums], @r"
    Error row_damaged (bucket key, page 2, element 3, byte 2048): the value of revision 5 says that it is of revision 6
    Error row_damaged (bucket key, page 2, element 7, byte 2048): the value of revision 9 cannot be read
    Error row_damaged (bucket key, page 6, element 11, byte 6144): the key of the row is no revision: no revision\xff
    Error record_damaged (bucket meta, element 0): the consistent index has 4 bytes, and should have 8
    Error sha256_mismatch ():
    ");
}

#[test]
fn a_kind_of_finding_is_told_sixteen_times_and_then_counted() {
    let mut buckets = buckets();
    buckets[1].1.iter_mut().for_each(|row| row.1 = b"\xff".to_vec());
    let checked = checked(&fixture::file(&buckets)).unwrap();
    assert_eq!((checked.findings.len(), checked.untold.get("row_damaged")), (16 + 1, Some(&76)));
}

#[test]
fn one_meta_page_is_enough() {
    let mut file = fixture::file(&buckets());
    file[PAGE + 30] ^= 1;
    let checked = checked(&fixture::snapshot(file)).unwrap();
    assert_eq!(checked.findings[0].severity, Severity::Warning);
    insta::assert_snapshot!(told(&checked), @"Warning meta_damaged (page 1): the meta page is torn: its checksum is wrong");
}

#[test]
fn the_sum_has_to_follow_the_data() {
    let mut file = fixture::file(&buckets());
    file.extend(vec![0; PAGE]);
    let checked = checked(&fixture::snapshot(file)).unwrap();
    assert!(!checked.is_sound());
    insta::assert_snapshot!(told(&checked), @"Error sha256_apart (): its data end at byte 9216, and its SHA-256 begins at byte 10240");
}

#[test]
fn a_walk_ends_in_any_bucket() {
    let OnDisk { path, .. } = &on_disk(&snapshot());
    let image = Image::open(path).unwrap();
    for root in 0..(image.meta().pages + 3) {
        let bucket = Bucket { name: b"key"[..].into(), root: Root::Page(root), at: 0 };
        let mut seen = Pages::new(image.meta().pages);
        let mut walk = Walk::new(&image, &bucket, &mut seen, None);
        let (mut rows, mut problems) = (0, 0);
        loop {
            match walk.next_row() {
                Ok(None) => break,
                Ok(Some(_)) => rows += 1,
                Err(problem) => {
                    assert!(matches!(problem.flaw(), Flaw::Bolt(_)), "{problem}");
                    problems += 1;
                }
            }
        }
        assert!(rows <= 92 && problems <= 1, "{root}: {rows} rows, {problems} problems");
    }
}

/// What is read out of a file is held back until it is known that nothing in it was changed.
#[test]
fn a_wrong_sum_is_told_before_anything_is_read_out_of_a_file() {
    let mut bytes = snapshot();
    let value = bytes.windows(5).position(|window| window == b"value").unwrap();
    bytes[value] ^= 1;
    let (flipped, sound) = (on_disk(&bytes), on_disk(&snapshot()));
    let open = |file: &OnDisk, skip| Image::open_with(&file.path, Arc::new(Control::new(skip))).unwrap();
    let sound = open(&sound, false);
    for skip in [false, true] {
        let image = open(&flipped, skip);
        let mut items = 0;
        let mut take = |page: usize| {
            items += page;
            true
        };
        let done = [
            view(&image, Wanted::default(), |page| take(page.len())).map(drop),
            leases(&image, |page| take(page.len())).map(drop),
            usage(&image, Grouping::default(), 1).map(drop),
            hashkv(&image, None, None).map(drop),
            hashkv(&image, Some(70), Some(60)).map(drop),
            diff(&image, &sound, &Asked::default(), |_| take(1)).map(drop),
            diff(&sound, &image, &Asked::default(), |_| take(1)).map(drop),
        ];
        let codes = done.map(|done| done.map_or_else(|problem| problem.code(), |()| "read"));
        assert_eq!((codes, items > 0), ([if skip { "read" } else { "sha256_mismatch" }; 7], skip));
    }
    assert_eq!(figures(&open(&flipped, false)).unwrap_err().code(), "sha256_mismatch");
}
