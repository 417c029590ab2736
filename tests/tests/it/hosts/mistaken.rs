//! Hosts that are not what a profile says: two that were swapped, and one that nobody reaches. Nothing is done through them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use etcdsh_core::error::Error;
use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Turn, column, record, row, side_by_side, until};
use serde_json::{Value as Json, json};

use super::fleet::{Fleet, Kind};
use super::operations::is_another;

/// Swaps the hosts of two members in the profile, as whoever numbers them by hand does.
fn swap(fleet: &Fleet) {
    fleet.configure(|name| format!("{}peer_urls = [\"{}\"]\n", fleet.entry(other(name)), fleet.peer_url(name)));
}

/// Returns the member whose host is taken for that of this one.
fn other(name: &str) -> &str {
    match name {
        "infra1" => "infra2",
        "infra2" => "infra1",
        right => right,
    }
}

/// Runs an operation that has to be refused, and holds that it has done nothing: whoever was a member and ran, is one and runs.
fn refused(fleet: &Fleet, operation: &str, args: Json) -> Error {
    let serves = |name: &str| row(&fleet.call("health", json!({})).unwrap(), name)["verdict"] == "healthy";
    let state = || {
        let ids = fleet.ids();
        // A kubelet starts a member with damaged data again and again.
        let pids = ids.keys().filter(|name| serves(name)).map(|name| (name.clone(), fleet.pid(name)));
        (pids.collect::<BTreeMap<_, _>>(), ids)
    };
    let before = state();
    let error = match fleet.call(operation, args) {
        Err(error) => error,
        Ok(report) => panic!("{operation} was not refused: {report}"),
    };
    assert_eq!(state(), before, "{operation}: {error:?}");
    error
}

/// Returns the codes of all refusals.
fn codes(error: &Error) -> BTreeSet<String> {
    let report = etcdsh_tests::json(&error.report().unwrap_or_else(|| panic!("{error:?}")));
    report.as_array().unwrap().iter().map(|refusal| refusal["code"].as_str().unwrap().to_owned()).collect()
}

fn fleet(turn: &Turn) -> Fleet {
    let kind = if turn.number == 0 { Kind::Unit } else { Kind::PodAway };
    Fleet::start(turn.version, turn.options.clone(), kind)
}

#[test]
fn nobody_is_replaced_through_hosts_that_are_swapped() {
    side_by_side(&["3.5", "3.6"], |turn| {
        let fleet = fleet(&turn);
        fleet.cluster.etcdctl(&["put", "kept", "before"]);
        swap(&fleet);
        let up = refused(&fleet, "member replace", json!({ "member": "infra2", "allow": ["member_healthy"] }));
        assert!(codes(&up).iter().eq(["data_in_use"]), "{up:?}");
        let message = "on the host of infra2 runs infra1 (";
        assert!(up.to_string().contains(message), "{up}");

        fleet.damage("infra2");
        let down = refused(&fleet, "member replace", json!({ "member": "infra2" }));
        assert!(codes(&down).iter().eq(["data_in_use"]), "{down:?}");

        // Once the member has gone, whoever runs there could be taken for what is left of it.
        let old = fleet.ids();
        fleet.cluster.etcdctl(&["member", "remove", &old["infra2"]]);
        let gone = refused(&fleet, "member replace", json!({ "member": "infra2" }));
        assert!(codes(&gone).contains("data_in_use"), "{gone:?}");
        let args = json!({ "member": "infra2", "allow": ["quorum_at_risk", "no_quorum", "server_would_refuse"] });
        assert_eq!(refused(&fleet, "member replace", args).code(), "data_in_use");

        fleet.configure(|name| fleet.entry_with_peer_urls(name));
        let report = fleet.call("member replace", json!({ "member": "infra2" })).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        is_another(&fleet, "infra2", &old);
    });
}

#[test]
fn nobody_is_restarted_through_hosts_that_are_swapped() {
    side_by_side(&["3.4", "3.7"], |turn| {
        let fleet = fleet(&turn);
        swap(&fleet);
        for args in [json!({ "settle": "0s" }), json!({ "settle": "0s", "members": ["infra2"] })] {
            let error = refused(&fleet, "rolling-restart", args);
            assert_eq!(error.code(), "data_in_use", "{error:?}");
        }
        // Where only what runs them was swapped, the data that are looked at are the right ones.
        let data_dir = |name: &str| fleet.data_dir(name).to_string_lossy().into_owned();
        fleet.configure(|name| fleet.entry(other(name)).replace(&data_dir(other(name)), &data_dir(name)));
        let error = refused(&fleet, "rolling-restart", json!({ "settle": "0s" }));
        assert_eq!(error.code(), "host_data_dir", "{error:?}");

        // Whoever insists is told that it was another one's.
        swap(&fleet);
        let args = json!({ "settle": "0s", "members": ["infra2"], "allow": ["data_in_use"] });
        let error = fleet.call("rolling-restart", args).unwrap_err();
        assert_eq!(error.code(), "not_restarted", "{error:?}");
        assert!(error.help().unwrap().contains("correct hosts in the profile"), "{error:?}");
        fleet.healthy();
    });
}

/// The kubelet sees late that a manifest has gone, and starts what it saw last again and again until then.
#[test]
fn a_kubelet_that_looks_seldom_starts_nothing_on_emptied_data() {
    let fleet = Fleet::start("3.6", Options { tls: false, ..Options::default() }, Kind::PodAway);
    fleet.configure(|name| fleet.entry(name).replace("file_check = \"1s\"", "file_check = \"15s\""));
    fleet.cluster.etcdctl(&["put", "kept", "before"]);
    let old = fleet.ids();
    fleet.damage("infra2");
    let blind = fleet.machine("infra2").join("blind");
    std::fs::write(&blind, "").unwrap();
    let stopped = std::sync::atomic::AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let parked = fleet.machine("infra2").join("etcdsh-parked/etcd.yaml");
            until("the manifest was taken away", || if parked.exists() { Ok(()) } else { Err(String::new()) });
            let start = Instant::now();
            until("some time has passed", || match start.elapsed() {
                span if span > Duration::from_secs(8) => Ok(()),
                span => Err(format!("{span:?}")),
            });
            assert!(!stopped.load(Ordering::SeqCst), "nobody waited for the kubelet");
            std::fs::remove_file(&blind).unwrap();
        });
        let profile = fleet.profile();
        let report = fleet.cluster.caller.answer_told(
            &profile,
            "member replace",
            record(json!({ "member": "infra2" })),
            &|event| {
                if matches!(event, Event::Outcome { step, .. } if step == "stop_member") {
                    stopped.store(true, Ordering::SeqCst);
                }
            },
        );
        etcdsh_tests::json(&report.unwrap())
    });
    assert_eq!(report["ok"], true, "{report}");
    is_another(&fleet, "infra2", &old);
    fleet.healthy();
}

/// Without its WAL, data do not say whose they are; and where a WAL dir is not one member's alone, the others' would go with it.
#[test]
fn a_wal_that_is_apart_has_to_be_named() {
    side_by_side(&["3.5", "3.6"], |turn| {
        let kind = if turn.number == 0 { Kind::Unit } else { Kind::PodAway };
        let fleet = Fleet::start_with(turn.version, turn.options.clone(), kind, true);
        fleet.cluster.etcdctl(&["put", "kept", "before"]);
        let without = |name: &str| {
            let entry = fleet.entry_with_peer_urls(name);
            entry
                .lines()
                .filter(|line| !line.starts_with("wal_dir"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        fleet.configure(without);
        let replace = json!({ "member": "infra2" });
        fleet.damage("infra2");
        for (operation, args) in
            [("member replace", replace.clone()), ("rolling-restart", json!({ "members": ["infra2"], "settle": "0s" }))]
        {
            let error = refused(&fleet, operation, args);
            assert_eq!(error.code(), "host_data_dir", "{error:?}");
            assert!(
                error.to_string().contains(" has the wal_dir ") && error.help().unwrap().contains("wal_dir"),
                "{error}"
            );
        }
        fleet.configure(|name| without(other(name)));
        assert_eq!(refused(&fleet, "member replace", replace.clone()).code(), "host_data_dir");
        let old = fleet.ids();
        let wals = fleet.cluster.home().join("wals");
        let all = format!("wal_dir = \"{}\"\n", wals.display());
        fleet.configure(|name| without(name) + &all);
        let error = refused(&fleet, "member replace", replace.clone());
        assert_eq!(error.code(), "host_data_dir", "{error:?}");
        // A unit tells which one it has; and where none does, a folder with others in it stays where it is.
        assert!(wals.join("infra1").is_dir() && wals.join("infra2").is_dir());

        // A link would be moved in place of what it leads to.
        std::fs::rename(wals.join("infra2"), wals.join("real")).unwrap();
        std::os::unix::fs::symlink(wals.join("real"), wals.join("infra2")).unwrap();
        fleet.configure(|name| fleet.entry_with_peer_urls(name));
        let error = refused(&fleet, "member replace", replace.clone());
        assert!(
            error.to_string().ends_with("wals/infra2 on this machine is a symbolic link, so it cannot be moved aside")
                || turn.number > 0,
            "{error}"
        );
        assert_eq!(error.code(), "host_data_dir");
        std::fs::remove_file(wals.join("infra2")).unwrap();
        std::fs::rename(wals.join("real"), wals.join("infra2")).unwrap();
        let report = fleet.call("member replace", replace).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        is_another(&fleet, "infra2", &old);
        let names: Vec<_> = std::fs::read_dir(&wals).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "the old one is kept: {names:?}");
        fleet.healthy();
    });
}

#[test]
fn a_host_that_nobody_reaches_keeps_nobody_from_restarting_the_others() {
    let mut fleet = Fleet::start("3.6", Options { tls: false, ..Options::default() }, Kind::UnitAway);
    fleet.spare("infra4");
    fleet.configure(|name| fleet.entry(name).replace("infra2.test", "away.test"));
    let unreached = "root@away.test cannot be reached: ssh: connect to host away.test port 22: Connection refused";
    let error = refused(&fleet, "rolling-restart", json!({ "settle": "0s" }));
    assert_eq!((error.code(), error.to_string().as_str()), ("host_unreachable", unreached));
    let before = fleet.pids();
    let report = fleet.nu("etcd rolling-restart --profile prod --settle 0sec --members [infra1 infra3]");
    assert_eq!(report["ok"], true, "{report}");
    let after = fleet.pids();
    let same: Vec<_> =
        before.iter().filter(|(name, pid)| after.get(*name) == Some(pid)).map(|(name, _)| name).collect();
    assert_eq!(same, ["infra2"]);
    fleet.healthy();

    // Its machine is gone, and its member with it.
    fleet.kill("infra2");
    let error = refused(&fleet, "member replace", json!({ "member": "infra2" }));
    assert!(error.in_one_line().contains(unreached) && error.help().is_some(), "{error:?}");

    // It can be replaced elsewhere, by whoever says that it need not be stopped.
    let mut elsewhere = json!({ "member": "infra2", "name": "infra4", "peer_urls": [fleet.peer_url("infra4")] });
    let error = refused(&fleet, "member replace", elsewhere.clone());
    assert!(codes(&error).iter().eq(["process_unknown"]), "{error:?}");
    assert!(error.to_string().contains(unreached), "{error}");
    elsewhere["allow"] = json!(["process_unknown"]);
    let report = fleet.call("member replace", elsewhere).unwrap();
    assert!(!column(&report["steps"], "step").contains(&&json!("stop_member")), "{report}");
    fleet.healthy();
    assert!(fleet.ids().into_keys().eq(["infra1", "infra3", "infra4"]), "{:?}", fleet.ids());
}
