//! Disks that fail while a snapshot is saved.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use etcdsh_tests::hostile::wire::Snapshot;
use etcdsh_tests::hostile::{Hostile, Step, send, snapshot};
use etcdsh_tests::{Caller, Said, program, until};
use tokio::sync::Notify;

use crate::failing::{files, redacted};

/// Saves a snapshot, and prints what it failed with.
const SCRIPT: &str = r#"
    try {
        etcd.snapshot_save("out/backup.db");
        print("no failure");
    } catch (e) {
        print(`${e.code}: ${e.message}`);
        print(`  because: ${e.causes}`);
        print(`  help: ${e.hint}`);
    }
"#;

/// Returns a server with a snapshot of six pieces of 32 kB, which waits after the first.
fn waiting() -> (Hostile, Arc<Notify>) {
    const PIECE: usize = 32 * 1024;
    let server = Hostile::new();
    let go_on = Arc::new(Notify::new());
    let piece = |remaining: usize| Snapshot { remaining: remaining as u64, blob: vec![7; PIECE], ..Default::default() };
    let mut steps: Vec<Step> = (0..6).rev().map(|left| send(&piece(left * PIECE))).collect();
    let sha = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[7; 6 * PIECE]);
    steps.push(send(&Snapshot { blob: sha.as_ref().to_vec(), ..Default::default() }));
    steps.insert(1, Step::Hold(Arc::clone(&go_on)));
    server.answer("Snapshot", steps);
    (server, go_on)
}

fn etcdsh(server: &Hostile) -> Vec<String> {
    let words = [
        program("etcdsh").to_str().unwrap(),
        "--endpoints",
        &format!("http://127.0.0.1:{}", server.port),
        "eval",
        SCRIPT,
    ]
    .map(str::to_owned);
    words.into()
}

/// Runs a program of this machine, unless it is not there or not allowed to do what it is for.
fn can(what: &str, probe: &[&str]) -> bool {
    let done = Command::new(probe[0]).args(&probe[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = done.is_ok_and(|status| status.success());
    if !can {
        eprintln!("NOT TESTED: {what}, because `{}` does not work here", probe.join(" "));
    }
    can
}

fn out(caller: &Caller) -> std::path::PathBuf {
    let out = caller.home().join("out");
    std::fs::create_dir(&out).unwrap();
    out
}

#[test]
fn a_disk_that_fills_up_meanwhile_leaves_no_file() {
    // A disk of its own, in a name space of its own, which is gone with the process.
    if !can("a full disk", &["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]) {
        return;
    }
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    out(&caller);
    let (server, go_on) = waiting();
    let fill = r#"
        mount -t tmpfs -o size=512k none out || exit 90
        "$@" & saving=$!
        until ls out/*.part >/dev/null 2>&1 && [ -s out/*.part ]; do kill -0 $saving || exit 91; done
        head -c 600000 /dev/zero > out/fill 2>/dev/null
        echo full > full
        wait $saving
        ls -A out
    "#;
    let mut command = caller.shells().command("unshare".into());
    command.args(["-rm", "sh", "-c", fill, "sh"]).args(etcdsh(&server));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let full = caller.home().join("full");
    until("the disk is full", || if full.exists() { Ok(()) } else { Err("it is not".to_owned()) });
    go_on.notify_one();
    let said = Said::within(child, std::time::Duration::from_secs(20));
    insta::assert_snapshot!(said.out, @r#"
    disk_full: cannot write [home]/out/backup.db.[random].part
      because: ["No space left on device (os error 28)"]
      help: no file was left
    fill
    "#);
}

#[test]
fn a_file_that_may_not_grow_is_removed() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let out = out(&caller);
    let (server, go_on) = waiting();
    go_on.notify_one();
    let mut command = caller.shells().command("sh".into());
    // Blocks of 512 bytes; without the trap the system would kill whoever writes more.
    command.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"]).args(etcdsh(&server));
    let said = Said::by(&mut command);
    assert_eq!(files(&out), [""; 0], "{said:?}");
    insta::assert_snapshot!(said.out, @r#"
    disk_full: cannot write [home]/out/backup.db.[random].part
      because: ["File too large (os error 27)"]
      help: no file was left
    "#);
}

#[test]
fn a_disk_that_does_not_keep_what_it_was_given_is_no_success() {
    if !can("a failing fsync", &["strace", "-o", "/dev/null", "true"]) {
        return;
    }
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let out = out(&caller);
    let server = Hostile::new();
    server.answer("Snapshot", snapshot().iter().map(send));
    let run = |fault: &str| {
        let mut command = caller.shells().command("strace".into());
        let log = caller.home().join("strace.log");
        command.args(["-f", "-qq", "-o", log.to_str().unwrap(), "-e", "trace=fsync,renameat2", "-e"]);
        let said = Said::by(command.arg(format!("inject={fault}")).args(etcdsh(&server)));
        assert!(injected(&log), "the fault did not fire: {said:?}");
        said.out
    };
    insta::assert_snapshot!(run("fsync:error=EIO:when=1"), @r#"
    file_failed: cannot flush [home]/out/backup.db.[random].part
      because: ["Input/output error (os error 5)"]
      help: no file was left
    "#);
    insta::assert_snapshot!(run("renameat2:error=EXDEV"), @r#"
    file_failed: cannot rename [home]/out/backup.db
      because: ["Invalid cross-device link (os error 18)"]
      help: no file was left
    "#);
    assert_eq!(files(&out), [""; 0]);
    // The file has its name by now, and only a power cut could take it away again.
    insta::assert_snapshot!(run("fsync:error=EIO:when=2"), @r#"
    file_failed: [home]/out/backup.db is whole, but its folder cannot be flushed
      because: ["Input/output error (os error 5)"]
      help: the file is there, but a power cut may take it away; copy it to another disk
    "#);
    assert_eq!(files(&out), ["backup.db"]);
}

fn injected(log: &Path) -> bool {
    std::fs::read_to_string(log).unwrap().contains("(INJECTED)")
}
