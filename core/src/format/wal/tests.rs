//! Logs that are whole, torn, cut and flipped.

use std::path::Path;

use super::*;
use crate::format::problem::Problem;

/// The head of an empty log with the metadata "somedata": the fixture of etcd's own tests.
const FIXTURE: &str = "04000000000000840804100000000000 120000000000008608011085d4fda0071a08736f6d65646174610000
                       00000000 0e000000000000820805 1080db81c1011a0408001000 0000";
pub(crate) const FIRST: &str = "0000000000000000-0000000000000000.wal";
pub(crate) const SECOND: &str = "0000000000000001-0000000000000003.wal";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Writes records as etcd does: kind, checksum and data, in frames.
#[derive(Default)]
struct Records {
    writer: Writer,
    bytes: Vec<u8>,
    /// Where the kinds of records are, which no checksum covers.
    kinds: Vec<usize>,
}

impl Records {
    /// Goes on in another file.
    fn cut(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn put(&mut self, kind: u8, data: &[u8]) -> &mut Self {
        self.kinds.push(self.bytes.len() + super::frame::FRAME + 1);
        self.writer.record(u64::from(kind), (kind != 4).then_some(data));
        self.bytes.extend(self.writer.take());
        self
    }
}

const METADATA: &[u8] = b"\x08\x07\x10\x09";

/// A log of member 7 in cluster 9: it was added by entry 1, and there are entries up to 3.
pub(crate) fn two_files() -> (Vec<u8>, Vec<u8>, Vec<usize>) {
    let mut log = Records::default();
    let added = [
        b"\x08\x01\x10\x01\x18\x01\x22\x21\x08\x00\x10\x00\x18\x07\x22\x19".as_slice(),
        br#"{"id":7,"peerURLs":["a"]}"#,
    ];
    log.put(4, b"").put(1, METADATA).put(5, b"\x08\x00\x10\x00").put(2, &added.concat());
    log.put(2, b"\x08\x00\x10\x02\x18\x02").put(3, b"\x08\x02\x10\x07\x18\x02");
    let (first, kinds) = (log.cut(), log.kinds.clone());
    log.put(4, b"")
        .put(1, METADATA)
        .put(3, b"\x08\x02\x10\x07\x18\x02")
        .put(2, b"\x08\x00\x10\x02\x18\x03\x22\x04\x08\x01\x22\x00");
    log.put(3, b"\x08\x02\x10\x07\x18\x03").put(5, b"\x08\x03\x10\x02\x1a\x02\x08\x07").put(5, b"\x08\x63\x10\x02");
    let mut second = log.cut();
    second.resize(2048, 0);
    (first, second, kinds)
}

/// Writes the records of a file anew, as far as they can be read, so that all of its checksums are right. Returns the file, and where
/// its last record begins that can be the first of a file.
pub(crate) fn repaired(file: &[u8]) -> (Vec<u8>, usize) {
    let (mut writer, mut rest, mut written, mut head) = (Writer::default(), file, Vec::new(), 0);
    while let Some((frame, after)) = rest.split_first_chunk::<{ super::frame::FRAME }>() {
        let Some(frame) = super::frame::Frame::read(*frame) else { break };
        let record = usize::try_from(frame.length).ok().and_then(|length| after.get(..length));
        let Some(raw) = record.and_then(|record| super::frame::Raw::read(record).ok()) else { break };
        if raw.kind == 4 {
            head = written.len();
        }
        writer.record(raw.kind, (raw.kind != 4).then_some(raw.data));
        written.extend(writer.take());
        let next = usize::try_from(frame.length + frame.padding).unwrap_or(usize::MAX);
        rest = after.get(next..).unwrap_or_default();
    }
    written.extend(rest);
    (written, head)
}

fn read(folder: &Path, files: &[(&str, &[u8])]) -> Result<Summary, Problem> {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    summary(folder)
}

#[test]
fn a_log_of_two_files_is_read() {
    let (first, second, _) = two_files();
    let folder = tempfile::tempdir().unwrap();
    let files = [(FIRST, first.as_slice()), (SECOND, &second), ("0.tmp", b"?"), ("x.wal.broken", b"?")];
    let summary = read(folder.path(), &files).unwrap();
    let Summary { metadata, hard_state, first, last, last_term, records, entries, broken, .. } = &summary;
    insta::assert_debug_snapshot!((metadata, hard_state, first, last, last_term, records, entries, broken), @r#"
    (
        Some(
            Metadata {
                member: 7,
                cluster: 9,
            },
        ),
        HardState {
            term: 2,
            vote: 7,
            commit: 3,
        },
        Some(
            1,
        ),
        Some(
            3,
        ),
        2,
        {
            "checksum": Amount {
                count: 2,
                bytes: 32,
            },
            "entry": Amount {
                count: 3,
                bytes: 120,
            },
            "hard_state": Amount {
                count: 3,
                bytes: 72,
            },
            "metadata": Amount {
                count: 2,
                bytes: 48,
            },
            "snapshot": Amount {
                count: 3,
                bytes: 80,
            },
        },
        {
            "empty": Amount {
                count: 1,
                bytes: 24,
            },
            "member_change": Amount {
                count: 1,
                bytes: 64,
            },
            "put": Amount {
                count: 1,
                bytes: 32,
            },
        },
        None,
    )
    "#);
    let valid = summary.valid_snapshot().unwrap();
    assert_eq!((valid.index, summary.snapshots.len(), summary.segments.len()), (3, 3, 2));
    let mut log = Log::open(folder.path()).unwrap();
    let mut changes = Vec::new();
    while let Some(record) = log.next_record().unwrap() {
        if let Item::Entry(entry) = record.item {
            changes.extend(entry.change().unwrap());
        }
    }
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].told.as_ref().map(|member| member.id), Some(changes[0].member));
}

#[test]
fn every_record_that_is_written_is_read() {
    let member = crate::member::Member::from_json(br#"{"id":7,"peerURLs":["http://a:1"],"name":"a"}"#).unwrap();
    let changes = [ChangeKind::Add, ChangeKind::Remove, ChangeKind::Update, ChangeKind::AddLearner]
        .map(|kind| Change { kind, member: member.id, told: Some(member.clone()) });
    let data = changes.each_ref().map(Change::write);
    let entry = |(index, data)| Entry { kind: EntryKind::Change, term: 1, index, data };
    let state = crate::format::schema::ConfState { voters: vec![member.id], ..Default::default() };
    let items = [
        Item::Checksum(0),
        Item::Metadata(Metadata { member: member.id, cluster: crate::id::ClusterId(9) }),
        Item::Snapshot(Snapshot::default()),
        Item::Entry(Entry { kind: EntryKind::Normal, term: 1, index: 1, data: b"" }),
        Item::Entry(Entry { kind: EntryKind::Changes, term: 1, index: 2, data: b"?" }),
    ];
    let changes_made = data.iter().enumerate().map(|(at, data)| Item::Entry(entry((at as u64 + 3, data.as_slice()))));
    let ends = [
        Item::HardState(HardState { term: 1, vote: 7, commit: 6 }),
        Item::Snapshot(Snapshot { index: 6, term: 1, conf_state: Some(state) }),
    ];
    let items: Vec<Item<'_>> = items.into_iter().chain(changes_made).chain(ends).collect();
    let mut writer = Writer::default();
    items.iter().for_each(|item| writer.put(item));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FIRST), writer.take()).unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    let (mut read, mut read_changes) = (0, Vec::new());
    while let Some(record) = log.next_record().unwrap() {
        assert_eq!(record.item, items[read]);
        read += 1;
        if let Item::Entry(entry) = record.item {
            read_changes.extend(entry.change().unwrap());
        }
    }
    assert_eq!((read, read_changes), (items.len(), changes.to_vec()));
}

#[test]
fn etcds_own_fixture_is_read_and_written() {
    let mut log = Records::default();
    log.put(4, b"").put(1, b"somedata").put(5, b"\x08\0\x10\0");
    assert_eq!(log.bytes, hex(FIXTURE));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FIRST), hex(FIXTURE)).unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    assert_eq!(log.next_record().unwrap().unwrap().item, Item::Checksum(0));
    // Its metadata is no message of etcd's, and its checksum is right all the same.
    let problem = log.next_record().unwrap_err();
    assert_eq!(
        (problem.place().offset, problem.flaw().to_string()),
        (Some(16), "the metadata cannot be read".to_owned())
    );
    assert_eq!(log.next_record().unwrap(), None);
}

#[test]
fn a_cut_at_any_byte_ends_the_log_there() {
    let (first, second, _) = two_files();
    let folder = tempfile::tempdir().unwrap();
    let used = second.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for length in 0..used {
        let summary = read(folder.path(), &[(FIRST, &first), (SECOND, &second[..length])]).unwrap();
        assert!(summary.last <= Some(3) && (length > 0 || summary.broken.is_some()), "{length}");
        if let Some(broken) = summary.broken {
            assert!(matches!(broken.flaw(), crate::format::problem::Flaw::Wal(Flaw::Torn)), "{length}: {broken}");
        }
    }
    for length in 0..first.len() {
        let summary = read(folder.path(), &[(FIRST, &first[..length]), (SECOND, &second)]).unwrap();
        assert!(summary.broken.is_some(), "{length}");
    }
}

#[test]
fn a_log_of_one_file_that_is_empty_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [&[][..], &[0; 4096]] {
        let broken = read(folder.path(), &[(FIRST, bytes)]).unwrap().broken.unwrap();
        assert!(matches!(broken.flaw(), crate::format::problem::Flaw::Wal(Flaw::Headless)), "{broken}");
        assert_eq!(broken.place().offset, Some(0));
    }
}

#[test]
fn every_flipped_bit_of_data_is_seen() {
    let (first, second, kinds) = two_files();
    let folder = tempfile::tempdir().unwrap();
    let whole = read(folder.path(), &[(FIRST, &first), (SECOND, &second)]).unwrap();
    let told = |summary: &Summary| format!("{:?} {:?} {:?}", summary.hard_state, summary.snapshots, summary.entries);
    for bit in (0..first.len() * 8).filter(|bit| !kinds.contains(&(bit / 8))) {
        let mut flipped = first.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let summary = read(folder.path(), &[(FIRST, &flipped), (SECOND, &second)]).unwrap();
        // What fills a record up is covered by no checksum, and means nothing.
        assert!(summary.broken.is_some() || told(&summary) == told(&whole), "bit {bit}");
    }
}

#[test]
fn what_was_not_written_to_its_end_is_torn_and_what_was_changed_is_damaged() {
    let mut log = Records::default();
    log.put(4, b"").put(1, METADATA);
    let head = log.bytes.len();
    let data = [vec![0x08, 0, 0x10, 1, 0x18, 1, 0x22, 100], vec![0xaa; 100]].concat();
    for _ in 0..10 {
        log.put(2, &data);
    }
    let flaw = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let broken = read(folder.path(), &[(FIRST, bytes)]).unwrap().broken.unwrap();
        format!("{}: {}", broken.place().offset.unwrap(), broken.flaw())
    };
    let mut torn = log.bytes.clone();
    torn[512..1024].fill(0);
    let mut changed = log.bytes.clone();
    changed[head + 40] ^= 1;
    insta::assert_snapshot!([flaw(&torn), flaw(&changed)].join("\n"), @r"
    424: the last record was not written to its end
    40: the checksum is 57702a2b, and should be 054786b9
    ");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = read(folder.path(), &[("0.tmp", b"")]).unwrap_err();
    assert_eq!(empty.flaw().to_string(), "it has no file of a log");
    let third = "0000000000000002-0000000000000009.wal";
    let missing = read(folder.path(), &[(FIRST, b""), (third, b"")]).unwrap_err();
    assert_eq!(missing.flaw().to_string(), "the file with the number 1 is missing; 2 is the next one there");
}
