//! What the runbook scripts were told and do not understand, and plans that would be refused.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::Running;
use rstest::rstest;
use serde_json::json;

use super::{script, text};

/// Whoever mistypes a rehearsal must not get the real thing, and whoever says too much is told so.
#[rstest]
#[case("backup", &["."])]
#[case("drill", &["."])]
#[case("health", &[])]
#[case("nospace", &[])]
#[case("recover-member", &["infra2"])]
#[case("rolling-restart", &[])]
fn what_a_script_does_not_know_is_refused(#[case] name: &str, #[case] words: &[&str]) {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let before = cluster.call("sandbox list", json!({})).unwrap();
    for language in ["nu", "rhai"] {
        let name = format!("{name}.{language}");
        let run = |more: &[&str]| {
            let output = script(&cluster, &name, false, &[words, more].concat());
            assert!(!output.status.success(), "{name} {more:?}: {}", text(&output));
            text(&output)
        };
        for (mistyped, near) in [("--dryrun", "--dry-run"), ("--dry_runn", "--dry-run"), ("--dry", "--dry-run")] {
            let said = run(&[mistyped]);
            assert!(said.contains(mistyped.trim_start_matches('-')) || said.contains("dry-runn"), "{name}: {said}");
            if language == "rhai" {
                assert!(said.contains("error: there is no option --dry"), "{name}: {said}");
                let help = if name == "health.rhai" { "it takes no words and no options" } else { near };
                assert!(said.contains(help), "{name}: {said}");
            }
        }
        if !name.starts_with("health") {
            run(&["--dry-run=yes"]);
        }
        if name != "rolling-restart.rhai" {
            assert!(run(&["extra"]).contains("extra"));
        }
        if name.starts_with("nospace") {
            let said = run(&["--keep=abc"]);
            assert!(
                said.contains("--keep should be an integer, not \"abc\"") || said.contains("expected int"),
                "{said}"
            );
        }
        if !words.is_empty() {
            let output = script(&cluster, &name, true, &[]);
            assert!(!output.status.success(), "{name}: {}", text(&output));
        }
    }
    assert_eq!(cluster.call("change list", json!({})).unwrap(), json!([]), "nothing was begun");
    assert_eq!(cluster.call("sandbox list", json!({})).unwrap(), before, "nobody was restarted");
    let files = std::fs::read_dir(cluster.home()).unwrap().flatten();
    assert_eq!(files.filter(|file| file.path().extension().is_some_and(|e| e == "db")).count(), 0);
}

/// Whoever mends only the first of them would be refused again.
#[rstest]
#[case("nospace")]
#[case("recover-member")]
#[case("rolling-restart")]
fn all_that_speaks_against_a_plan_is_told(#[case] name: &str) {
    let cluster = Running::three("3.6").unwrap();
    // What is told changes while a leader is looked for, so it is not the leader who is down.
    let followers = cluster.followers();
    cluster.kill(&[&followers[0]]);
    let words = if name == "recover-member" { vec![followers[1].as_str()] } else { vec![] };
    let operation = name.replace("nospace", "space recover").replace("recover-member", "member replace");
    let mut args = json!({ "dry_run": true, "wait": "10s" });
    if let [member] = words.as_slice() {
        args["member"] = json!(member);
    }
    let report = cluster.call(&operation, args).unwrap();
    let refusals: Vec<_> =
        report["refusals"].as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap().to_owned()).collect();
    assert!(refusals.len() > 1, "{report}");
    for language in ["nu", "rhai"] {
        let output = script(&cluster, &format!("{name}.{language}"), true, &words);
        // Nushell breaks a long message into lines, each with a mark.
        let said: Vec<_> = text(&output).split_whitespace().filter(|word| *word != "|").map(str::to_owned).collect();
        let said = said.join(" ");
        assert!(!output.status.success() && said.contains("it would be refused: "), "{said}");
        for refusal in &refusals {
            assert!(said.contains(refusal), "{language} does not tell {refusal:?}: {said}");
        }
    }
}
