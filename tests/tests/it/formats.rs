//! The readers of etcd's files, beside etcd's own tools and its servers.

use std::path::{Path, PathBuf};
use std::process::Command;

use etcdsh_core::error::Fault;
use etcdsh_core::format::bolt::Image;
use etcdsh_core::format::check::check;
use etcdsh_core::format::figures::figures;
use etcdsh_core::format::hashkv::hashkv;
use etcdsh_core::format::wal;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, run};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// Starts one member with keys, leases, users, large values and deletions, and returns its newest revision.
pub(crate) fn filled(version: &str) -> Option<(Running, i64)> {
    let cluster = Running::start(version, Options { members: 1, ..Options::default() })?;
    for round in 0..3 {
        for key in 0..20 {
            cluster.etcdctl(&["put", &format!("k/{key:03}"), &format!("value {round}")]);
        }
        cluster.etcdctl(&["del", &format!("k/00{round}")]);
    }
    cluster.etcdctl_reading(&["put", "large"], &"x".repeat(200_000)).unwrap();
    let granted = cluster.etcdctl(&["lease", "grant", "3600"]);
    let lease = granted.split_whitespace().nth(1).unwrap();
    cluster.etcdctl(&["put", "leased", "v", "--lease", lease]);
    cluster.etcdctl(&["role", "add", "ops"]);
    cluster.etcdctl(&["role", "grant-permission", "ops", "readwrite", "a", "b"]);
    cluster.etcdctl(&["user", "add", "bob:secret"]);
    cluster.etcdctl(&["user", "grant-role", "bob", "ops"]);
    let revision = hash_of(&cluster, 0)["header"]["revision"].as_i64().unwrap();
    Some((cluster, revision))
}

fn hash_of(cluster: &Running, revision: i64) -> Json {
    let printed = cluster.etcdctl(&["endpoint", "hashkv", "--rev", &revision.to_string(), "-w", "json"]);
    serde_json::from_str::<Json>(&printed).unwrap()[0]["HashKV"].clone()
}

pub(crate) fn saved(cluster: &Running, name: &str) -> PathBuf {
    let path = cluster.home().join(name);
    cluster.call("snapshot save", json!({ "path": path })).unwrap();
    path
}

/// What etcd's own tool says of a file; in 3.4 that is etcdctl.
pub(crate) fn status(cluster: &Running, file: &Path) -> Option<Json> {
    let tool = if cluster.tools.version.starts_with("3.4") { "etcdctl" } else { "etcdutl" };
    let mut tool = Command::new(cluster.tools.program(tool));
    tool.env("ETCDCTL_API", "3").args(["snapshot", "status", "-w", "json"]).arg(file);
    run(&mut tool, "").ok().map(|printed| serde_json::from_str(&printed).unwrap())
}

#[rstest]
fn figures_and_hashes_are_those_of_etcd(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some((cluster, revision)) = filled(version) else { return };
    let compacted = revision / 2;
    let before = (saved(&cluster, "before.db"), vec![0, revision - 1, revision - 3, compacted]);
    let hashes = |revisions: &[i64]| revisions.iter().map(|at| (*at, hash_of(&cluster, *at))).collect::<Vec<_>>();
    let told_before = hashes(&before.1);
    cluster.etcdctl(&["compact", &compacted.to_string(), "--physical"]);
    let after = (saved(&cluster, "after.db"), vec![0, revision - 1, compacted + 3, compacted + 1]);
    let told_after = hashes(&after.1);

    for ((path, _), told) in [(before, told_before), (after, told_after)] {
        let theirs = status(&cluster, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let image = Image::open(&path).unwrap();
        let (ours, records) = figures(&image).unwrap();
        let counted = if matches!(version, "3.4" | "3.5") { ours.rows } else { ours.keys };
        let ours = json!([ours.hash, ours.revision, counted, ours.size]);
        assert_eq!(ours, json!([theirs["hash"], theirs["revision"], theirs["totalKey"], theirs["totalSize"]]));
        assert_eq!((records.users.len(), records.roles.len(), records.leases), (1, 1, 1));
        let checked = check(&image).unwrap();
        assert!(checked.findings.is_empty(), "{:?}", checked.findings);
        for (at, theirs) in told {
            let ours = hashkv(&image, Some(at).filter(|at| *at > 0), None).unwrap();
            assert_eq!(json!(ours.hash), theirs["hash"], "{at}: {ours:?} {theirs}");
            assert_eq!(theirs["compact_revision"].as_i64(), Some(ours.compacted.unwrap_or(-1)));
        }
        drop(image);
        assert!(std::fs::read(&path).unwrap() == bytes, "reading changed the file");
    }
    let image = Image::open(&cluster.home().join("after.db")).unwrap();
    let code = |at| hashkv(&image, Some(at), None).unwrap_err().code();
    assert_eq!((code(compacted - 1), code(revision + 1)), ("compacted", "future_revision"));
}

#[rstest]
fn a_flipped_bit_that_etcds_tool_accepts_is_refused(#[values("3.5", "3.6", "3.7")] version: &str) {
    let Some((cluster, _)) = filled(version) else { return };
    let path = saved(&cluster, "flipped.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let value = bytes.windows(100).position(|window| window == [b'x'; 100]).unwrap();
    bytes[value] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(status(&cluster, &path).is_some());
    let image = Image::open(&path).unwrap();
    assert_eq!(figures(&image).unwrap_err().code(), "sha256_mismatch");
    assert!(!check(&image).unwrap().is_sound());
}

#[rstest]
fn a_log_is_read_after_its_member_was_killed(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some((cluster, _)) = filled(version) else { return };
    let member = cluster.sandbox.members().unwrap().remove(0);
    let printed = cluster.etcdctl(&["endpoint", "status", "-w", "json"]);
    let status = serde_json::from_str::<Json>(&printed).unwrap()[0]["Status"].clone();
    assert_eq!(Image::open(&member.data_dir().join("member/snap/db")).unwrap_err().code(), "file_in_use");
    cluster.kill(&[member.name()]);

    let log = wal::summary(&member.data_dir().join("member/wal")).unwrap();
    let broken = log.broken.as_ref().map(Fault::code);
    assert!(matches!(broken, None | Some("log_torn")), "{:?}", log.broken);
    let metadata = log.metadata.unwrap();
    assert_eq!(json!(metadata.member.0), status["header"]["member_id"]);
    assert_eq!(json!(metadata.cluster.0), status["header"]["cluster_id"]);
    assert!(log.last >= status["raftIndex"].as_u64(), "{log:?}");
    let image = Image::open(&member.data_dir().join("member/snap/db")).unwrap();
    let checked = check(&image).unwrap();
    assert!(checked.is_sound(), "{:?}", checked.findings);
    // Not the commit: from 3.6 on that is written without being flushed, and a killed member has applied more than its log says.
    assert!(checked.records.applied.consistent_index <= log.last);
}
