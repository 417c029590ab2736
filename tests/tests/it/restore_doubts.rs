//! Restores of whole clusters that an operator would regret: revisions that come a second time, data that etcd does not start with,
//! clusters that nobody can log in to or write to, and what is broken off.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, column, program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::at_rest::saved;
use crate::failing::describe;
use crate::procedure_faults::{pids, plain, start};

fn plan(cluster: &Running, args: Json) -> Json {
    cluster.call("snapshot restore plan", args).unwrap_or_else(|error| panic!("{}", describe(&error)))
}

fn refused(cluster: &Running, args: Json) -> String {
    let told = describe(&cluster.call("snapshot restore plan", args).unwrap_err());
    told.replace(&cluster.home().display().to_string(), "HOME")
}

#[test]
fn no_revision_comes_twice_however_often_a_cluster_is_lost() {
    let cluster = plain(1);
    cluster.etcdctl(&["put", "k", "v"]);
    let file = saved(&cluster, "backup.db");
    let mut highest = 0;
    for _ in 0..3 {
        cluster.kill(&["infra1"]);
        let before = pids(&cluster);
        let dry = plan(&cluster, json!({ "file": file, "hosts": true, "dry_run": true }));
        assert_eq!((&dry["executed"], &dry["checks"], pids(&cluster)), (&json!(false), &json!([]), before), "{dry}");
        assert_eq!(
            (&dry["members"][0]["outcome"], &dry["members"][0]["host"]),
            (&Json::Null, &json!("the sandbox sandbox"))
        );
        let made = plan(&cluster, json!({ "file": file, "hosts": true }));
        assert_eq!(
            (&made["ok"], &made["revision"], &made["advice"]),
            (&json!(true), &dry["revision"], &json!([])),
            "{made}"
        );
        let revision = made["revision"].as_i64().unwrap();
        assert!(revision >= highest + 1_000_000_000, "{revision} after {highest}");
        cluster.etcdctl(&["put", "k", "v"]);
        let quorum = cluster.call("quorum", json!({})).unwrap();
        assert_eq!(quorum["revision"], revision + 1);
        highest = revision;
        // Who wants less is told.
        let less = plan(&cluster, json!({ "file": file, "bump_revision": 5 }));
        let advice = less["advice"].to_string();
        assert!(advice.contains("it is raised by 5 only") && advice.contains("Raise it by more"), "{less}");
    }
    // Data dirs that are made by hand count too.
    let by_hand =
        plan(&cluster, json!({ "file": file, "data_dirs": cluster.home().join("made") , "allow": ["member_answers"] }));
    let next = plan(&cluster, json!({ "file": file }));
    assert!(next["revision"].as_i64().unwrap() >= by_hand["revision"].as_i64().unwrap() + 1_000_000_000, "{next}");
}

#[test]
fn data_of_a_newer_etcd_are_refused_before_anything_is_stopped() {
    let newer = start("3.7", Options { members: 1, tls: false, ..Options::default() });
    newer.etcdctl(&["put", "k", "v"]);
    let file = saved(&newer, "newer.db");
    let cluster = plain(1);
    let list = vec![format!("infra1={}", cluster.member("infra1").peer_url())];
    cluster.kill(&["infra1"]);
    let with = |more: Json| {
        let mut args = json!({ "file": file, "hosts": true, "initial_cluster": list });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let told = refused(&cluster, with(json!({})));
    let told = told.replace(&cluster.tools.version, "3.6.N");
    insta::assert_snapshot!(told, @"
    invalid_argument: infra1 runs etcd 3.6.N, which does not start with data of 3.7.0
        help: give target_version 3.6, or upgrade the members first
        argument: target_version
        sent: never
    ");
    // For such data etcd's own program has no option.
    let shown = plan(&cluster, with(json!({ "hosts": false, "target_version": "3.6", "scrub_alarms": true })));
    let command = shown["members"][0]["command"].as_str().unwrap();
    let made = cluster.home().join("by-hand.etcd").display().to_string();
    let command = command.replace(shown["members"][0]["data_dir"].as_str().unwrap(), &made);
    let path = program("etcdsh").parent().unwrap().to_owned();
    let mut shell = cluster.command("/bin/sh".into());
    let said = etcdsh_tests::Said::by(shell.args(["-c", &command]).env("PATH", path));
    assert!(
        said.status.success() && std::path::Path::new(&made).join("member/snap/db").exists(),
        "{command}: {said:?}"
    );

    let report = plan(&cluster, with(json!({ "target_version": "3.6" })));
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(cluster.etcdctl(&["get", "k", "--print-value-only"]), "v\n");
}

#[test]
fn who_cannot_log_in_is_told_before_anything_is_stopped() {
    let cluster = start("3.6", Options { members: 1, auth: true, ..Options::default() });
    cluster.etcdctl(&["put", "k", "v"]);
    let file = saved(&cluster, "backup.db");
    cluster.kill(&["infra1"]);
    let mut nobody = cluster.profile();
    (nobody.user, nobody.tls.cert, nobody.tls.key) = (None, None, None);
    let args = json!({ "file": file, "hosts": true });
    let error = cluster.call_with(&nobody, "snapshot restore plan", args.clone()).unwrap_err();
    insta::assert_snapshot!(describe(&error), @"
    unauthenticated: the snapshot's cluster asks for a user, and none is given: nobody would see whether the new one serves
        help: give the user in the profile, or as user; it logs in with the password that it had at the time of the snapshot
        sent: never
    ");
    // With a password of another time it is known only when the new cluster is asked; nobody waits for it.
    let mut other = cluster.profile();
    other.user.as_mut().unwrap().password = etcdsh_core::profile::Secret::new("wrong".to_owned());
    let begun = std::time::Instant::now();
    let error = cluster.call_with(&other, "snapshot restore plan", args).unwrap_err();
    let (code, help) = (error.code(), error.help().unwrap());
    assert!(code == "unauthenticated" && help.contains("Then give the same again"), "{}", describe(&error));
    assert!(begun.elapsed().as_secs() < 60);
    let token = help.split("initial_cluster_token ").nth(1).unwrap().split(':').next().unwrap();
    let report = plan(&cluster, json!({ "file": file, "hosts": true, "initial_cluster_token": token }));
    assert_eq!((&report["ok"], &report["members"][0]["outcome"]), (&json!(true), &json!("already")), "{report}");
}

#[test]
fn a_cluster_that_takes_no_writes_is_no_success() {
    let flags = vec!["--quota-backend-bytes=2097152".to_owned()];
    let cluster = start("3.6", Options { members: 1, tls: false, flags, ..Options::default() });
    let put = |round: usize| cluster.etcdctl_reading(&["put", "big"], &round.to_string().repeat(1 << 18));
    assert!((10..60).any(|round| put(round).is_err()));
    let file = saved(&cluster, "full.db");
    cluster.kill(&["infra1"]);
    let report = plan(&cluster, json!({ "file": file, "hosts": true }));
    let checks = report["checks"].as_array().unwrap();
    let alarms = checks.iter().find(|check| check["check"] == "alarms").unwrap();
    assert_eq!((&report["ok"], &alarms["ok"]), (&json!(false), &json!(false)), "{report}");
    assert!(alarms["found"].as_str().unwrap().starts_with("nospace of "), "{alarms}");
    assert!(report["advice"].to_string().contains("scrub_alarms"), "{report}");
    cluster.kill(&["infra1"]);
    let report = plan(&cluster, json!({ "file": file, "hosts": true, "scrub_alarms": true }));
    assert_eq!(report["ok"], true, "{report}");
}

/// Returns the token that is told to whoever wants to go on.
fn token_in(text: &str) -> Option<String> {
    let token = text.lines().find_map(|line| line.split("initial_cluster_token ").nth(1));
    token.map(|token| token.split(':').next().unwrap().to_owned())
}

/// Ctrl-C at different moments, in Rhai: whoever has begun to change something says how to go on.
#[test]
fn what_is_broken_off_says_how_it_is_gone_on_with() {
    let cluster = plain(3);
    cluster.etcdctl(&["put", "k", "v"]);
    let file = saved(&cluster, "backup.db");
    let (mut told, mut at) = (0, 1);
    loop {
        let before = pids(&cluster);
        let mut command = cluster.command(program("etcdsh"));
        let expression = format!(
            "etcd.snapshot_restore_plan({:?}, #{{ hosts: true, allow: [\"cluster_serves\"] }}); ()",
            file.display().to_string()
        );
        command.args(["eval", "--events", "--profile", cluster.sandbox.name(), &expression]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let seen = said.by_ref().lines().map_while(Result::ok).take(at).count();
        if seen == at {
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        let status = child.wait().unwrap();
        if status.success() {
            break;
        }
        let token = token_in(&rest);
        assert!(token.is_some() || rest.contains("interrupted"), "{at}: {rest}");
        if token.is_none() && pids(&cluster) != before {
            eprintln!("broken off at event {at}, with other processes and without a token: {rest}");
        }
        let mut args = json!({ "file": file, "hosts": true, "allow": ["cluster_serves"] });
        if let Some(token) = &token {
            args["initial_cluster_token"] = json!(token);
            assert!(rest.contains("no data are lost"), "{rest}");
            told += 1;
        }
        let report = cluster.call("snapshot restore plan", args.clone()).unwrap_or_else(|error| {
            // Who breaks off again says how to go on again.
            let told = describe(&error);
            eprintln!("broken off again: {told}");
            args["initial_cluster_token"] = json!(token_in(&told));
            plan(&cluster, args)
        });
        assert!(report["ok"] == true && column(&report["members"], "outcome").len() == 3, "{report}");
        assert!(token.is_none() || report["token"].as_str() == token.as_deref(), "{report}");
        at *= 2;
    }
    assert!(told >= 2, "{told} of them said how to go on");
}
