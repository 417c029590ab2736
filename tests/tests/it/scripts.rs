//! The runbook scripts, each dry and then for real, in both languages, on every version.

use std::process::{Command, Output};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, driver, nu, program};
use rstest::rstest;
use serde_json::json;

mod backups;
mod refusals;

/// Runs a script of the folder `scripts` in the language of its name. It is told the same in both.
fn script(cluster: &Running, name: &str, dry: bool, args: &[&str]) -> Output {
    let path = format!("{}/../scripts/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command: Command;
    if name.ends_with(".nu") {
        command = cluster.command(nu());
        let plugin = format!("[{}]", program("nu_plugin_etcd").display());
        command.args(["-n", "--no-std-lib", "--plugins", &plugin]);
    } else {
        command = cluster.command(program("etcdsh"));
        // It is granted what its first line asks for, and no more.
        let text = std::fs::read_to_string(&path).unwrap();
        let asked = text.lines().next().and_then(|line| line.strip_prefix("#!/usr/bin/env -S etcdsh ")).unwrap();
        command.args(asked.split(' '));
    }
    command.arg(&path).args(dry.then_some("--dry-run")).args(args);
    command.env("ETCDSH_ETCD_DIR", cluster.tools.folder.parent().unwrap());
    command.env("ETCDSH_PROFILE", "sandbox").output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[rstest]
fn health_prints_the_lines_of_the_runbook(#[values("health.nu", "health.rhai")] name: &str) {
    let cluster = Running::three("3.6").unwrap();
    let rows = cluster.call("health", json!({})).unwrap();
    let healthy = |row: &serde_json::Value| {
        let (id, url) = (row["member_id"].as_str().unwrap(), row["endpoint"].as_str().unwrap());
        format!("member {id} is healthy: got healthy result from {url}\n")
    };
    let lines: Vec<String> = rows.as_array().unwrap().iter().map(healthy).collect();
    let output = script(&cluster, name, false, &[]);
    assert_eq!(text(&output), lines.concat() + "cluster is healthy\n");
    assert_eq!(output.status.code(), Some(0));

    driver().block_on(cluster.sandbox.member("infra2").unwrap().kill()).unwrap();
    let output = script(&cluster, name, false, &[]);
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == "infra2").unwrap();
    let (id, url) = (row["member_id"].as_str().unwrap(), row["endpoint"].as_str().unwrap());
    let gone = format!("member {id} is unreachable: [{url}] are all unreachable\n");
    assert!(text(&output).contains(&gone), "{}", text(&output));
    assert!(text(&output).ends_with("cluster is degraded\n"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[rstest]
fn recovery_brings_a_member_with_stale_data_back(
    #[values("3.4", "3.5", "3.6", "3.7")] version: &str,
    #[values("recover-member.nu", "recover-member.rhai")] name: &str,
) {
    let Some(cluster) = Running::three(version) else { return };
    let broken = cluster.call("sandbox break", json!({"member": "infra2", "how": "stale-data"})).unwrap();
    assert_eq!(broken["exit_code"], 2, "{broken}");
    assert!(broken["last_log"].as_str().unwrap().contains("is out of range"), "{broken}");
    let before = cluster.call("member list", json!({})).unwrap();

    let output = script(&cluster, name, true, &["infra2"]);
    assert!(output.status.success() && text(&output).contains("dry run: nothing was changed"), "{}", text(&output));
    assert_eq!(cluster.call("member list", json!({})).unwrap(), before);

    let output = script(&cluster, name, false, &["infra2"]);
    assert!(output.status.success() && text(&output).contains("infra2 is healthy"), "{}", text(&output));
    let quorum = cluster.call("quorum", json!({})).unwrap();
    assert_eq!((&quorum["verdict"], &quorum["voters"]), (&json!("healthy"), &json!(3)), "{quorum}");
    // What was written while the member was broken is on it too.
    let member = cluster.sandbox.member("infra2").unwrap();
    let keys =
        cluster.etcdctl(&["--endpoints", member.client_url(), "get", "--prefix", "etcdsh-sandbox/", "--keys-only"]);
    assert_eq!(keys.lines().filter(|line| !line.is_empty()).count(), 100, "{keys}");

    // There is nothing left to recover.
    let output = script(&cluster, name, false, &["infra2"]);
    assert!(!output.status.success() && text(&output).contains("nothing to recover"), "{}", text(&output));
}

/// Returns the process of every member.
fn processes(cluster: &Running) -> Vec<(String, i64)> {
    let rows = cluster.call("sandbox list", json!({})).unwrap();
    let process = |row: &serde_json::Value| (row["name"].as_str().unwrap().to_owned(), row["pid"].as_i64().unwrap());
    rows.as_array().unwrap().iter().map(process).collect()
}

/// Returns the members whose process is another one than before.
fn restarted(cluster: &Running, before: &[(String, i64)]) -> Vec<String> {
    processes(cluster).into_iter().filter(|now| !before.contains(now)).map(|(name, _)| name).collect()
}

#[rstest]
fn members_are_restarted_one_after_the_other(
    #[values("3.5", "3.6")] version: &str,
    #[values("rolling-restart.nu", "rolling-restart.rhai")] name: &str,
) {
    let Some(cluster) = Running::three(version) else { return };
    let before = processes(&cluster);
    let leader = cluster.leader();

    let output = script(&cluster, name, true, &[]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("dry run: nothing was changed\n"), "{said}");
    assert_eq!(said.matches("restart_member").count(), 3, "{said}");
    assert_eq!((restarted(&cluster, &before), cluster.leader()), (vec![], leader));

    let output = script(&cluster, name, false, &["--settle=1sec"]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("the cluster is healthy\n"), "{said}");
    assert_eq!(restarted(&cluster, &before), ["infra1", "infra2", "infra3"]);
    assert_eq!(cluster.call("quorum", json!({})).unwrap()["verdict"], "healthy");
}

#[rstest]
fn a_command_reboots_members_and_stops_everything_when_it_fails(
    #[values("3.5", "3.6")] version: &str,
    #[values("rolling-restart.nu", "rolling-restart.rhai")] name: &str,
) {
    let Some(cluster) = Running::three(version) else { return };
    let before = processes(&cluster);
    let reboot = |command: &str, dry: bool| {
        let members = "--members=infra3,,infra1,";
        if name.ends_with(".nu") {
            script(&cluster, name, dry, &[members, "--settle=1sec", &format!("--reboot={command}")])
        } else {
            let words = command.split(' ');
            script(&cluster, name, dry, &[members, "--settle=1sec"].into_iter().chain(words).collect::<Vec<_>>())
        }
    };

    let output = reboot("false {name}", true);
    assert!(output.status.success() && text(&output).contains("nothing was changed"), "{}", text(&output));
    // Who is left out by a comma too many is nobody.
    let output = script(&cluster, name, true, &["--members=,"]);
    assert!(!output.status.success() && text(&output).contains("names nobody who has started"), "{}", text(&output));
    let output = reboot("false {name}", false);
    assert!(!output.status.success() && text(&output).contains("false ended with 1"), "{}", text(&output));
    assert_eq!(restarted(&cluster, &before), [""; 0]);

    let again = format!("{} eval --output=json etcd.sandbox_restart(\"{{name}}\")", program("etcdsh").display());
    let output = reboot(&again, false);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("the cluster is healthy\n"), "{said}");
    assert_eq!(restarted(&cluster, &before), ["infra1", "infra3"]);
}

#[rstest]
fn a_cluster_that_is_full_takes_writes_again(
    #[values("3.5", "3.6")] version: &str,
    #[values("nospace.nu", "nospace.rhai")] name: &str,
) {
    let flags = vec!["--quota-backend-bytes=16777216".to_owned()];
    let Some(cluster) = Running::start(version, Options { flags, ..Options::default() }) else { return };
    let put = |round: usize| cluster.etcdctl_reading(&["put", "big/one"], &round.to_string().repeat(1 << 19));
    let rounds = (10..60).take_while(|round| put(*round).is_ok()).count();
    assert!((3..40).contains(&rounds), "{rounds} values fitted in");
    let alarms = || cluster.call("alarm list", json!({})).unwrap();
    let raised = alarms();
    assert!(raised.to_string().contains("nospace"), "{raised}");
    for health in ["health.nu", "health.rhai"] {
        let output = script(&cluster, health, false, &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("is unhealthy: got unhealthy result from"), "{said}");
        assert!(said.ends_with("cluster is degraded\n"), "{said}");
    }

    let output = script(&cluster, name, true, &["--quota=16MiB"]);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("dry run: nothing was changed\n"), "{said}");
    for told in ["nospace", "big/", "compact", "defragment", "disarm_alarm", "prove_write"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(put(7).unwrap_err().contains("database space exceeded"));
    let newest = || cluster.etcdctl(&["get", "big/one", "--print-value-only"]);
    let before = newest();

    let output = script(&cluster, name, false, &[]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("the cluster takes writes\n"), "{said}");
    if name.ends_with(".rhai") {
        assert!(said.contains("warning: nothing keeps another change out meanwhile: "), "{said}");
    }
    assert_eq!(alarms(), json!([]));
    // The newest value is there, and the next ones fit in.
    assert!(before.len() > 1 << 20 && newest() == before, "{} bytes were {}", newest().len(), before.len());
    assert_eq!((10..15).filter(|round| put(*round).is_ok()).count(), 5);
}

#[test]
fn the_tour_of_try_comes_back_to_a_healthy_cluster() {
    let cluster = Running::three("3.6").unwrap();
    let output = script(&cluster, "../xtask/tour.nu", false, &[]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("> etcd health | select name role verdict error"), "commands are shown: {said}");
    assert!(said.contains("is out of range"), "the member was broken: {said}");
    assert!(!said.contains("│ ... │"), "every table fits a terminal: {said}");
    assert_eq!(cluster.call("quorum", json!({})).unwrap()["verdict"], "healthy");
}
