//! A member whose disk is slow: it is waited for, and nothing is lost.
#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use etcdsh_core::event::Event;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::{MATRIX, Running, Turn, side_by_side, until};
use serde_json::json;

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, pids, start, told};

/// An etcd whose disk is slow whenever this system call is made, as a program of its own. The tracer is a grandchild, so that the
/// process is still etcd.
fn slow_etcd(folder: &Path, etcd: &Path, call: &str, delay: Duration) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("strace"));
    let strace = found.find(|path| path.exists()).expect("strace is missing: run `cargo xtask setup`");
    let (script, trace) = (folder.join("slow-etcd"), folder.join("trace"));
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in --version) exec '{etcd}' --version;; esac\n\
         exec '{strace}' -D -f -qq -A -e signal=none -e trace={call} -e inject={call}:delay_enter={delay} -o '{trace}' '{etcd}' \"$@\"\n",
        etcd = etcd.display(),
        strace = strace.display(),
        trace = trace.display(),
        delay = delay.as_micros(),
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_member_with_a_slow_disk_is_waited_for() {
    side_by_side(MATRIX, waits);
}

/// Starts a cluster in which the disk of infra2 is slow, with the file in which each delay is written down.
fn with_a_slow_disk(turn: Turn, folder: &Path, call: &str, delay: Duration) -> (Running, PathBuf) {
    let tools = etcdsh_tests::etcd(turn.version).unwrap();
    let slow = slow_etcd(folder, &tools.program("etcd"), call, delay);
    let only = MemberOptions { etcd: Some(slow.to_string_lossy().into_owned()), ..MemberOptions::default() };
    let only = BTreeMap::from([("infra2".to_owned(), only)]);
    (start(turn.version, Options { only, ..turn.options }), folder.join("trace"))
}

/// Says how often something was slowed down.
fn delayed(trace: &Path) -> usize {
    std::fs::read_to_string(trace).unwrap_or_default().matches("(DELAYED)").count()
}

fn waits(turn: Turn) {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, trace) = with_a_slow_disk(turn, folder.path(), "fdatasync", Duration::from_millis(200));
    healthy(&cluster, 3);
    let before = (pids(&cluster), ids(&cluster));
    let calls = [
        ("rolling-restart", json!({ "settle": "1s" })),
        ("defrag", json!({})),
        ("member replace", json!({ "member": "infra2", "allow": ["member_healthy"] })),
    ];
    for (operation, args) in calls {
        let (slowed, start) = (delayed(&trace), Instant::now());
        let report =
            cluster.call(operation, args).unwrap_or_else(|error| panic!("{} {:?}", describe(&error), error.report()));
        assert_eq!(report["ok"], true, "{report}");
        let slowed = delayed(&trace).saturating_sub(slowed);
        eprintln!("{operation} with a slow disk: {:?}, {slowed} times slowed down", start.elapsed());
        assert!(slowed > 0, "{operation}: the disk was not slow");
        healthy(&cluster, 3);
    }
    let after = (pids(&cluster), ids(&cluster));
    assert!(after.0.iter().all(|(name, pid)| before.0[name] != *pid), "{before:?} {after:?}");
    assert_ne!(after.1["infra2"], before.1["infra2"]);
}

/// Writes many small values, so that the database has many pages.
fn pages(cluster: &Running) {
    let value = "x".repeat(2_000);
    for batch in 0..8 {
        let puts: String = (0..100).map(|number| format!("put page/{batch}/{number:03} {value}\n")).collect();
        cluster
            .etcdctl_reading(&["--command-timeout=30s", "--dial-timeout=30s", "txn"], &format!("\n{puts}\n\n"))
            .unwrap();
    }
}

#[test]
fn a_long_defragmentation_goes_on_although_the_leader_dies() {
    side_by_side(MATRIX, long_defragmentation);
}

/// While a member copies its database it serves nothing, so with the leader gone there is no quorum until it has done so.
fn long_defragmentation(turn: Turn) {
    let (folder, version) = (tempfile::tempdir().unwrap(), turn.version);
    let (cluster, trace) = with_a_slow_disk(turn, folder.path(), "pwrite64", Duration::from_millis(20));
    healthy(&cluster, 3);
    pages(&cluster);
    if cluster.leader() == "infra2" {
        cluster.call("leader move", json!({})).unwrap();
    }
    let (intent, begun) = mpsc::channel();
    let (waited, start) = (Cell::new(0), Instant::now());
    let (cluster, trace) = (&cluster, &trace);
    let (ended, killed) = std::thread::scope(|scope| {
        let kill = scope.spawn(move || {
            begun.recv().ok()?;
            let slowed = delayed(trace);
            until("the database is being copied", || match delayed(trace) - slowed {
                pages if pages > 20 => Ok(()),
                pages => Err(format!("{pages} pages were written")),
            });
            let leader = cluster.leader();
            cluster.kill(&[&leader]);
            Some(leader)
        });
        let events = |event: &Event| match event {
            Event::Intent { .. } => intent.send(()).unwrap(),
            Event::Waiting { what, .. } if what.contains("has copied its database") => waited.set(waited.get() + 1),
            _ => {}
        };
        let ended = told(cluster, "defrag", json!({ "members": ["infra2"], "wait": "30s" }), &events);
        drop(intent);
        (ended, kill.join().unwrap().expect("it was begun"))
    });
    let report = ended.unwrap_or_else(|error| panic!("{version}: {} {:?}", describe(&error), error.report()));
    let (waited, took) = (waited.get(), start.elapsed());
    eprintln!("{version}: {killed} was killed, what is awaited was told {waited} times in {took:?}");
    assert_eq!((&report["ok"], &report["steps"][0]["outcome"]), (&json!(true), &json!("done")), "{report}");
    assert!(waited > 0, "nobody was told what is awaited");
    // Another member must not go away now, and says so before it is asked.
    let other = ["infra1", "infra3"].into_iter().find(|name| *name != killed).unwrap();
    let refused = cluster.call("defrag", json!({ "members": [other] })).unwrap_err();
    assert_eq!(refused.code(), "others_unhealthy", "{}", describe(&refused));
    cluster.call("sandbox restart", json!({ "member": killed })).unwrap();
    healthy(cluster, 3);
    cluster.call("defrag", json!({ "members": [other] })).unwrap();
}
