//! Procedures from both faces: with the sandbox's driver, with closures, with users, and between versions.

use std::collections::BTreeMap;
use std::process::Command;

use etcdsh_core::context::Cancel;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_core::value::Value;
use etcdsh_tests::{Running, column, driver, etcd, program, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

fn healthy(cluster: &Running, voters: usize) {
    until("the cluster is healthy", || {
        let quorum = cluster.call("quorum", json!({})).map_err(|error| format!("{error:?}"))?;
        let good = quorum["verdict"] == "healthy" && quorum["voters"] == voters && quorum["learners"] == 0;
        if good { Ok(()) } else { Err(quorum.to_string()) }
    });
}

/// Runs an expression in Rhai, and returns what it yields.
fn rhai(cluster: &Running, expression: &str) -> Json {
    let mut command: Command = cluster.command(program("etcdsh"));
    let output = command.args(["eval", "--profile", "sandbox", "-o", "json", expression]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{expression}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

/// Runs a pipeline in Nushell, and returns what it yields.
fn nu(cluster: &Running, pipeline: &str) -> Json {
    cluster.nu(&format!("$env.ETCDSH_PROFILE = 'sandbox'; {pipeline} | to json --raw")).json()
}

fn processes(cluster: &Running) -> BTreeMap<String, Option<i64>> {
    cluster.sandbox.rows().unwrap().into_iter().map(|row| (row.name, row.pid)).collect()
}

fn outcomes(report: &Json) -> String {
    let steps = report["steps"].as_array().unwrap().iter();
    steps
        .map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["outcome"].as_str().unwrap()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[rstest]
fn the_whole_chapter_is_one_call(#[values("nu", "rhai")] face: &str) {
    let cluster = Running::start("3.6", Options { auth: true, ..Options::default() }).unwrap();
    healthy(&cluster, 3);
    let broken = cluster.call("sandbox break", json!({ "member": "infra2", "how": "stale-data" })).unwrap();
    assert_eq!(broken["exit_code"], 2, "{broken}");
    let can = cluster.call("can", json!({ "action": "replace", "member": "infra2" })).unwrap();
    let dry = cluster.call("member replace", json!({ "member": "infra2", "dry_run": true })).unwrap();
    assert_eq!((&can["allowed"], column(&can["plan"], "step")), (&json!(true), column(&dry["plan"], "step")));
    let report = match face {
        "nu" => nu(&cluster, "etcd member replace infra2"),
        _ => rhai(&cluster, "etcd.member_replace(\"infra2\")"),
    };
    let expected = "save_snapshot done, stop_member already, remove_member done, set_data_aside done, add_member done, start_member done, \
                    promote_member done, compare_hashes done, await_healthy done";
    assert_eq!(outcomes(&report), expected, "{report}");
    assert_eq!(report["start"]["ETCD_INITIAL_CLUSTER_STATE"], "existing");
    let snapshot = report["steps"][0]["result"]["path"].as_str().unwrap();
    assert!(std::fs::metadata(snapshot).unwrap().len() > 10_000);
    let aside = report["steps"][3]["result"]["data_dir_aside"].as_str().unwrap();
    assert!(std::path::Path::new(aside).join("member/wal").is_dir(), "{aside}");
    healthy(&cluster, 3);
    let again = cluster.call("member replace", json!({ "member": "infra2" })).unwrap_err();
    assert_eq!(again.code(), "member_healthy");
}

#[rstest]
fn a_closure_restarts_members(#[values("nu", "rhai", "rhai with its options first")] face: &str) {
    let cluster = Running::three("3.6").unwrap();
    healthy(&cluster, 3);
    let (leader, before) = (cluster.leader(), processes(&cluster));
    let report = match face {
        "nu" => nu(&cluster, "etcd rolling-restart {|m| etcd sandbox restart $m.name | ignore } --settle 1sec"),
        "rhai" => rhai(&cluster, "etcd.rolling_restart(|m| etcd.sandbox_restart(m.name), #{ settle: \"1s\" })"),
        _ => rhai(&cluster, "rolling_restart(etcd, #{ settle: \"1s\" }, |m| etcd.sandbox_restart(m.name))"),
    };
    let steps = report["steps"].as_array().unwrap();
    let restarted: Vec<_> = steps.iter().filter(|step| step["step"] == "restart_member").collect();
    assert!(
        restarted.iter().all(|step| step["detail"].as_str().unwrap().contains("it was seen to be away")),
        "{report}"
    );
    assert!(restarted[2]["target"].as_str().unwrap().starts_with(&leader), "the leader comes last: {report}");
    assert_eq!(steps.len(), 4, "{report}");
    let after = processes(&cluster);
    assert!(before.iter().all(|(name, process)| after[name] != *process), "{before:?} {after:?}");
    // A journal cannot keep a closure, and there is nothing to go on with.
    let run = &cluster.call("change list", json!({})).unwrap()[0];
    assert_eq!(cluster.call("change resume", json!({ "id": run["id"] })).unwrap_err().code(), "run_over");
}

/// How a run is gone on with that a closure carries out.
const BEHIND_IT: &str = ", with the same closure behind it";

#[rstest]
fn a_closure_that_fails_is_a_veto(#[values("nu", "rhai")] face: &str) {
    let cluster = Running::three("3.6").unwrap();
    healthy(&cluster, 3);
    let before = processes(&cluster);
    let (code, message) = if face == "nu" {
        let caught = cluster
            .caught("etcd rolling-restart --profile sandbox {|m| error make {msg: 'not this one', code: 'my::veto'} }");
        let help = caught.details["help"].as_str().unwrap();
        assert!(help.contains("rolling-restart stopped after 0 of ") && help.contains(BEHIND_IT), "{help}");
        (caught.code, caught.details["msg"].as_str().unwrap().to_owned())
    } else {
        let script = "let said = (); try { etcd.rolling_restart(|m| throw #{ code: \"veto\", message: \"not this one\" }) } \
                      catch (e) { said = [e.code, e.message, e.hint, e.report.steps[0].outcome]; } said";
        let thrown = rhai(&cluster, script);
        assert!(thrown[2].as_str().unwrap().contains(BEHIND_IT) && thrown[3] == "failed", "{thrown}");
        // What is no map is carried by one.
        let script = "let said = (); try { etcd.rolling_restart(|m| throw \"no\") } catch (e) { said = [e.thrown, e.code]; } said";
        assert_eq!(rhai(&cluster, script), json!(["no", "closure_failed"]));
        (thrown[0].as_str().unwrap().to_owned(), thrown[1].as_str().unwrap().to_owned())
    };
    assert_eq!((code.as_str(), message.as_str()), (if face == "nu" { "my::veto" } else { "veto" }, "not this one"));
    assert_eq!(processes(&cluster), before, "nobody was restarted");
    let run = &cluster.call("change list", json!({})).unwrap()[0];
    assert_eq!((&run["state"], &run["done"]), (&json!("stopped"), &json!(0)));
    let error = cluster.call("change resume", json!({ "id": run["id"] })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("missing_argument", Some("closure")));
    let id = run["id"].as_str().unwrap();
    let report = match face {
        "nu" => nu(&cluster, &format!("etcd change resume {id} {{|m| etcd sandbox restart $m.name | ignore }}")),
        _ => rhai(&cluster, &format!("etcd.change_resume(\"{id}\", |m| etcd.sandbox_restart(m.name))")),
    };
    assert_eq!(report["ok"], true, "{report}");
}

/// A member that was restarted and did not come back is not restarted for whoever goes on.
#[test]
fn what_did_not_come_true_is_done_again() {
    let cluster = Running::three("3.7").unwrap();
    healthy(&cluster, 3);
    let (down, calls) = (std::cell::Cell::new(true), std::cell::RefCell::new(Vec::new()));
    let restart = |member: Value| {
        let name = etcdsh_tests::json(&member)["name"].as_str().unwrap().to_owned();
        calls.borrow_mut().push(name.clone());
        if down.get() {
            cluster.kill(&[&name]);
        } else {
            cluster.call("sandbox restart", json!({ "member": name }))?;
        }
        Ok(Value::Null)
    };
    let run = |operation: &str, args: Json| {
        let mut args = etcdsh_tests::record(args);
        args.insert(if operation == "change resume" { "closure" } else { "restart" }, Value::Hook(0));
        cluster.caller.answer_hooked(&cluster.profile(), operation, args, &|_| {}, &[Box::new(&restart)], Cancel::new())
    };
    let error = run("rolling-restart", json!({ "wait": "3s", "settle": "0s" })).unwrap_err();
    let report = etcdsh_tests::json(&error.report().unwrap());
    let step = &report["steps"][0];
    assert_eq!((&step["outcome"], error.code()), (&json!("unseen"), "wait_timeout"), "{report}");
    assert!(step["detail"].as_str().unwrap().contains("it was done; then: "), "{report}");
    assert!(error.help().is_some_and(|help| help.contains("change resume")), "{error:?}");
    // Somebody brings it back as it was before.
    let first = calls.borrow()[0].clone();
    cluster.call("sandbox restart", json!({ "member": first })).unwrap();
    healthy(&cluster, 3);
    down.set(false);
    let id = cluster.call("change list", json!({})).unwrap()[0]["id"].clone();
    run("change resume", json!({ "id": id })).unwrap();
    let calls = calls.borrow();
    assert_eq!((calls.len(), &calls[0]), (4, &calls[1]), "{calls:?}");
}

/// A closure says that it has done what it was asked for, and has not.
#[test]
fn a_member_that_no_closure_started_is_told() {
    let cluster = Running::three("3.6").unwrap();
    healthy(&cluster, 3);
    cluster.kill(&["infra3"]);
    let mut args = etcdsh_tests::record(json!({ "member": "infra3", "wait": "8s" }));
    args.insert("host", Value::Hook(0));
    let lies = |_| Ok(Value::Null);
    let profile = cluster.profile();
    let error =
        cluster.caller.answer_hooked(&profile, "member replace", args, &|_| {}, &[Box::new(lies)], Cancel::new());
    let error = error.unwrap_err();
    assert_eq!((error.code(), error.member().as_deref()), ("not_started", Some("infra3")), "{error:?}");
    let report = etcdsh_tests::json(&error.report().unwrap());
    let started = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == "start_member").unwrap();
    assert_eq!(started["outcome"], "unseen", "{report}");
    // It is gone on with by whoever does it.
    let id = cluster.call("change list", json!({})).unwrap()[0]["id"].as_str().unwrap().to_owned();
    driver().block_on(cluster.member("infra3").wipe()).unwrap();
    let report = rhai(
        &cluster,
        &format!(
            "etcd.change_resume(\"{id}\", |todo| if todo.task == \"start\" {{ etcd.sandbox_join(todo.name, #{{ initial_cluster: todo.start.ETCD_INITIAL_CLUSTER, wait: \"0s\" }}) }})"
        ),
    );
    assert_eq!(report["ok"], true, "{report}");
    healthy(&cluster, 3);
}

#[rstest]
fn a_closure_stops_and_starts_the_member_that_is_replaced(#[values("nu", "rhai")] face: &str) {
    let cluster = Running::three("3.6").unwrap();
    healthy(&cluster, 3);
    cluster.kill(&["infra3"]);
    let report = match face {
        "nu" => nu(
            &cluster,
            "etcd member replace infra3 --host {|todo|
                match $todo.task {
                    stop => (etcd sandbox stop $todo.name)
                    set_data_aside => (etcd sandbox wipe $todo.name)
                    start => (etcd sandbox join $todo.name --initial-cluster $todo.start.ETCD_INITIAL_CLUSTER --wait 0sec)
                }
            }",
        ),
        _ => rhai(
            &cluster,
            "etcd.member_replace(\"infra3\", #{ host: |todo| switch todo.task {
                \"stop\" => etcd.sandbox_stop(todo.name),
                \"set_data_aside\" => etcd.sandbox_wipe(todo.name),
                \"start\" => etcd.sandbox_join(todo.name, #{ initial_cluster: todo.start.ETCD_INITIAL_CLUSTER, wait: 0 }),
            } })",
        ),
    };
    assert_eq!(report["ok"], true, "{report}");
    assert!(outcomes(&report).contains("stop_member done"), "{report}");
    healthy(&cluster, 3);
}

#[rstest]
fn a_member_moves_to_another_address(#[values("3.4", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    healthy(&cluster, 3);
    let leader = cluster.leader();
    let args = json!({ "member": leader, "name": "infra4", "peer_urls": [cluster.free_peer_url()] });
    let report = cluster.call("member replace", args).unwrap();
    let expected = "save_snapshot done, add_member done, start_member done, promote_member done, move_leader done, stop_member done, \
                    remove_member done, compare_hashes done, await_healthy done";
    assert_eq!(outcomes(&report), expected, "{report}");
    healthy(&cluster, 3);
    let names =
        column(&cluster.call("member list", json!({})).unwrap(), "name").into_iter().cloned().collect::<Vec<_>>();
    assert!(names.contains(&json!("infra4")) && !names.contains(&json!(leader)), "{names:?}");
}

#[rstest]
fn a_cluster_of_two_versions_is_served_too(
    #[values(("3.4", "3.5"), ("3.5", "3.6"), ("3.6", "3.7"))] versions: (&str, &str),
) {
    let newer = etcd(versions.1).unwrap();
    let newer = newer.program("etcd").to_string_lossy().into_owned();
    let only = [("infra3".to_owned(), MemberOptions { etcd: Some(newer), ..MemberOptions::default() })];
    let options = Options { only: only.into_iter().collect(), ..Options::default() };
    let Some(cluster) = Running::start(versions.0, options) else { return };
    healthy(&cluster, 3);
    for member in ["infra1", "infra3"] {
        cluster.kill(&[member]);
        let report = cluster.call("member replace", json!({ "member": member })).unwrap();
        assert_eq!(report["ok"], true, "{report}");
    }
    let restarted = cluster.call("rolling-restart", json!({ "settle": "0s" })).unwrap();
    assert_eq!(restarted["ok"], true, "{restarted}");
    assert_eq!(cluster.call("defrag", json!({})).unwrap()["ok"], true);
    healthy(&cluster, 3);
}

#[rstest]
fn every_version_is_restarted_and_defragmented(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { auth: true, ..Options::default() }) else { return };
    healthy(&cluster, 3);
    let before = processes(&cluster);
    let can = cluster.call("can", json!({ "action": "restart", "member": "infra2" })).unwrap();
    // Leadership leaves it first, where it leads.
    assert_eq!((&can["allowed"], column(&can["plan"], "step").pop()), (&json!(true), Some(&json!("restart_member"))));
    let report = cluster.call("rolling-restart", json!({ "settle": "1s", "members": ["infra1", "infra3"] })).unwrap();
    assert_eq!(report["ok"], true, "{report}");
    let after = processes(&cluster);
    let same: Vec<_> =
        before.iter().filter(|(name, process)| after[*name] == **process).map(|(name, _)| name.as_str()).collect();
    assert_eq!(same, ["infra2"]);
    let report = cluster.call("defrag", json!({ "rule": "db_size > 0" })).unwrap();
    assert!(report["steps"].as_array().unwrap().iter().any(|step| step["result"]["freed"].is_i64()), "{report}");
    // Another member is down, so nobody is taken away.
    cluster.kill(&["infra2"]);
    for operation in ["rolling-restart", "defrag"] {
        let error = cluster.call(operation, json!({ "members": ["infra1"] })).unwrap_err();
        assert_eq!(error.code(), "others_unhealthy", "{error:?}");
    }
}

/// However a member lost its data: replacing it is one call.
#[rstest]
fn every_broken_member_is_replaced(#[values("wiped", "bad-disk", "lost-wal")] how: &str) {
    let cluster = Running::three("3.6").unwrap();
    healthy(&cluster, 3);
    if how == "lost-wal" {
        let member = cluster.member("infra2");
        cluster.kill(&["infra2"]);
        std::fs::rename(member.data_dir().join("member/wal"), cluster.home().join("lost")).unwrap();
    } else {
        cluster.call("sandbox break", json!({ "member": "infra2", "how": how })).unwrap();
    }
    let report = cluster.call("member replace", json!({ "member": "infra2" })).unwrap();
    assert_eq!(report["ok"], true, "{report}");
    healthy(&cluster, 3);
}
