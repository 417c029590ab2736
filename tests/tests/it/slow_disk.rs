//! A member whose disk is slow: it is waited for, and nothing is lost.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::{MATRIX, Turn, side_by_side};
use serde_json::json;

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, pids, start};

/// An etcd whose disk is slow, as a program of its own. The tracer is a grandchild, so that the process is still etcd.
fn slow_etcd(cluster_home: &std::path::Path, etcd: &std::path::Path, trace: &std::path::Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("strace"));
    let strace = found.find(|path| path.exists()).expect("strace is missing: run `cargo xtask setup`");
    let script = cluster_home.join("slow-etcd");
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in --version) exec '{etcd}' --version;; esac\n\
         exec '{strace}' -D -f -qq -A -e signal=none -e trace=fdatasync -e inject=fdatasync:delay_enter=200000 -o '{trace}' '{etcd}' \"$@\"\n",
        etcd = etcd.display(),
        strace = strace.display(),
        trace = trace.display(),
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_member_with_a_slow_disk_is_waited_for() {
    side_by_side(MATRIX, waits);
}

fn waits(turn: Turn) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let tools = etcdsh_tests::etcd(turn.version).unwrap();
    let slow = slow_etcd(folder.path(), &tools.program("etcd"), &trace);
    let only = MemberOptions { etcd: Some(slow.to_string_lossy().into_owned()), ..MemberOptions::default() };
    let only = BTreeMap::from([("infra2".to_owned(), only)]);
    let cluster = start(turn.version, Options { only, ..turn.options });
    healthy(&cluster, 3);
    let delayed = || std::fs::read_to_string(&trace).unwrap_or_default().matches("(DELAYED)").count();
    let before = (pids(&cluster), ids(&cluster));
    let calls = [
        ("rolling-restart", json!({ "settle": "1s" })),
        ("defrag", json!({})),
        ("member replace", json!({ "member": "infra2", "allow": ["member_healthy"] })),
    ];
    for (operation, args) in calls {
        let (slowed, start) = (delayed(), Instant::now());
        let report =
            cluster.call(operation, args).unwrap_or_else(|error| panic!("{} {:?}", describe(&error), error.report()));
        assert_eq!(report["ok"], true, "{report}");
        let slowed = delayed().saturating_sub(slowed);
        eprintln!("{operation} with a slow disk: {:?}, {slowed} times slowed down", start.elapsed());
        assert!(slowed > 0, "{operation}: the disk was not slow");
        healthy(&cluster, 3);
    }
    let after = (pids(&cluster), ids(&cluster));
    assert!(after.0.iter().all(|(name, pid)| before.0[name] != *pid), "{before:?} {after:?}");
    assert_ne!(after.1["infra2"], before.1["infra2"]);
}
