//! The history of a key: from real clusters, and the same from their snapshots.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use etcdsh_core::profile::{Profile, Secret, User};
use etcdsh_core::sandbox::Options;
use etcdsh_core::value::{Record, Value};
use etcdsh_tests::{MATRIX, Running, Said, calls, column, program, run, side_by_side};
use serde_json::{Value as Json, json};

use crate::at_rest::saved;
use crate::failing::describe;

/// More than a server finds for a watch at a time.
const MANY: usize = 1_100;

fn one(version: &str, options: Options) -> Running {
    Running::start(version, Options { members: 1, ..options }).unwrap()
}

fn history(cluster: &Running, key: &str) -> Json {
    cluster.call("history", json!({ "key": key })).unwrap_or_else(|error| panic!("{key}: {}", describe(&error)))
}

/// Changes as short lines.
fn lines(rows: &Json) -> Vec<String> {
    let line = |row: &Json| match row["change"].as_str().unwrap() {
        "put" => format!("{} put {} {}", row["revision"], row["version"], row["value"].as_str().unwrap()),
        other => {
            let untold = ["version", "create_revision", "value", "lease", "size"].map(|column| row[column].is_null());
            assert_eq!(untold, [true; 5], "{row}");
            format!("{} {other}", row["revision"])
        }
    };
    rows.as_array().unwrap().iter().map(line).collect()
}

/// Puts and deletes keys in one transaction.
fn transaction(cluster: &Running, operations: &str) {
    cluster.etcdctl_reading(&["txn"], &format!("\n{operations}\n\n\n")).unwrap();
}

/// Compares what a cluster and its snapshot say of keys, and returns the first one's lines.
fn alike<const N: usize>(cluster: &Running, name: &str, keys: [&str; N]) -> [Vec<String>; N] {
    let file = saved(cluster, name);
    keys.map(|key| {
        let live = history(cluster, key);
        let at_rest = cluster.caller.call_on(&file, "history", json!({ "key": key })).unwrap();
        assert_eq!(live, at_rest, "{key}");
        lines(&live)
    })
}

#[test]
fn a_history_is_all_that_happened_to_a_key() {
    side_by_side(MATRIX, |turn| {
        let cluster = one(turn.version, turn.options);
        cluster.etcdctl(&["put", "/k", "one"]);
        cluster.etcdctl(&["put", "/k", "two"]);
        cluster.etcdctl(&["put", "/other", "x"]);
        cluster.etcdctl(&["del", "/k"]);
        transaction(&cluster, "put /a 1\nput /k three\nput /z 1");
        let granted = cluster.etcdctl(&["lease", "grant", "600"]);
        let lease = granted.split_whitespace().nth(1).unwrap();
        cluster.etcdctl(&["put", "/k", "four", "--lease", lease]);
        cluster.etcdctl(&["put", "/gone", "1"]);
        transaction(&cluster, "del /gone\nput /other y\nput /z 2");
        cluster.etcdctl(&["put", "/leased", "v", "--lease", lease]);
        cluster.etcdctl(&["put", "/last", "1"]);
        let [k, gone, leased, last, never] = alike(&cluster, "a.db", ["/k", "/gone", "/leased", "/last", "/never"]);
        assert_eq!(k, ["2 put 1 one", "3 put 2 two", "5 delete", "6 put 1 three", "7 put 2 four"]);
        assert_eq!(
            (&gone[..], &leased[..]),
            (&["8 put 1 1", "9 delete"].map(str::to_owned)[..], &["10 put 1 v".to_owned()][..])
        );
        assert_eq!((last, never), (vec!["11 put 1 1".to_owned()], vec![]));
        let rows = history(&cluster, "/k");
        assert_eq!(column(&rows, "lease")[3..], [&json!(null), &json!(lease)]);
        let created = column(&rows, "create_revision").into_iter().map(Json::as_i64).collect::<Vec<_>>();
        assert_eq!(created, [Some(2), Some(2), None, Some(6), Some(6)]);

        // A lease's end deletes all of its keys at one revision.
        cluster.etcdctl(&["lease", "revoke", lease]);
        let [k, leased] = alike(&cluster, "b.db", ["/k", "/leased"]);
        assert_eq!(
            (k[4..].join(","), leased.join(",")),
            ("7 put 2 four,12 delete".to_owned(), "10 put 1 v,12 delete".to_owned())
        );
        limited(&cluster);
        compacted(&cluster);
        many(&cluster);
        binary(&cluster);
        overtaken(&cluster);
        large(&cluster);
    });
}

/// What is written while a history is read is no part of it, and what was written before is.
fn overtaken(cluster: &Running) {
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reads = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                cluster.etcdctl(&["put", "/raced", "v"]);
                written.fetch_add(1, Ordering::SeqCst);
                cluster.etcdctl(&["del", "/raced"]);
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut reads = Vec::new();
        let (mut of_deleted, mut of_living) = (0, 0);
        while of_deleted < 5 || of_living < 5 {
            let before = written.load(Ordering::SeqCst);
            let rows = lines(&history(cluster, "/raced"));
            assert!(rows.len() >= before, "{before} were written, and {} were read", rows.len());
            let is_deleted = rows.last().is_none_or(|last| last.ends_with("delete"));
            *if is_deleted { &mut of_deleted } else { &mut of_living } += 1;
            reads.push(rows);
        }
        done.store(true, Ordering::SeqCst);
        reads
    });
    let whole = lines(&history(cluster, "/raced"));
    assert_eq!(whole.len(), written.load(Ordering::SeqCst));
    assert!(reads.iter().all(|rows| whole.starts_with(rows)), "{reads:?} {whole:?}");
}

/// More than one message of a watch can hold, and more than the first reading of a file keeps.
fn large(cluster: &Running) {
    const COUNT: usize = 14;
    for number in 0..COUNT {
        cluster.etcdctl_reading(&["put", "/large"], &format!("{number} {}", "x".repeat(1_400_000))).unwrap();
    }
    cluster.etcdctl(&["put", "/large", "small"]);
    let [rows] = alike(cluster, "g.db", ["/large"]);
    assert_eq!(rows.len(), COUNT + 1);
    let begins = |(number, row): (usize, &String)| row.contains(&format!(" put {} {number} xxx", number + 1));
    assert!(rows[..COUNT].iter().enumerate().all(begins) && rows[COUNT].ends_with(" put 15 small"));
}

/// A user needs the right to read the key, and no other; but for a deleted key of an old server.
#[test]
fn a_user_reads_the_history_of_the_keys_that_are_the_users() {
    side_by_side(MATRIX, |turn| {
        let cluster = one(turn.version, Options { auth: true, ..turn.options });
        cluster.etcdctl(&["put", "/mine/gone", "1"]);
        cluster.etcdctl(&["put", "/mine/k", "1"]);
        cluster.etcdctl(&["put", "/other", "1"]);
        cluster.etcdctl(&["del", "/mine/gone"]);
        cluster.etcdctl(&["role", "add", "mine"]);
        cluster.etcdctl(&["role", "grant-permission", "mine", "read", "/mine/", "--prefix=true"]);
        cluster.etcdctl(&["user", "add", "bob:secret"]);
        cluster.etcdctl(&["user", "grant-role", "bob", "mine"]);
        let user = Some(User { name: "bob".to_owned(), password: Secret::new("secret".to_owned()) });
        let profile = Profile { user, ..cluster.profile() };
        let read = |key: &str| cluster.call_with(&profile, "history", json!({ "key": key }));
        for compacted in [false, true] {
            assert_eq!(lines(&read("/mine/k").unwrap()), ["3 put 1 1"]);
            assert_eq!(read("/other").unwrap_err().code(), "permission_denied");
            match read("/mine/gone") {
                Ok(rows) if turn.version != "3.4" && !compacted => assert_eq!(lines(&rows), ["2 put 1 1", "5 delete"]),
                Ok(rows) if turn.version != "3.4" => assert_eq!(lines(&rows), [""; 0]),
                Err(error) if turn.version == "3.4" => assert_eq!(error.code(), "permission_denied"),
                other => panic!("{other:?}"),
            }
            if !compacted {
                cluster.etcdctl(&["put", "/other", "2"]);
                cluster.etcdctl(&["compact", "6", "--physical"]);
                cluster.etcdctl(&["put", "/other", "3"]);
            }
        }
    });
}

/// The newest are those that a limit leaves.
fn limited(cluster: &Running) {
    let read = |limit: i64| cluster.call("history", json!({ "key": "/k", "limit": limit }));
    for (limit, expected) in [(0, ""), (1, "12 delete"), (2, "7 put 2 four,12 delete")] {
        assert_eq!(lines(&read(limit).unwrap()).join(","), expected);
    }
    assert_eq!(read(99).unwrap(), history(cluster, "/k"));
    // A key that lives, in its second life.
    cluster.etcdctl(&["put", "/lives", "1"]);
    cluster.etcdctl(&["del", "/lives"]);
    for value in ["2", "3", "4"] {
        cluster.etcdctl(&["put", "/lives", value]);
    }
    let whole = history(cluster, "/lives");
    let whole = whole.as_array().unwrap();
    for limit in 1..=6 {
        let args = json!({ "key": "/lives", "limit": limit });
        let (rows, made) = calls(cluster.member("infra1").client_url(), || cluster.call("history", args).unwrap());
        assert_eq!(rows.as_array().unwrap()[..], whole[5_usize.saturating_sub(limit)..]);
        // What lies in one life of the key is read without a watch.
        assert_eq!(made.contains(&"Watch".to_owned()), limit > 3, "{limit}: {made:?}");
    }
    let error = read(-1).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("limit")));
    let error = cluster.call("history", json!({ "key": "" })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("key")));
}

/// Of what was compacted away one version is left, where the key lived then.
fn compacted(cluster: &Running) {
    let compact = |revision: i64| cluster.etcdctl(&["compact", &revision.to_string(), "--physical"]);
    cluster.etcdctl(&["put", "/k", "five"]);
    cluster.etcdctl(&["put", "/k", "six"]);
    cluster.etcdctl(&["del", "/other"]);
    compact(7);
    let keys = ["/k", "/gone", "/leased", "/other", "/a", "/never"];
    let [k, gone, leased, other, a, never] = alike(cluster, "c.db", keys);
    let limited = cluster.call("history", json!({ "key": "/a", "limit": 5 })).unwrap();
    assert_eq!(lines(&limited), a);
    assert_eq!(k, ["7 put 2 four", "12 delete", "18 put 1 five", "19 put 2 six"]);
    assert_eq!(
        (gone.join(","), leased.join(",")),
        ("8 put 1 1,9 delete".to_owned(), "10 put 1 v,12 delete".to_owned())
    );
    assert_eq!((other.join(","), a.join(",")), ("4 put 1 x,9 put 2 y,20 delete".to_owned(), "6 put 1 1".to_owned()));
    assert_eq!(never, [""; 0]);
    // At the revision of a deletion. Whether that is left is up to the server; both tell the same.
    compact(12);
    let [k, leased] = alike(cluster, "d.db", ["/k", "/leased"]);
    let (k, leased) = (k.join(","), leased.join(","));
    assert!(["", "12 delete"].contains(&leased.as_str()), "{leased}");
    assert!(k.ends_with("18 put 1 five,19 put 2 six") && k.starts_with(&leased), "{k}");
    let limited = || cluster.call("history", json!({ "key": "/z", "limit": 5 })).unwrap();
    let (rows, made) = calls(cluster.member("infra1").client_url(), limited);
    assert_eq!((lines(&rows).join(","), made.contains(&"Watch".to_owned())), ("9 put 2 2".to_owned(), false));
    // To the newest revision, which deleted a key.
    compact(20);
    let [k, gone, other, a] = alike(cluster, "e.db", ["/k", "/gone", "/other", "/a"]);
    assert_eq!(
        (k.join(","), gone.join(","), a.join(",")),
        ("19 put 2 six".to_owned(), String::new(), "6 put 1 1".to_owned())
    );
    assert!(["", "20 delete"].contains(&other.join(",").as_str()), "{other:?}");
}

/// More than a server finds at a time, for a key that lives and for one that does not.
fn many(cluster: &Running) {
    for key in ["/many", "/deleted"] {
        cluster.put_again(key, MANY);
    }
    cluster.etcdctl(&["del", "/deleted"]);
    cluster.etcdctl(&["put", "/after", "1"]);
    let [many, deleted] = alike(cluster, "f.db", ["/many", "/deleted"]);
    assert_eq!((many.len(), deleted.len()), (MANY, MANY + 1));
    assert!(many[MANY - 1].ends_with(&format!(" put {MANY} {}", MANY - 1)), "{}", many[MANY - 1]);
    let limited = cluster.call("history", json!({ "key": "/deleted", "limit": 3 })).unwrap();
    assert_eq!(lines(&limited), deleted[MANY - 2..]);
}

/// Keys and values that are no text.
fn binary(cluster: &Running) {
    let (key, value) = (b"\x80bin\xff", b"\xff\xfe\x1b");
    let mut etcdctl = cluster.ctl(&cluster.profile());
    run(etcdctl.arg("put").arg("--").args([&key[..], value].map(OsStr::from_bytes)), "").unwrap();
    let args: Record = [("key".to_owned(), Value::Blob(key.to_vec()))].into_iter().collect();
    let answer = cluster.answer(&cluster.profile(), "history", args).unwrap();
    let row = answer.as_list().unwrap()[0].as_record().unwrap();
    assert_eq!(row.get("value"), Some(&Value::Blob(value.to_vec())));
    assert_eq!(row.get("size"), Some(&Value::Size(8)));
}

#[test]
fn both_faces_read_a_history() {
    let cluster = one("3.6", Options { tls: false, ..Options::default() });
    for value in ["one", "two"] {
        cluster.etcdctl(&["put", "/k", value]);
    }
    cluster.etcdctl(&["del", "/k"]);
    let file = saved(&cluster, "h.db");
    let file = file.display();
    let told = json!([[2, "put", "one"], [3, "put", "two"], [4, "delete", null]]);
    let url = cluster.member("infra1").client_url().to_owned();
    for flags in [format!("--endpoints {url}"), format!("--db {file}")] {
        let nu = format!("etcd history /k {flags} | each {{ [$in.revision $in.change $in.value] }} | to json --raw");
        assert_eq!(cluster.nu(&nu).json(), told, "{flags}");
    }
    let rhai = |flags: &[&str], expression: &str| {
        let mut command = cluster.command(program("etcdsh"));
        Said::by(command.args(["eval", "-o", "json"]).args(flags).arg(expression)).json()
    };
    let rows = "history(\"/k\").to_array().map(|row| [row.revision, row.change, row.value])";
    assert_eq!(rhai(&["--endpoints", &url], &format!("etcd.{rows}")), told);
    assert_eq!(rhai(&[], &format!("open_db(\"{file}\").{rows}")), told);
    assert_eq!(rhai(&["--db", &file.to_string()], &format!("etcd.{rows}")), told);
    damaged(&cluster);
}

/// No row of a damaged file is told, unless the user wants them.
fn damaged(cluster: &Running) {
    let path = cluster.home().join("h.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Pages that are free by now may have it too.
    let values: Vec<_> = (5..bytes.len()).filter(|at| bytes[at - 5..*at] == *b"\x2a\x03one").collect();
    values.into_iter().for_each(|end| bytes[end - 3] = b'O');
    let flipped = cluster.home().join("flipped.db");
    std::fs::write(&flipped, bytes).unwrap();
    let error = cluster.caller.call_on(&flipped, "history", json!({ "key": "/k" })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("sha256_mismatch", Some("db")), "{}", describe(&error));
    let read = cluster.nu(&format!("etcd history /k --db {} --skip-hash-check | get 0.value", flipped.display()));
    assert_eq!(read.out.trim(), "One", "{}", read.err);
}
