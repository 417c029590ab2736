//! The verdict about each kind of member: unstarted, a learner, healthy, dead and frozen.

use std::time::Duration;

use etcdsh_core::profile::Profile;
use etcdsh_tests::{Running, column, row};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// Asks about a change, and returns whether it would be made, whether the server would take it, and why not.
fn verdict(cluster: &Running, profile: &Profile, action: &str, member: &Json) -> (bool, bool, Vec<String>) {
    let can = cluster.call_with(profile, "can", json!({ "action": action, "member": member })).unwrap();
    let codes = column(&can["refusals"], "code").into_iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (can["allowed"].as_bool().unwrap(), can["server_accepts"].as_bool().unwrap(), codes)
}

#[rstest]
fn each_kind_of_member_gets_its_verdict(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let cluster = &cluster;
    let all = cluster.profile();
    let leader = cluster.leader();
    let [first, second] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let is = |action: &str, member: &Json, allowed: bool, server: bool, codes: &[&str]| {
        let expected = (allowed, server, codes.iter().map(|code| (*code).to_owned()).collect());
        assert_eq!(verdict(cluster, &all, action, member), expected, "{action} {member}");
    };
    let peer_url = json!(cluster.free_peer_url());
    is("add", &peer_url, true, true, &[]);
    is("add", &json!(cluster.member(&first).peer_url()), false, false, &["peer_url_in_use", "server_would_refuse"]);
    is("add", &json!("http://127.0.0.1:9"), false, true, &["peer_scheme_differs"]);

    // An unstarted learner is known by its id and its peer URL.
    let added = cluster.call("member add", json!({ "name": "infra4", "peer_urls": [peer_url] })).unwrap();
    let id = &added["member_id"];
    for learner in [id, &peer_url] {
        is("promote", learner, false, false, &["learner_lagging", "server_would_refuse"]);
        is("remove", learner, true, true, &[]);
        is("move_leader", learner, false, false, &["bad_transferee", "server_would_refuse"]);
        is("restart", learner, true, true, &[]);
    }
    // It was added before, so there is nothing to do, though the server would not do it twice.
    is("add", &peer_url, true, false, &[]);

    // A learner that runs is known by its name and its client URL too.
    let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
    let joined = cluster.call("sandbox join", json!({ "member": "infra4", "initial_cluster": start })).unwrap();
    for learner in [id, &peer_url, &joined["client_url"], &json!("infra4")] {
        is("promote", learner, true, true, &[]);
        is("remove", learner, true, true, &[]);
        is("move_leader", learner, false, false, &["bad_transferee", "server_would_refuse"]);
    }
    names(cluster, &first);
    let voter = |action: &str| {
        let args = json!({ "action": action, "member": first });
        cluster.call("can", args).unwrap_err().code()
    };
    assert_eq!(voter("promote"), "invalid_argument");
    is("remove", &json!(first), true, true, &[]);
    is("move_leader", &json!(first), true, true, &[]);
    cluster.call("member remove", json!({ "member": "infra4" })).unwrap();

    // One voter is frozen, and then dead: what it would not answer, it cannot do, and nobody else may go.
    let short = Profile { timeout: Duration::from_secs(1), ..all.clone() };
    cluster.pause(&first);
    one_is_away(cluster, &short, [&leader, &first, &second]);
    cluster.resume(&first);
    cluster.kill(&[&first]);
    one_is_away(cluster, &all, [&leader, &first, &second]);
}

/// A member is meant by its name, its id, and each of its URLs.
fn names(cluster: &Running, name: &str) {
    let members = cluster.call("member list", json!({})).unwrap();
    let member = row(&members, name);
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let (id, peer, client) = (text(&member["member_id"]), cluster.member(name), text(&member["client_urls"][0]));
    let whole = format!("{name} ({id})");
    let more = [format!("0x{id}"), id.to_uppercase(), format!("{client}/")];
    for given in [name.to_owned(), id, peer.peer_url().to_owned(), client].into_iter().chain(more) {
        let can = cluster.call("can", json!({ "action": "restart", "member": given })).unwrap();
        assert_eq!(can["member"], whole, "{given}");
    }
}

fn one_is_away(cluster: &Running, profile: &Profile, [leader, away, other]: [&str; 3]) {
    let is = |action: &str, member: &str, allowed: bool, server: bool, codes: &[&str]| {
        let expected = (allowed, server, codes.iter().map(|code| (*code).to_owned()).collect());
        assert_eq!(verdict(cluster, profile, action, &json!(member)), expected, "{action} {member}");
    };
    is("remove", away, true, true, &[]);
    is("restart", away, true, true, &[]);
    is("move_leader", away, false, false, &["bad_transferee", "server_would_refuse"]);
    is("remove", other, false, false, &["quorum_at_risk", "server_would_refuse"]);
    is("restart", leader, false, true, &["others_unhealthy", "quorum_at_risk"]);
    is("add", &cluster.free_peer_url(), false, false, &["server_would_refuse"]);
    let members = cluster.call_with(profile, "member list", json!({})).unwrap();
    let seen = [leader, away, other].map(|name| &row(&members, name)["is_leader"]);
    assert_eq!(seen, [&json!(true), &json!(false), &json!(false)], "{members}");
    assert_eq!(column(&members, "status"), ["started"; 3]);
    assert_eq!(cluster.call_with(profile, "alarm list", json!({})).unwrap(), json!([]));
}
