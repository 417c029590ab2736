//! Who else changes the cluster meanwhile: another operator, one who was killed, and somebody who changes what was planned for.

use std::cell::{Cell, RefCell};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use etcdsh_core::context::Cancel;
use etcdsh_core::event::Event;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::Options;
use etcdsh_core::value::Value;
use etcdsh_tests::{
    Caller, Ended, MATRIX, Running, column, json as to_json, record, side_by_side, until, until_within,
};
use serde_json::json;

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, outside, pids, plain, resume, start, told};

/// Another user's home, from which the same cluster is reached.
fn other_home(cluster: &Running) -> (Caller, Profile) {
    let caller = Caller::new();
    let profile = Profile { hosts: None, ..cluster.profile() };
    (caller, profile)
}

#[test]
fn a_second_operator_waits_and_is_refused_or_goes_on() {
    side_by_side(MATRIX, |turn| second_operator(&start(turn.version, turn.options)));
}

/// Does something while the first operator's rolling restart is held in its closure, with the member up or down. It goes on when it
/// is told to, and has to come to its end.
fn while_restarting(cluster: &Running, down: bool, meanwhile: impl FnOnce(&mpsc::Sender<()>)) {
    let follower = cluster.followers().remove(0);
    let (began, has_begun) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let first = scope.spawn(move || {
            let hold = |member: Value| {
                let name = to_json(&member)["name"].as_str().unwrap().to_owned();
                if down {
                    cluster.kill(&[&name]);
                }
                began.send(()).unwrap();
                goes_on.recv_timeout(Duration::from_secs(120)).unwrap();
                if down {
                    cluster.call("sandbox restart", json!({ "member": name }))?;
                }
                Ok(Value::Null)
            };
            // Of a member that stays up nothing is seen.
            let allow: &[&str] = if down { &[] } else { &["not_restarted"] };
            let mut args = record(json!({ "members": [follower], "settle": "1s", "allow": allow }));
            args.insert("restart", Value::Hook(0));
            let (caller, profile, cancel) = (&cluster.caller, cluster.profile(), Cancel::new());
            caller.answer_hooked(&profile, "rolling-restart", args, &|_| {}, &[Box::new(hold)], cancel)
        });
        has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
        meanwhile(&go_on);
        assert_eq!(to_json(&first.join().unwrap().unwrap())["ok"], true);
    });
}

fn second_operator(cluster: &Running) {
    while_restarting(cluster, false, |go_on| {
        let (caller, profile) = other_home(cluster);
        let waited = RefCell::new(String::new());
        let start = Instant::now();
        let error = caller.answer_told(&profile, "defrag", record(json!({ "wait": "3s" })), &|event| {
            if let Event::Waiting { what, status, .. } = event {
                waited.replace(format!("{what}: {status}"));
            }
        });
        let error = error.unwrap_err();
        // The first one is known to be alive, so there is nothing to wait for beyond what was said.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(error.code(), "change_under_way", "{}", describe(&error));
        assert!(error.to_string().contains("rolling-restart, run "), "{error}");
        assert!(waited.borrow().starts_with("no other change is under way: rolling-restart, run "), "{waited:?}");
        assert_eq!(error.sent().map(etcdsh_core::error::Sent::word), Some("never"));
        // Nor does the number of members change that may be away: the member that is being restarted still serves.
        for (operation, peer_urls) in
            [("member remove", json!([])), ("member update", json!([cluster.free_peer_url()]))]
        {
            let mut args = json!({ "member": cluster.leader(), "wait": "3s", "allow": ["quorum_at_risk"] });
            if operation == "member update" {
                args["peer_urls"] = peer_urls;
            }
            let error = caller.call(&profile, operation, args).unwrap_err();
            assert_eq!(error.code(), "change_under_way", "{operation}: {}", describe(&error));
        }
        // It begins while the first one still goes on, and waits for its end.
        let told = Cell::new(false);
        let report = caller.answer_told(&profile, "defrag", record(json!({})), &|event| {
            if let (Event::Waiting { .. }, false) = (event, told.get()) {
                told.set(true);
                go_on.send(()).unwrap();
            }
        });
        assert!(told.get(), "nobody was waited for");
        assert_eq!(to_json(&report.unwrap())["ok"], true);
    });
    assert_eq!(cluster.etcdctl(&["get", "etcdsh/change"]), "", "the right was given back");
}

/// Somebody is away because of another's change, and that is what the second one learns.
#[test]
fn who_finds_a_member_away_learns_whose_change_it_is() {
    side_by_side(MATRIX, |turn| {
        let cluster = &start(turn.version, turn.options);
        while_restarting(cluster, true, |go_on| {
            let (caller, profile) = other_home(cluster);
            let error = caller.call(&profile, "defrag", json!({})).unwrap_err();
            assert_eq!(error.code(), "change_under_way", "{}", describe(&error));
            go_on.send(()).unwrap();
        });
        // Nobody has the right any more.
        cluster.kill(&["infra2"]);
        let error = cluster.call("defrag", json!({ "members": ["infra1"] })).unwrap_err();
        assert_eq!(error.code(), "others_unhealthy", "{}", describe(&error));
    });
}

/// Both want to replace the same broken member; the second one has planned it before the first one was done.
#[test]
fn two_operators_do_not_replace_each_others_new_member() {
    side_by_side(MATRIX, |turn| {
        let cluster = &start(turn.version, turn.options);
        cluster.call("sandbox break", json!({ "member": "infra2", "how": "stale-data" })).unwrap();
        let old = ids(cluster);
        let (planned, waits) = mpsc::channel();
        std::thread::scope(|scope| {
            let (go, goes) = mpsc::channel::<()>();
            let first = scope.spawn(move || {
                let held = Cell::new(false);
                let hold = |event: &Event| {
                    if matches!(event, Event::Step { .. }) && !held.replace(true) {
                        planned.send(()).unwrap();
                        goes.recv_timeout(Duration::from_secs(60)).unwrap();
                    }
                };
                told(cluster, "member replace", json!({ "member": "infra2" }), &hold)
            });
            waits.recv_timeout(Duration::from_secs(60)).unwrap();
            let told_to_go = Cell::new(false);
            // It waits for the right, so it has made its plan.
            let second = told(cluster, "member replace", json!({ "member": "infra2" }), &|event| {
                if matches!(event, Event::Waiting { what, .. } if what.starts_with("no other change"))
                    && !told_to_go.replace(true)
                {
                    go.send(()).unwrap();
                }
            });
            assert!(told_to_go.get(), "it did not wait: {second:?}");
            assert_eq!(first.join().unwrap().unwrap()["ok"], true);
            let error = second.unwrap_err();
            assert_eq!(error.code(), "stale_plan", "{}", describe(&error));
        });
        // Nobody has touched the new member.
        healthy(cluster, 3);
        let new = ids(cluster);
        assert!(new.len() == 3 && new["infra2"] != old["infra2"], "{new:?}");
    });
}

#[test]
fn the_right_of_a_holder_that_was_killed_is_taken_over_at_once() {
    side_by_side(MATRIX, |turn| taken_over(&start(turn.version, turn.options)));
}

fn taken_over(cluster: &Running) {
    let before = pids(cluster);
    let mut command = cluster.crashing("sandbox", &["step"], None, "rolling-restart", &json!({ "settle": "4s" }));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("it has the right", || match cluster.etcdctl(&["get", "etcdsh/change", "--print-value-only"]) {
        note if note.contains("rolling-restart") => Ok(()),
        other => Err(other),
    });
    // It is not killed between the stop and the start of a member, which would keep everybody from going on.
    until("the first member was restarted", || match (pids(cluster), cluster.call("quorum", json!({}))) {
        (pids, Ok(quorum)) if pids != before && quorum["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(cluster.etcdctl(&["get", "etcdsh/change"]).contains("rolling-restart"), "its right outlives it");
    healthy(cluster, 3);
    let (caller, profile) = other_home(cluster);
    let (start, first) = (Instant::now(), Cell::new(None));
    let report = caller.answer_told(&profile, "defrag", record(json!({})), &|event| {
        if let (Event::Step { .. }, None) = (event, first.get()) {
            first.set(Some(start.elapsed()));
        }
    });
    assert_eq!(to_json(&report.unwrap())["ok"], true);
    let first = first.get().expect("a step began");
    eprintln!("the right was taken over within {first:?}");
    assert!(first < Duration::from_secs(20), "it was waited for until it ended by itself: {first:?}");
    // The run of the dead one is known as such, and is gone on with.
    resume(cluster);
}

#[test]
fn a_run_does_not_go_on_on_another_cluster() {
    let (mine, other) = (plain(3), plain(3));
    let crashed = mine.crash("sandbox", &["step"], Some(2), "rolling-restart", &json!({ "settle": "1s" }));
    assert_eq!(crashed, Ended::Crashed);
    let id = mine.call("change list", json!({})).unwrap()[0]["id"].clone();
    let before = (other.call("member list", json!({})).unwrap(), pids(&other), other.view().unwrap().revision());
    let profile = Profile { hosts: mine.profile().hosts, ..other.profile() };
    let error = mine.caller.call(&profile, "change resume", json!({ "id": id })).unwrap_err();
    assert_eq!(error.code(), "cluster_mismatch", "{}", describe(&error));
    assert_eq!(error.help().as_deref(), Some("check the endpoints; nothing was changed on the other cluster"));
    let after = (other.call("member list", json!({})).unwrap(), pids(&other), other.view().unwrap().revision());
    assert_eq!(before, after);
    resume(&mine);
}

#[test]
fn of_two_who_go_on_with_a_run_one_does() {
    let cluster = plain(3);
    let crashed = cluster.crash("sandbox", &["step"], Some(2), "rolling-restart", &json!({ "settle": "1s" }));
    assert_eq!(crashed, Ended::Crashed);
    let id = cluster.call("change list", json!({})).unwrap()[0]["id"].clone();
    let resume = || cluster.call("change resume", json!({ "id": id }));
    let (first, second) = std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(resume), scope.spawn(resume));
        (first.join().unwrap(), second.join().unwrap())
    });
    let refused = match (first, second) {
        (Ok(report), Err(error)) | (Err(error), Ok(report)) => {
            assert_eq!(report["ok"], true, "{report}");
            error
        }
        other => panic!("{other:?}"),
    };
    assert!(["already_resumed", "run_running", "run_over"].contains(&refused.code()), "{}", describe(&refused));
    let runs = cluster.call("change list", json!({})).unwrap();
    let show = |run: &serde_json::Value| cluster.call("change show", json!({ "id": run["id"] })).unwrap();
    let restarts = runs.as_array().unwrap().iter().map(show).map(|run| {
        let steps = run["steps"].as_array().unwrap().clone();
        steps.iter().filter(|step| step["step"] == "restart_member" && step["outcome"] == "done").count()
    });
    assert_eq!(restarts.sum::<usize>(), 3, "{runs}");
    healthy(&cluster, 3);
}

#[test]
fn what_was_planned_for_a_member_that_has_gone_is_not_done() {
    side_by_side(MATRIX, |turn| gone(&start(turn.version, Options { members: 4, ..turn.options })));
}

fn gone(cluster: &Running) {
    for operation in ["rolling-restart", "defrag"] {
        let (members, before) = (ids(cluster), pids(cluster));
        let target = cluster.followers().into_iter().find(|name| members.contains_key(name)).unwrap();
        let id = members[&target].clone();
        let gone = Cell::new(false);
        let remove = |event: &Event| {
            if let (Event::Step { .. }, false) = (event, gone.get()) {
                gone.set(true);
                outside(|| {
                    until("the member is removed", || match cluster.etcdctl_reading(&["member", "remove", &id], "") {
                        // The answer to the one before was lost.
                        Err(error) if error.contains("member not found") => Ok(()),
                        other => other.map(drop),
                    });
                });
            }
        };
        let error = told(cluster, operation, json!({ "members": [target] }), &remove).unwrap_err();
        assert!(gone.get());
        assert_eq!(error.code(), "stale_plan", "{}", describe(&error));
        assert_eq!(
            error.help().as_deref(),
            Some(
                "run it again, so that it is planned for the members that are there. To do it all the same, allow stale_plan"
            )
        );
        assert!(
            error.causes()[0].contains(&format!("{operation} is refused: {id} is not a member any more")),
            "{error:?}"
        );
        let report = to_json(&error.report().unwrap());
        assert_eq!(column(&report["steps"], "outcome"), ["failed"], "{report}");
        let mut after = pids(cluster);
        // Who was removed ends by itself; nobody starts it again.
        after.insert(target.clone(), before[&target]);
        assert_eq!(before, after);
        cluster.call("sandbox wipe", json!({ "member": target })).ok();
        if operation == "rolling-restart" {
            healthy_without(cluster, 3);
        }
    }
}

fn healthy_without(cluster: &Running, voters: usize) {
    until_within(Duration::from_secs(60), "the rest is healthy", || match cluster.call("quorum", json!({})) {
        Ok(quorum) if quorum["healthy"] == true && quorum["voters"] == voters => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
