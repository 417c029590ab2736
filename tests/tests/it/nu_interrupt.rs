//! Ctrl-C, and calls side by side. The far end is a server that never answers, so nothing ends by itself.

use std::process::{Child, Stdio};
use std::time::Duration;

use etcd_client::AlarmType;
use etcdsh_tests::{Home, Running, Said, Silent, until};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

/// How long obeying may take: a second, and another one for a machine that runs many clusters meanwhile.
const SOON: Duration = Duration::from_secs(2);

fn start(home: &Home, plugin: &str, script: &str) -> Child {
    let mut command = home.nu_with(plugin, script);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[rstest]
#[case("etcd member list")]
#[case("etcd health")]
#[case("etcd keys")]
#[case("etcd member remove infra1")]
fn a_call_to_a_frozen_cluster_ends_at_once(#[case] command: &str) {
    let (home, silent) = (Home::new(), Silent::new());
    let call = format!("{command} --endpoints {} --timeout 5min --connect-timeout 5min", silent.endpoint);
    let child = start(&home, "nu_plugin_etcd", &format!("{call} | to json"));
    silent.wait();
    interrupt(&child);
    let said = Said::within(child, SOON);
    assert!(!said.status.success(), "{said:?}");
    assert!(said.err.contains("interrupt"), "{said:?}");
    let nothing_changed = said.err.contains("it was not sent, so it was not applied");
    assert_eq!(nothing_changed, command.contains("remove"), "{said:?}");
}

#[test]
fn a_stream_that_has_gone_quiet_ends_at_once() {
    let home = Home::new();
    // The first thousand rows are written to the file before the stream hangs, which shows that it flows.
    let seen = home.path().join("seen");
    let script = "etcd count 5000 --hang | each {|row| if $row.number == 4000 { 'x' | save seen }; $row } | length";
    let child = start(&home, "nu_plugin_probe", script);
    until("the stream flows", || seen.exists().then_some(()).ok_or_else(String::new));
    interrupt(&child);
    let said = Said::within(child, SOON);
    assert!(!said.out.contains("5000"), "{said:?}");
}

#[test]
fn a_change_that_was_done_already_is_told() {
    let home = Home::new();
    let begun = home.path().join("begun");
    let child = start(&home, "nu_plugin_probe", "etcd finish begun");
    until("the change is under way", || begun.exists().then_some(()).ok_or_else(String::new));
    interrupt(&child);
    let said = Said::within(child, SOON);
    assert!(!said.status.success(), "{said:?}");
    for told in ["etcd::interrupted", "interrupted, but finish was done already", "{number: 42}"] {
        assert!(said.err.contains(told), "{told}: {said:?}");
    }
}

#[test]
fn what_became_of_a_change_is_told() {
    let cluster = Running::three("3.6").unwrap();
    // Every look at the cluster waits for the one that is frozen, also the one that would see the change.
    cluster.pause(&cluster.followers()[0]);
    let child = start(&cluster, "nu_plugin_etcd", "etcd leader move --profile sandbox --timeout 2sec");
    let journals = cluster.places.state.join("changes");
    until("the step is being taken", || {
        let journal = std::fs::read_dir(&journals).into_iter().flatten().flatten().next();
        let text = journal.map(|file| std::fs::read_to_string(file.path()).unwrap()).unwrap_or_default();
        if text.contains(r#""entry":"intent""#) { Ok(()) } else { Err(text) }
    });
    interrupt(&child);
    let said = Said::within(child, SOON);
    assert!(!said.status.success(), "{said:?}");
    let done = "unseen (it was done; then: interrupted)";
    for told in ["etcd::interrupted", "leader move stopped after 0 of 1 steps", "move_leader infra", done, "journal: "]
    {
        assert!(said.err.contains(told), "{told}: {said:?}");
    }
}

#[test]
fn calls_run_side_by_side() {
    let home = Home::new();
    let servers: Vec<_> = (0..4).map(|_| Silent::new()).collect();
    let endpoints: Vec<_> = servers.iter().map(|server| server.endpoint.as_str()).collect();
    let call = "etcd member list --endpoints $endpoint --timeout 5min --connect-timeout 5min";
    let script = format!("[{}] | par-each --threads 4 {{|endpoint| {call} }}", endpoints.join(" "));
    let child = start(&home, "nu_plugin_etcd", &script);
    // One after the other, the second would begin when the first has given up.
    servers.iter().for_each(Silent::wait);
    interrupt(&child);
    Said::within(child, SOON);
}

/// Nobody would see how it ends, and nobody could stop it.
#[test]
fn when_nushell_is_killed_the_change_stops_at_a_safe_point() {
    let cluster = Running::three("3.6").unwrap();
    let mut child =
        start(&cluster, "nu_plugin_etcd", "etcd rolling-restart --profile sandbox --settle 2min --wait 5min");
    let state = || cluster.call("change list", serde_json::json!({})).unwrap()[0].clone();
    until("a member is being restarted", || match state() {
        run if run["state"] == "running" && run["steps"].as_i64() > Some(1) => Ok(()),
        run => Err(run.to_string()),
    });
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    until("the run has stopped", || match state() {
        run if run["state"] == "stopped" => Ok(()),
        run => Err(run.to_string()),
    });
    until("all members serve", || match cluster.call("quorum", serde_json::json!({})) {
        Ok(quorum) if quorum["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn an_empty_list_of_members_means_nobody() {
    let cluster = Running::three("3.6").unwrap();
    let caught = cluster.caught(
        "etcd rolling-restart --profile sandbox --dry-run --members (etcd health --profile sandbox | where verdict == down | get name)",
    );
    assert_eq!(caught.code, "etcd::invalid_argument", "{caught:?}");
    assert!(caught.details["msg"].as_str().unwrap().contains("members names nobody"), "{caught:?}");
}

#[test]
fn warnings_are_told_without_a_terminal_too() {
    let cluster = Running::three("3.6").unwrap();
    cluster.raise(AlarmType::Nospace, "infra2");
    let said = cluster.nu("etcd rolling-restart --profile sandbox --members [infra2] --settle 0sec | get ok");
    assert!(said.status.success() && said.out.contains("true"), "{said:?}");
    let warning =
        "warning: nothing keeps another change out meanwhile: the cluster has a NOSPACE alarm, and takes no claim";
    assert!(said.err.contains(warning), "{said:?}");
}
