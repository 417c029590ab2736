//! Ctrl-C, and calls side by side. The far end is a server that never answers, so nothing ends by itself.

use std::process::{Child, Stdio};
use std::time::Duration;

use etcdsh_tests::{Home, Said, Silent, until};
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
