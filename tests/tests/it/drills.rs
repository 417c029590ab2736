//! `snapshot drill`: a restore is rehearsed with real etcd, and nothing of it stays, however it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcdsh_core::context::Cancel;
use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Ended, MATRIX, Running, etcd, record, run, side_by_side, until};
use serde_json::{Value as Json, json};

use crate::at_rest::{filled, saved};
use crate::failing::{describe, files};

/// What is compared, where members have a hash.
const CHECKS: [&str; 7] = ["healthy", "hash", "keys", "users", "roles", "leases", "write"];

/// Lets the user's sandboxes find all versions.
fn with_etcds(mut cluster: Running) -> Running {
    let all = cluster.tools.folder.parent().unwrap().to_owned();
    cluster.caller.places.etcd.push(all);
    cluster
}

fn plain(version: &str) -> Running {
    with_etcds(Running::start(version, Options { members: 1, tls: false, ..Options::default() }).unwrap())
}

/// Returns a column.
fn column(rows: &Json, name: &str) -> Vec<Json> {
    etcdsh_tests::column(rows, name).into_iter().cloned().collect()
}

/// Holds that of no drill anything is left.
fn nothing_left(cluster: &Running) {
    let left = files(&cluster.caller.places.sandboxes());
    assert!(left.iter().all(|name| ["sandbox", ".sandbox.lock"].contains(&name.as_str())), "{left:?}");
}

fn drill(cluster: &Running, args: Json) -> Json {
    let report = cluster.call("snapshot drill", args).unwrap_or_else(|error| panic!("{}", describe(&error)));
    nothing_left(cluster);
    report
}

/// Rehearses with success, and returns what was compared.
fn drilled(cluster: &Running, args: Json) -> Vec<Json> {
    let report = drill(cluster, args);
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["recovery"].as_i64() > Some(0) && report["took"].as_i64() >= report["recovery"].as_i64());
    column(&report["checks"], "check")
}

#[test]
fn a_restore_is_rehearsed_on_each_etcd() {
    side_by_side(MATRIX, |turn| {
        let cluster = with_etcds(filled(turn.version, turn.options));
        let file = saved(&cluster, "drill.db");
        let members = if turn.version == "3.6" { 3 } else { 1 };
        let report = drill(&cluster, json!({ "file": file, "members": members }));
        assert_eq!((&report["ok"], &report["target_version"]), (&json!(true), &Json::Null), "{report}");
        assert!(report["etcd"].as_str().unwrap().starts_with(turn.version), "{report}");
        assert_eq!(column(&report["checks"], "check"), CHECKS);
        let expected = column(&report["checks"], "expected");
        let of_filled = ["21", "1", "1", "1"].map(|count| json!(count));
        if turn.version == "3.6" {
            assert_eq!(expected[2..6], of_filled, "{report}");
        }
        // Users have to log in, and nothing is left to be hashed.
        if turn.version == "3.6" {
            cluster.etcdctl(&["user", "add", "root:secret"]);
            cluster.etcdctl(&["user", "grant-role", "root", "root"]);
            cluster.etcdctl(&["auth", "enable"]);
            let args = ["--user", "root:secret", "snapshot", "save"];
            let file = cluster.home().join("auth.db");
            cluster.etcdctl(&[&args[..], &[file.to_str().unwrap()]].concat());
            assert_eq!(drilled(&cluster, json!({ "file": file })), CHECKS);
            cluster.etcdctl(&["--user", "root:secret", "auth", "disable"]);
        }
        let revision = cluster.view().unwrap().revision().unwrap().to_string();
        cluster.etcdctl(&["compact", &revision]);
        let checks = drilled(&cluster, json!({ "file": saved(&cluster, "edge.db") }));
        assert!([json!("hash"), json!("contents")].contains(&checks[1]), "{checks:?}");
    });
}

#[test]
fn data_are_made_for_an_etcd_that_is_older_or_newer() {
    side_by_side(&["3.4", "3.7"], |turn| {
        let cluster = with_etcds(filled(turn.version, Options { tls: false, ..Options::default() }));
        if turn.version == "3.7" {
            cluster.settled();
        }
        let file = saved(&cluster, "other.db");
        let newer = turn.version == "3.7";
        for (version, target) in [("3.4", "3.5.0"), ("3.5", "3.5.0"), ("3.6", "3.6.0"), ("3.7", "")] {
            if version == turn.version || etcd(version).is_none() {
                continue;
            }
            let report = drill(&cluster, json!({ "file": file, "etcd": version }));
            assert_eq!(report["ok"], true, "{report}");
            assert!(report["etcd"].as_str().unwrap().starts_with(version), "{report}");
            let target = if newer { json!(target) } else { Json::Null };
            assert_eq!(report["target_version"], target, "{report}");
        }
    });
}

#[test]
fn what_a_restore_has_made_and_what_a_member_left_are_rehearsed_too() {
    let cluster = plain("3.6");
    for number in 0..30 {
        cluster.etcdctl(&["put", &format!("/k/{number:02}"), "v"]);
    }
    // It is over before the members serve.
    let granted = cluster.etcdctl(&["lease", "grant", "1"]);
    cluster.etcdctl(&["put", "/leased", "v", "--lease", granted.split_whitespace().nth(1).unwrap()]);
    let file = saved(&cluster, "backup.db");
    assert_eq!(drilled(&cluster, json!({ "file": file })), CHECKS);
    let data_dir = cluster.home().join("bumped");
    let args = json!({
        "file": file, "name": "a", "initial_cluster": ["a=http://127.0.0.1:1"], "initial_advertise_peer_urls": ["http://127.0.0.1:1"],
        "data_dir": data_dir, "bump_revision": 1000, "mark_compacted": true,
    });
    cluster.call("snapshot restore", args).unwrap_or_else(|error| panic!("{}", describe(&error)));
    let report = drill(&cluster, json!({ "file": data_dir }));
    assert_eq!((&report["ok"], report["revision"].as_i64() > Some(1000)), (&json!(true), true), "{report}");
    // An empty store, out of a data dir.
    let empty = plain("3.6");
    let data_dir = empty.sandbox.folder().join("infra1.data");
    empty.call("sandbox stop", json!({ "keep": true })).unwrap();
    assert_eq!(drilled(&empty, json!({ "file": data_dir }))[0], "healthy");
}

#[test]
fn what_a_restore_refuses_is_refused_and_what_it_takes_when_told_to_is_told() {
    let cluster = plain("3.6");
    cluster.etcdctl(&["put", "/k", "v"]);
    let file = saved(&cluster, "backup.db");
    let whole = std::fs::read(&file).unwrap();
    let report = drill(&cluster, json!({ "file": file }));
    let verified = cluster.call("snapshot verify", json!({ "file": file })).unwrap();
    assert_eq!((&report["sha256"], report["sha256"].is_string()), (&verified["sha256"], true), "{report}");
    // Cut by a byte, and added to.
    for bytes in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"\n"].concat()] {
        std::fs::write(&file, &bytes).unwrap();
        let spec = json!({ "file": file, "data_dir": cluster.home().join("new"), "allow": ["member_answers"] });
        let refused = [("snapshot drill", json!({ "file": file })), ("snapshot restore", spec.clone())]
            .map(|(name, args)| describe(&cluster.call(name, args).unwrap_err()));
        assert!(refused[0].starts_with("length_odd: ") && refused[0] == refused[1], "{refused:?}");
        let error = cluster.caller.call_on(&file, "keys", json!({})).unwrap_err();
        assert_eq!((error.code(), error.argument()), ("length_odd", Some("db")), "{}", describe(&error));
        let verified = cluster.call("snapshot verify", json!({ "file": file })).unwrap();
        let codes = column(&verified["findings"], "code");
        assert_eq!((&verified["verdict"], codes), (&json!("damaged"), vec![json!("length_odd")]), "{verified}");
        let skipping = json!({ "skip_hash_check": true });
        let spec = spec.as_object().unwrap().clone().into_iter().chain(skipping.as_object().unwrap().clone());
        cluster.call("snapshot restore", Json::Object(spec.collect())).unwrap();
        std::fs::remove_dir_all(cluster.home().join("new")).unwrap();
    }
    nothing_left(&cluster);
    // Without any of its sum it may be a member's own file.
    std::fs::write(&file, &whole[..whole.len() - 32]).unwrap();
    let warnings = std::cell::RefCell::new(Vec::new());
    let events = |event: &Event| {
        if let Event::Warning { message } = event {
            warnings.borrow_mut().push(message.clone());
        }
    };
    let args = record(json!({ "file": file }));
    let report = cluster.caller.answer_told(&cluster.profile(), "snapshot drill", args, &events).unwrap();
    let report = etcdsh_tests::json(&report);
    assert_eq!((&report["ok"], &report["sha256"]), (&json!(true), &Json::Null), "{report}");
    let told = format!("{} has no SHA-256, so `snapshot restore` takes it with skip_hash_check only", file.display());
    assert_eq!(warnings.into_inner(), [told]);
}

#[test]
fn a_store_that_was_full_takes_the_write() {
    let flags = vec!["--quota-backend-bytes=2097152".to_owned()];
    let options = Options { members: 1, tls: false, flags, ..Options::default() };
    let cluster = with_etcds(Running::start("3.6", options).unwrap());
    let put = |round: usize| cluster.etcdctl_reading(&["put", "big"], &round.to_string().repeat(1 << 18));
    assert!((10..60).any(|round| put(round).is_err()));
    assert!(cluster.call("alarm list", json!({})).unwrap().to_string().contains("nospace"));
    assert_eq!(drilled(&cluster, json!({ "file": saved(&cluster, "full.db") })), CHECKS);
}

#[test]
fn what_cannot_be_rehearsed_is_told_and_leaves_nothing() {
    let cluster = plain("3.6");
    for round in 0..20 {
        cluster.etcdctl(&["put", "/k", &format!("value {round}")]);
    }
    let file = saved(&cluster, "good.db");
    let damaged = cluster.home().join("damaged.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let value = bytes.windows(7).position(|window| window == b"value 2").unwrap();
    bytes[value] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let ends = fake(&cluster, "ends", "echo this etcd does not like it; exit 3");
    let told = |args: Json| {
        let error = cluster.call("snapshot drill", args).unwrap_err();
        nothing_left(&cluster);
        describe(&error).replace(&cluster.home().display().to_string(), "/HOME")
    };
    let many = [
        told(json!({ "file": "/none.db", "etcd": "2.3" })),
        told(json!({ "file": "/none.db", "etcd": "" })),
        told(json!({ "file": "/none.db", "members": -1 })),
        told(json!({ "file": "/none.db", "wait": "0sec" })),
        told(json!({ "file": "/none.db" })),
        told(json!({ "file": file, "etcd": "/bin/true" })),
    ];
    let all = many
        .join("\n")
        .lines()
        .map(|line| format!("{}\n", line.split("; there are").next().unwrap()))
        .collect::<String>();
    insta::assert_snapshot!(all, @r"
    etcd_not_found: no etcd 2.3 was found
        help: `cargo xtask setup` builds it, or name folders that hold it in ETCDSH_ETCD_DIR
        argument: etcd
    invalid_argument: the argument etcd is empty
        help: leave it out for the usual one, or give a version such as 3.6, or the path of an etcd
        argument: etcd
    invalid_argument: the argument members should be from 1 to 9
        help: 3 is the usual number
        argument: members
    invalid_argument: the argument wait is 0, and no member serves at once
        help: leave it out for 120sec, or give as long as a recovery may take
        argument: wait
    file_unreadable: /none.db: it cannot be read
        because: No such file or directory (os error 2)
        argument: file
    etcd_unusable: /bin/true cannot be used as etcd: it does not tell its version
        help: give a version such as 3.6, or the path of an etcd
        argument: etcd
    ");
    assert!(told(json!({ "file": damaged })).starts_with("sha256_mismatch"));
    let ended = told(json!({ "file": file, "etcd": ends }));
    assert!(ended.starts_with("drill_failed: no cluster of etcd 3.6.99 came out of the snapshot\n"), "{ended}");
    assert!(ended.contains("infra1 ended with exit code 3") && ended.contains("this etcd does not like it"), "{ended}");
    let hangs = fake(&cluster, "hangs", "exec sleep 60");
    let late = told(json!({ "file": file, "etcd": hangs, "wait": "2s" }));
    assert!(late.starts_with("drill_failed") && late.contains("infra1 served"), "{late}");
    assert!(!runs(&cluster, "hangs"));
}

/// Makes what is no etcd, but says that it is one. It writes down its number.
fn fake(cluster: &Running, name: &str, does: &str) -> PathBuf {
    let path = cluster.home().join(name);
    let version = "[ \"$1\" = --version ] && echo 'etcd Version: 3.6.99' && exit 0";
    std::fs::write(&path, format!("#!/bin/sh\n{version}\necho $$ > {}.pid\n{does}\n", path.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Says whether the fake's process is there.
fn runs(cluster: &Running, name: &str) -> bool {
    let pid = std::fs::read_to_string(cluster.home().join(format!("{name}.pid"))).unwrap();
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn ctrl_c_leaves_nothing() {
    let cluster = plain("3.6");
    cluster.etcdctl(&["put", "/k", "v"]);
    let file = saved(&cluster, "backup.db");
    let hangs = fake(&cluster, "hangs", "exec sleep 60");
    let cancel = Cancel::new();
    let events = |event: &Event| {
        if matches!(event, Event::Waiting { .. }) && runs(&cluster, "hangs") {
            cancel.cancel();
        }
    };
    let args = record(json!({ "file": file, "etcd": hangs.to_str().unwrap(), "members": 2 }));
    let ended = cluster.caller.answer_hooked(&cluster.profile(), "snapshot drill", args, &events, &[], cancel.clone());
    let error = ended.unwrap_err();
    assert_eq!(error.code(), "interrupted", "{}", describe(&error));
    nothing_left(&cluster);
    assert!(!runs(&cluster, "hangs"));
    // Before it has begun, while the data are copied or etcd starts, and while it compares.
    let sandboxes = cluster.caller.places.sandboxes();
    let seen = |what: &dyn Fn(&Path) -> bool| {
        let all = std::fs::read_dir(&sandboxes).unwrap().flatten().map(|entry| entry.path());
        all.into_iter().any(|path| path.file_name().unwrap().to_string_lossy().starts_with("drill") && what(&path))
    };
    let log = |path: &Path| std::fs::read_to_string(path.join("logs/infra1.log")).unwrap_or_default();
    let points: [&(dyn Fn() -> bool + Sync); 3] =
        [&|| true, &|| seen(&|path| path.join("infra1.data").exists()), &|| {
            seen(&|path| log(path).contains("serving client traffic"))
        }];
    for point in points {
        let (cancel, profile, caller) = (Cancel::new(), cluster.profile(), &cluster.caller);
        let args = record(json!({ "file": file }));
        let ended = std::thread::scope(|scope| {
            let given = cancel.clone();
            let drill =
                scope.spawn(move || caller.answer_hooked(&profile, "snapshot drill", args, &|_| {}, &[], given));
            until("the drill is there", || {
                if point() || drill.is_finished() { Ok(()) } else { Err("it is not".to_owned()) }
            });
            cancel.cancel();
            drill.join().unwrap()
        });
        if let Err(error) = ended {
            assert_eq!(error.code(), "interrupted", "{}", describe(&error));
        }
        nothing_left(&cluster);
    }
}

#[test]
fn what_a_drill_left_that_was_killed_is_taken_away_by_the_next() {
    let cluster = plain("3.6");
    cluster.etcdctl(&["put", "/k", "v"]);
    let file = saved(&cluster, "backup.db");
    let hangs = fake(&cluster, "hangs", "exec sleep 60");
    let args = json!({ "file": file, "etcd": hangs });
    assert_eq!(cluster.crash("sandbox", &["waiting"], Some(1), "snapshot drill", &args), Ended::Crashed);
    until("its etcd runs", || if runs(&cluster, "hangs") { Ok(()) } else { Err("it does not".to_owned()) });
    let warnings = std::cell::RefCell::new(Vec::new());
    let events = |event: &Event| {
        if let Event::Warning { message } = event {
            warnings.borrow_mut().push(message.clone());
        }
    };
    cluster.caller.answer_told(&cluster.profile(), "snapshot drill", record(json!({ "file": file })), &events).unwrap();
    let warnings = warnings.into_inner().join("\n");
    let (before, name) = warnings.split_once("drill-").unwrap();
    assert_eq!(
        format!("{before}NAME{}", &name[8..]),
        "the sandbox NAME was removed: a drill that was killed had left it"
    );
    nothing_left(&cluster);
    assert!(!runs(&cluster, "hangs"));
}

#[test]
fn a_disk_that_is_full_is_told_and_nothing_stays() {
    let mount = "mount -t tmpfs -o size=1m none";
    if run(std::process::Command::new("unshare").args(["-rm", "sh", "-c", &format!("{mount} /mnt")]), "").is_err() {
        eprintln!("NOT TESTED: a full disk, because `unshare` does not work here");
        return;
    }
    let cluster = plain("3.6");
    let file = saved(&cluster, "backup.db");
    let sandboxes = cluster.caller.places.sandboxes();
    let drill = cluster.crashing(
        "sandbox",
        &[],
        None,
        "snapshot drill",
        &json!({ "file": file, "etcd": cluster.tools.program("etcd") }),
    );
    let mut command = cluster.command("unshare".into());
    let script = format!("{mount} {0} || exit 90; shift; \"$@\"; ls -A {0}", sandboxes.display());
    command.args(["-rm", "sh", "-c", &script, "sh", "x"]).arg(drill.get_program());
    // The profile is that of a sandbox, which lies below the folder that is covered now; the drill needs none.
    command.args(drill.get_args().skip(2));
    for (name, value) in drill.get_envs() {
        value.map(|value| command.env(name, value));
    }
    let said = etcdsh_tests::Said::by(&mut command);
    let error: Json =
        serde_json::from_str(said.out.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(error["error"]["code"], "disk_full", "{said:?}");
    assert_eq!(said.out.lines().count(), 1, "something stayed: {said:?}");
}
