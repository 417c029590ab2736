//! Completion, through the real completer.

use std::time::{Duration, Instant};

use etcdsh_tests::{Home, Running, Silent};
use rstest::rstest;
use serde_json::{Value, json};

/// Returns what is offered for a half-typed line.
fn offered(home: &Home, before: &str, line: &str) -> Vec<Value> {
    let script = format!("{before}\n'{line}' | commandline complete --detailed | to json --raw");
    home.nu(&script).json().as_array().unwrap().clone()
}

fn values(offered: &[Value]) -> Vec<&str> {
    offered.iter().map(|suggestion| suggestion["value"].as_str().unwrap()).collect()
}

#[test]
fn members_are_offered_by_name_and_id() {
    let cluster = Running::three("3.6").unwrap();
    let list = cluster.call("member list", json!({})).unwrap();
    let id = list[0]["member_id"].as_str().unwrap();
    let home = &cluster;
    let all = offered(home, "", "etcd member remove --profile sandbox ");
    let names = values(&all);
    for member in list.as_array().unwrap() {
        assert!(names.contains(&member["name"].as_str().unwrap()), "{names:?}");
        assert!(names.contains(&member["member_id"].as_str().unwrap()), "{names:?}");
    }
    let name = list[0]["name"].as_str().unwrap();
    let of_name = all.iter().find(|suggestion| suggestion["value"] == name).unwrap();
    assert_eq!(of_name["description"], id);
    assert_eq!(values(&offered(home, "$env.ETCDSH_PROFILE = 'sandbox'", "etcd member remove infra2")), ["infra2"]);
    let positional = offered(home, "$env.ETCDSH_PROFILE = 'sandbox'", "etcd can restart inf");
    assert_eq!(values(&positional), ["infra1", "infra2", "infra3"]);
}

#[test]
fn sandboxes_and_their_members_are_offered() {
    let cluster = Running::three("3.6").unwrap();
    let home: &Home = &cluster;
    let members = offered(home, "", "etcd sandbox kill inf");
    assert_eq!(values(&members), ["infra1", "infra2", "infra3"]);
    assert_eq!(members[0]["description"], "running");
    assert_eq!(values(&offered(home, "", "etcd sandbox stop --name ")), ["sandbox"]);
    assert_eq!(values(&offered(home, "", "etcd sandbox kill --name nope ")), Vec::<&str>::new());
}

/// Writes the journals of a run that is over and of one that was interrupted, and returns their names.
pub(crate) fn journals(home: &Home) -> [&'static str; 2] {
    let names = ["20261126T031500Z-defrag-1111", "20261126T031500Z-defrag-2222"];
    let plan = json!({"operation": "defrag", "cluster_id": "a", "steps": []});
    let begun = json!({"time": "2026-11-26T03:15:00Z", "entry": "plan", "plan": plan, "allow": [], "resumes": null});
    let ended = json!({"time": "2026-11-26T03:15:01Z", "entry": "end", "ok": true});
    for (name, text) in names.iter().zip([format!("{begun}\n{ended}\n"), format!("{begun}\n")]) {
        home.write(&format!("state/etcdsh/changes/{name}.jsonl"), &text);
    }
    names
}

#[test]
fn only_what_can_be_gone_on_with_is_offered_for_that() {
    let home = Home::new();
    let [over, open] = journals(&home);
    let all = offered(&home, "", "etcd change show 2026");
    assert_eq!(values(&all), [over, open]);
    assert_eq!(all[1]["description"], "interrupted");
    assert_eq!(values(&offered(&home, "", "etcd change resume 2026")), [open]);
}

#[test]
fn profiles_are_offered_from_everywhere() {
    let home = Home::new();
    home.write("config/etcdsh/config.toml", "[profiles.filed]\nendpoints = [\"a:1\"]\n");
    home.write("state/etcdsh/sandbox/tried/profile.toml", "endpoints = [\"a:1\"]\n");
    let config = "$env.config.plugins.etcd = {profiles: {mine: {endpoints: [a:1]}}}";
    assert_eq!(values(&offered(&home, config, "etcd health --profile ")), ["filed", "mine", "tried"]);
    assert_eq!(values(&offered(&home, config, "etcd health --profile=fi")), ["filed"]);
}

#[rstest]
#[case("etcd member remove infra1 --allow quor", &["quorum_at_risk"])]
#[case("etcd member add infra4 --allow=name", &["name_in_use"])]
#[case("etcd can mo", &["move_leader"])]
#[case("etcd sandbox break infra1 --how s", &["stale-data"])]
fn the_words_of_a_closed_set_are_offered(#[case] line: &str, #[case] expected: &[&str]) {
    assert_eq!(values(&offered(&Home::new(), "", line)), expected);
}

#[test]
fn files_are_offered_for_paths_only() {
    let home = Home::new();
    home.write("ca.pem", "");
    assert_eq!(values(&offered(&home, "", "etcd health --cacert c")), ["ca.pem"]);
    assert_eq!(values(&offered(&home, "", "etcd health --user ")), Vec::<&str>::new());
    assert_eq!(values(&offered(&home, "", "etcd health --endpoints ")), Vec::<&str>::new());
}

#[test]
fn a_frozen_cluster_holds_nobody_up() {
    let (home, silent) = (Home::new(), Silent::new());
    let line = format!("etcd member remove --endpoints {} ", silent.endpoint);
    let begin = Instant::now();
    assert_eq!(values(&offered(&home, "", &line)), Vec::<&str>::new());
    silent.wait();
    // Half a second for the answer, and as much for Nushell and the plugin to start on a busy machine.
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn another_clusters_members_are_not_offered() {
    let silent = Silent::new();
    let before = format!("let x = '{}'; $env.ETCDCTL_ENDPOINTS = $x", silent.endpoint);
    assert_eq!(values(&offered(&Home::new(), &before, "etcd member remove --endpoints $x ")), Vec::<&str>::new());
}
