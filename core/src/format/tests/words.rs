//! What users read of files that are damaged, or that are none.

use std::path::Path;

use crate::error::Error;
use crate::format::bolt::fixture::{self, PAGE, Rows};
use crate::format::bolt::tests::on_disk;
use crate::format::bolt::{BadMeta, Flaw as Bolt, Image};
use crate::format::check::check;
use crate::format::mvcc::Change;
use crate::format::mvcc::row_tests::row_key;
use crate::format::problem::{FileFlaw, Flaw, Place, Problem};
use crate::format::proto::{Malformed, fields};
use crate::format::{mvcc, schema, snap, trailer, wal};
use crate::tests::shown;

/// Shows a flaw as it is told, with its help and what is behind it, without a place.
fn told(flaws: impl IntoIterator<Item = Flaw>) -> String {
    shown(flaws.into_iter().map(|flaw| Error::from(Problem::new(Place::default(), flaw))))
}

fn refused(bytes: &[u8]) -> Flaw {
    let problem = Image::open(&on_disk(bytes).path).unwrap_err();
    let Bolt::Truncated { length, needed } = bolt(problem) else { panic!("not truncated") };
    Bolt::Truncated { length, needed }.into()
}

fn bolt(problem: Problem) -> Bolt {
    match problem.into_flaw() {
        Flaw::Bolt(flaw) => flaw,
        other => panic!("{other}"),
    }
}

fn rows(count: usize) -> Rows {
    (0..count).map(|number| (format!("key{number:05}").into_bytes(), vec![7; 40])).collect()
}

/// Returns what a check finds first in a file of which some bytes were replaced.
fn found(page: usize, at: usize, bytes: &[u8]) -> String {
    let mut file = fixture::file(&[("key", vec![]), ("lease", rows(60))]);
    file[page * PAGE + at..][..bytes.len()].copy_from_slice(bytes);
    let file = on_disk(&file);
    let checked = check(&Image::open(&file.path).unwrap()).unwrap();
    let structural = |problem: &&Problem| matches!(problem.flaw(), Flaw::Bolt(_));
    let problem = checked.findings.iter().map(|finding| &finding.problem).find(structural).unwrap();
    format!("{}: {}\n", problem.place().within(), problem.flaw())
}

#[test]
fn damage_that_a_check_meets() {
    // Pages 2 to 5 are leaves of `lease` with up to 15 keys each, page 6 is their branch, and page 7 has the buckets.
    let keys = 16 + 15 * 16;
    let all = [
        ("a bucket in a bucket", found(3, 16, &[1])),
        ("a first key that is too low", found(3, keys, b"a")),
        ("a second key that is", found(3, keys + 48, b"a")),
        ("a key among the buckets", found(7, 16, &[0])),
        ("a bucket of four bytes", found(7, 16 + 16 + 12, &[4])),
    ];
    let all = all.map(|(what, told)| format!("{what}: {told}"));
    insta::assert_snapshot!(all.concat(), @r#"
    a bucket in a bucket: bucket lease, page 3, element 0, byte 3072: a bucket lies within a bucket, which etcd never makes
    a first key that is too low: bucket lease, page 3, element 0, byte 3072: its key is below the one that the branch above has for this page
    a second key that is: bucket lease, page 3, element 1, byte 3072: its key is not above the one before
    a key among the buckets: bucket key, page 7, element 0, byte 7168: the key "key" lies where only buckets belong
    a bucket of four bytes: bucket lease, page 7, element 1, byte 7168: the entry of the bucket is damaged: it is too short
    "#);
}

#[test]
fn what_is_refused_as_a_whole() {
    let good = fixture::file(&[("key", rows(60))]);
    let many: Vec<_> = (0..300).map(|number| format!("bucket{number:03}")).collect();
    let many: Vec<(&str, Rows)> = many.iter().map(|name| (name.as_str(), vec![])).collect();
    let too_many = on_disk(&fixture::file(&many));
    let too_many = Image::open(&too_many.path).unwrap().buckets().unwrap_err();
    // Those below take a file of a terabyte, or one that a test cannot bring about by flipping a few bytes.
    let rare = [
        Bolt::TooManyPages { pages: 1 << 29, most: 1 << 28 },
        Bolt::TooLarge { bytes: 5_000_000_000, most: 1 << 32 },
        Bolt::TooDeep(32),
        Bolt::Freelist("it is no list of free pages"),
        Bolt::NoMeta { first: BadMeta::BigEndian, second: BadMeta::Version(3) },
        Bolt::NoMeta { first: BadMeta::PageSize(512), second: BadMeta::Root { root: 9, pages: 5 } },
    ];
    let all = [refused(&good[..5 * PAGE]), bolt(too_many).into()].into_iter().chain(rare.map(Flaw::from));
    insta::assert_snapshot!(told(all), @"
    truncated: it has 5120 bytes, and its pages take 8192: the end is missing
      help: the file was not written or copied to its end; use another backup
    foreign_data: it has more than 256 buckets
    too_large: it has 536870912 pages; at most 268435456 are read
    too_large: it takes 5000000000 bytes; at most 4294967296 are read at once
    page_damaged: the tree has more than 32 levels
    freelist_damaged: the list of free pages is damaged: it is no list of free pages
      help: the data is whole; writing the file anew cures it
    not_a_database: it is no etcd database, or its first two pages are lost: page 0 is of a big-endian machine, page 1 has the format version 3, and 2 is known
      help: name a file that `snapshot save` or `etcdctl snapshot save` wrote, or a member's `db`
    not_a_database: it is no etcd database, or its first two pages are lost: page 0 has a page size of 512 bytes, page 1 has the root 9 among 5 pages
      help: name a file that `snapshot save` or `etcdctl snapshot save` wrote, or a member's `db`
    ");
}

#[test]
fn what_stands_in_the_way_of_reading() {
    let folder = Image::open(Path::new("/")).unwrap_err().into_flaw();
    let nothing = Image::open(Path::new("/nowhere/file.db")).unwrap_err().into_flaw();
    insta::assert_snapshot!(told([folder, nothing, FileFlaw::InUse.into(), FileFlaw::Changed.into()]), @"
    not_a_file: it is not a file
    file_unreadable: it cannot be read
      because: No such file or directory (os error 2)
    file_in_use: it is in use by a running etcd
      help: stop that etcd first, or take a snapshot of it with `snapshot save`
    file_changed: it was changed while it was read
      help: read it again when nothing writes to it; a copy of a live database is no backup
    ");
}

#[test]
fn rows_records_and_messages() {
    let message = |bytes: &[u8]| -> Flaw { fields(bytes).find_map(Result::err).unwrap().into() };
    let mut records = schema::Records::default();
    let name = vec![b'u'; 1 << 20];
    let too_much = (0..20).find_map(|_| records.row(b"other", &name, b"").err()).unwrap();
    let all = [
        Change::read(&row_key(-1, 0, false)).unwrap_err().into(),
        mvcc::Flaw::Value { rev: mvcc::Rev { main: 7, sub: 1 }, source: Malformed::Cut }.into(),
        too_much.into(),
        message(b"\x08"),
        message(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        message(b"\x00\x00"),
        message(b"\x0b"),
        snap::Flaw::TooLarge { length: 9_000_000_000, most: 1 << 30 }.into(),
        snap::Flaw::Checksum { expected: 1, found: 0x2a }.into(),
        trailer::Flaw::Missing.into(),
        trailer::Flaw::Length { length: 8223, page: 4096, needed: 8224 }.into(),
        trailer::Flaw::Wrong { expected: "aa".to_owned(), found: "bb".to_owned() }.into(),
    ];
    insta::assert_snapshot!(told(all), @"
    row_damaged: the revision -1 is negative
    row_damaged: the value of revision 7.1 cannot be read
      because: the message ends within a field
    too_large: members, users, roles and alarms take more than 16777216 bytes
    protobuf_damaged: the message ends within a field
    protobuf_damaged: a number of the message is too long
    protobuf_damaged: the message has a field with the number 0
    protobuf_damaged: field 1 of the message has the wire type 3
    too_large: it has 9000000000 bytes; at most 1073741824 are read
    snap_damaged: its checksum is 0000002a, and should be 00000001
    sha256_missing: it has no SHA-256 at its end, so nothing tells whether its values are as they were
      help: a member's own file or a copy of it has none; `snapshot save` makes one that has
    length_odd: it has 8223 bytes: no whole number of its pages of 4096 bytes, nor that and a SHA-256 of 32; with its data and one it would have 8224, so it was cut or added to
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    sha256_mismatch: its SHA-256 is bb, and it should be aa: it was damaged or changed
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    ");
}

#[test]
fn logs() {
    let member = schema::Flaw::Mismatch { key: "7".to_owned(), found: "8".to_owned() };
    let all = [
        wal::Flaw::NoSegments,
        wal::Flaw::Torn,
        wal::Flaw::Length { length: 900, left: 100 },
        wal::Flaw::TooLong { length: 900, most: 100 },
        wal::Flaw::Headless,
        wal::Flaw::Member(member),
        wal::Flaw::Kind { what: "the record", found: 9 },
        wal::Flaw::OtherMember,
        wal::Flaw::Gap { last: 5, found: 7 },
    ];
    insta::assert_snapshot!(told(all.map(Flaw::from)), @"
    no_log: it has no file of a log
    log_torn: the last record was not written to its end
    log_damaged: a record of 900 bytes begins where 100 are left
    log_damaged: a record has 900 bytes; at most 100 are read
    log_damaged: it does not begin with the checksum of the files before it, and whose it is
    log_damaged: the member in a change of members cannot be read
      because: the entry of 7 says that it is 8
    log_damaged: the record is of the kind 9, which is not known
    log_of_another_member: it says that it belongs to another member than the files before it
    log_incomplete: entry 7 follows entry 5
    ");
}
