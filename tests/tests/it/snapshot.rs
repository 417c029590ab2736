//! Snapshots of real clusters.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use etcdsh_core::error::Error;
use etcdsh_core::profile::Profile;
use etcdsh_tests::{Running, row, run};
use rstest::rstest;
use serde_json::{Value as Json, json};
use std::time::Duration;

fn save(cluster: &Running, args: Json) -> Result<Json, Error> {
    cluster.call("snapshot save", args)
}

/// What a folder holds, hidden files included.
fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn sha256sum(file: &Path) -> String {
    let printed = run(Command::new("sha256sum").arg(file), "").unwrap();
    printed.split_whitespace().next().unwrap().to_owned()
}

/// What etcd's own tool says of a file; in 3.4 that is etcdctl.
fn status(cluster: &Running, file: &Path) -> Json {
    let tool = if cluster.tools.version.starts_with("3.4") { "etcdctl" } else { "etcdutl" };
    let mut tool = Command::new(cluster.tools.program(tool));
    tool.env("ETCDCTL_API", "3").args(["snapshot", "status", "-w", "json"]).arg(file);
    serde_json::from_str(&run(&mut tool, "").unwrap()).unwrap()
}

#[rstest]
fn a_snapshot_is_what_etcdutl_expects(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.settled();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.db");
    let value = "x".repeat(1 << 20);
    for n in 0..3 {
        cluster.etcdctl_reading(&["put", &format!("big/{n}")], &value).unwrap();
    }
    let saved = save(&cluster, json!({ "path": path })).unwrap();
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!(files(home.path()), ["a.db"]);
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(json!([saved["path"], saved["size"], saved["sha256"]]), json!([path, file.len(), sha256sum(&path)]));
    let theirs = status(&cluster, &path);
    assert_eq!((&saved["revision"], &theirs["revision"]), (&json!(4), &json!(4)), "{theirs}");
    assert!(theirs["totalKey"].as_i64().unwrap() >= 3, "{theirs}");
    let told = matches!(version, "3.6" | "3.7");
    assert_eq!(saved["version"], if told { format!("{version}.0") } else { cluster.tools.version.clone() });
    assert_eq!(
        theirs["version"].as_str().unwrap_or_default(),
        if told { saved["version"].as_str().unwrap() } else { "" }
    );

    // It was taken from a member that does not lead, unless another one is named.
    let members = cluster.call("member list", json!({})).unwrap();
    let from = row(&members, saved["member"].as_str().unwrap());
    assert_eq!((&from["is_leader"], &from["member_id"]), (&json!(false), &saved["member_id"]));
    let leader = cluster.leader();
    let named = save(&cluster, json!({ "path": home.path().join("b.db"), "member": leader })).unwrap();
    assert_eq!(named["member"], leader);
    // A relative path starts in the caller's folder.
    let relative = save(&cluster, json!({ "path": "c.db" })).unwrap();
    assert_eq!(relative["path"], json!(cluster.places.absolute("c.db")));

    // What is there stays, unless it is to be replaced.
    cluster.etcdctl(&["put", "one", "more"]);
    let error = save(&cluster, json!({ "path": path })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("file_exists", Some("path")), "{error:?}");
    assert_eq!(sha256sum(&path), saved["sha256"]);
    let forced = save(&cluster, json!({ "path": path, "force": true })).unwrap();
    assert_eq!((forced["revision"].as_i64(), forced["sha256"].as_str()), (Some(5), Some(&*sha256sum(&path))));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(status(&cluster, &path)["revision"], 5);
    assert_eq!(files(home.path()), ["a.db", "b.db"]);
}

#[rstest]
fn a_snapshot_that_cannot_be_taken_leaves_nothing(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.db");
    let fails = |args: Json| {
        let error = save(&cluster, args).unwrap_err();
        assert_eq!(files(home.path()), [""; 0], "{error:?}");
        (error.code(), error.argument().map(str::to_owned))
    };
    let of = |code, argument: &str| (code, Some(argument.to_owned()));
    assert_eq!(fails(json!({ "path": home.path().join("missing/a.db") })), of("file_failed", "path"));
    assert_eq!(fails(json!({ "path": path, "member": "infra9" })), of("member_not_found", "member"));
    let [dead, frozen] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let leader = cluster.leader();
    cluster.kill(&[&dead]);
    assert_eq!(fails(json!({ "path": path, "member": dead })), of("member_unfit", "member"));
    // The one that is left of the two that do not lead.
    let other = home.path().join("b.db");
    assert_eq!(save(&cluster, json!({ "path": other })).unwrap()["member"], frozen);
    std::fs::remove_file(other).unwrap();

    // Without a quorum nobody is known to be up to date; a member that is named gives what it has.
    cluster.kill(&[&frozen]);
    let profile = Profile { timeout: Duration::from_secs(2), ..cluster.profile() };
    let error = cluster.call_with(&profile, "snapshot save", json!({ "path": path })).unwrap_err();
    assert_eq!((error.code(), files(home.path())), ("no_quorum", vec![]), "{error:?}");
    let saved = cluster.call_with(&profile, "snapshot save", json!({ "path": path, "member": leader })).unwrap();
    assert_eq!((&saved["member"], saved["sha256"].as_str()), (&json!(leader), Some(&*sha256sum(&path))));
    assert_eq!(files(home.path()), ["a.db"]);
}
