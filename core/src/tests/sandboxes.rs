//! What a sandbox, and a file of ours, cannot do.

use std::io;
use std::path::PathBuf;

use super::shown;
use crate::file::BadFile;
use crate::sandbox::SandboxError;

fn refused() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

#[test]
fn of_sandboxes() {
    let (name, member, path) = ("dev".to_owned(), "infra2".to_owned(), PathBuf::from("/s/dev"));
    let unknown = |known: &str| SandboxError::Unknown { name: "dve".to_owned(), known: known.to_owned() };
    let no_member = |suggestion: Option<&str>| SandboxError::NoMember {
        sandbox: "dev".to_owned(),
        member: "infra22".to_owned(),
        suggestion: suggestion.map(str::to_owned),
        known: "infra1, infra2".to_owned(),
    };
    let not_found = |wanted: Option<&str>, found: &[&str]| SandboxError::EtcdNotFound {
        wanted: wanted.map(str::to_owned),
        found: found.iter().map(|version| (*version).to_owned()).collect(),
    };
    let ended = |exit_code: Option<i64>| SandboxError::Ended {
        member: "infra2".to_owned(),
        exit_code,
        lines: vec!["panic: tocommit(9)".to_owned(), "goroutine 1".to_owned()],
        log: PathBuf::from("/s/dev/infra2.log"),
    };
    let not_json = serde_json::from_str::<bool>("{").unwrap_err();
    let errors = [
        SandboxError::Exists { name: name.clone() },
        unknown(""),
        unknown("dev, prod"),
        no_member(None),
        no_member(Some("infra2")),
        not_found(None, &[]),
        not_found(Some("3.9"), &["3.5.35", "3.6.16"]),
        SandboxError::EtcdUnusable { path: path.clone(), problem: "it does not start: no such file".to_owned() },
        ended(None),
        ended(Some(2)),
        SandboxError::Survived { member: member.clone(), how: "its data are gone", seconds: 20 },
        SandboxError::State { member: member.clone(), state: "running", help: "stop it first" },
        SandboxError::HasData { member: member.clone(), path: path.clone() },
        SandboxError::NoQuorum { member, healthy: 1, voters: 3, quorum: 2 },
        SandboxError::Busy { name },
        SandboxError::Io { what: "make the folder /s".to_owned(), source: refused() },
        SandboxError::Certificate { source: rcgen::Error::CouldNotParseKeyPair },
        SandboxError::Unreadable { path, source: not_json },
    ];
    insta::assert_snapshot!(shown(errors.map(Into::into)), @r#"
    sandbox_exists (name): there is a sandbox named "dev" already
      help: `sandbox list` shows it, `sandbox restart` starts one that was kept, and `sandbox stop` removes it
    sandbox_not_found (name): there is no sandbox named "dve"
      help: `sandbox start` makes one
    sandbox_not_found (name): there is no sandbox named "dve"
      help: the sandboxes are dev, prod
    member_not_found (member): no member of the sandbox "dev" is named "infra22"; the members are infra1, infra2
    member_not_found (member): no member of the sandbox "dev" is named "infra22"; the members are infra1, infra2
      help: did you mean infra2?
    etcd_not_found (etcd): no etcd was found
      help: `cargo xtask setup` builds it, or name folders that hold it in ETCDSH_ETCD_DIR
    etcd_not_found (etcd): no etcd 3.9 was found; there are 3.5.35, 3.6.16
      help: `cargo xtask setup` builds it, or name folders that hold it in ETCDSH_ETCD_DIR
    etcd_unusable (etcd): /s/dev cannot be used as etcd: it does not start: no such file
      help: give a version such as 3.6, or the path of an etcd
    sandbox_member_ended: infra2 ended; the end of its log /s/dev/infra2.log:
    panic: tocommit(9)
    goroutine 1
      help: if its data are lost, it comes back as a new member: `member remove`, `member add`, `sandbox wipe`, `sandbox join`, `member promote`
    sandbox_member_ended: infra2 ended with exit code 2; the end of its log /s/dev/infra2.log:
    panic: tocommit(9)
    goroutine 1
      help: if its data are lost, it comes back as a new member: `member remove`, `member add`, `sandbox wipe`, `sandbox join`, `member promote`
    sandbox_member_survived: infra2 kept running for 20 s although its data are gone
    sandbox_state (member): infra2 is running
      help: stop it first
    sandbox_state (member): infra2 has a data dir already: /s/dev
      help: `sandbox wipe` moves it aside, so that the member starts empty
    no_quorum (member): without infra2, 1 of 3 voters would be healthy; quorum needs 2
      help: start the other members, or make a sandbox with more of them
    sandbox_busy (name): another command works on the sandbox "dev"
      help: wait until it is done
    sandbox_failed: cannot make the folder /s
      because: permission denied
    sandbox_failed: cannot make a certificate
      because: Could not parse key pair
    sandbox_failed: /s/dev does not hold the state of a sandbox
      because: invalid type: map, expected a boolean at line 1 column 0
      help: end its processes by hand, and remove its folder
    "#);
}

#[test]
fn of_files() {
    let path = PathBuf::from("/b/backup.db");
    let io = |kind: io::ErrorKind| BadFile::Io { doing: "write", path: "/b/backup.db".into(), source: kind.into() };
    let (announced, found) = ("aa11".to_owned(), "bb22".to_owned());
    let errors = [
        BadFile::NotAFile { path: path.clone() },
        BadFile::Exists { path: path.clone() },
        BadFile::Full { path: path.clone(), needed: 500, free: 20 },
        io(io::ErrorKind::PermissionDenied),
        io(io::ErrorKind::StorageFull),
        BadFile::NameUnsure { path, source: refused() },
        BadFile::Short { got: 10, announced: 20 },
        BadFile::NoTrailer { size: 511 },
        BadFile::Checksum { announced, found },
    ];
    insta::assert_snapshot!(shown(errors.map(Into::into)), @r"
    invalid_argument (path): /b/backup.db is not the path of a file
      help: give the path of a file in an existing folder
    file_exists (path): /b/backup.db exists already
      help: choose another name, or give force to replace it
    disk_full (path): /b/backup.db does not fit: it needs 500 bytes, and 20 are free
      help: make room, or choose another disk; no file was left
    file_failed (path): cannot write /b/backup.db
      because: permission denied
      help: no file was left
    disk_full (path): cannot write /b/backup.db
      because: no storage space
      help: no file was left
    file_failed (path): /b/backup.db is whole, but its folder cannot be flushed
      because: permission denied
      help: the file is there, but a power cut may take it away; copy it to another disk
    snapshot_cut: the snapshot ended after 10 of 20 bytes
      help: no file was left; try again, from another member if it happens again
    snapshot_corrupt: 511 bytes are not the size of a snapshot: its SHA-256 is missing at the end
      help: no file was left; take it from another member, and check this one's disk
    snapshot_corrupt: the snapshot is damaged: its SHA-256 should be aa11 and is bb22
      help: no file was left; take it from another member, and check this one's disk
    ");
}
