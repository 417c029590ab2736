//! The log, for those who ask: who was asked what, for how long, and what came of it.

use std::process::Command;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, Said, program};
use rstest::rstest;

/// A face, about to do something with the sandbox; the same in the words of both.
fn face(cluster: &Running, face: &str, nu: &str, rhai: &str) -> Command {
    let mut command = match face {
        "nu" => cluster.nu_with("nu_plugin_etcd", &format!("{nu} --profile sandbox | to json --raw")),
        _ => {
            let mut command = cluster.command(program("etcdsh"));
            command.args(["--profile", "sandbox", "eval", rhai]);
            command
        }
    };
    command.env("ETCDSH_LOG", "debug");
    command
}

/// Returns the value of a field of a line.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let value = line.split_once(&format!("{name}="))?.1;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split([' ', '}', ':']).next(),
    }
}

#[rstest]
fn every_call_and_every_step_is_logged_with_who_was_asked_and_what_came_of_it(#[values("nu", "rhai")] which: &str) {
    let cluster = Running::start("3.6", Options { auth: true, ..Options::default() }).unwrap();
    let view = cluster.view().unwrap();
    let mut members: Vec<String> = view.members.iter().map(|m| m.member.label_with_id()).collect();
    let target = cluster.followers().remove(0);
    let nu = format!("etcd leader move {target}");
    let said = Said::by(&mut face(&cluster, which, &nu, &format!("etcd.leader_move({target:?}).ok")));
    assert!(said.status.success() && !said.out.contains("rpc"), "{said:?}");

    let calls: Vec<_> = said.err.lines().filter(|line| line.contains(": rpc took=")).collect();
    assert!(calls.len() > 5, "{said:?}");
    let mut asked = Vec::new();
    for call in &calls {
        for name in ["method", "endpoint", "took", "outcome"] {
            assert!(field(call, name).is_some(), "{name}: {call}");
        }
        asked.extend(field(call, "member").map(str::to_owned));
    }
    // Nobody knows at first who is behind an endpoint; the first answer tells an id, and the list of members all names.
    asked.retain(|who| view.members.iter().all(|m| m.member.id.to_string() != *who));
    asked.sort();
    asked.dedup();
    members.sort();
    assert_eq!(asked, members, "{}", said.err);
    let unnamed = calls.iter().filter(|call| field(call, "member").is_none()).count();
    assert!(unnamed > 0 && unnamed < calls.len() / 2, "{}", said.err);

    // A step says who it is about, and who was asked to carry it out: the leader.
    let steps: Vec<_> = said.err.lines().filter(|line| line.contains(": step member=")).collect();
    let [step] = steps.as_slice() else { panic!("{said:?}") };
    let about = members.iter().find(|member| member.starts_with(&target)).unwrap();
    assert!(step.contains("step{number=1 step=\"move_leader\"}"), "{step}");
    assert_eq!((field(step, "member"), field(step, "outcome")), (Some(about.as_str()), Some("done")), "{step}");
    let leader = view.leader().unwrap().endpoint.as_ref().unwrap().to_string();
    assert!(step.contains(&format!("endpoint={leader} ")), "{step}");
    // What was sent for a step is seen to be.
    let sent = calls.iter().find(|call| field(call, "method") == Some("MoveLeader")).unwrap();
    assert!(sent.contains("step{number=1 step=\"move_leader\"}:rpc{"), "{sent}");

    let password = cluster.profile().user.unwrap().password;
    assert!(!format!("{said:?}").contains(password.expose()), "{said:?}");
    assert!(!said.err.to_lowercase().contains("authorization"), "{}", said.err);
}

#[rstest]
fn a_call_that_fails_is_logged_with_the_code_of_its_failure(#[values("nu", "rhai")] which: &str) {
    let cluster = Running::start("3.6", Options { tls: false, ..Options::default() }).unwrap();
    cluster.kill(&["infra1"]);
    let said = Said::by(&mut face(&cluster, which, "etcd health", "etcd.health()"));
    let dead = cluster.member("infra1").client_url().to_owned();
    let calls: Vec<_> = said.err.lines().filter(|line| line.contains(": rpc took=") && line.contains(&dead)).collect();
    assert!(calls.iter().any(|call| field(call, "member").is_some_and(|m| m.starts_with("infra1 ("))), "{}", said.err);
    for call in calls {
        assert_eq!(field(call, "outcome"), Some("unreachable"), "{call}");
    }
}
