//! Throwaway clusters, as their users meet them.

use std::net::TcpListener;

use etcdsh_core::sandbox::{Options, Sandbox};
use etcdsh_tests::{Running, program};
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
fn a_broken_member_joins_again_and_a_new_one_joins(#[values("3.4", "3.6")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let call = |name: &str, args: Value| cluster.call(name, args).unwrap();
    let infra2 = call("sandbox break", json!({"member": "infra2", "how": "stale-data"}));
    assert_eq!((&infra2["state"], &infra2["exit_code"]), (&json!("exited"), &json!(2)), "{infra2}");
    let has_data =
        cluster.call("sandbox join", json!({"member": "infra2", "initial_cluster": "infra2=x"})).unwrap_err();
    assert_eq!((has_data.code(), has_data.argument()), ("sandbox_state", Some("member")));

    call("member remove", json!({"member": "infra2"}));
    let wiped = call("sandbox wipe", json!({"member": "infra2"}));
    assert!(std::path::Path::new(wiped["moved_to"].as_str().unwrap()).is_dir(), "{wiped}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (name, url) in [("infra2", infra2["peer_url"].clone()), ("infra4", json!(format!("https://127.0.0.1:{free}")))]
    {
        let added = call("member add", json!({"name": name, "peer_urls": [url], "wait": "1min"}));
        let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
        let joined = call("sandbox join", json!({"member": name, "initial_cluster": start}));
        assert_eq!((&joined["state"], &joined["peer_url"]), (&json!("running"), &url), "{joined}");
        let again = cluster.call("sandbox join", json!({"member": name, "initial_cluster": start})).unwrap_err();
        assert_eq!(again.code(), "sandbox_state");
        call("member promote", json!({"member": added["member_id"]}));
    }
    let health = call("health", json!({}));
    let rows = health.as_array().unwrap();
    assert!(rows.len() == 4 && rows.iter().all(|row| row["verdict"] == "healthy"), "{health}");
    assert_eq!(cluster.profile().endpoints.len(), 4);
}

#[test]
fn a_sandbox_outlives_the_command_that_started_and_paused_it() {
    let options = Options { members: 1, tls: false, ..Options::default() };
    let cluster = Running::start("3.6", options).expect("3.6 is in the matrix");
    let etcd = cluster.tools.program("etcd");
    let script = format!(
        "etcd.sandbox_start(#{{ name: \"other\", members: 1, etcd: {etcd:?} }});
         etcd.sandbox_pause(\"infra1\", #{{ name: \"other\" }});"
    );
    let output = cluster.command(program("etcdsh")).arg("eval").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _guard = Sandbox::open(&cluster.places, "other").unwrap().guard();
    let call = |name: &str, args: Value| cluster.call(name, args).unwrap();
    assert_eq!(call("sandbox list", json!({"name": "other"}))[0]["state"], "paused");
    assert_eq!(call("sandbox resume", json!({"member": "infra1", "name": "other"}))["state"], "running");
    let profile = Sandbox::open(&cluster.places, "other").unwrap().profile().unwrap();
    assert_eq!(cluster.call_with(&profile, "health", json!({})).unwrap()[0]["verdict"], "healthy");
    assert_eq!(call("sandbox list", json!({})).as_array().unwrap().len(), 2);
    assert_eq!(call("sandbox stop", json!({"name": "other"}))[0]["state"], "stopped");
    assert_eq!(call("sandbox stop", json!({"name": "other"})), json!([]));
}
