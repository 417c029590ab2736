//! What is told beside an answer: the advice that only the caller's settings can give, and a change that was done although
//! nobody can look at the cluster afterwards.

use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::hostile::wire::{Member, MemberList};
use etcdsh_tests::hostile::{Hostile, Step, send};
use etcdsh_tests::{Caller, Running, Said, column, free_port, program};
use serde_json::json;

use crate::failing::{TIMEOUT, Table, fails, profile, redacted};
use crate::hostile::endpoint;

#[test]
fn who_named_no_cluster_is_told_so() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    // This machine is asked where nothing else is said; another port, because on the usual one somebody may listen.
    let nowhere = Endpoint::parse(&format!("127.0.0.1:{}", free_port()), false).unwrap();
    let assumed = caller.profile(&[]).unwrap();
    assert_eq!(assumed.endpoints, [Endpoint::parse("http://127.0.0.1:2379", false).unwrap()]);
    let assumed = Profile { endpoints: vec![nowhere.clone()], ..assumed };
    let named = caller.profile(&[("endpoints", &nowhere.to_string())]).unwrap();
    let mut table = Table::default();
    for (case, profile) in [("nothing was named", &assumed), ("an endpoint was named", &named)] {
        for name in ["health", "leader move"] {
            table.row(&format!("{case}, {name}"), &fails(&caller, profile, name, json!({}), TIMEOUT));
        }
    }
    // Whoever answers is somebody, so the advice would be wrong.
    let server = Hostile::new();
    server.answer("MemberList", [Step::Fail(13, "etcdserver: something new".into())]);
    let answered = Profile { endpoints: vec![Endpoint::parse(&endpoint(&server), false).unwrap()], ..assumed };
    table.row("somebody answered", &fails(&caller, &answered, "health", json!({}), TIMEOUT));
    insta::assert_snapshot!(table, @r"
    nothing was named, health
      unreachable: http://127.0.0.1:[port]: cannot connect
        because: Connection refused (os error 111)
        help: check the address and the port, and that etcd runs there; no cluster was named, so this machine was asked; name one by its profile or its endpoints
        sent: never
    nothing was named, leader move
      unreachable: http://127.0.0.1:[port]: cannot connect
        because: Connection refused (os error 111)
        help: check the address and the port, and that etcd runs there; no cluster was named, so this machine was asked; name one by its profile or its endpoints
        sent: never
    an endpoint was named, health
      unreachable: http://127.0.0.1:[port]: cannot connect
        because: Connection refused (os error 111)
        help: check the address and the port, and that etcd runs there
        sent: never
    an endpoint was named, leader move
      unreachable: http://127.0.0.1:[port]: cannot connect
        because: Connection refused (os error 111)
        help: check the address and the port, and that etcd runs there
        sent: never
    somebody answered
      server: http://127.0.0.1:[port]: etcdserver: something new
        help: the member's log may say more; ask another member
        sent: answered
    ");
}

#[test]
fn a_change_that_was_done_is_told_although_nobody_can_look_afterwards() {
    let caller = Caller::new();
    let server = Hostile::new();
    let url = "http://127.0.0.1:9";
    let before = server.members();
    // It comes up under another name, which tells what was seen last from what was seen first.
    let (name, peer_urls) = ("renamed".to_owned(), vec![url.to_owned()]);
    let only = Member { name, peer_urls, ..before.members[0].clone() };
    let after = MemberList { members: vec![only], ..before.clone() };
    // Each look asks for the list twice, once confirmed by a quorum: before the plan, behind the claim, before the step, and when it
    // has come true.
    let mut lists = vec![vec![send(&before)]; 6];
    lists.extend(vec![vec![send(&after)]; 2]);
    lists.push(vec![Step::Fail(14, "etcdserver: server stopped".into())]);
    server.answer_in_turn("MemberList", lists);
    server.answer("MemberUpdate", [send(&after)]);
    // A user who may not write makes no claim.
    server.answer("LeaseGrant", [Step::Fail(7, "etcdserver: permission denied".into())]);
    let profile = profile(&caller, &endpoint(&server), &[]);
    let args = json!({ "member": "a", "peer_urls": [url], "allow": ["quorum_at_risk"] });
    let report = caller.call(&profile, "member update", args).unwrap();
    assert!(server.asked("MemberList") > 8, "nobody looked afterwards: {report}");
    assert_eq!((&report["ok"], &report["executed"]), (&json!(true), &json!(true)), "{report}");
    assert_eq!(column(&report["steps"], "outcome"), ["done"], "{report}");
    assert_eq!(
        (&report["after"]["leader"], &report["after"]["verdict"]),
        (&json!("renamed"), &json!("healthy")),
        "{report}"
    );
}

#[test]
fn what_only_a_face_refuses_is_told_there() {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let said = |args: &[&str]| {
        let mut command = cluster.command(program("etcdsh"));
        let said = Said::by(command.args(["--profile", "sandbox"]).args(args));
        assert!(!said.status.success(), "{args:?}: {said:?}");
        let lines = said.err.lines().map(str::trim);
        lines
            .filter(|line| line.starts_with("error") || line.contains("help"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    cluster.write("run.rhai", "run([\"true\"]);");
    let evaluated = [
        "run([])",
        "run([\"/none/such\"])",
        "run([\"sleep\", \"60\"], #{ timeout: \"50ms\" })",
        "etcd.keys().take(-1)",
        "let rows = etcd.keys(); for row in rows {} rows.to_array()",
    ];
    let mut text: String = evaluated.iter().map(|code| format!("{code}\n{}", said(&["eval", code]))).collect();
    text.push_str(&format!("a script\n{}", said(&["run", "run.rhai"])));
    let nu = cluster.caught("$env.config.plugins.etcd = 5; etcd health");
    text.push_str(&format!("nu\n{}\n{}\n", nu.details["msg"].as_str().unwrap(), nu.details["help"].as_str().unwrap()));
    insta::assert_snapshot!(text, @r#"
    run([])
    error: run was given no program
    = help: give an array: run(["systemctl", "stop", "etcd"])
    run(["/none/such"])
    error: cannot start /none/such
    = help: see that the program and the folder to run it in exist
    run(["sleep", "60"], #{ timeout: "50ms" })
    error: sleep did not end within 50ms
    etcd.keys().take(-1)
    error: take was asked for -1 rows
    = help: give a number that is not negative
    let rows = etcd.keys(); for row in rows {} rows.to_array()
    error: the rows of keys were taken by a loop before
    = help: rows can be read once; keep them with .to_array(), or call the operation again
    a script
    error: this script may not use run: it was not granted exec
    = help: run the script with --allow exec
    nu
    $env.config.plugins.etcd should be a record, not an integer
    for example {endpoints: ["10.0.0.1:2379"], profiles: {prod: {endpoints: ["10.1.0.1:2379"]}}}
    "#);
}
