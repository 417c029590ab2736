//! Data dirs that are made of small files, and those that are not made.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::format::bolt::fixture::{self, Rows};
use crate::format::bolt::tests::{OnDisk, on_disk};
use crate::format::check::{Checked, check as checked};
use crate::format::mvcc::Rev;
use crate::format::proto::Message;
use crate::format::snap::Snap;
use crate::format::v2::OldStore;
use crate::format::wal;

fn row(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (key.as_ref().to_vec(), value.as_ref().to_vec())
}

/// A store with so many keys, that was compacted above its newest row, and records of all kinds.
fn buckets(keys: i64) -> Vec<(&'static str, Rows)> {
    // Rows as bumps make them; that they have no value does not matter here.
    let put = |main: i64| row(Rev { main, sub: 0 }.key(), b"");
    let alarm = |member: u64| Message::default().number(1, member).number(2, 1).done();
    let compacted = Rev { main: keys + 5, sub: 0 }.key();
    vec![
        ("alarm", [2, 0x8e9e_05c5_2164_694d].map(|member| row(alarm(member), b"")).into()),
        ("cluster", vec![row("clusterVersion", "3.7.0"), row("downgrade", r#"{"target-version":"","enabled":false}"#)]),
        ("key", (1..=keys).map(put).collect()),
        ("members", vec![row("2", r#"{"id":2,"peerURLs":["http://old:2380"],"name":"old"}"#)]),
        (
            "meta",
            vec![
                row("consistent_index", 99_u64.to_be_bytes()),
                row("finishedCompactRev", compacted),
                row("storageVersion", "3.7.0"),
            ],
        ),
    ]
}

fn snapshot(keys: i64) -> OnDisk {
    on_disk(&fixture::snapshot(fixture::file(&buckets(keys))))
}

pub(crate) fn spec(data_dir: &Path) -> Spec {
    let url = "http://localhost:2380".to_owned();
    Spec {
        name: "default".to_owned(),
        initial_cluster: vec![("default".to_owned(), url.clone())],
        initial_cluster_token: "etcd-cluster".to_owned(),
        initial_advertise_peer_urls: vec![url],
        data_dir: data_dir.to_owned(),
        wal_dir: None,
        bump_revision: None,
        mark_compacted: false,
        target_version: None,
        rewrite: false,
        alarms: Alarms::All,
        without_auth: false,
        skip_hash_check: false,
    }
}

fn made(source: &OnDisk, spec: &Spec) -> Result<Restored> {
    restore(&Image::open(&source.path)?, spec)
}

/// Returns the rows of each bucket.
fn rows(db: &Path) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
    struct All(BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>);
    impl Visit for All {
        fn bucket(&mut self, name: &[u8]) {
            self.0.insert(String::from_utf8(name.to_vec()).unwrap(), BTreeMap::new());
        }

        fn row(&mut self, _: &Image, bucket: &[u8], row: &Row<'_>) -> FileResult<()> {
            let bucket = self.0.get_mut(std::str::from_utf8(bucket).unwrap()).unwrap();
            bucket.insert(row.key.to_vec(), row.value.to_vec());
            Ok(())
        }
    }
    let mut all = All(BTreeMap::new());
    survey(&Image::open(db).unwrap(), None, &mut all).unwrap();
    all.0
}

fn findings(db: &Path) -> Checked {
    checked(&Image::open(db).unwrap()).unwrap()
}

/// Returns the paths below a folder with their modes.
fn tree(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(below).unwrap().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let shown = path.strip_prefix(folder).unwrap().display().to_string();
            found.push(format!(
                "{shown} {:o} {}",
                meta.permissions().mode() & 0o777,
                if meta.is_dir() { 0 } else { meta.len() }
            ));
            folders.extend(meta.is_dir().then_some(path));
        }
    }
    found.sort();
    found
}

#[test]
fn a_data_dir_is_made_and_all_but_the_members_stays() {
    let source = snapshot(100);
    let before = std::fs::read(&source.path).unwrap();
    let home = tempfile::tempdir().unwrap();
    for (name, rewrite, skip) in [("a", false, false), ("b", true, false), ("c", false, true), ("d", true, true)] {
        let data = home.path().join(name);
        let spec = Spec { rewrite, skip_hash_check: skip, ..spec(&data) };
        let restored = made(&source, &spec).unwrap();
        assert_eq!((restored.revision_before, restored.revision, restored.sha256.is_some()), (105, 105, !skip));
        assert_eq!(
            (restored.member.to_string().as_str(), restored.db.metadata().unwrap().len()),
            ("8e9e05c52164694d", restored.size)
        );
        assert_eq!(
            tree(&data)[..3],
            ["member 700 0", "member/snap 700 0", "member/snap/0000000000000001-0000000000000001.snap 600 6490"]
        );
        assert_eq!(
            tree(&data)[3..],
            [
                format!("member/snap/db 600 {}", restored.size),
                "member/wal 700 0".to_owned(),
                format!("member/wal/{} 600 64000000", raft::WAL_NAME)
            ]
        );
        let (mut old, mut new) = (rows(&source.path), rows(&restored.db));
        for changed in ["members", "members_removed", "meta"] {
            old.remove(changed);
            new.remove(changed);
        }
        assert_eq!(old, new);
        let checked = findings(&restored.db);
        let told: Vec<_> = checked.findings.iter().map(|finding| finding.problem.flaw().to_string()).collect();
        assert_eq!(told, ["it has no SHA-256 at its end, so nothing tells whether its values are as they were"]);
        let applied = &checked.records.applied;
        assert_eq!((applied.consistent_index, applied.term, applied.scheduled_compact), (Some(1), Some(1), None));
        assert_eq!((checked.records.members, checked.records.alarms.len()), (restored.members.clone(), 2));
        let log = wal::summary(&restored.wal_dir).unwrap();
        assert!(log.broken.is_none() && log.last == Some(1) && log.valid_snapshot().unwrap().index == 1);
        assert_eq!(log.metadata.map(|own| (own.member, own.cluster)), Some((restored.member, restored.cluster)));
        let snap = Snap::read(&data.join("member/snap/0000000000000001-0000000000000001.snap")).unwrap();
        let store = OldStore::parse(&snap.store).unwrap();
        assert_eq!(store.members.iter().map(|member| member.id).collect::<Vec<_>>(), [restored.member]);
    }
    assert!(std::fs::read(&source.path).unwrap() == before);
}

#[test]
fn a_bump_counts_from_the_revision_of_the_store() {
    let home = tempfile::tempdir().unwrap();
    for (keys, rewrite) in [(0, false), (0, true), (3, false), (100, false), (100, true)] {
        let spec = Spec {
            rewrite,
            bump_revision: Some(1000),
            mark_compacted: true,
            ..spec(&home.path().join(format!("{keys}{rewrite}")))
        };
        let restored = made(&snapshot(keys), &spec).unwrap();
        assert_eq!((restored.revision_before, restored.revision), (keys + 5, keys + 1005));
        let checked = findings(&restored.db);
        assert_eq!(checked.span.last, Some(Rev { main: keys + 1005, sub: 0 }));
        assert_eq!(
            (checked.span.compacted(), checked.figures.unwrap().changes),
            (Some(keys + 1005), keys.cast_unsigned() + 1)
        );
    }
}

#[test]
fn another_version_and_alarms_that_are_left_out() {
    let source = snapshot(3);
    let home = tempfile::tempdir().unwrap();
    let of = |minor: u32, alarms| {
        let data = home.path().join(format!("{minor}{alarms:?}"));
        let restored = made(&source, &Spec { target_version: Some(Version::new(3, minor, 0)), alarms, ..spec(&data) });
        let restored = restored.unwrap();
        let records = findings(&restored.db).records;
        (
            records.applied.storage_version,
            records.cluster_version.unwrap(),
            records.downgrade,
            records.alarms.len(),
            (restored.alarms_kept, restored.alarms_dropped),
        )
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(of(5, Alarms::None), (None, text("3.5.0"), None, 0, (0, 2)));
    assert_eq!(of(6, Alarms::Known), (Some(text("3.6.0")), text("3.6.0"), None, 1, (1, 1)));
    assert_eq!(of(7, Alarms::All), (Some(text("3.7.0")), text("3.7.0"), None, 2, (2, 0)));
}

#[test]
fn what_cannot_be_made_is_told_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (data, wal) = (home.path().join("data"), home.path().join("wal"));
    let source = snapshot(3);
    let plain = spec(&data);
    let no_sum = on_disk(&fixture::file(&buckets(3)));
    let whole = std::fs::read(&source.path).unwrap();
    let cut = on_disk(&whole[..whole.len() - 1]);
    let mut flipped = whole;
    flipped[3000] ^= 1;
    let flipped = on_disk(&flipped);
    // One bit of the bucket `meta`, without which nothing can be planned.
    let mut early = std::fs::read(&source.path).unwrap();
    let at = early.windows(4).position(|window| window == b"meta").unwrap();
    early[at + 20] ^= 1;
    let early = on_disk(&early);
    // A page that says that it is another one, in a file whose sum is not looked at.
    let mut broken = fixture::file(&buckets(100));
    broken[2048] ^= 1;
    let broken = on_disk(&broken);
    let taken = home.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("member"), "").unwrap();
    let skip = Spec { skip_hash_check: true, ..plain.clone() };
    let anew = Spec { rewrite: true, ..plain.clone() };
    let bump = |bump_revision, mark_compacted| Spec { bump_revision, mark_compacted, ..plain.clone() };
    let refused = [
        made(&source, &bump(Some(0), true)),
        made(&source, &bump(Some(1), false)),
        made(&source, &bump(None, true)),
        made(&source, &bump(Some(1 << 63), true)),
        made(&source, &Spec { target_version: Some(Version::new(3, 4, 0)), ..plain.clone() }),
        made(&source, &Spec { data_dir: taken.clone(), ..plain.clone() }),
        made(&source, &Spec { wal_dir: Some(taken.clone()), ..plain.clone() }),
        made(&source, &Spec { wal_dir: Some(data.join("member/wal")), ..plain.clone() }),
        made(&source, &Spec { data_dir: taken.join("member/data"), ..plain.clone() }),
        made(&source, &Spec { wal_dir: Some(taken.join("member/wal")), ..plain.clone() }),
        made(&no_sum, &plain),
        made(&cut, &plain),
        made(&flipped, &plain),
        made(&flipped, &anew),
        made(&early, &plain),
        made(&broken, &skip),
        made(&broken, &Spec { rewrite: true, wal_dir: Some(wal), ..skip.clone() }),
    ];
    let told = crate::tests::shown(refused.map(Result::unwrap_err));
    let told = told.replace(&home.path().display().to_string(), "HOME");
    let told = told.lines().map(|line| match line.find("test.db") {
        Some(at) => format!("{}: PATH/{}\n", line.split(": ").next().unwrap(), &line[at..]),
        None => format!("{line}\n"),
    });
    insta::assert_snapshot!(told.collect::<String>(), @"
    invalid_argument (bump_revision): the argument bump_revision is 0, which raises nothing
      help: give bump_revision with a number above 0 and mark_compacted, or neither
    invalid_argument (mark_compacted): the argument mark_compacted is missing: who watches would not be told that revisions are gone
      help: give bump_revision with a number above 0 and mark_compacted, or neither
    invalid_argument (mark_compacted): the argument mark_compacted is given without bump_revision
      help: give bump_revision with a number above 0 and mark_compacted, or neither
    invalid_argument (bump_revision): revision 8 cannot be raised by 9223372036854775808: a store that begins so high has no room left
      help: a bump of 1000000000 is enough for every cluster that is in use
    invalid_argument (target_version): the argument target_version is 3.4.0, and a database can be made for 3.5.0, 3.6.0, 3.7.0
      help: 3.4 starts with what is made for 3.5
    file_exists (data_dir): HOME/taken is not empty: there is member
      help: name a folder that is empty or not there; move the data of an old member aside first
    file_exists (wal_dir): HOME/taken exists already
      help: name a folder that is not there; move the log of an old member aside first
    invalid_argument (wal_dir): the WAL dir can lie in HOME/data only beside its folder member
      help: leave wal_dir out to have the log in the data dir
    file_failed (data_dir): cannot create HOME/taken/member/data
      because: Not a directory (os error 20)
      help: no file was left
    file_failed (wal_dir): cannot create HOME/taken/member/wal
      because: Not a directory (os error 20)
      help: no file was left
    sha256_missing (skip_hash_check): PATH/test.db: it has no SHA-256 at its end, so nothing tells whether its values are as they were
      help: a member's own file or a copy of it has none; `snapshot save` makes one that has; give skip_hash_check to take it all the same
    length_odd: PATH/test.db: it has 3103 bytes: no whole number of its pages of 1024 bytes, nor that and a SHA-256 of 32; with its data and one it would have 3104, so it was cut or added to
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    sha256_mismatch: PATH/test.db: its SHA-256 is 6a9116988118919d54c11e60f95368a612fe3617a1b6abae3ed716f0d77ca9d5, and it should be 3d7c9b23e27c182f9898b26b440f12dda7761bc7b29abb388c2dedc09219f170: it was damaged or changed
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    sha256_mismatch: PATH/test.db: its SHA-256 is 6a9116988118919d54c11e60f95368a612fe3617a1b6abae3ed716f0d77ca9d5, and it should be 3d7c9b23e27c182f9898b26b440f12dda7761bc7b29abb388c2dedc09219f170: it was damaged or changed
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    sha256_mismatch: PATH/test.db: its SHA-256 is 0d8e87dc0c94239ab58735574a99d8545ee17bb4378c9cf90407f3b9b1e6d81c, and it should be 3d7c9b23e27c182f9898b26b440f12dda7761bc7b29abb388c2dedc09219f170: it was damaged or changed
      help: use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it
    page_damaged: PATH/test.db, bucket key, page 2, byte 2048: it says that it is page 3
    page_damaged: PATH/test.db, bucket key, page 2, byte 2048: it says that it is page 3
    ");
    assert_eq!(tree(home.path()), ["taken 755 0", "taken/member 644 0"]);
    assert!(made(&no_sum, &skip).is_ok());
    assert!(made(&cut, &Spec { data_dir: home.path().join("cut"), ..skip.clone() }).is_ok());
}

#[test]
fn one_that_is_stopped_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let source = snapshot(100);
    for rewrite in [true, false] {
        let image = Image::open(&source.path).unwrap();
        let spec = Spec { rewrite, ..spec(&home.path().join("data")) };
        image.control().stop();
        assert_eq!(restore(&image, &spec).unwrap_err().code(), "interrupted");
        assert_eq!(tree(home.path()), Vec::<String>::new());
    }
}

#[test]
fn room_is_looked_for_for_all_members_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(has_room(folder.path(), 3, 1).is_ok());
    let error = has_room(folder.path(), 3, 1 << 60).unwrap_err();
    assert_eq!(error.code(), "disk_full");
}
