//! Backups in a folder: made, noted, kept by the rules, and found by time; and runs that are killed, meet others, or fail.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, Said, record, run, side_by_side};
use serde_json::{Value as Json, json};

use crate::at_rest::{filled, saved};
use crate::failing::{describe, files};

fn back_up(cluster: &Running, folder: &Path, args: Json) -> Json {
    let mut given = json!({ "folder": folder });
    given.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
    cluster.call("backup run", given).unwrap_or_else(|error| panic!("{}", describe(&error)))
}

fn listed(cluster: &Running, folder: &Path, args: Json) -> Json {
    let mut given = json!({ "folder": folder });
    given.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
    cluster.call("backup list", given).unwrap_or_else(|error| panic!("{}", describe(&error)))
}

/// Returns a column.
fn column(rows: &Json, name: &str) -> Vec<Json> {
    etcdsh_tests::column(rows, name).into_iter().cloned().collect()
}

fn path_of(row: &Json) -> PathBuf {
    row["path"].as_str().unwrap().into()
}

/// A member without TLS, which is there soonest.
fn plain(version: &str) -> Running {
    Running::start(version, Options { members: 1, tls: false, ..Options::default() }).unwrap()
}

#[test]
fn backups_are_made_and_kept_by_the_rules() {
    side_by_side(MATRIX, |turn| {
        let cluster = filled(turn.version, turn.options);
        let folder = cluster.home().join("made/backups");
        let first = back_up(&cluster, &folder, json!({}));
        let saved = &first["saved"];
        let verified = cluster.call("snapshot verify", json!({ "file": saved["path"], "live": true })).unwrap();
        for column in ["revision", "hash", "total_keys", "version"] {
            assert_eq!(saved[column], verified[column], "{column}: {saved}");
        }
        assert!(saved["verified"] == true && saved["raft_index"].as_i64() > Some(10), "{saved}");
        assert_eq!((&first["kept"], &first["removed"]), (&json!([saved]), &json!([])));
        noted(saved);
        // Also within the same second.
        cluster.etcdctl(&["put", "/k/new", "v"]);
        let dry = back_up(&cluster, &folder, json!({ "keep_last": 1, "dry_run": true }));
        assert_eq!((&dry["saved"], &dry["removed"], &dry["kept"]), (&Json::Null, &json!([saved]), &json!([])), "{dry}");
        let second = back_up(&cluster, &folder, json!({ "keep_last": 1 }));
        assert_eq!((&second["removed"], &second["kept"]), (&json!([saved]), &json!([second["saved"]])), "{second}");
        assert!(second["saved"]["revision"].as_i64() > saved["revision"].as_i64(), "{second}");
        assert_eq!(listed(&cluster, &folder, json!({})), json!([second["saved"]]));
        assert_eq!(listed(&cluster, &folder, json!({ "at": second["saved"]["time"] })), json!([second["saved"]]));
        assert_eq!(listed(&cluster, &folder, json!({ "at": "2020-01-01T00:00:00Z" })), json!([]));
        // Nothing else is there, and a dry run leaves it so.
        let there = files(&folder);
        assert_eq!(there.iter().filter(|name| !name.ends_with(".lock")).count(), 2, "{there:?}");
        let dry = back_up(&cluster, &folder, json!({ "keep_daily": 1, "dry_run": true }));
        assert_eq!(files(&folder), there, "{dry}");
    });
}

/// What lies beside a backup.
fn noted(saved: &Json) {
    let path = path_of(saved);
    let note: Json = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    for column in
        ["time", "revision", "raft_index", "cluster_id", "member_id", "member", "etcd", "sha256", "hash", "size"]
    {
        assert_eq!(note[column], saved[column], "{column}: {note}");
    }
    assert_eq!((&note["form"], &note["verified"]), (&json!(1), &json!(true)));
    let sum = run(Command::new("sha256sum").arg(&path), "").unwrap();
    assert_eq!(sum.split(' ').next(), saved["sha256"].as_str());
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_counts_or_blocks() {
    let cluster = plain("3.6");
    let folder = cluster.home().join("backups");
    let (log, args) = (cluster.home().join("strace.log"), json!({ "folder": folder, "keep_last": 2 }));
    let mut killed = 0;
    for calls in ["fsync", "?rename,?renameat", "renameat2", "?unlink,?unlinkat"] {
        // Calls are counted in each thread by itself.
        for when in 1..20 {
            cluster.etcdctl(&["put", "/k", &format!("{calls} {when}")]);
            let run = cluster.crashing("sandbox", &[], None, "backup run", &args);
            let mut command = cluster.command("strace".into());
            command.args(["-f", "-qq", "-o", log.to_str().unwrap(), "-e", &format!("trace={calls}"), "-e"]);
            command
                .arg(format!("inject={calls}:signal=SIGKILL:when={when}"))
                .arg(run.get_program())
                .args(run.get_args());
            for (name, value) in run.get_envs() {
                value.map(|value| command.env(name, value));
            }
            let said = Said::by(&mut command);
            let rows = listed(&cluster, &folder, json!({ "check": true }));
            assert!(column(&rows, "error").iter().all(|error| error.is_null()), "{calls} {when}: {rows}");
            assert!(column(&rows, "verified").iter().all(|verified| *verified == true), "{rows}");
            if said.status.success() {
                assert!(when > 1, "no {calls} was seen: {said:?}");
                break;
            }
            assert_eq!(said.status.signal(), Some(9), "{said:?}");
            killed += 1;
            // The next run goes through, and tidies up.
            let report = back_up(&cluster, &folder, json!({ "keep_last": 2 }));
            assert_eq!(report["kept"][0], report["saved"], "{calls} {when}: {report}");
            let names = files(&folder);
            let backups = report["kept"].as_array().unwrap().len();
            assert_eq!(names.len(), 2 * backups + 1, "{calls} {when}: {names:?}");
        }
    }
    assert!(killed >= 8, "{killed}");
}

#[test]
fn of_two_runs_at_the_same_time_each_makes_a_backup_or_says_why_not() {
    let cluster = plain("3.6");
    let folder = cluster.home().join("backups");
    let args = || json!({ "folder": folder, "keep_last": 9 });
    let ended: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| cluster.call("backup run", args()))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let made = ended.iter().filter(|ended| ended.is_ok()).count();
    for error in ended.iter().filter_map(|ended| ended.as_ref().err()) {
        assert_eq!((error.code(), error.argument()), ("backup_in_progress", Some("folder")), "{}", describe(error));
    }
    assert!(made >= 1);
    assert_eq!(listed(&cluster, &folder, json!({ "check": true })).as_array().unwrap().len(), made);
}

#[test]
fn clusters_that_share_a_folder_do_not_touch_each_others_backups() {
    let (one, other) = (plain("3.6"), plain("3.5"));
    let folder = one.home().join("backups");
    let first = back_up(&one, &folder, json!({ "keep_last": 1 }));
    let theirs = back_up(&other, &folder, json!({ "keep_last": 1 }));
    let second = back_up(&one, &folder, json!({ "keep_last": 1 }));
    assert_eq!(second["removed"], json!([first["saved"]]));
    let rows = listed(&one, &folder, json!({}));
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert!([&second, &theirs].iter().all(|report| rows.as_array().unwrap().contains(&report["saved"])), "{rows}");
    // One of each, for a restore to a time.
    assert_eq!(listed(&one, &folder, json!({ "at": "2100-01-01T00:00:00Z" })), rows);
}

#[test]
fn what_is_damaged_later_is_told_and_never_removed() {
    let cluster = filled("3.6", Options::default());
    let folder = cluster.home().join("backups");
    let path = path_of(&back_up(&cluster, &folder, json!({}))["saved"]);
    let good = std::fs::read(&path).unwrap();
    let mut bytes = good.clone();
    let value = bytes.windows(7).position(|window| window == b"value 2").unwrap();
    bytes[value] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let errors = |args: Json| column(&listed(&cluster, &folder, args), "error");
    assert_eq!(errors(json!({})), [Json::Null]);
    assert_eq!(errors(json!({ "check": true })), ["it is damaged; `snapshot verify` says where"]);
    // A file that lost its end is seen without reading it. It is not counted, and stays.
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let told = format!("it has {} bytes, and its note says {}", good.len() / 2, good.len());
    assert_eq!(errors(json!({})), [told.as_str()]);
    let report = back_up(&cluster, &folder, json!({ "keep_last": 1 }));
    assert_eq!((&report["removed"], column(&report["kept"], "error")), (&json!([]), vec![Json::Null, json!(told)]));
    // A backup that is another one.
    std::fs::write(&path, &good).unwrap();
    let newest = path_of(&report["saved"]);
    std::fs::rename(newest.with_extension("json"), path.with_extension("json")).unwrap();
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    std::fs::write(path.with_extension("json"), text.replace("\"total_keys\": ", "\"total_keys\": 1")).unwrap();
    let rows = listed(&cluster, &folder, json!({ "check": true }));
    let told = ["it is sound, and not the one that its note is about", "it has no note beside it"];
    assert_eq!(column(&rows, "error"), told, "{rows}");
    // With a time such ones are no answer, and are told all the same.
    let warnings = std::cell::RefCell::new(Vec::new());
    let events = |event: &Event| {
        if let Event::Warning { message } = event {
            warnings.borrow_mut().push(message.clone());
        }
    };
    let args = record(json!({ "folder": folder, "at": "2100-01-01T00:00:00Z" }));
    cluster.caller.answer_told(&cluster.profile(), "backup list", args, &events).unwrap();
    assert_eq!(warnings.into_inner(), [format!("{} was left out: {}", newest.display(), told[1])]);
}

#[test]
fn a_time_that_is_still_to_come_is_told_and_counts_for_no_rule() {
    let cluster = plain("3.6");
    let folder = cluster.home().join("backups");
    let path = path_of(&back_up(&cluster, &folder, json!({}))["saved"]);
    let note = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let time = note.lines().find(|line| line.contains("\"time\"")).unwrap();
    std::fs::write(path.with_extension("json"), note.replace(time, "  \"time\": \"2101-01-01T00:00:00Z\",")).unwrap();
    let warnings = std::cell::RefCell::new(Vec::new());
    let events = |event: &Event| {
        if let Event::Warning { message } = event {
            warnings.borrow_mut().push(message.clone());
        }
    };
    let args = record(json!({ "folder": folder, "keep_last": 1 }));
    let report = cluster.caller.answer_told(&cluster.profile(), "backup run", args, &events).unwrap();
    let report = etcdsh_tests::json(&report);
    assert_eq!((&report["removed"], report["kept"].as_array().unwrap().len()), (&json!([]), 2), "{report}");
    assert_eq!(report["kept"][1], report["saved"]);
    let told = "backups with a time that is still to come: 1; a clock was wrong, they are kept and count for no rule";
    assert_eq!(warnings.take(), [told]);
    // Whoever takes the newest one takes another.
    let rows = listed(&cluster, &folder, json!({ "check": true }));
    assert_eq!(column(&rows, "path"), [report["saved"]["path"].clone(), json!(path)], "{rows}");
    let told = json!("it has a time that is still to come: a clock was wrong");
    assert_eq!(column(&rows, "error"), [Json::Null, told], "{rows}");
    for (args, they_are, count) in
        [(json!({}), "listed behind all others", 2), (json!({ "at": "2102-01-01T00:00:00Z" }), "left out", 1)]
    {
        let mut given = json!({ "folder": folder });
        given.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
        let rows = cluster.caller.answer_told(&cluster.profile(), "backup list", record(given), &events).unwrap();
        let rows = etcdsh_tests::json(&rows);
        assert_eq!((rows[0]["path"].clone(), rows.as_array().unwrap().len()), (report["saved"]["path"].clone(), count));
        let told = format!("backups with a time that is still to come: 1; a clock was wrong, they are {they_are}");
        assert_eq!(warnings.take(), [told]);
    }
}

#[test]
fn what_has_the_name_of_a_backup_and_is_none_stands_at_the_end() {
    let cluster = plain("3.6");
    let folder = cluster.home().join("backups");
    let saved = back_up(&cluster, &folder, json!({}))["saved"].clone();
    let named = |time: &str, end: &str| folder.join(format!("{}-{time}.{end}", saved["cluster_id"].as_str().unwrap()));
    std::fs::create_dir(named("20200101T000000Z", "db")).unwrap();
    std::os::unix::fs::symlink("/no/such.db", named("20200102T000000Z", "db")).unwrap();
    run(Command::new("mkfifo").arg(named("20200103T000000Z", "db")), "").unwrap();
    std::fs::copy(path_of(&saved).with_extension("json"), named("20200104T000000Z", "json")).unwrap();
    let before = files(&folder);
    let rows = listed(&cluster, &folder, json!({}));
    assert_eq!(rows[0], saved);
    let told =
        column(&rows, "error").iter().skip(1).map(|error| format!("{}\n", error.as_str().unwrap())).collect::<String>();
    insta::assert_snapshot!(told, @"
    the snapshot that it is about is not beside it
    it is not a file
    it is a link to what is not there
    it is a folder
    ");
    // They stay, and keep nobody from making backups.
    let report = back_up(&cluster, &folder, json!({ "keep_last": 1 }));
    assert_eq!(report["removed"], json!([saved]));
    let left = files(&folder);
    assert!(before.iter().filter(|name| name.contains("-2020")).all(|name| left.contains(name)), "{left:?}");
}

#[test]
fn a_backup_that_cannot_be_made_removes_nothing() {
    let cluster = filled("3.6", Options::default());
    let (file, folder) = (saved(&cluster, "file.db"), cluster.home().join("b"));
    let link = cluster.home().join("link");
    std::os::unix::fs::symlink("/no/such/folder", &link).unwrap();
    let told = [
        json!({ "folder": file }),
        json!({ "folder": file, "dry_run": true }),
        json!({ "folder": link }),
        json!({ "folder": link, "dry_run": true }),
        json!({ "folder": folder, "keep_last": -1 }),
        json!({ "folder": folder, "member": "infra9" }),
    ]
    .map(|args| describe(&cluster.call("backup run", args).unwrap_err()));
    let told = told.join("\n").replace(&cluster.home().display().to_string(), "/HOME");
    let id = cluster.view().unwrap().members[0].member.id.to_string();
    insta::assert_snapshot!(told.replace(&id, "ID"), @r#"
    not_a_folder: /HOME/file.db is a file, and no folder
        help: name a folder; `backup run` makes it where nothing has its name
        argument: folder
    not_a_folder: /HOME/file.db is a file, and no folder
        help: name a folder; `backup run` makes it where nothing has its name
        argument: folder
    not_a_folder: /HOME/link is a link to what is not there, and no folder
        help: name a folder; `backup run` makes it where nothing has its name
        argument: folder
    not_a_folder: /HOME/link is a link to what is not there, and no folder
        help: name a folder; `backup run` makes it where nothing has its name
        argument: folder
    invalid_argument: the argument keep_last is negative
        help: give 0 or more
        argument: keep_last
    member_not_found: no member is named "infra9"; the members are infra1 (ID)
        help: did you mean infra1?
        argument: member
    "#);
    let error = cluster.call("backup list", json!({ "folder": cluster.home().join("none") })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("file_failed", Some("folder")), "{}", describe(&error));
    let error = cluster.call("backup list", json!({ "folder": file })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("not_a_folder", Some("folder")), "{}", describe(&error));
    // A dry run makes nothing, also no folder.
    let dry = cluster.call("backup run", json!({ "folder": cluster.home().join("new"), "dry_run": true })).unwrap();
    assert_eq!((&dry["kept"], cluster.home().join("new").exists()), (&json!([]), false));
    assert!(files(&folder).iter().all(|name| name.ends_with(".lock")), "{:?}", files(&folder));
}

#[test]
fn a_cluster_without_a_quorum_is_backed_up_from_a_member_that_is_named() {
    let cluster = Running::three("3.6").unwrap();
    let folder = cluster.home().join("backups");
    let before = back_up(&cluster, &folder, json!({ "keep_last": 1 }));
    cluster.kill(&["infra2", "infra3"]);
    let error = cluster.call("backup run", json!({ "folder": folder, "keep_last": 1 })).unwrap_err();
    assert_eq!(error.code(), "no_quorum", "{}", describe(&error));
    assert_eq!(listed(&cluster, &folder, json!({})), before["kept"]);
    let report = back_up(&cluster, &folder, json!({ "member": "infra1", "keep_last": 2 }));
    assert_eq!((&report["saved"]["member"], report["kept"].as_array().unwrap().len()), (&json!("infra1"), 2));
}

#[test]
fn a_disk_that_is_full_keeps_what_it_has() {
    if run(Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]), "").is_err() {
        eprintln!("NOT TESTED: a full disk, because `unshare` does not work here");
        return;
    }
    let cluster = plain("3.6");
    let folder = cluster.home().join("backups");
    let size = back_up(&cluster, &folder, json!({}))["saved"]["size"].as_u64().unwrap();
    // One has no room for the snapshot, the other none for its note.
    for room in [8, size.div_ceil(4096) * 4] {
        let run = cluster.crashing("sandbox", &[], None, "backup run", &json!({ "folder": folder, "keep_last": 1 }));
        let mut command = cluster.command("unshare".into());
        let script = format!("mount -t tmpfs -o size={room}k none {0} || exit 90; \"$@\"; ls -A {0}", folder.display());
        command.args(["-rm", "sh", "-c", &script, "sh"]).arg(run.get_program()).args(run.get_args());
        for (name, value) in run.get_envs() {
            value.map(|value| command.env(name, value));
        }
        let said = Said::by(&mut command);
        let mut lines = said.out.lines();
        let error: Json = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "disk_full", "{room}: {said:?}");
        assert!(lines.all(|name| name.ends_with(".lock")), "{room}: {said:?}");
    }
}
