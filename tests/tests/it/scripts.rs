//! The runbook scripts, each dry and then for real, in both languages, on every version.

use std::path::PathBuf;
use std::process::{Command, Output};

use etcdsh_tests::{Running, driver, nu, program, run};
use rstest::rstest;
use serde_json::json;

/// Runs a script of the folder `scripts` in the language of its name.
fn script(cluster: &Running, name: &str, dry: bool, args: &[&str]) -> Output {
    let path = format!("{}/../scripts/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command: Command;
    if name.ends_with(".nu") {
        command = cluster.command(nu());
        let plugin = format!("[{}]", program("nu_plugin_etcd").display());
        command.args(["-n", "--no-std-lib", "--plugins", &plugin, &path]).args(dry.then_some("--dry-run"));
    } else {
        command = cluster.command(program("etcdsh"));
        command.args(["run", "--allow", "membership,sandbox,snapshot"]);
        command.args(dry.then_some("--set=dry_run=true")).arg(&path);
    }
    command.env("ETCDSH_PROFILE", "sandbox").args(args).output().unwrap()
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

#[rstest]
fn a_backup_has_a_name_that_tells_what_it_is(
    #[values("3.4", "3.5", "3.6", "3.7")] version: &str,
    #[values("backup.nu", "backup.rhai")] name: &str,
) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.etcdctl(&["put", "a", "1"]);
    let quorum = cluster.call("quorum", json!({})).unwrap();
    let folder = cluster.home().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let saved =
        || -> Vec<PathBuf> { std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect() };
    let args = [folder.to_str().unwrap()];
    let begins = format!("{}-r{}-2", quorum["cluster_id"].as_str().unwrap(), quorum["revision"]);

    let output = script(&cluster, name, true, &args);
    let said = text(&output);
    assert!(output.status.success() && said.ends_with("dry run: nothing was saved\n"), "{said}");
    assert!(said.contains(&begins), "{said}");
    assert!(saved().is_empty(), "{:?}", saved());

    let output = script(&cluster, name, false, &args);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let [path] = saved().try_into().unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let time =
        file.strip_prefix(&begins).and_then(|rest| rest.strip_suffix("Z.db")).unwrap_or_else(|| panic!("{file}"));
    assert!(time.len() == 14 && time.as_bytes()[7] == b'T', "{file}");
    let bytes = std::fs::read(&path).unwrap();
    let sum = run(Command::new("sha256sum").arg(&path), "").unwrap();
    let expected =
        [path.to_str().unwrap(), &format!("revision {} or newer", quorum["revision"]), sum.split(' ').next().unwrap()];
    assert!(expected.iter().all(|part| said.contains(part)), "{said}: {expected:?}");
    assert!(bytes.len() > 10_000, "{}", bytes.len());

    // A folder that is not there is not made, and named.
    let output = script(&cluster, name, false, &["/none/such"]);
    assert!(!output.status.success() && text(&output).contains("/none/such"), "{}", text(&output));
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
