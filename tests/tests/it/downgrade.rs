//! Going back to an older version, on real clusters.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, column, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

fn start(version: &str) -> Option<Running> {
    let cluster = Running::start(version, Options { tls: false, ..Options::default() })?;
    cluster.settled();
    Some(cluster)
}

fn status(cluster: &Running) -> Json {
    cluster.call("downgrade status", json!({})).unwrap()
}

fn validate(cluster: &Running, version: &str) -> Json {
    cluster.call("downgrade validate", json!({ "version": version })).unwrap()
}

#[rstest]
fn of_what_cannot_go_back(#[values("3.4", "3.5")] version: &str) {
    let Some(cluster) = start(version) else { return };
    let report = status(&cluster);
    assert_eq!((&report["stage"], &report["target"]), (&json!("unknown"), &json!(null)), "{report}");
    let report = validate(&cluster, "3.4");
    let reason = format!("etcd can go back from 3.6 on, and a member runs {}", cluster.tools.version);
    assert_eq!((&report["accepted"], &report["reason"]), (&json!(false), &json!(reason)), "{report}");
    let refused = cluster.call("downgrade enable", json!({ "version": "3.4" })).unwrap_err();
    assert!(refused.code() == "server_would_refuse" && refused.to_string().contains(&reason), "{refused:?}");
}

#[rstest]
#[case("3.6", "3.5")]
#[case("3.7", "3.6")]
fn of_what_can(#[case] version: &str, #[case] older: &str) {
    let Some(cluster) = start(version) else { return };
    assert_eq!(status(&cluster)["stage"], "inactive");
    let to = format!("{older}.0");
    let good = validate(&cluster, older);
    assert_eq!(good, json!({ "accepted": true, "from": version, "to": older, "reason": null, "remedy": null }));
    let bad = validate(&cluster, "3.3.9");
    assert_eq!((&bad["accepted"], &bad["to"]), (&json!(false), &json!("3.3")));
    assert!(bad["reason"].as_str().unwrap().contains("invalid downgrade target version"), "{bad}");
    let error = cluster.call("downgrade validate", json!({ "version": "old" })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("version")));

    let change = |name: &str, args: Json| {
        let report = cluster.call(name, args).unwrap();
        column(&report["steps"], "outcome").into_iter().cloned().collect::<Vec<_>>()
    };
    let refused = cluster.call("downgrade enable", json!({ "version": "3.3" })).unwrap_err();
    assert_eq!(refused.code(), "server_would_refuse", "{refused:?}");
    assert_eq!(change("downgrade cancel", json!({})), ["already"]);
    assert_eq!(change("downgrade enable", json!({ "version": older })), ["done"]);
    assert_eq!(change("downgrade enable", json!({ "version": older })), ["already"]);
    let again = validate(&cluster, older);
    assert!(again["reason"].as_str().unwrap().ends_with(" is under way"), "{again}");
    let report = status(&cluster);
    assert_eq!(report["target"], json!(to), "{report}");
    let upgrade = cluster.call("cluster upgrade-check", json!({ "version": version })).unwrap();
    assert!(column(&upgrade["findings"], "code").contains(&&json!("downgrade_in_progress")), "{upgrade}");
    until("the data of all members is ready", || {
        let report = status(&cluster);
        if report["stage"] == "ready" { Ok(()) } else { Err(report.to_string()) }
    });
    assert_eq!(column(&status(&cluster)["members"], "storage_version"), vec![&json!(to); 3]);
    assert_eq!(change("downgrade cancel", json!({})), ["done"]);
    until("nobody goes back", || {
        let report = status(&cluster);
        if report["stage"] == "inactive" { Ok(()) } else { Err(report.to_string()) }
    });
}
