//! The scripts that make backups and rehearse a restore with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use etcdsh_tests::{Running, run};
use rstest::rstest;
use serde_json::json;

use super::{script, text};

/// The snapshots in a folder.
fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "db")).collect()
}

#[rstest]
fn a_backup_is_made_and_a_restore_rehearsed_with_it(
    #[values("3.4", "3.5", "3.6", "3.7")] version: &str,
    #[values("nu", "rhai")] language: &str,
) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.etcdctl(&["put", "a", "1"]);
    let quorum = cluster.call("quorum", json!({})).unwrap();
    let folder = cluster.home().join("backups");
    let (backup, drill) = (format!("backup.{language}"), format!("drill.{language}"));
    let words = [folder.to_str().unwrap()];
    let said = |name: &str, dry: bool, args: &[&str]| {
        let output = script(&cluster, name, dry, args);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };

    assert!(said(&backup, true, &words).ends_with("dry run: nothing was saved\n"));
    assert!(!folder.exists());

    let first = said(&backup, false, &words);
    let [path] = snapshots(&folder).try_into().unwrap();
    let begins = format!("{}-2", quorum["cluster_id"].as_str().unwrap());
    assert!(path.file_name().unwrap().to_str().unwrap().starts_with(&begins), "{}", path.display());
    let sum = run(Command::new("sha256sum").arg(&path), "").unwrap();
    let expected = [path.to_str().unwrap(), sum.split(' ').next().unwrap(), "backups of this cluster in the folder: 1"];
    assert!(expected.iter().all(|part| first.contains(part)), "{first}: {expected:?}");

    // The rules are those that are given.
    let only = ["--keep-last=1", "--keep-hourly=0", "--keep-daily=0", "--keep-weekly=0", "--keep-monthly=0"];
    let args = [&words[..], &only[..]].concat();
    let dry = said(&backup, true, &args);
    assert!(dry.contains(&format!("would be removed: {}", path.display())), "{dry}");
    assert_eq!(snapshots(&folder), std::slice::from_ref(&path));
    let second = said(&backup, false, &args);
    assert!(second.contains(&format!("removed: {}", path.display())), "{second}");
    let [path] = snapshots(&folder).try_into().unwrap();

    let dry = said(&drill, true, &words);
    assert!(dry.contains(path.to_str().unwrap()) && dry.ends_with("dry run: nothing was started\n"), "{dry}");
    let done = said(&drill, false, &words);
    assert!(done.contains("ok hash: expected") && done.ends_with("the rehearsal went well\n"), "{done}");
    let sandboxes = cluster.call("sandbox list", json!({})).unwrap();
    assert!(!sandboxes.to_string().contains("drill-"), "{sandboxes}");

    // What is damaged fails, and what is not there; what is beside it, of another cluster, is rehearsed all the same.
    let (id, name) = (quorum["cluster_id"].as_str().unwrap(), path.file_name().unwrap().to_str().unwrap());
    let other = path.with_file_name(name.replace(id, "abc"));
    std::fs::copy(&path, &other).unwrap();
    let note = std::fs::read_to_string(path.with_extension("json")).unwrap().replace(id, "abc");
    std::fs::write(other.with_extension("json"), note).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for folder in [words[0], "/none/such", cluster.home().to_str().unwrap()] {
        let output = script(&cluster, &drill, false, &[folder]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(folder), "{}", text(&output));
        let rehearsed = folder == words[0];
        assert_eq!(text(&output).contains("ok hash: expected"), rehearsed, "{}", text(&output));
    }
}

#[rstest]
fn a_lost_cluster_is_made_again(
    #[values(("3.4", "rhai"), ("3.5", "nu"), ("3.6", "nu"), ("3.7", "rhai"))] (version, language): (&str, &str),
) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.etcdctl(&["put", "kept", "1"]);
    let folder = cluster.home().join("backups");
    cluster.call("backup run", json!({ "folder": folder })).unwrap();
    cluster.etcdctl(&["put", "lost", "1"]);
    let name = format!("restore-cluster.{language}");
    let said = |dry: bool, args: &[&str]| {
        let output = script(&cluster, &name, dry, args);
        (output.status.code(), text(&output))
    };
    let folder = folder.to_str().unwrap();
    // A cluster that serves is left alone.
    for dry in [true, false] {
        let (code, refused) = said(dry, &[folder]);
        assert!(code == Some(1) && refused.contains("serves its clients"), "{refused}");
    }
    cluster.kill(&["infra1", "infra3"]);
    let (code, dry) = said(true, &[folder, "--scrub-alarms", "--target-version", &version.replace("3.4", "3.5")]);
    assert!(code == Some(0) && dry.ends_with("dry run: nothing was changed\n"), "{dry}");
    let (code, done) = said(false, &[folder]);
    let hashed = if version == "3.4" { "not compared hash: expected" } else { "ok hash: expected" };
    assert!(code == Some(0) && done.contains(hashed) && done.ends_with(" serves\n"), "{done}");
    assert_eq!(done.matches(": restored, old data in ").count(), 3, "{done}");
    let get = |key: &str| cluster.etcdctl(&["get", key, "--print-value-only"]);
    assert_eq!((get("kept").trim(), get("lost").trim()), ("1", ""));
    let (code, none) = said(false, &[folder, "--at", "2020-01-01T00:00:00Z"]);
    assert!(code == Some(1) && none.contains("there is no sound backup in"), "{none}");
}
