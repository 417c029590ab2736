//! What is not as it seems: files, data and alarms that are not those that they are taken for.

use std::cell::Cell;

use etcd_client::AlarmType;
use etcdsh_core::context::Cancel;
use etcdsh_core::sandbox::Options;
use etcdsh_core::value::Value;
use etcdsh_tests::{Ended, MATRIX, Running, column, driver, json as to_json, record, side_by_side, until};
use serde_json::{Value as Json, json};

use crate::crash_points::healthy;
use crate::crash_points::procedures::holds_what_was_kept;
use crate::procedure_faults::{ids, start};

/// The run that was interrupted last.
fn last_run(cluster: &Running) -> Json {
    cluster.call("change list", json!({})).unwrap()[0]["id"].clone()
}

/// A cluster with a CORRUPT alarm refuses every write, the claim of a change too; the replacement cures it all the same, and nothing
/// else takes a member away.
#[test]
fn the_member_with_other_data_is_replaced() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        let old = ids(&cluster)["infra2"].clone();
        cluster.raise(AlarmType::Corrupt, "infra2");
        for operation in ["rolling-restart", "defrag"] {
            let refused = cluster.call(operation, json!({})).unwrap_err();
            assert_eq!(refused.code(), "corrupt_alarm", "{refused:?}");
        }
        let report = cluster.call("member replace", json!({ "member": "infra2" })).unwrap();
        assert!(column(&report["steps"], "step").contains(&&json!("disarm_alarm")), "{report}");
        assert_ne!(ids(&cluster)["infra2"], old);
        healthy(&cluster);
        cluster.etcdctl(&["put", "taken", "again"]);
    });
}

/// A file that was there before is not the snapshot of this run, also when it is gone on with.
#[test]
fn somebodys_file_is_not_taken_for_the_snapshot() {
    let Some(cluster) = Running::three("3.6") else { return };
    cluster.kill(&["infra2"]);
    cluster.write("yesterday.db", "yesterday");
    let file = cluster.path().join("yesterday.db");
    let args = json!({ "member": "infra2", "snapshot": file });
    for dry_run in [true, false] {
        let mut args = args.clone();
        args["dry_run"] = json!(dry_run);
        let refused = cluster.call("member replace", args).unwrap_err();
        assert_eq!((refused.code(), refused.argument()), ("file_exists", Some("snapshot")), "{refused:?}");
    }
    // It fails at the snapshot, somebody puts a file there, and it is gone on with.
    std::fs::remove_file(&file).unwrap();
    let late = file.parent().unwrap().join("late/yesterday.db");
    let failed = cluster.call("member replace", json!({ "member": "infra2", "snapshot": late })).unwrap_err();
    assert_eq!(failed.code(), "no_snapshot", "{failed:?}");
    std::fs::create_dir(late.parent().unwrap()).unwrap();
    std::fs::write(&late, "yesterday").unwrap();
    let refused = cluster.call("change resume", json!({ "id": last_run(&cluster) })).unwrap_err();
    assert_eq!((refused.code(), refused.argument()), ("file_exists", Some("snapshot")), "{refused:?}");
    std::fs::remove_file(&late).unwrap();
    assert_eq!(cluster.call("change resume", json!({ "id": last_run(&cluster) })).unwrap()["ok"], true);
    assert!(std::fs::metadata(&late).unwrap().len() > 10_000, "the snapshot was saved there");
    healthy(&cluster);
}

/// The trap of etcd issues 10254, 20269 and 21178, for whoever goes on with a run: the new member has joined, and its data are lost.
#[test]
fn a_run_that_is_gone_on_with_starts_no_member_without_its_data() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        cluster.kill(&["infra2"]);
        // After the removal, the moving aside and the adding: a member that was down was stopped already.
        let ended = cluster.crash("sandbox", &["acted"], Some(5), "member replace", &json!({ "member": "infra2" }));
        assert!(matches!(ended, Ended::Crashed), "{ended:?}");
        until("the new member has told its name", || match ids(&cluster).get("infra2") {
            Some(_) => Ok(()),
            None => Err("it has not".to_owned()),
        });
        let joined = ids(&cluster)["infra2"].clone();
        let member = cluster.member("infra2");
        driver().block_on(member.stop()).unwrap();
        driver().block_on(member.wipe()).unwrap();
        let restart = json!({ "members": ["infra2"] });
        assert_eq!(cluster.call("rolling-restart", restart).unwrap_err().code(), "data_missing");
        let report = cluster.call("change resume", json!({ "id": last_run(&cluster) })).unwrap();
        let steps = column(&report["steps"], "step");
        assert!(steps.contains(&&json!("remove_member")) && steps.contains(&&json!("add_member")), "{report}");
        assert_ne!(ids(&cluster)["infra2"], joined);
        healthy(&cluster);
    });
}

/// A closure that restarts nobody ends the run, before anybody else is taken away.
#[test]
fn a_closure_that_restarts_nobody_ends_the_run() {
    let Some(cluster) = Running::three("3.5") else { return };
    let called = Cell::new(0);
    let nothing = |_: Value| {
        called.set(called.get() + 1);
        Ok(Value::Null)
    };
    let mut args = record(json!({ "wait": "2s" }));
    args.insert("restart", Value::Hook(0));
    let run = |args| {
        let (caller, profile) = (&cluster.caller, cluster.profile());
        caller.answer_hooked(&profile, "rolling-restart", args, &|_| {}, &[Box::new(nothing)], Cancel::new())
    };
    let error = run(args.clone()).unwrap_err();
    assert_eq!((error.code(), called.get()), ("not_restarted", 1), "{error:?}");
    args.insert("allow", Value::List(vec![Value::from("not_restarted")]));
    args.insert("settle", Value::from("0s"));
    assert_eq!(to_json(&run(args).unwrap())["ok"], true);
    assert_eq!(called.get(), 4);
}

/// A cluster of one is moved to another name and address.
#[test]
fn a_cluster_of_one_moves() {
    side_by_side(MATRIX, |turn| {
        let cluster = Running::start(turn.version, Options { members: 1, ..turn.options }).unwrap();
        cluster.etcdctl(&["put", "kept", "before"]);
        let args = json!({ "member": "infra1", "name": "infra2", "peer_urls": [cluster.free_peer_url()] });
        let report = cluster.call("member replace", args).unwrap();
        assert_eq!(report["after"]["verdict"], "healthy", "{report}");
        assert_eq!(ids(&cluster).into_keys().collect::<Vec<_>>(), ["infra2"]);
        holds_what_was_kept(&cluster, "infra2");
    });
}

/// An alarm that outlived its member keeps the cluster from writing, and whoever removes a member takes its alarms along.
#[test]
fn an_alarm_of_nobody_is_seen() {
    let Some(cluster) = Running::three("3.5") else { return };
    let old = ids(&cluster)["infra2"].clone();
    cluster.raise(AlarmType::Nospace, "infra2");
    // By hand, as another tool does it. For some seconds after its start a server lets nobody go.
    until("the member is removed", || cluster.etcdctl_reading(&["member", "remove", &old], ""));
    assert_eq!(cluster.call("quorum", json!({})).unwrap()["verdict"], "degraded");
    let rows = cluster.call("health", json!({})).unwrap();
    assert_eq!(column(&rows, "verdict"), [&json!("degraded"); 2], "{rows}");
    assert!(rows[0]["error"].as_str().unwrap().contains(&old), "{rows}");
    cluster.call("alarm disarm", json!({ "member": old, "quota": "2GiB" })).unwrap();
    assert_eq!(cluster.call("quorum", json!({})).unwrap()["verdict"], "healthy");
    cluster.raise(AlarmType::Nospace, "infra3");
    let report = cluster.call("member remove", json!({ "member": "infra3" })).unwrap();
    assert_eq!(column(&report["steps"], "step").last(), Some(&&json!("disarm_alarm")), "{report}");
    assert_eq!(cluster.call("quorum", json!({})).unwrap()["verdict"], "healthy");
}
