//! The program that crashes on purpose: it must crash where it is told to, and nowhere else.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Ended, Running, column};
use serde_json::json;

/// What is counted today; the procedures tell more.
const KINDS: [&str; 1] = ["step"];

#[test]
fn an_operation_crashes_at_each_of_its_events() {
    let cluster = Running::start("3.6", Options { tls: false, ..Options::default() }).unwrap();
    let args = json!({ "member": cluster.leader() });
    let members = || cluster.call("member list", json!({})).unwrap();
    let before = members();
    // The leader is moved first, so there are two steps; at the first nothing was done yet.
    assert_eq!(cluster.crash("sandbox", &KINDS, Some(1), "member remove", &args), Ended::Crashed);
    assert_eq!(members(), before);
    let leader = cluster.leader();
    assert_eq!(args["member"], leader.as_str());
    assert_eq!(cluster.crash("sandbox", &KINDS, Some(2), "member remove", &args), Ended::Crashed);
    assert_eq!(column(&members(), "name"), column(&before, "name"));
    assert_ne!(cluster.leader(), leader, "the first step was done");
    // What crashed is not in the way of the next one.
    let Ended::Done { report, told } = cluster.crash("sandbox", &KINDS, Some(9), "member remove", &args) else {
        panic!("it has one step left");
    };
    assert_eq!((&report["ok"], told.len()), (&json!(true), 1), "{report}");
    assert_eq!(members().as_array().unwrap().len(), 2);
}

#[test]
fn an_operation_that_fails_tells_its_error_and_its_report() {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let ended = cluster.crash("sandbox", &KINDS, None, "member remove", &json!({ "member": "infra1" }));
    let Ended::Failed { error, told } = ended else { panic!("the last voter stays: {ended:?}") };
    assert_eq!((&error["code"], told.len()), (&json!("last_voter"), 0), "{error}");
    let ended = cluster.crash("sandbox", &["waiting"], None, "status", &json!({}));
    assert!(
        matches!(&ended, Ended::Done { report, told } if report[0]["name"] == "infra1" && told.is_empty()),
        "{ended:?}"
    );
}
