//! Files in place of a cluster: what an operation reads out of a snapshot is what it reads from the cluster that it was taken of.

use std::path::{Path, PathBuf};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, Said, column as cells, program, side_by_side};
use serde_json::{Value as Json, json};

use crate::failing::describe;

/// One member with all that a file can hold.
pub(crate) fn filled(version: &str, options: Options) -> Running {
    let cluster = Running::start(version, Options { members: 1, ..options }).unwrap();
    fill(&cluster);
    cluster
}

/// Writes keys with a history, a lease, a user and a role.
pub(crate) fn fill(cluster: &Running) {
    for round in 0..3 {
        for key in 0..20 {
            cluster.etcdctl(&["put", &format!("/k/{key:02}/x"), &format!("value {round}")]);
        }
        cluster.etcdctl(&["del", &format!("/k/{round:02}/x")]);
    }
    cluster.etcdctl(&["put", "/k/big", "a longer value than the others have"]);
    let granted = cluster.etcdctl(&["lease", "grant", "3600"]);
    let lease = granted.split_whitespace().nth(1).unwrap();
    cluster.etcdctl(&["put", "/leased/a", "v", "--lease", lease]);
    cluster.etcdctl(&["role", "add", "ops"]);
    cluster.etcdctl(&["role", "grant-permission", "ops", "readwrite", "/k/", "--prefix=true"]);
    cluster.etcdctl(&["role", "grant-permission", "ops", "read", "a", "c"]);
    cluster.etcdctl(&["user", "add", "bob:secret"]);
    cluster.etcdctl(&["user", "grant-role", "bob", "ops"]);
}

/// Returns a column as words.
fn column(table: &Json, name: &str) -> Vec<String> {
    cells(table, name).into_iter().map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn saved(cluster: &Running, name: &str) -> PathBuf {
    let path = cluster.home().join(name);
    cluster.call("snapshot save", json!({ "path": path })).unwrap();
    path
}

/// Sets columns to null that only a file, or only a cluster, can tell.
fn without(mut rows: Json, columns: &[&str]) -> Json {
    for row in rows.as_array_mut().unwrap() {
        for column in columns {
            row[*column] = Json::Null;
        }
    }
    rows
}

#[test]
fn a_snapshot_answers_as_its_cluster_did() {
    side_by_side(MATRIX, |turn| {
        let cluster = filled(turn.version, turn.options);
        let file = saved(&cluster, "whole.db");
        let caller = &cluster.caller;
        let both = |name: &str, args: Json| {
            let live = cluster.call(name, args.clone()).unwrap_or_else(|error| panic!("{name}: {}", describe(&error)));
            let at_rest =
                caller.call_on(&file, name, args).unwrap_or_else(|error| panic!("{name}: {}", describe(&error)));
            (live, at_rest)
        };
        for (name, args, untold) in [
            ("keys", json!({}), &[][..]),
            ("keys", json!({ "prefix": "/k/1", "limit": 3, "keys_only": true }), &[]),
            ("keys", json!({ "from": "/k/05", "revision": 30 }), &[]),
            ("keys", json!({ "prefix": "/nothing" }), &[]),
            ("alarm list", json!({}), &[]),
            ("member list", json!({}), &["is_leader"]),
            ("role list", json!({}), &[]),
            ("user list", json!({}), &["has_password"]),
            ("lease list", json!({}), &["remaining"]),
            ("usage", json!({ "depth": 1 }), &["old_revisions", "old_size", "tombstones", "revisions_per_key"]),
            ("usage", json!({ "depth": 0 }), &["old_revisions", "old_size", "tombstones", "revisions_per_key"]),
        ] {
            let (live, at_rest) = both(name, args.clone());
            assert_eq!(without(live, untold), without(at_rest, untold), "{name} {args}");
        }
        for args in
            [json!({ "key": "/k/07/x" }), json!({ "key": "/k/07/x", "revision": 20 }), json!({ "key": "/k/02/x" })]
        {
            let (live, at_rest) = both("get", args.clone());
            assert_eq!(live, at_rest, "{args}");
        }
        let (live, at_rest) = both("hash", json!({}));
        let told = |report: &Json| ["hash", "compact_revision"].map(|column| report["members"][0][column].clone());
        assert_eq!((told(&live), &live["revision"]), (told(&at_rest), &at_rest["revision"]), "{at_rest}");
        for name in ["keys", "get", "hash"] {
            let args =
                if name == "get" { json!({ "key": "x", "revision": 9999 }) } else { json!({ "revision": 9999 }) };
            let error = caller.call_on(&file, name, args).unwrap_err();
            assert_eq!((error.code(), error.argument()), ("future_revision", Some("revision")), "{}", describe(&error));
        }
        verified(&cluster, &file);
        compared(&cluster, &file);
        stopped(&cluster);
    });
}

/// What a file is said to be: alone, beside the cluster, beside another, and when it was damaged.
fn verified(cluster: &Running, file: &Path) {
    let verify = |args: Json| cluster.call("snapshot verify", args).unwrap();
    let sound = verify(json!({ "file": file, "live": true }));
    assert_eq!(
        (&sound["verdict"], column(&sound["findings"], "code").concat().as_str()),
        (&json!("sound"), "same_history"),
        "{sound}"
    );
    let status = cluster.call("snapshot status", json!({ "file": file })).unwrap();
    for column in ["hash", "revision", "total_keys", "size", "version"] {
        assert_eq!(sound[column], status[column], "{column}");
    }
    cluster.etcdctl(&["put", "/k/new", "v"]);
    cluster.etcdctl(&["compact", "40"]);
    let newer = saved(cluster, "newer.db");
    let codes = |report: &Json| column(&report["findings"], "code").join(" ");
    let behind = verify(json!({ "file": file, "live": true, "against": newer }));
    assert_eq!((&behind["verdict"], codes(&behind).as_str()), (&json!("sound"), "behind behind"), "{behind}");
    let ahead = verify(json!({ "file": newer, "against": file }));
    assert_eq!((&ahead["verdict"], codes(&ahead).as_str()), (&json!("usable"), "ahead"), "{ahead}");
    let mut bytes = std::fs::read(file).unwrap();
    let value = bytes.windows(7).position(|window| window == b"value 2").unwrap();
    bytes[value] ^= 1;
    let flipped = cluster.home().join("flipped.db");
    std::fs::write(&flipped, bytes).unwrap();
    let damaged = verify(json!({ "file": flipped, "live": true }));
    let told = "sha256_mismatch not_compared";
    assert_eq!((&damaged["ok"], codes(&damaged).as_str()), (&json!(false), told), "{damaged}");
    let error = cluster.call("snapshot status", json!({ "file": flipped })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("sha256_mismatch", Some("file")), "{}", describe(&error));
    for args in [json!({ "a": file, "b": flipped }), json!({ "a": flipped, "live": true })] {
        let error = cluster.call("snapshot diff", args.clone()).unwrap_err();
        let side = if args["live"] == true { "a" } else { "b" };
        assert_eq!((error.code(), error.argument()), ("sha256_mismatch", Some(side)), "{}", describe(&error));
    }
    salvaged(cluster, &flipped);
}

/// A damaged file is read by whoever says so, and by nobody else.
fn salvaged(cluster: &Running, flipped: &Path) {
    let error = cluster.caller.call_on(flipped, "keys", json!({})).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("sha256_mismatch", Some("db")), "{}", describe(&error));
    let flipped = flipped.display();
    let nu = |flags: &str| cluster.nu(&format!("etcd keys --db {flipped} {flags} --prefix /k/ | length"));
    assert!(nu("").err.contains("sha256_mismatch"));
    let read = nu("--skip-hash-check");
    assert_eq!(read.out.trim(), "20", "{}", read.err);
    let rhai = |flags: &[&str], script: String| {
        let mut command = cluster.command(program("etcdsh"));
        Said::by(command.arg("eval").args(flags).arg(script))
    };
    let keys = "keys(#{ prefix: \"/k/\" }).to_array().len()";
    assert!(rhai(&[], format!("open_db(\"{flipped}\").{keys}")).err.contains("sha256_mismatch"));
    assert_eq!(rhai(&[], format!("open_db(\"{flipped}\", #{{ skip_hash_check: true }}).{keys}")).out.trim(), "20");
    assert_eq!(rhai(&["--db", &flipped.to_string(), "--skip-hash-check"], format!("etcd.{keys}")).out.trim(), "20");
}

/// What a file differs in: from the cluster, from another file, and from itself at another revision.
fn compared(cluster: &Running, file: &Path) {
    cluster.etcdctl(&["put", "/k/03/x", "other"]);
    cluster.etcdctl(&["put", "/k/04/x", "value 2"]);
    cluster.etcdctl(&["del", "/k/05/x"]);
    let newest = saved(cluster, "newest.db");
    let expected = [("/k/03/x", "changed"), ("/k/04/x", "touched"), ("/k/05/x", "removed"), ("/k/new", "added")];
    for args in [json!({ "a": file, "live": true }), json!({ "a": file, "b": newest })] {
        let keys = cluster.call("snapshot diff keys", args.clone()).unwrap();
        let (names, kinds) = (column(&keys, "key"), column(&keys, "kind"));
        let found: Vec<_> = names.iter().map(String::as_str).zip(kinds.iter().map(String::as_str)).collect();
        assert_eq!(found, expected, "{keys}");
        let report = cluster.call("snapshot diff", args).unwrap();
        let counts = ["added", "removed", "changed", "touched"].map(|kind| report[kind].as_i64().unwrap());
        assert_eq!(
            (counts, &report["same"], &report["diverged_revision"]),
            ([1, 1, 1, 1], &json!(false), &Json::Null),
            "{report}"
        );
        assert_eq!(column(&report["prefixes"], "prefix").len(), 4, "{report}");
    }
    let below = cluster.call("snapshot diff keys", json!({ "a": file, "b": newest, "prefix": "/k/03" })).unwrap();
    assert_eq!(
        (column(&below, "value_a").concat(), column(&below, "value_b").concat()),
        ("value 2".to_owned(), "other".to_owned())
    );
    let same = cluster.call("snapshot diff", json!({ "a": newest, "live": true })).unwrap();
    assert_eq!((&same["same"], &same["revision_a"]), (&json!(true), &same["revision_b"]), "{same}");
    let itself = cluster.call("snapshot diff", json!({ "a": newest, "revision_a": 45 })).unwrap();
    assert_eq!(itself["revision_b"], same["revision_b"], "{itself}");
}

/// A member's own data dir is read when it is stopped, and not before; its log too.
fn stopped(cluster: &Running) {
    let member = cluster.sandbox.members().unwrap().remove(0);
    let folder = member.data_dir();
    let error = cluster.caller.call_on(&folder, "keys", json!({})).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("file_in_use", Some("db")), "{}", describe(&error));
    let keys = cluster.call("keys", json!({})).unwrap();
    let ids = cluster.call("member list", json!({})).unwrap();
    cluster.kill(&[member.name()]);
    // What it had applied a moment ago is in its log in any case, and in its database as far as that was written.
    let at_rest = cluster.caller.call_on(&folder, "keys", json!({ "prefix": "/k/1" })).unwrap();
    assert_eq!(at_rest.as_array().unwrap().len(), 10, "{keys} {at_rest}");
    let verified = cluster.call("snapshot verify", json!({ "file": folder })).unwrap();
    assert_eq!((&verified["ok"], &verified["verdict"]), (&json!(true), &json!("usable")), "{verified}");
    let codes = column(&verified["findings"], "code");
    assert!(
        codes.iter().all(|code| ["sha256_missing", "log_torn", "compaction_unfinished"].contains(&code.as_str())),
        "{verified}"
    );
    let wal = std::fs::read_dir(folder.join("member/wal")).unwrap().map(|file| file.unwrap().path());
    let wal = wal.filter(|path| path.extension().is_some_and(|end| end == "wal")).max().unwrap();
    for (path, told) in [(&wal, "is a file, and no folder"), (&folder.join("nothere"), "is not there")] {
        let error = cluster.call("wal list", json!({ "folder": path })).unwrap_err();
        let expected = format!("not_a_folder: {} {told}\n", path.display());
        assert!(describe(&error).starts_with(&expected), "{}", describe(&error));
    }
    let log = cluster.call("wal list", json!({ "folder": folder })).unwrap();
    assert_eq!(log["member_id"], ids[0]["member_id"], "{log}");
    assert!(column(&log["entries"], "kind").contains(&"put".to_owned()) && log["first_index"] == 1, "{log}");
    std::fs::write(&wal, b"").unwrap();
    let log = cluster.call("wal list", json!({ "folder": folder })).unwrap();
    let place = (&log["broken"]["code"], &log["broken"]["offset"]);
    assert_eq!(place, (&json!("log_damaged"), &json!(0)), "{log}");
}

#[test]
fn a_file_of_another_cluster_is_whole_and_not_of_this_one() {
    side_by_side(MATRIX, |turn| {
        let options = || Options { members: 1, tls: false, ..Options::default() };
        let (one, other) =
            (Running::start(turn.version, options()).unwrap(), Running::start(turn.version, options()).unwrap());
        for round in 0..5 {
            one.etcdctl(&["put", "/k", &format!("one {round}")]);
            other.etcdctl(&["put", "/k", &format!("other {round}")]);
        }
        let told = |report: &Json| {
            (report["ok"] == true, report["verdict"].clone(), column(&report["findings"], "code").join(" "))
        };
        let (ours, theirs) = (saved(&one, "ours.db"), saved(&other, "theirs.db"));
        for args in [json!({ "file": theirs, "live": true }), json!({ "file": theirs, "against": ours })] {
            let report = one.call("snapshot verify", args).unwrap();
            assert_eq!(told(&report), (false, json!("other"), "other_cluster".to_owned()), "{report}");
        }
        // Right after a compaction to the newest revision members tell a hash that goes by the compaction before.
        one.etcdctl(&["compact", &one.view().unwrap().revision().unwrap().to_string()]);
        let edge = saved(&one, "edge.db");
        let report = one.call("snapshot verify", json!({ "file": edge, "live": true })).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        let finding =
            report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "not_comparable").unwrap();
        let revision = report["revision"].as_i64().unwrap();
        let expected = format!(
            "it cannot be compared with the cluster: they have revision {revision} in common, and one is compacted"
        );
        assert!(finding["message"].as_str().unwrap().starts_with(&expected), "{report}");
        assert_eq!(finding["severity"], "info", "{report}");
    });
}

#[test]
fn both_faces_read_files() {
    let cluster = filled("3.6", Options::default());
    let file = saved(&cluster, "b.db");
    let told = [
        json!({ "a": file }),
        json!({ "a": file, "b": file, "live": true }),
        json!({ "a": file, "b": file, "revision_a": 0 }),
        json!({ "a": file, "b": file, "depth": -1 }),
        json!({ "a": file, "b": file, "separator": "" }),
    ]
    .map(|args| format!("{}\n", describe(&cluster.call("snapshot diff", args).unwrap_err())));
    insta::assert_snapshot!(told.concat(), @"
    invalid_argument: the argument b is missing
        help: give a second file, or live for the cluster, or revision_a or revision_b for one file at two revisions
        argument: b
    invalid_argument: the argument b is given together with live
        help: give one of them
        argument: b
    invalid_argument: the argument revision_a must be 1 or more
        help: leave it out for the newest
        argument: revision_a
    invalid_argument: the argument depth is negative
        help: give 0 or more
        argument: depth
    invalid_argument: the argument separator is empty
        help: give what stands between the parts of a key
        argument: separator
    ");
    let file = file.display();
    let nu = |pipeline: String| cluster.nu(&format!("{pipeline} | to json --raw")).json();
    let keys = nu(format!("etcd keys --db {file} --prefix /k/ | get key"));
    assert_eq!(keys.as_array().unwrap().len(), 20, "{keys}");
    assert_eq!(nu(format!("etcd snapshot verify {file} | get verdict")), "sound");
    let rhai = |flags: &[&str], expression: &str| {
        let mut command = cluster.command(program("etcdsh"));
        Said::by(command.args(["eval", "-o", "json"]).args(flags).arg(expression)).json()
    };
    let expression = format!(
        "let db = open_db(\"{file}\"); [db.keys(#{{prefix: \"/k/\"}}).to_array().len(), db.user_list()[0].name, db.to_string()]"
    );
    assert_eq!(rhai(&[], &expression), json!([20, "bob", format!("file {file}")]));
    let ambient = rhai(&["--db", &file.to_string()], "etcd.get(\"/k/07/x\").value");
    assert_eq!(ambient, "value 2");
}
