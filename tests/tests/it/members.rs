//! Changes of the membership and of the leadership, on real clusters.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use etcdsh_core::change::guard::MAX_LAG;
use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::error::Error;
use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::proxy::{Proxy, Times, Way, What, When};
use etcdsh_tests::{Running, column, driver, record, row, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

fn call(cluster: &Running, name: &str, args: Json) -> Json {
    cluster.call(name, args).unwrap()
}

fn refused(cluster: &Running, name: &str, args: Json) -> Error {
    cluster.call(name, args).unwrap_err()
}

/// What a change could have changed.
fn state(cluster: &Running) -> (Json, Json) {
    (call(cluster, "member list", json!({})), call(cluster, "quorum", json!({})))
}

/// Returns what came of each step.
fn outcomes(report: &Json) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["step"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

fn codes(report: &Json) -> Vec<&str> {
    column(&report["refusals"], "code").into_iter().map(|code| code.as_str().unwrap()).collect()
}

/// An etcd that is started with nothing but what the report of `member add` holds, and where it is to listen.
struct Newcomer(Child);

impl Newcomer {
    fn start(cluster: &Running, start: &Json, client_url: &str) -> Self {
        let mut etcd = Command::new(cluster.tools.program("etcd"));
        etcd.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for (variable, value) in start.as_object().unwrap() {
            etcd.env(variable, value.as_str().unwrap());
        }
        etcd.arg("--data-dir").arg(cluster.places.state.join("newcomer"));
        etcd.arg("--listen-peer-urls").arg(start["ETCD_INITIAL_ADVERTISE_PEER_URLS"].as_str().unwrap());
        etcd.args(["--listen-client-urls", client_url, "--advertise-client-urls", client_url]);
        Newcomer(etcd.spawn().unwrap())
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

#[rstest]
fn a_member_joins_with_what_the_report_holds(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { tls: false, ..Options::default() }) else { return };
    let (cluster, peer) = (&cluster, cluster.free_peer_url());
    let client_url = cluster.free_peer_url();
    let add = |more: Json| {
        let mut args = json!({ "name": "infra4", "peer_urls": [peer] });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let before = state(cluster);
    let rehearsed = call(cluster, "member add", add(json!({ "dry_run": true })));
    assert_eq!(json!([rehearsed["executed"], rehearsed["ok"], rehearsed["journal"]]), json!([false, true, null]));
    let reason = "a learner has no vote, so it cannot cost the cluster its quorum while it catches up";
    let planned = json!([{ "number": 1, "step": "add_member", "target": "infra4", "reason": reason }]);
    assert_eq!((&rehearsed["plan"], &rehearsed["steps"], &rehearsed["start"]), (&planned, &json!([]), &Json::Null));
    assert_eq!((&rehearsed["before"]["learners"], &rehearsed["after"]["learners"]), (&json!(0), &json!(1)));
    assert_eq!(state(cluster), before);

    // The cluster has just started, so the server refuses at first; that is waited for.
    let added = call(cluster, "member add", add(json!({})));
    assert_eq!(
        (&added["executed"], &added["ok"], outcomes(&added)),
        (&json!(true), &json!(true), vec![("add_member", "done")])
    );
    let url = |name: &str| cluster.member(name).peer_url().to_owned();
    let start = json!({
        "ETCD_NAME": "infra4",
        "ETCD_INITIAL_CLUSTER":
            format!("infra1={},infra2={},infra3={},infra4={peer}", url("infra1"), url("infra2"), url("infra3")),
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
    });
    assert_eq!(added["start"], start);
    journalled(&added, &["plan", "intent", "outcome", "end"]);
    let again = call(cluster, "member add", add(json!({})));
    assert_eq!(outcomes(&again), [("add_member", "already")]);
    assert_eq!((&again["start"], &again["member_id"]), (&start, &added["member_id"]));
    journalled(&again, &["plan", "outcome", "end"]);
    assert_eq!(call(cluster, "member list", json!({})).as_array().unwrap().len(), 4);

    let second = refused(cluster, "member add", json!({ "name": "infra5", "peer_urls": [cluster.free_peer_url()] }));
    assert_eq!(second.code(), "server_would_refuse");
    assert!(second.to_string().contains("too many learner members"), "{second}");
    let early = refused(cluster, "member promote", json!({ "member": added["member_id"] }));
    assert_eq!(early.code(), "learner_lagging", "{early:?}");

    let newcomer = Newcomer::start(cluster, &start, &client_url);
    until("it has joined", || match call(cluster, "health", json!({})) {
        health if health.as_array().unwrap().iter().all(|row| row["verdict"] == "healthy") => Ok(()),
        health => Err(health.to_string()),
    });
    let promoted = call(cluster, "member promote", json!({ "member": "infra4" }));
    assert_eq!(outcomes(&promoted), [("promote_member", "done")]);
    assert_eq!(json!([promoted["after"]["voters"], promoted["after"]["healthy_voters"]]), json!([4, 4]));
    let votes = refused(cluster, "member promote", json!({ "member": "infra4" }));
    assert_eq!((votes.code(), votes.argument()), ("invalid_argument", Some("member")));
    // Another one right after a change: the server refuses until the connections have settled.
    let next = json!({ "name": "infra5", "peer_urls": [cluster.free_peer_url()] });
    assert_eq!(outcomes(&call(cluster, "member add", next)), [("add_member", "done")]);

    drop(newcomer);
    two_members_of_one_name(cluster, start, &client_url);
}

/// A member that is started under another member's name: from then on the name says too little.
fn two_members_of_one_name(cluster: &Running, mut start: Json, client_url: &str) {
    start["ETCD_NAME"] = json!("infra1");
    let _newcomer = Newcomer::start(cluster, &start, client_url);
    let twins = until("two members have one name", || {
        let members = call(cluster, "member list", json!({}));
        let twins: Vec<Json> = members
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["name"] == "infra1")
            .map(|m| m["member_id"].clone())
            .collect();
        if twins.len() == 2 { Ok(twins) } else { Err(members.to_string()) }
    });
    let error = refused(cluster, "can", json!({ "action": "restart", "member": "infra1" }));
    assert_eq!((error.code(), error.argument()), ("member_ambiguous", Some("member")));
    for id in &twins {
        assert!(error.to_string().contains(&format!("infra1 ({})", id.as_str().unwrap())), "{error}");
        let one = call(cluster, "can", json!({ "action": "restart", "member": id }));
        assert_eq!(one["member"], format!("infra1 ({})", id.as_str().unwrap()));
    }
    let error = refused(cluster, "member remove", json!({ "member": "infra9" }));
    assert_eq!((error.code(), error.argument()), ("member_not_found", Some("member")));
    for id in column(&call(cluster, "member list", json!({})), "member_id") {
        assert!(error.to_string().contains(id.as_str().unwrap()), "{error}");
    }
}

/// Checks the journal of a run: nobody else reads it, and it has these entries.
fn journalled(report: &Json, entries: &[&str]) {
    let path = report["journal"].as_str().unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["entry"].as_str().unwrap()).collect::<Vec<_>>(), entries);
    assert!(lines.iter().all(|line| line["time"].is_string()));
    let plan = &lines[0]["plan"];
    assert_eq!((&plan["operation"], &plan["cluster_id"]), (&report["operation"], &report["cluster_id"]));
    assert_eq!(lines.last().unwrap()["ok"], report["ok"]);
}

#[rstest]
fn a_learner_that_is_behind_is_waited_for(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let options = Options { members: 1, tls: false, ..Options::default() };
    let Some(cluster) = Running::start(version, options) else { return };
    // The learner fetches the log through a proxy.
    let proxy = Proxy::to(Endpoint::parse(cluster.member("infra1").peer_url(), false).unwrap().port());
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let update = |more: Json| {
        let mut args = json!({ "member": "infra1", "peer_urls": [url] });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    assert_eq!(refused(&cluster, "member update", update(json!({}))).code(), "quorum_at_risk");
    call(&cluster, "member update", update(json!({ "allow": ["quorum_at_risk"] })));
    let added = call(&cluster, "member add", json!({ "name": "infra4", "peer_urls": [cluster.free_peer_url()] }));
    let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
    call(&cluster, "sandbox join", json!({ "member": "infra4", "initial_cluster": start }));

    proxy.arm(Times::Always, Way::Down, When::After(0), What::Stall);
    let connection = driver().cluster(cluster.seeded(&["infra1"])).unwrap();
    let leader = connection.node(&connection.seeds()[0]).unwrap();
    for _ in 0..2 * MAX_LAG {
        // Nothing is alarming, but each answer is an entry of the log.
        driver().block_on(leader.alarms(connection.deadline())).unwrap();
    }
    assert!(proxy.fired() > 0, "the learner still hears of everything");
    let can = call(&cluster, "can", json!({ "action": "promote", "member": "infra4" }));
    assert_eq!(codes(&can), ["learner_lagging", "server_would_refuse"], "{can}");
    let rehearsed = call(&cluster, "member promote", json!({ "member": "infra4", "dry_run": true }));
    assert_eq!((&rehearsed["ok"], codes(&rehearsed)), (&json!(false), codes(&can)));
    let message = rehearsed["refusals"][0]["message"].as_str().unwrap();
    assert!(message.contains(" log entries behind; at most 100 are fit for a vote"), "{message}");
    let error = refused(&cluster, "member promote", json!({ "member": "infra4", "wait": "1s" }));
    assert_eq!(error.code(), "wait_timeout", "{error:?}");
    assert!(error.in_one_line().contains(" log entries behind; at most 100 are fit for a vote"), "{error:?}");
    let report = etcdsh_tests::json(&error.report().unwrap());
    assert_eq!(outcomes(&report), [("promote_member", "failed")]);
    journalled(&report, &["plan", "outcome", "end"]);
    assert_eq!(call(&cluster, "quorum", json!({}))["learners"], 1);

    // Once it has told that it waits, the learner comes through.
    let told = AtomicBool::new(false);
    let tell = |event: &Event| {
        if matches!(event, Event::Waiting { status, .. } if status.contains("log entries behind")) {
            told.store(true, Ordering::SeqCst);
            proxy.disarm();
            proxy.cut();
        }
    };
    let args = record(json!({ "member": "infra4" }));
    let report = cluster.caller.answer_told(&cluster.profile(), "member promote", args, &tell).unwrap();
    let report = etcdsh_tests::json(&report);
    assert!(told.load(Ordering::SeqCst), "it did not wait: {report}");
    assert_eq!(outcomes(&report), [("promote_member", "done")]);
    assert_eq!(json!([report["after"]["voters"], report["after"]["healthy_voters"]]), json!([2, 2]));
}

#[rstest]
fn members_are_removed_while_the_rest_holds(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let [dead, other] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let (cluster, leader) = (&cluster, cluster.leader());
    cluster.kill(&[&dead]);
    let before = state(cluster);

    // One of three is down, so no other may go.
    let error = refused(cluster, "member remove", json!({ "member": other }));
    assert_eq!(error.code(), "quorum_at_risk");
    let message = "removing it would leave 1 of 2 voters healthy; quorum needs 2";
    assert!(error.to_string().contains(message), "{error}");
    let rehearsed = call(cluster, "member remove", json!({ "member": other, "dry_run": true }));
    assert_eq!((&rehearsed["ok"], codes(&rehearsed)), (&json!(false), vec!["quorum_at_risk", "server_would_refuse"]));
    assert_eq!(rehearsed["refusals"][0]["message"], message);
    let can = call(cluster, "can", json!({ "action": "remove", "member": other }));
    assert_eq!(json!([can["allowed"], can["server_accepts"], can["tolerance_after"]]), json!([false, false, -1]));
    let allowed = |codes: &[&str]| {
        let args = json!({ "member": other, "allow": codes, "wait": "1s" });
        refused(cluster, "member remove", args)
    };
    assert_eq!(allowed(&["quorum_at_risk"]).code(), "server_would_refuse");
    assert_eq!(allowed(&["server_would_refuse"]).code(), "quorum_at_risk");
    let unknown = allowed(&["quorum_at_rsk"]);
    assert_eq!((unknown.code(), unknown.argument()), ("invalid_argument", Some("allow")));
    assert!(unknown.help().unwrap().contains("did you mean quorum_at_risk?"), "{:?}", unknown.help());
    // With both the server is asked, and says itself what we said before.
    let error = allowed(&["quorum_at_risk", "server_would_refuse"]);
    assert_eq!(error.code(), "unhealthy_cluster", "{error:?}");
    let report = etcdsh_tests::json(&error.report().unwrap());
    assert_eq!((&report["ok"], outcomes(&report)), (&json!(false), vec![("remove_member", "failed")]));
    journalled(&report, &["plan", "intent", "outcome", "end"]);
    // The right to change members was taken and given back, by writes.
    assert_eq!(state(cluster).0, before.0);

    let removed = call(cluster, "member remove", json!({ "member": dead }));
    assert_eq!(outcomes(&removed), [("remove_member", "done")]);
    let numbers = |quorum: &Json| json!([quorum["verdict"], quorum["voters"], quorum["healthy_voters"]]);
    assert_eq!(numbers(&removed["before"]), json!(["degraded", 3, 2]));
    assert_eq!(numbers(&removed["after"]), json!(["healthy", 2, 2]));

    // The leader hands over before it goes.
    let leader = if cluster.leader() == leader { leader } else { other.clone() };
    let removed = call(cluster, "member remove", json!({ "member": leader }));
    assert_eq!(outcomes(&removed), [("move_leader", "done"), ("remove_member", "done")]);
    journalled(&removed, &["plan", "intent", "outcome", "intent", "outcome", "end"]);
    let last = call(cluster, "member list", json!({}));
    assert_eq!(column(&last, "is_leader"), [true], "{last}");
    let error = refused(cluster, "member remove", json!({ "member": last[0]["name"] }));
    assert_eq!(error.code(), "last_voter", "{error:?}");
}

#[rstest]
fn leadership_moves_to_whom_it_may(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let (cluster, first) = (&cluster, cluster.leader());
    let rehearsed = call(cluster, "leader move", json!({ "dry_run": true }));
    assert_eq!(json!([rehearsed["executed"], rehearsed["plan"][0]["step"]]), json!([false, "move_leader"]));
    assert_eq!(cluster.leader(), first);

    let moved = call(cluster, "leader move", json!({}));
    let second = moved["after"]["leader"].as_str().unwrap();
    assert_eq!((outcomes(&moved), cluster.leader().as_str()), (vec![("move_leader", "done")], second));
    assert_ne!(second, first);
    let back = call(cluster, "leader move", json!({ "member": first }));
    assert_eq!((outcomes(&back), cluster.leader()), (vec![("move_leader", "done")], first.clone()));
    let again = call(cluster, "leader move", json!({ "member": first }));
    assert_eq!(outcomes(&again), [("move_leader", "already")]);

    updated(cluster);

    let added = call(cluster, "member add", json!({ "name": "infra4", "peer_urls": [cluster.free_peer_url()] }));
    let refusal = |member: &Json| refused(cluster, "leader move", json!({ "member": member }));
    let learner = refusal(&added["member_id"]);
    assert_eq!(learner.code(), "bad_transferee");
    assert!(learner.to_string().contains("it is a learner and cannot lead"), "{learner}");
    let dead = cluster.followers().remove(0);
    cluster.kill(&[&dead]);
    assert_eq!(refusal(&json!(dead)).code(), "bad_transferee");
    assert_eq!(cluster.leader(), first);
}

/// A member gets another peer URL beside its own, and back.
fn updated(cluster: &Running) {
    let own = cluster.member("infra2").peer_url().to_owned();
    let update = |urls: &[&str]| json!({ "member": "infra2", "peer_urls": urls });
    let urls = || {
        let members = call(cluster, "member list", json!({}));
        let mut urls = row(&members, "infra2")["peer_urls"].as_array().unwrap().clone();
        urls.sort_by_key(Json::to_string);
        urls
    };
    let more = cluster.free_peer_url();
    let done = call(cluster, "member update", update(&[&own, &more]));
    assert_eq!(outcomes(&done), [("update_peer_urls", "done")]);
    let mut expected = [json!(own), json!(more)];
    expected.sort_by_key(Json::to_string);
    assert_eq!(urls(), expected);
    assert_eq!(outcomes(&call(cluster, "member update", update(&[&more, &own]))), [("update_peer_urls", "already")]);
    call(cluster, "member update", update(&[&own]));
    assert_eq!(urls(), [json!(own)]);
    let taken = refused(cluster, "member update", update(&[cluster.member("infra1").peer_url()]));
    assert_eq!(taken.code(), "peer_url_in_use", "{taken:?}");
    let plain = refused(cluster, "member update", update(&["http://127.0.0.1:9"]));
    assert_eq!(plain.code(), "peer_scheme_differs", "{plain:?}");
    let none = refused(cluster, "member update", json!({ "member": "infra2" }));
    assert_eq!((none.code(), none.argument()), ("invalid_argument", Some("peer_urls")));
}
