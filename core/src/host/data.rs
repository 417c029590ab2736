//! Whose data lie in a member's data dir. etcd writes it into the first records of every WAL file, before anything else, and
//! never changes it: a member that is removed and added again has another id, and its old files still tell the old one.

use std::path::Path;

use super::Data;
use crate::id::{ClusterId, MemberId};

/// How much of a WAL file is read: the two records before everything else are shorter than this.
pub(super) const HEAD: usize = 512;

/// The kind of record that says who writes.
const METADATA: u64 = 1;

/// Reads whose data lie in a data dir of this machine. The WAL may lie in a folder of its own.
pub(super) fn read(data_dir: &Path, wal_dir: Option<&Path>) -> Data {
    let member = data_dir.join("member");
    let wal = wal_dir.map_or_else(|| member.join("wal"), Path::to_path_buf);
    let names = |folder: &Path| -> std::io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let look = || -> std::io::Result<Data> {
        let found = names(&wal)?;
        let Some(first) = first_wal(found.iter().map(String::as_str)) else {
            return Ok(without_wal(!names(&member)?.is_empty() || !found.is_empty()));
        };
        Ok(of_wal(&head(&wal.join(first))?))
    };
    look().unwrap_or_else(|error| Data::Unknown(format!("{} cannot be read: {error}", wal.display())))
}

fn head(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::with_capacity(HEAD);
    std::fs::File::open(file)?.take(u64::try_from(HEAD).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What there is where no WAL file is.
pub(super) fn without_wal(files: bool) -> Data {
    if files { Data::Unknown("there are files, and none of them is a WAL file".to_owned()) } else { Data::None }
}

/// Returns the WAL file with the lowest number; segments that are still prepared and broken ones do not count.
pub(super) fn first_wal<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let is_wal = |name: &&str| {
        let plain = name.strip_suffix(".wal").and_then(|plain| plain.split_once('-'));
        let hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.is_some_and(|(number, index)| hex(number) && hex(index))
    };
    names.filter(is_wal).min()
}

/// Reads whose WAL file begins like this.
pub(super) fn of_wal(head: &[u8]) -> Data {
    match metadata(head) {
        Some((member, cluster)) => Data::Of { member: MemberId(member), cluster: ClusterId(cluster) },
        None => Data::Unknown("the first WAL file does not say whose it is".to_owned()),
    }
}

fn metadata(head: &[u8]) -> Option<(u64, u64)> {
    let mut rest = head;
    loop {
        let (record, after) = frame(rest)?;
        if number(record, 1)? == METADATA {
            let data = bytes(record, 3)?;
            // A field that is zero may be missing; no id is zero.
            return Some((number(data, 1)?, number(data, 2)?));
        }
        rest = after;
    }
}

/// Takes one record off: its length in the lower 56 bits, and in the upper byte how many bytes fill it up to eight.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    let filled = if length >> 63 == 1 { length >> 56 & 0x7 } else { 0 };
    let size = usize::try_from(length & 0x00ff_ffff_ffff_ffff).ok().filter(|size| *size > 0)?;
    let record = rest.get(..size)?;
    let after = size.checked_add(usize::try_from(filled).ok()?)?;
    Some((record, rest.get(after..)?))
}

enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// Returns a number out of a protobuf message.
fn number(message: &[u8], wanted: u64) -> Option<u64> {
    match field(message, wanted)? {
        Field::Number(number) => Some(number),
        Field::Bytes(_) => None,
    }
}

/// Returns bytes out of a protobuf message.
fn bytes(message: &[u8], wanted: u64) -> Option<&[u8]> {
    match field(message, wanted)? {
        Field::Bytes(bytes) => Some(bytes),
        Field::Number(_) => None,
    }
}

fn field(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (field, rest) = match key & 0x7 {
            0 => varint(rest).map(|(number, rest)| (Field::Number(number), rest))?,
            2 => {
                let (length, rest) = varint(rest)?;
                let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Field::Bytes(bytes), rest)
            }
            // Neither record has fields of another kind.
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(field);
        }
        message = rest;
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The head of an empty WAL with the metadata "somedata": the fixture of etcd's own tests.
    const FIXTURE: &str = "0400000000000084080410000000000012000000000000860801108\
                           5d4fda0071a08736f6d65646174610000000000000e000000000000820805108\
                           0db81c1011a0408001000";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The head of a WAL of the member 0x1234 in the cluster u64::MAX.
    fn ours() -> Vec<u8> {
        let metadata = hex("08b424 10ffffffffffffffffff01");
        let mut record = hex("0801 1000 1a");
        record.push(u8::try_from(metadata.len()).unwrap());
        record.extend(&metadata);
        let mut head = hex("0400000000000084 08041000 00000000");
        let filled = (8 - record.len() % 8) % 8;
        let flag = if filled > 0 { 0x80 | u64::try_from(filled).unwrap() } else { 0 };
        head.extend((u64::try_from(record.len()).unwrap() | flag << 56).to_le_bytes());
        head.extend(&record);
        head.extend(vec![0; filled + 16]);
        head
    }

    #[test]
    fn a_wal_says_whose_it_is() {
        assert_eq!(of_wal(&ours()), Data::Of { member: MemberId(0x1234), cluster: ClusterId(u64::MAX) });
    }

    #[test]
    fn the_records_of_etcds_own_fixture_are_found() {
        let head = hex(FIXTURE);
        let (first, rest) = frame(&head).unwrap();
        let (second, _) = frame(rest).unwrap();
        assert_eq!((number(first, 1), number(second, 1)), (Some(4), Some(1)));
        assert_eq!(bytes(second, 3), Some(&b"somedata"[..]));
        // That metadata is none of etcd's.
        assert!(matches!(of_wal(&head), Data::Unknown(_)));
    }

    #[test]
    fn what_is_cut_or_damaged_is_unknown_and_never_a_wrong_id() {
        let whole = ours();
        let known = Data::Of { member: MemberId(0x1234), cluster: ClusterId(u64::MAX) };
        for length in 0..whole.len() {
            let read = of_wal(&whole[..length]);
            assert!(read == known || matches!(read, Data::Unknown(_)), "{length}: {read:?}");
        }
        assert!(matches!(of_wal(&[0; HEAD]), Data::Unknown(_)));
        assert!(matches!(of_wal(&[0xff; HEAD]), Data::Unknown(_)));
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&["0.tmp", "x.wal", "0000000000000000-0000000000000000.wal.broken"], None)]
    #[case(&["1.tmp", "0000000000000002-000000000000bb15.wal", "0000000000000001-0000000000005e1a.wal"],
        Some("0000000000000001-0000000000005e1a.wal"))]
    fn the_first_wal_file_is_the_one_with_the_lowest_number(#[case] names: &[&str], #[case] first: Option<&str>) {
        assert_eq!(first_wal(names.iter().copied()), first);
    }

    #[test]
    fn a_data_dir_is_empty_or_somebodys_or_unknown() {
        let home = tempfile::tempdir().unwrap();
        let (data, wal) = (home.path().join("data"), home.path().join("data/member/wal"));
        assert_eq!(read(&data, None), Data::None);
        std::fs::create_dir_all(&wal).unwrap();
        insta::assert_debug_snapshot!(read(&data, None), @r#"
        Unknown(
            "there are files, and none of them is a WAL file",
        )
        "#);
        let first = "0000000000000000-0000000000000000.wal";
        std::fs::write(wal.join(first), ours()).unwrap();
        let known = Data::Of { member: MemberId(0x1234), cluster: ClusterId(u64::MAX) };
        assert_eq!(read(&data, None), known);
        let apart = home.path().join("wal");
        std::fs::rename(&wal, &apart).unwrap();
        assert_eq!(read(&data, Some(&apart)), known);
        std::fs::write(apart.join(first), "").unwrap();
        insta::assert_debug_snapshot!(read(&data, Some(&apart)), @r#"
        Unknown(
            "the first WAL file does not say whose it is",
        )
        "#);
    }
}
