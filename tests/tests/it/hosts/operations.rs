//! The procedures on clusters whose members are all driven as a profile says: units of systemd and static pods, on this machine
//! and over ssh.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use etcdsh_core::event::Event;
use etcdsh_tests::{MATRIX, Turn, column, json as to_json, record, row, side_by_side, until, until_within};
use serde_json::{Value as Json, json};

use crate::crash_points::procedures::holds_what_was_kept;

use super::fleet::{Fleet, Kind};
use crate::procedure_faults::outside;

/// How long a whole procedure may take where two cores run many clusters at once.
const LONG: std::time::Duration = std::time::Duration::from_secs(300);

#[test]
fn a_whole_cluster_is_restarted_and_a_broken_member_is_replaced() {
    side_by_side(MATRIX, |turn| {
        let fleet = Fleet::of_turn(&turn, 0);
        fleet.cluster.etcdctl(&["put", "kept", "before"]);
        restarted(&fleet);
        // Units and pods break in both ways, on one version each.
        if matches!(fleet.kind, Kind::Unit | Kind::PodAway) {
            fleet.make_stale("infra2");
            replaced(&fleet, &turn, "its data are an old copy (tocommit(");
        } else {
            fleet.empty("infra2");
            replaced(&fleet, &turn, "its data are gone, and it was started as if the cluster were new (");
        }
    });
}

/// All members are restarted, each one only while the others serve.
fn restarted(fleet: &Fleet) {
    let (before, leader) = (fleet.pids(), fleet.cluster.leader());
    let everybody_serves = |event: &Event| {
        if matches!(event, Event::Intent { step, .. } if step == "restart_member") {
            let view = outside(|| fleet.cluster.view_with(&fleet.profile()).unwrap());
            assert!(view.members.iter().all(|member| member.serves()), "{view:?}");
        }
    };
    let (report, most) = most_away(fleet, || {
        let (args, caller) = (record(json!({ "settle": "0s" })), &fleet.cluster.caller);
        to_json(&caller.answer_told(&fleet.profile(), "rolling-restart", args, &everybody_serves).unwrap())
    });
    assert!(most <= 1, "{most} members were away at the same time");
    let steps = report["steps"].as_array().unwrap();
    let order: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(order, ["restart_member", "restart_member", "move_leader", "restart_member"], "{report}");
    assert!(steps[3]["target"].as_str().unwrap().starts_with(&leader), "the leader comes last: {report}");
    let after = fleet.pids();
    assert!(after.len() == 3 && before.iter().all(|(name, pid)| after[name] != *pid), "{before:?} {after:?}");
    fleet.healthy();
}

/// Does something, and says how many members had no process at the same time meanwhile.
fn most_away<T>(fleet: &Fleet, work: impl FnOnce() -> T) -> (T, usize) {
    struct Over<'f>(&'f AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            until_within(LONG, "the work is over", || {
                most = most.max(3 - fleet.pids().len());
                if over.load(Ordering::Relaxed) { Ok(most) } else { Err(most.to_string()) }
            })
        });
        let ends = Over(&over);
        let done = work();
        drop(ends);
        (done, watch.join().unwrap())
    })
}

/// A broken member is replaced, as its plan says, by one of its name and address.
fn replaced(fleet: &Fleet, turn: &Turn, why: &str) {
    let name = "infra2";
    // While a kubelet tries it once more, its own answer is what is told.
    until("it is said why it is down", || {
        let health = fleet.call("health", json!({})).map_err(|error| format!("{error:?}"))?;
        let error = row(&health, name)["error"].as_str().unwrap_or_default();
        if error.contains(why) { Ok(()) } else { Err(health.to_string()) }
    });
    let (old, pids) = (fleet.ids(), fleet.pids());
    let dry = fleet.call("member replace", json!({ "member": name, "dry_run": true })).unwrap();
    assert_eq!((&dry["ok"], &dry["executed"]), (&json!(true), &json!(false)), "{dry}");
    assert_eq!(fleet.ids(), old);
    let report = match turn.number % 3 {
        0 => fleet.call("member replace", json!({ "member": name })).unwrap(),
        1 => fleet.nu(&format!("etcd member replace {name} --profile prod")),
        _ => fleet.rhai(&format!("etcd.member_replace(\"{name}\")")),
    };
    assert_eq!(column(&report["steps"], "step"), column(&dry["plan"], "step"), "{report}");
    assert!(column(&report["steps"], "outcome").iter().all(|o| *o == "done" || *o == "already"), "{report}");
    is_another(fleet, name, &old);
    heard_its_start(fleet, name, &report);
    // Nothing was done to the others.
    assert!(fleet.pids().iter().all(|(other, pid)| other == name || pids[other] == *pid), "{pids:?}");
    let aside = report["steps"].as_array().unwrap().iter().find_map(|step| step["result"]["data_dir_aside"].as_str());
    match aside {
        Some(aside) => assert!(Path::new(aside).join("snap/db").is_file(), "{aside}"),
        None => assert!(why.starts_with("its data are gone"), "{report}"),
    }
}

/// The leader moves to a machine that was made ready for it, from where nothing was taken away.
#[test]
fn a_member_moves_to_another_machine() {
    side_by_side(&["3.5", "3.6"], |turn| {
        let kind = if turn.number == 0 { Kind::PodAway } else { Kind::Unit };
        let mut fleet = Fleet::start(turn.version, turn.options, kind);
        fleet.spare("infra4");
        let (leader, before) = (fleet.cluster.leader(), fleet.pids());
        let args = json!({ "member": leader, "name": "infra4", "peer_urls": [fleet.peer_url("infra4")] });
        let report = fleet.call("member replace", args).unwrap();
        let expected = [
            "save_snapshot",
            "add_member",
            "start_member",
            "promote_member",
            "move_leader",
            "stop_member",
            "remove_member",
            "compare_hashes",
            "await_healthy",
        ];
        assert_eq!(column(&report["steps"], "step"), expected, "{report}");
        assert!(column(&report["steps"], "outcome").iter().all(|outcome| *outcome == "done"), "{report}");
        fleet.healthy();
        heard_its_start(&fleet, "infra4", &report);
        let ids = fleet.ids();
        assert!(ids.contains_key("infra4") && !ids.contains_key(&leader), "{ids:?}");
        let after = fleet.pids();
        assert!(!after.contains_key(&leader), "{leader} runs on");
        assert!(before.iter().all(|(name, pid)| *name == leader || after[name] == *pid), "{before:?} {after:?}");
        assert!(fleet.data_dir(&leader).join("member/snap/db").is_file(), "its data are where they were");
    });
}

/// Holds that a member has another id, its name and its address, and all data.
pub(super) fn is_another(fleet: &Fleet, name: &str, old: &BTreeMap<String, String>) {
    fleet.healthy();
    let new = fleet.ids();
    assert!(new.keys().eq(old.keys()) && new[name] != old[name], "{old:?} {new:?}");
    let members = fleet.call("member list", json!({})).unwrap();
    assert_eq!(row(&members, name)["peer_urls"], json!([fleet.peer_url(name)]));
    holds_what_was_kept(&fleet.cluster, name);
}

/// Holds that a member's process has what its start configuration said.
fn heard_its_start(fleet: &Fleet, name: &str, report: &Json) {
    let steps = report["steps"].as_array().unwrap();
    let start = &steps.iter().find(|step| step["step"] == "start_member").unwrap()["result"];
    let heard = heard(fleet, name);
    for (variable, value) in start.as_object().unwrap() {
        let flag = variable.trim_start_matches("ETCD_").to_lowercase().replace('_', "-");
        let word = if fleet.kind.is_unit() { variable.clone() } else { format!("--{flag}") };
        let word = format!("{word}={}", value.as_str().unwrap());
        assert!(heard.contains(&word), "{word}: {heard:?}");
    }
    assert_eq!((&start["ETCD_NAME"], &start["ETCD_INITIAL_CLUSTER_STATE"]), (&json!(name), &json!("existing")));
}

/// Returns the words and the variables that a member's process was started with.
fn heard(fleet: &Fleet, name: &str) -> Vec<String> {
    let pid = fleet.pid(name).unwrap();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    ["cmdline", "environ"].map(read).iter().flat_map(|text| text.split('\0')).map(str::to_owned).collect()
}
