//! How a run ends that is not let go to its end: by a signal, or because nobody reads what it writes.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use etcdsh_tests::{Running, driver};
use rstest::rstest;

use super::{Folder, cluster, etcdsh, folder};

/// Starts a program, and waits until it has printed a line.
fn begun(command: &mut Command) -> (Child, Instant) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    (child, Instant::now())
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn signals_end_a_script_within_a_second_on_a_frozen_cluster() {
    use rustix::process::Signal;
    let cluster = cluster(1);
    let member = cluster.sandbox.member("infra1").unwrap();
    driver().block_on(member.pause()).unwrap();
    let waiting = [
        "etcd.member_list()",
        "etcd.keys().to_array()",
        "sleep(600)",
        "loop {}",
        "run([\"sleep\", \"600\"])",
        "loop { try { sleep(\"10min\") } catch { } }",
    ];
    for endless in waiting {
        for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let script = format!("print(\"begun\"); {endless}; print(\"went on\")");
            let (child, start) = begun(&mut etcdsh(&cluster, &["--timeout", "60s", "eval", &script]));
            signal(&child, sent);
            let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            assert!(start.elapsed() < Duration::from_secs(1), "{endless}: {:?}", start.elapsed());
            assert_eq!(status.code(), Some(code), "{endless}: {err}");
            assert!(err.contains("error: interrupted") && !out.contains("went on"), "{endless}: {out} {err}");
        }
    }
    driver().block_on(member.resume()).unwrap();
}

#[test]
fn what_became_of_a_change_is_told_when_its_closure_is_interrupted() {
    use rustix::process::Signal;
    let cluster = Running::three("3.6").unwrap();
    let script = "etcd.rolling_restart(|m| { print(\"begun\"); sleep(600) })";
    let (child, _) = begun(&mut etcdsh(&cluster, &["eval", "--profile", "sandbox", script]));
    signal(&child, Signal::INT);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(130), "{err}");
    for told in [
        "rolling-restart stopped after 0 of ",
        "code: interrupted",
        "change resume ",
        "restart_member infra",
        "skipped",
    ] {
        assert!(err.contains(told), "{told}: {err}");
    }
}

#[rstest]
fn a_reader_that_has_seen_enough_ends_the_script(folder: Folder) {
    let (mut child, _) = begun(&mut folder.etcdsh(&["eval", "loop { print(\"more\") }"]));
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8_lossy(&stderr).as_ref()), (Some(141), ""));
}

#[cfg(target_os = "linux")]
#[rstest]
#[case(&["eval", "print(1)"])]
#[case(&["eval", "[1]"])]
#[case(&["run", "a.rhai"])]
#[case(&["docs"])]
fn output_that_gets_lost_is_a_failure(folder: Folder, #[case] args: &[&str]) {
    folder.write("a.rhai", "\u{feff}print(1);");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = folder.etcdsh(args);
    let Output { status, stderr, .. } =
        command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(err.starts_with("error: cannot write the output: No space left"), "{err}");
}
