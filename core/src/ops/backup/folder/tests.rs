use super::*;
use crate::tests::shown;

const CLUSTER: ClusterId = ClusterId(0xabc);

fn time(second: u32) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("2026-11-27T12:30:{second:02}Z")).unwrap().to_utc()
}

/// Makes a backup of a second.
fn made(folder: &Path, second: u32) -> Backup {
    let turn = Turn::take(folder, CLUSTER).unwrap();
    let draft = turn.begin(time(second)).unwrap();
    std::fs::write(draft.snapshot(), b"snapshot").unwrap();
    draft.finish(&turn, Note { size: 8, ..Note::of_nothing(CLUSTER, time(second)) }).unwrap()
}

/// The names in a folder, without the lock.
fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

#[test]
fn a_backup_comes_whole_and_goes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new/folder");
    let backup = made(&folder, 1);
    assert_eq!(names(&folder), ["abc-20261127T123001Z.db", "abc-20261127T123001Z.json"]);
    // A second of which there are several.
    let (second, third) = (made(&folder, 1), made(&folder, 1));
    assert_eq!(second.path.file_name().unwrap(), "abc-20261127T123001Z_2.db");
    let found = read(&folder).unwrap();
    assert_eq!((found.backups, found.flawed), (vec![third.clone(), second.clone(), backup.clone()], vec![]));
    let turn = Turn::take(&folder, CLUSTER).unwrap();
    [&backup, &backup, &second, &third].iter().for_each(|backup| turn.remove(backup).unwrap());
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn what_comes_later_in_a_second_is_newer_whatever_was_removed_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..11).map(|_| made(folder.path(), 1)).collect();
    Turn::take(folder.path(), CLUSTER).unwrap().remove(&all[0]).unwrap();
    let last = made(folder.path(), 1);
    assert_eq!(last.path.file_name().unwrap(), "abc-20261127T123001Z_12.db");
    let newest_first: Vec<_> = all[1..].iter().chain([&last]).rev().cloned().collect();
    assert_eq!(read(folder.path()).unwrap().backups, newest_first);
}

#[test]
fn a_run_that_is_killed_anywhere_leaves_what_the_next_one_takes_away() {
    let (folder, stem) = (tempfile::tempdir().unwrap(), "abc-20261127T123001Z");
    let whole = made(folder.path(), 0);
    let whole =
        [whole.path.clone(), note_of(&whole.path)].map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    // In the order in which they come to be there, and go: each of them may be the last that a run did.
    let points: [&[&str]; 6] = [
        &["db.unfinished.0123456789abcdef.part"],
        &["db.unfinished"],
        &["db.unfinished", "json.part"],
        &["db.unfinished", "json"],
        &["db.unfinished", "json", "json.part"],
        &["db.unfinished", "db.unfinished.0123456789abcdef.part", "json"],
    ];
    for left in points {
        for end in left {
            std::fs::write(folder.path().join(format!("{stem}.{end}")), b"{}").unwrap();
        }
        // Others' are not touched.
        let other = folder.path().join("abd-20261127T123001Z.db.unfinished");
        std::fs::write(&other, b"x").unwrap();
        let found = read(folder.path()).unwrap();
        assert_eq!((found.backups.len(), found.flawed), (1, vec![]), "{left:?}");
        let turn = Turn::take(folder.path(), CLUSTER).unwrap();
        let mut swept = turn.sweep().unwrap();
        swept.sort();
        assert_eq!(swept.len(), left.iter().filter(|end| end.starts_with("db")).count(), "{swept:?}");
        assert!(other.exists());
        std::fs::remove_file(other).unwrap();
        assert_eq!(names(folder.path()), whole, "{left:?}");
        assert_eq!(turn.sweep().unwrap(), [""; 0]);
    }
}

#[test]
fn what_fails_on_the_way_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let turn = Turn::take(folder.path(), CLUSTER).unwrap();
    let draft = turn.begin(time(1)).unwrap();
    std::fs::write(draft.snapshot(), b"x").unwrap();
    drop(draft);
    // The note cannot be written where a folder has its name.
    let draft = turn.begin(time(1)).unwrap();
    std::fs::write(draft.snapshot(), b"x").unwrap();
    std::fs::create_dir(folder.path().join("abc-20261127T123001Z.json")).unwrap();
    assert!(draft.finish(&turn, Note::of_nothing(CLUSTER, time(1))).is_err());
    std::fs::remove_dir(folder.path().join("abc-20261127T123001Z.json")).unwrap();
    assert_eq!(names(folder.path()), ["abc-20261127T123001Z.db.unfinished", "abc-20261127T123001Z.json.part"]);
    assert_eq!(turn.sweep().unwrap(), ["abc-20261127T123001Z.db.unfinished"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn one_run_at_a_time_writes_for_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let turn = Turn::take(folder.path(), CLUSTER).unwrap();
    assert!(turn.is_locked());
    let error = Turn::take(folder.path(), CLUSTER).err().unwrap();
    assert_eq!((error.code(), error.argument(), error.retryable()), ("backup_in_progress", Some("folder"), true));
    drop(Turn::take(folder.path(), ClusterId(7)).unwrap());
    drop(turn);
    Turn::take(folder.path(), CLUSTER).unwrap();
}

#[test]
fn what_only_looks_like_a_backup_is_told_and_what_is_anothers_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let backup = made(folder.path(), 9);
    let note = std::fs::read_to_string(note_of(&backup.path)).unwrap();
    let write = |name: &str, db: &str, note: Option<&str>| {
        std::fs::write(path(&format!("{name}.db")), db).unwrap();
        note.into_iter().for_each(|note| std::fs::write(path(&format!("{name}.json")), note).unwrap());
    };
    write("abc-20261127T123001Z", "snapshot", None);
    write("abc-20261127T123002Z", "snapshot", Some("{\"form\": 1, \"time\""));
    write("abc-20261127T123003Z", "snapshot", Some(&note.replace("\"form\": 1", "\"form\": 2")));
    write("abc-20261127T123004Z", "snap", Some(&note));
    write("abc-20261127T123005Z", "snapshot", Some("{\"form\": 1}"));
    write("mine", "x", None);
    write("package", "x", Some("{\"name\": \"package\"}"));
    write("abc-2026", "x", Some("{}"));
    std::fs::create_dir(path("abc-20261127T123006Z.db")).unwrap();
    std::fs::write(path("abc-20261127T123007Z.json"), &note).unwrap();
    // One that is coming, or going.
    std::fs::write(path("abc-20261127T123008Z.json"), &note).unwrap();
    std::fs::write(path("abc-20261127T123008Z.db.unfinished"), b"snapshot").unwrap();
    let fifo = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(CWD, path("abc-20261127T123010Z.db"), fifo.0, fifo.1, 0).unwrap();
    std::os::unix::fs::symlink("/no/such.db", path("abc-20261127T123011Z.db")).unwrap();
    // What others call so is theirs.
    std::fs::create_dir(path("folder.db")).unwrap();
    std::os::unix::fs::symlink("/no/such.db", path("link.db")).unwrap();
    // Who gives both files another name has a backup all the same.
    write("before-upgrade", "snapshot", Some(&note));
    let found = read(folder.path()).unwrap();
    let stems: Vec<_> = found.backups.iter().map(|backup| backup.path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(stems, ["before-upgrade", "abc-20261127T123009Z"]);
    assert!(found.flawed.iter().all(|flawed| flawed.cluster_id == Some(CLUSTER)));
    let told = found
        .flawed
        .iter()
        .map(|flawed| format!("{}: {}", flawed.path.file_name().unwrap().to_string_lossy(), flawed.problem));
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    abc-20261127T123011Z.db: it is a link to what is not there
    abc-20261127T123010Z.db: it is not a file
    abc-20261127T123007Z.json: the snapshot that it is about is not beside it
    abc-20261127T123006Z.db: it is a folder
    abc-20261127T123005Z.db: its note cannot be read: missing field `time` at line 1 column 11
    abc-20261127T123004Z.db: it has 4 bytes, and its note says 8
    abc-20261127T123003Z.db: its note has form 2, and this version knows 1
    abc-20261127T123002Z.db: its note cannot be read: EOF while parsing an object at line 1 column 18
    abc-20261127T123001Z.db: it has no note beside it
    ");
    let turn = Turn::take(folder.path(), CLUSTER).unwrap();
    let before: Vec<_> = names(folder.path()).into_iter().filter(|name| !name.contains("T123008Z")).collect();
    assert_eq!(turn.sweep().unwrap(), ["abc-20261127T123008Z.db.unfinished"]);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_folder_that_cannot_be_read_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/no/such/folder", &link).unwrap();
    let errors = [
        read(&folder.path().join("none")).unwrap_err(),
        read(&file).unwrap_err(),
        Turn::take(&file, CLUSTER).err().unwrap(),
        Turn::take(&link, CLUSTER).err().unwrap(),
        Turn::take(&file.join("folder"), CLUSTER).err().unwrap(),
    ];
    let told = shown(errors).replace(&folder.path().display().to_string(), "/DIR");
    insta::assert_snapshot!(told, @r"
    file_failed (folder): cannot read /DIR/none
      because: No such file or directory (os error 2)
      help: name the folder that `backup run` writes to
    not_a_folder (folder): /DIR/file is a file, and no folder
      help: name a folder; `backup run` makes it where nothing has its name
    not_a_folder (folder): /DIR/file is a file, and no folder
      help: name a folder; `backup run` makes it where nothing has its name
    not_a_folder (folder): /DIR/link is a link to what is not there, and no folder
      help: name a folder; `backup run` makes it where nothing has its name
    file_failed (folder): cannot make /DIR/file/folder
      because: Not a directory (os error 20)
      help: name a folder that you may read and write
    ");
}

#[test]
fn names_are_read_as_they_are_written() {
    let read = |name: &'static str| Name::read(name).map(|name| (name.cluster_id.0, name.stem.len(), name.end));
    assert_eq!(read("abc-20261127T123001Z.db"), Some((0xabc, 20, "db")));
    assert_eq!(read("abc-20261127T123001Z_2.json.part"), Some((0xabc, 22, "json.part")));
    for other in [
        "abc-20261127T123001Z",
        "ABC-20261127T123001Z.db",
        "-20261127T123001Z.db",
        "abc-20261127T1230Z.db",
        "+abc-20261127T123001Z.db",
        "abc-20261327T123001Z.db",
        "abc-20261127T123001Z_x.db",
        "abc-202611270T123001Z.db",
        "a.db",
    ] {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn no_file_of_the_fuzz_corpus_is_too_much_for_a_reader_of_notes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc.db");
    let mut notes = 0;
    for (name, bytes) in crate::format::tests::corpus::files() {
        std::fs::write(note_of(&path), bytes).unwrap();
        if let Ok(read) = note::read(&path) {
            note::write(&path, &read).unwrap();
            assert_eq!(note::read(&path).unwrap(), read, "{name}");
            notes += 1;
        }
    }
    assert!(notes > 0);
}
