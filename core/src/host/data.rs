//! Whose data lie in a member's data dir. etcd writes it into the first records of every WAL file, before anything else, and
//! never changes it: a member that is removed and added again has another id, and its old files still tell the old one.

use std::path::Path;

use super::Data;
use crate::format::wal::{Metadata, metadata_of, parse_name};

/// How much of a WAL file is read: the two records before everything else are shorter than this.
pub(super) const HEAD: usize = 512;

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
    names.filter(|name| parse_name(name, ".wal").is_some()).min()
}

/// Reads whose WAL file begins like this.
pub(super) fn of_wal(head: &[u8]) -> Data {
    match metadata_of(head) {
        Some(Metadata { member, cluster }) => Data::Of { member, cluster },
        None => Data::Unknown("the first WAL file does not say whose it is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClusterId, MemberId};
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
    fn what_is_no_metadata_of_etcd_is_unknown() {
        assert!(matches!(of_wal(&hex(FIXTURE)), Data::Unknown(_)));
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
