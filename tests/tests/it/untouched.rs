//! Files that are given to be read are opened for nothing else, and are the same afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcdsh_core::card::Target;
use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Said, program};
use serde_json::json;

use crate::at_rest::{filled, saved};

/// Everything below some paths: when it was changed, and what is in it.
fn content(paths: &[&Path]) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut left: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let mut content = BTreeMap::new();
    while let Some(path) = left.pop() {
        let modified = path.metadata().unwrap().modified().unwrap();
        let bytes = if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        content.insert(path, (modified, bytes));
    }
    content
}

/// Returns a script that does everything that can be done with a snapshot and a stopped member's data dir; those operations that read
/// in place of a cluster are taken from the catalogue.
fn script(snapshot: &Path, data_dir: &Path, made: &Path) -> String {
    let reading = CATALOGUE.iter().filter(|entry| entry.card.target == Target::ClusterOrFile);
    let reading = reading.map(|entry| {
        let key = if ["get", "history"].contains(&entry.card.name) { "\"/k/07/x\"" } else { "" };
        format!("    all(db.{}({key}));\n", entry.card.name.replace(' ', "_"))
    });
    let reading: String = reading.collect();
    assert!(reading.lines().count() > 8, "{reading}");
    let sources = [snapshot, data_dir, made].map(|path| format!("{:?}", path.display().to_string())).join(", ");
    format!(
        r#"fn all(answer) {{ if type_of(answer) == "Rows" {{ answer.to_array() }} else {{ answer }} }}
let given = [{sources}];
let snapshot = given[0]; let data_dir = given[1]; let made = given[2];
for db in [open_db(snapshot), open_db(data_dir), open_db(data_dir + "/member/snap/db")] {{
{reading}}}
etcd.snapshot_status(snapshot);
etcd.snapshot_verify(snapshot, #{{ against: data_dir }});
etcd.snapshot_verify(data_dir, #{{ against: snapshot }});
etcd.snapshot_diff(snapshot, data_dir);
all(etcd.snapshot_diff_keys(snapshot, data_dir));
etcd.snapshot_restore(snapshot, #{{ data_dir: made + "/1" }});
etcd.snapshot_restore(snapshot, #{{ data_dir: made + "/2", rewrite: true, bump_revision: 5, mark_compacted: true }});
etcd.snapshot_restore(data_dir + "/member/snap/db", #{{ data_dir: made + "/3", skip_hash_check: true }});
etcd.snapshot_restore_plan(snapshot);
etcd.snapshot_restore_plan(snapshot, #{{ data_dirs: made + "/4" }});
etcd.wal_list(data_dir);
print("done");
"#
    )
}

#[test]
fn what_is_read_is_not_written_to() {
    let cluster = filled("3.6", Options::default());
    let snapshot = saved(&cluster, "whole.db");
    let member = cluster.sandbox.members().unwrap().remove(0);
    cluster.kill(&[member.name()]);
    let (data_dir, made) = (member.data_dir(), cluster.home().join("made"));
    fs::create_dir(&made).unwrap();
    let before = content(&[&snapshot, &data_dir]);

    let log = cluster.home().join("strace.log");
    let mut command = cluster.command("strace".into());
    command.args(["-f", "-qq", "-o", log.to_str().unwrap(), "-e", "trace=%file"]);
    let said = Said::by(command.arg(program("etcdsh")).args(["eval", &script(&snapshot, &data_dir, &made)]));
    assert_eq!(said.out, "done\n", "{said:?}");
    cluster.call("snapshot drill", json!({ "file": snapshot, "etcd": cluster.tools.folder })).unwrap();
    assert!(content(&[&snapshot, &data_dir]) == before, "a file is another one");

    let log = fs::read_to_string(&log).unwrap();
    let ours = [&snapshot, &data_dir].map(|path| format!("\"{}", path.display()));
    let of_ours = |line: &&str| !line.contains(" execve(") && ours.iter().any(|path| line.contains(path));
    let calls: Vec<&str> = log.lines().filter(of_ours).collect();
    let is_reading = |line: &str| {
        let call = line.split_whitespace().nth(1).unwrap_or_default().split('(').next().unwrap_or_default();
        let looks = ["stat", "lstat", "statx", "newfstatat", "readlink", "access", "getxattr", "statfs"];
        looks.contains(&call)
            || (["open", "openat"].contains(&call) && line.contains("O_RDONLY") && !line.contains("O_CREAT"))
    };
    let opened = calls.iter().filter(|line| line.contains("O_RDONLY")).count();
    let others: Vec<_> = calls.iter().filter(|line| !is_reading(line)).collect();
    assert!(opened > 30 && others.is_empty(), "{opened} times opened, and {others:#?}");
}
