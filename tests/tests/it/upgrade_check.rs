//! Whether a cluster can be upgraded, asked of real clusters; and whether what is said of flags is true.

use std::process::Command;
use std::time::Duration;

use etcdsh_core::ops::cluster::upgrade_check::REMOVED_FLAGS;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::{Running, column, driver, etcd, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::under_load::Upgradable;

fn check(cluster: &Running, version: &str) -> Json {
    cluster.call("cluster upgrade-check", json!({ "version": version })).unwrap()
}

fn codes(report: &Json, severity: &str) -> Vec<String> {
    let of = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == severity);
    of.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[case("3.4", "3.5", "3.6", &[], &["flags_removed", "way_back"])]
#[case("3.5", "3.6", "3.7", &[], &["flags_removed", "check_v2store", "way_back"])]
#[case("3.6", "3.7", "3.8", &["old_entries_in_wal"], &["flags_removed", "way_back"])]
fn of_a_healthy_cluster(
    #[case] version: &str,
    #[case] next: &str,
    #[case] too_far: &str,
    #[case] to_look_at: &[&str],
    #[case] to_know: &[&str],
) {
    let Some(cluster) = Running::start(version, Options { tls: false, ..Options::default() }) else { return };
    cluster.settled();
    let report = check(&cluster, next);
    assert_eq!((&report["ok"], &report["from"]), (&json!(true), &json!(cluster.tools.version)), "{report}");
    assert_eq!(codes(&report, "error"), Vec::<String>::new(), "{report}");
    assert_eq!(codes(&report, "warning"), to_look_at, "{report}");
    assert_eq!(codes(&report, "info"), to_know);
    assert_eq!(codes(&check(&cluster, too_far), "error"), ["skips_minor"]);
    let same = check(&cluster, version);
    assert_eq!((&same["ok"], codes(&same, "info")), (&json!(true), vec!["already_there".to_owned()]), "{same}");

    cluster.kill(&["infra2"]);
    let report = check(&cluster, next);
    assert_eq!(
        (&report["ok"], codes(&report, "error")),
        (&json!(false), vec!["member_unhealthy".to_owned()]),
        "{report}"
    );
    assert_eq!(report["findings"][0]["member"], "infra2");
}

/// An upgrade that has come as far as its first member.
#[rstest]
#[case("3.4", "3.5")]
#[case("3.5", "3.6")]
#[case("3.6", "3.7")]
fn of_a_cluster_of_two_versions(#[case] older: &str, #[case] newer: &str) {
    let Some(newest) = etcd(newer) else { return };
    let program = newest.program("etcd").to_string_lossy().into_owned();
    let only = MemberOptions { etcd: Some(program), ..MemberOptions::default() };
    let only = [("infra1".to_owned(), only)].into_iter().collect();
    let Some(cluster) = Running::start(older, Options { tls: false, only, ..Options::default() }) else { return };
    let report = check(&cluster, newer);
    assert_eq!((&report["ok"], &report["from"]), (&json!(true), &json!(cluster.tools.version)), "{report}");
    assert!(codes(&report, "info").contains(&"under_way".to_owned()), "{report}");
    assert_eq!(codes(&check(&cluster, older), "error"), ["older_version"]);
    // Their stores are the same all the same.
    cluster.etcdctl(&["put", "a", "b"]);
    let report = cluster.call("hash", json!({})).unwrap();
    assert_eq!(
        (&report["verdict"], column(&report["members"], "comparable")),
        (&json!("consistent"), vec![&json!(true); 3])
    );
}

#[test]
fn flags_that_are_said_to_be_gone_are() {
    let refuses = |minor: &str, flag: &str| {
        let tools = etcd(minor)?;
        let flag = flag.replace("proxy-*", "proxy-dial-timeout").replace("experimental-*", "experimental-memory-mlock");
        let output = Command::new(tools.program("etcd")).args([&format!("{flag}=1"), "--version"]).output().unwrap();
        Some(String::from_utf8_lossy(&output.stderr).contains("flag provided but not defined"))
    };
    for removed in REMOVED_FLAGS {
        let (before, at) = (format!("3.{}", removed.at.minor - 1), format!("3.{}", removed.at.minor));
        for flag in removed.flags {
            let answers = (refuses(&before, flag), refuses(&at, flag));
            assert!(answers.0 != Some(true) && answers.1 != Some(false), "{flag} in {before} and {at}: {answers:?}");
        }
    }
}

/// What the check tells of 3.7 is so: a member that ran 3.5 starts with 3.7 only when it was started under 3.6 once more.
#[rstest]
#[case::at_once(false)]
#[case::restarted(true)]
fn entries_of_3_5_keep_3_7_from_starting(#[case] once_more: bool) {
    let upgradable = Upgradable::start("3.5", 1).unwrap();
    let cluster = &upgradable.cluster;
    cluster.etcdctl(&["put", "key", "value"]);
    let start = |version: &str| {
        upgradable.exchange("infra1", &etcd(version).unwrap().program("etcd"));
        driver().block_on(cluster.member("infra1").restart(Duration::from_secs(20))).map(drop)
    };
    start("3.6").unwrap();
    cluster.settled_on("3.6");
    assert_eq!(codes(&check(cluster, "3.7"), "warning"), ["no_tolerance", "old_entries_in_wal"]);
    if once_more {
        start("3.6").unwrap();
        cluster.settled_on("3.6");
    }
    let started = start("3.7");
    assert_eq!(started.is_ok(), once_more, "{started:?}");
}

/// A server accepts it: it looks at the version of the cluster, which is that of the oldest member.
#[test]
fn nobody_goes_back_half_way_up() {
    let upgradable = Upgradable::start("3.6", 3).unwrap();
    let cluster = &upgradable.cluster;
    upgradable.exchange("infra1", &etcd("3.7").unwrap().program("etcd"));
    driver().block_on(cluster.member("infra1").restart(Duration::from_secs(60))).map(drop).unwrap();
    let error = cluster.call("downgrade enable", json!({ "version": "3.5" })).unwrap_err();
    assert_eq!(error.code(), "version_skew", "{error:?}");
    assert_eq!(cluster.call("downgrade validate", json!({ "version": "3.5" })).unwrap()["accepted"], false);
    // Somebody does it all the same, and is told before anybody is restarted.
    cluster.etcdctl(&["downgrade", "enable", "3.5"]);
    let status = until("the members know of it", || match cluster.call("downgrade status", json!({})).unwrap() {
        status if status["stage"] == "inactive" => Err(status.to_string()),
        status => Ok(status),
    });
    assert_eq!(status["stage"], "preparing", "{status}");
    let error = cluster.call("rolling-restart", json!({})).unwrap_err();
    assert_eq!(error.code(), "version_skew", "{error:?}");
    cluster.call("downgrade cancel", json!({})).unwrap();
}
