//! Faults in the middle of a procedure. Each one is seen to fire, and each run ends in the state that was promised, or stops
//! with an error that says what to do, after which `change resume` ends in that state.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::AlarmType;
use etcdsh_core::context::Cancel;
use etcdsh_core::error::Error;
use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_core::value::Value;
use etcdsh_tests::{MATRIX, Running, json as to_json, record, row, side_by_side, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::failing::describe;

pub(crate) fn plain(members: usize) -> Running {
    start("3.6", Options { members, tls: false, ..Options::default() })
}

/// Starts a cluster of a version that is here.
pub(crate) fn start(version: &str, options: Options) -> Running {
    Running::start(version, options).unwrap()
}

/// Does something from within the callback of a call, whose thread must not wait for another call itself.
pub(crate) fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

pub(crate) fn told(cluster: &Running, name: &str, args: Json, events: &dyn Fn(&Event)) -> Result<Json, Error> {
    let answer = cluster.caller.answer_told(&cluster.profile(), name, record(args), events);
    answer.map(|answer| to_json(&answer))
}

/// Waits until all of so many members are healthy.
pub(crate) fn healthy(cluster: &Running, members: usize) {
    until("every member is healthy", || match cluster.call("quorum", json!({})) {
        Ok(quorum) if quorum["verdict"] == "healthy" && quorum["voters"] == members => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Waits until a member that was started again serves, however many members there are in the middle of a procedure.
fn serving(cluster: &Running, name: &str) {
    until(&format!("{name} serves"), || match cluster.call("health", json!({})) {
        Ok(health) if row(&health, name)["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

pub(crate) fn pids(cluster: &Running) -> BTreeMap<String, i64> {
    let members = cluster.sandbox.members().unwrap();
    members.iter().map(|m| (m.name().to_owned(), m.row().unwrap().pid.unwrap_or_default())).collect()
}

pub(crate) fn ids(cluster: &Running) -> BTreeMap<String, String> {
    let list = cluster.call("member list", json!({})).unwrap();
    let text = |field: &Json| field.as_str().unwrap_or_default().to_owned();
    list.as_array().unwrap().iter().map(|member| (text(&member["name"]), text(&member["member_id"]))).collect()
}

/// Goes on with the newest run.
pub(crate) fn resume(cluster: &Running) {
    let runs = cluster.call("change list", json!({})).unwrap();
    let id = runs[0]["id"].as_str().unwrap();
    assert!(matches!(runs[0]["state"].as_str(), Some("stopped" | "interrupted")), "{runs}");
    let report = cluster.call("change resume", json!({ "id": id }));
    let report = report.unwrap_or_else(|error| panic!("{} {:?}", describe(&error), error.report()));
    assert_eq!(report["ok"], true, "{report}");
}

/// Runs an operation during which the leader is killed as soon as the step of this number, counted as they come, is over.
/// Returns who was killed; nobody when there are fewer steps.
fn leader_killed_behind(cluster: &Running, at: usize, name: &str, args: Json) -> (Option<String>, Result<Json, Error>) {
    let (seen, killed) = (Cell::new(0), RefCell::new(None));
    let kill = |event: &Event| {
        if let Event::Outcome { .. } = event {
            seen.set(seen.get() + 1);
            if seen.get() == at {
                let leader = outside(|| {
                    let leader = cluster.leader();
                    cluster.kill(&[&leader]);
                    leader
                });
                killed.replace(Some(leader));
            }
        }
    };
    let ended = told(cluster, name, args, &kill);
    (killed.into_inner(), ended)
}

/// Kills the leader behind these steps of a procedure in turn, as far as it has so many, and checks that it comes to its end.
/// `before` makes something of the cluster that the procedure is for and returns its arguments, `after` looks whether it was
/// done. Returns the steps, and where it stopped.
fn at_boundaries(
    cluster: &Running,
    mut which: impl Iterator<Item = usize>,
    name: &str,
    before: impl Fn() -> Json,
    after: impl Fn(),
) -> (Vec<usize>, Vec<String>) {
    let members = cluster.sandbox.members().unwrap().len();
    let (mut steps, mut stopped) = (Vec::new(), Vec::new());
    loop {
        let at = which.next().expect("there is always another number");
        healthy(cluster, members);
        let (killed, ended) = leader_killed_behind(cluster, at, name, before());
        if let Some(killed) = &killed {
            cluster.call("sandbox restart", json!({ "member": killed })).unwrap();
        }
        match ended {
            Ok(report) => assert_eq!(report["ok"], true, "{report}"),
            Err(error) => {
                assert!(killed.is_some(), "nothing was in its way: {}", describe(&error));
                assert!(error.help().is_some_and(|help| !help.is_empty()), "{}", describe(&error));
                stopped.push(format!("{at}, {}: {}", error.code(), error.in_one_line()));
                serving(cluster, killed.as_ref().expect("somebody was killed"));
                resume(cluster);
            }
        }
        healthy(cluster, members);
        after();
        if killed.is_none() {
            return (steps, stopped);
        }
        steps.push(at);
    }
}

/// The versions share the steps, so that each one is met on one of them.
#[test]
fn a_replacement_outlives_the_leader_at_each_step() {
    let boundaries = AtomicUsize::new(0);
    side_by_side(MATRIX, |turn| {
        let which = turn.share();
        let cluster = start(turn.version, Options { members: 5, ..turn.options });
        let (victim, old) = (RefCell::new(String::new()), RefCell::new(BTreeMap::new()));
        let before = || {
            let follower = cluster.followers().remove(0);
            old.replace(ids(&cluster));
            cluster.kill(&[&follower]);
            victim.replace(follower.clone());
            json!({ "member": follower, "wait": "30s" })
        };
        let after = || {
            let (victim, old, new) = (victim.borrow(), old.borrow(), ids(&cluster));
            let changed: Vec<_> =
                new.iter().filter(|(name, id)| old.get(*name) != Some(id)).map(|(name, _)| name).collect();
            assert_eq!(changed, [&*victim], "{old:?} {new:?}");
        };
        let (steps, stopped) = at_boundaries(&cluster, which, "member replace", before, after);
        let version = turn.version;
        eprintln!("member replace, {version}: the leader was killed behind the steps {steps:?}; stopped: {stopped:#?}");
        boundaries.fetch_add(steps.len(), Ordering::SeqCst);
    });
    assert!(boundaries.into_inner() >= 6);
}

#[test]
fn a_rolling_restart_outlives_the_leader_at_each_step() {
    let (boundaries, stops) = (AtomicUsize::new(0), AtomicUsize::new(0));
    side_by_side(MATRIX, |turn| {
        let which = turn.share();
        let cluster = start(turn.version, turn.options);
        let old = RefCell::new(BTreeMap::new());
        let before = || {
            old.replace(pids(&cluster));
            json!({ "settle": "1s", "wait": "6s" })
        };
        let after = || {
            let (old, new) = (old.borrow(), pids(&cluster));
            assert!(new.iter().all(|(name, pid)| old[name] != *pid), "{old:?} {new:?}");
        };
        let (steps, stopped) = at_boundaries(&cluster, which, "rolling-restart", before, after);
        let version = turn.version;
        eprintln!(
            "rolling-restart, {version}: the leader was killed behind the steps {steps:?}; stopped: {stopped:#?}"
        );
        boundaries.fetch_add(steps.len(), Ordering::SeqCst);
        stops.fetch_add(stopped.len(), Ordering::SeqCst);
    });
    assert!(boundaries.into_inner() >= 4);
    assert!(stops.into_inner() > 0, "no leader was missed");
}

/// Gives every member something to give back.
fn churn(cluster: &Running) {
    for _ in 0..3 {
        cluster.put_hundred(&"x".repeat(9_000));
    }
    cluster.call("compact", json!({ "keep": 0, "physical": true })).unwrap();
    cluster.etcdctl(&["put", "large", "small"]);
}

#[rstest]
#[case("defrag", json!({ "wait": "30s" }), 4)]
#[case("space recover", json!({ "wait": "30s", "quota": "2GiB" }), 7)]
fn what_gives_space_back_outlives_the_leader_at_each_step(
    #[case] operation: &str,
    #[case] args: Json,
    #[case] fewest: usize,
) {
    let boundaries = AtomicUsize::new(0);
    side_by_side(MATRIX, |turn| {
        let which = turn.share();
        let cluster = start(turn.version, turn.options);
        let before = || {
            churn(&cluster);
            args.clone()
        };
        let after = || {
            let status = cluster.call("status", json!({})).unwrap();
            for row in status.as_array().unwrap() {
                let free = row["db_size"].as_i64().unwrap() - row["db_in_use"].as_i64().unwrap();
                assert!(free < 1_000_000, "{row}");
            }
            assert_eq!(cluster.etcdctl(&["get", "large", "--print-value-only"]).trim(), "small");
        };
        let (steps, stopped) = at_boundaries(&cluster, which, operation, before, after);
        let version = turn.version;
        eprintln!("{operation}, {version}: the leader was killed behind the steps {steps:?}; stopped: {stopped:#?}");
        boundaries.fetch_add(steps.len(), Ordering::SeqCst);
    });
    assert!(boundaries.into_inner() >= fewest);
}

#[test]
fn a_member_that_is_frozen_is_seen_before_and_in_the_middle() {
    side_by_side(MATRIX, |turn| freezing(&start(turn.version, turn.options)));
}

fn freezing(cluster: &Running) {
    let frozen = cluster.followers().remove(0);
    cluster.pause(&frozen);
    let before = pids(cluster);
    let error = cluster.call("rolling-restart", json!({ "settle": "1s" })).unwrap_err();
    assert_eq!(error.code(), "others_unhealthy", "{}", describe(&error));
    assert!(error.to_string().contains(&format!("another voter does not serve: {frozen}")), "{error}");
    assert_eq!(pids(cluster), before);
    cluster.resume(&frozen);
    healthy(cluster, 3);

    // It freezes when the first step is over, and is still frozen when the bound has passed.
    let freeze = |thaws: bool| {
        let wait = if thaws { "1min" } else { "8s" };
        let (fired, thawed, steps) = (RefCell::new(None::<String>), Cell::new(false), Cell::new(0));
        let events = |event: &Event| match event {
            Event::Outcome { .. } => {
                steps.set(steps.get() + 1);
                if steps.get() == 1 {
                    let leader = cluster_leader(cluster);
                    outside(|| cluster.pause(&leader));
                    fired.replace(Some(leader));
                }
            }
            Event::Waiting { what, status, .. } if thaws && !thawed.get() => {
                if let (Some(frozen), true) = (&*fired.borrow(), status.starts_with("another voter does not serve")) {
                    eprintln!("waiting until {what}: {status}");
                    outside(|| cluster.resume(frozen));
                    thawed.set(true);
                }
            }
            _ => {}
        };
        let ended = told(cluster, "rolling-restart", json!({ "settle": "1s", "wait": wait }), &events);
        let frozen = fired.into_inner().expect("a member was frozen");
        (frozen, thawed.get(), ended)
    };
    let before = pids(cluster);
    let (frozen, _, ended) = freeze(false);
    let error = ended.unwrap_err();
    eprintln!("{}", describe(&error));
    assert!(error.to_string().contains("rolling-restart stopped after 1 of"), "{error}");
    assert!(error.help().is_some(), "{}", describe(&error));
    cluster.resume(&frozen);
    healthy(cluster, 3);
    resume(cluster);
    let after = pids(cluster);
    assert!(after.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {after:?}");
    // Who goes on in time is waited for.
    healthy(cluster, 3);
    let (_, thawed, ended) = freeze(true);
    assert!(thawed, "nobody waited for the frozen member");
    assert_eq!(ended.unwrap()["ok"], true);
    healthy(cluster, 3);
}

fn cluster_leader(cluster: &Running) -> String {
    outside(|| cluster.leader())
}

#[test]
fn a_member_that_does_not_come_back_stops_the_run() {
    side_by_side(MATRIX, |turn| staying_away(&start(turn.version, turn.options)));
}

fn staying_away(cluster: &Running) {
    let follower = cluster.followers().remove(0);
    let hook = |kills: bool| {
        move |member: Value| {
            let name = to_json(&member)["name"].as_str().unwrap().to_owned();
            if kills {
                cluster.kill(&[&name]);
            } else {
                cluster.call("sandbox restart", json!({ "member": name }))?;
            }
            Ok(Value::Null)
        }
    };
    let mut args = record(json!({ "members": [follower], "settle": "1s", "wait": "2s" }));
    args.insert("restart", Value::Hook(0));
    let profile = cluster.profile();
    let error = cluster.caller.answer_hooked(
        &profile,
        "rolling-restart",
        args,
        &|_| {},
        &[Box::new(hook(true))],
        Cancel::new(),
    );
    let error = error.unwrap_err();
    assert!(error.causes()[0].contains("until the cluster shows restart_member"), "{}", describe(&error));
    assert!(error.help().unwrap().starts_with("to go on where it stopped: `change resume "), "{}", describe(&error));
    let id = cluster.call("change list", json!({})).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let mut args = record(json!({ "id": id }));
    args.insert("closure", Value::Hook(0));
    // It is away still, so that the journal says that it was restarted is not enough.
    let report =
        cluster.caller.answer_hooked(&profile, "change resume", args, &|_| {}, &[Box::new(hook(false))], Cancel::new());
    let report = to_json(&report.unwrap());
    assert_eq!((&report["ok"], &report["steps"][0]["outcome"]), (&json!(true), &json!("done")), "{report}");
    healthy(cluster, 3);
}

/// What a learner copies may outgrow its quota.
#[test]
fn a_new_member_with_an_alarm_is_not_waited_for() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        cluster.kill(&["infra2"]);
        let raise = |event: &Event| {
            if matches!(event, Event::Outcome { step, .. } if step == "compare_hashes") {
                outside(|| cluster.raise(AlarmType::Nospace, "infra2"));
            }
        };
        let begun = Instant::now();
        let error =
            told(&cluster, "member replace", json!({ "member": "infra2", "wait": "5min" }), &raise).unwrap_err();
        assert_eq!(error.code(), "member_alarmed", "{}", describe(&error));
        assert!(error.help().unwrap().contains("`space recover` makes room"), "{}", describe(&error));
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
        let run = cluster.call("change list", json!({})).unwrap()[0]["id"].clone();
        cluster.call("alarm disarm", json!({ "quota": "2GiB" })).unwrap();
        assert_eq!(cluster.call("change resume", json!({ "id": run })).unwrap()["ok"], true);
        healthy(&cluster, 3);
    });
}
