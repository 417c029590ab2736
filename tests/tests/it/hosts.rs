//! How members' processes are stopped and started, and their data moved aside, for real.

mod driven;
mod kubelet;
mod unit;

use etcdsh_core::host::{Data, HostView, Process, StartConfiguration};
use etcdsh_core::id::{ClusterId, MemberId};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, row, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

use driven::Driven;
use kubelet::Kubelet;
use unit::Unit;

/// Adds a member as a learner, and returns its id and what it is to be started with.
fn add(cluster: &Running, name: &str, peer_url: &str) -> (MemberId, StartConfiguration) {
    let added = cluster.call("member add", json!({ "name": name, "peer_urls": [peer_url] })).unwrap();
    let initial_cluster = added["start"]["ETCD_INITIAL_CLUSTER"].as_str().unwrap().to_owned();
    let start = StartConfiguration { name: name.to_owned(), initial_cluster, peer_urls: vec![peer_url.to_owned()] };
    assert_eq!(serde_json::to_value(etcdsh_core::value::Value::Record(start.to_record())).unwrap(), added["start"]);
    (added["member_id"].as_str().unwrap().parse().unwrap(), start)
}

fn promote(cluster: &Running, name: &str) {
    cluster.call("member promote", json!({ "member": name, "wait": "1min" })).unwrap();
    serves(cluster, name);
}

fn serves(cluster: &Running, name: &str) {
    until(&format!("{name} is healthy"), || {
        let health = cluster.call("health", json!({})).map_err(|error| format!("{error:?}"))?;
        if row(&health, name)["verdict"] == "healthy" { Ok(()) } else { Err(health.to_string()) }
    });
}

fn cluster_id(cluster: &Running) -> ClusterId {
    let quorum = cluster.call("quorum", json!({})).unwrap();
    quorum["cluster_id"].as_str().unwrap().parse().unwrap()
}

fn is_somebodys(view: &HostView, process: Process, member: MemberId, cluster: &Running) {
    assert_eq!((view.process, &view.data), (process, &Data::Of { member, cluster: cluster_id(cluster) }), "{view:?}");
}

/// A member is started that was added, restarted, stopped, and replaced by a new one of its name and address.
fn joins_and_is_replaced(cluster: &Running, host: &Driven, name: &str, peer_url: &str) {
    let view = host.look().unwrap();
    assert_eq!((view.name.as_str(), view.process, view.data), (name, Process::Stopped, Data::None));
    host.stop().unwrap();
    assert_eq!(host.set_aside().unwrap(), None);
    host.preflight(None).unwrap();
    let (first, start) = add(cluster, name, peer_url);
    host.preflight(Some(&start)).unwrap();
    host.start(Some(&start)).unwrap();
    promote(cluster, name);
    is_somebodys(&host.look().unwrap(), Process::Running, first, cluster);
    for refused in [host.set_aside().map(drop), host.start(Some(&start))] {
        let error = refused.unwrap_err();
        assert!(matches!(error.code(), "host_state" | "sandbox_state"), "{error:?}");
    }
    host.start(None).unwrap();
    host.restart().unwrap();
    serves(cluster, name);
    is_somebodys(&host.look().unwrap(), Process::Running, first, cluster);

    host.stop().unwrap();
    is_somebodys(&host.look().unwrap(), Process::Stopped, first, cluster);
    cluster.call("member remove", json!({ "member": name })).unwrap();
    let aside = host.set_aside().unwrap().unwrap();
    for place in aside.split(" and ") {
        assert!(std::fs::read_dir(place).unwrap().next().is_some(), "{place} is not where the old data are");
    }
    assert_eq!(host.set_aside().unwrap(), None);
    assert_eq!(host.look().unwrap().data, Data::None);
    let (second, start) = add(cluster, name, peer_url);
    host.start(Some(&start)).unwrap();
    promote(cluster, name);
    is_somebodys(&host.look().unwrap(), Process::Running, second, cluster);
    assert_ne!(first, second);
    dies_without_its_data(host);
}

/// A member that has joined must never lose its data again; what it says then is what `health` names it by.
fn dies_without_its_data(host: &Driven) {
    host.stop().unwrap();
    host.set_aside().unwrap().unwrap();
    // It may die within the moment for which a start is watched, or later.
    let started = host.start(None);
    until("it has ended and said why", || {
        let lines = host.last_log().map_err(|error| format!("{error:?}"))?;
        if lines.iter().any(|line| line.contains("is out of range [lastIndex(0)]")) {
            Ok(())
        } else {
            Err(format!("{lines:?}"))
        }
    });
    if let Err(error) = started {
        assert!(matches!(error.code(), "host_member_ended" | "sandbox_member_ended"), "{error:?}");
    }
    host.stop().unwrap();
    assert_eq!(host.look().unwrap().process, Process::Stopped);
}

#[rstest]
fn a_member_of_a_sandbox_joins_and_is_replaced(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let host = Driven::new(&cluster.profile(), &cluster.places, "infra2").unwrap();
    assert_eq!(host.describe(), "the sandbox sandbox");
    assert_eq!(host.peer_urls().unwrap(), [cluster.member("infra2").peer_url()]);
    let infra2 = row(&cluster.call("member list", json!({})).unwrap(), "infra2")["member_id"].clone();
    is_somebodys(&host.look().unwrap(), Process::Running, infra2.as_str().unwrap().parse().unwrap(), &cluster);
    // A name that the sandbox does not know yet, at an address of its own.
    let (host, url) = (Driven::new(&cluster.profile(), &cluster.places, "infra4").unwrap(), cluster.free_peer_url());
    assert_eq!(host.peer_urls(), None);
    joins_and_is_replaced(&cluster, &host, "infra4", &url);
    assert_eq!(host.peer_urls().unwrap(), [url]);
}

/// Returns a cluster without TLS, whose members' addresses are known before they are.
fn plain(version: &str) -> Option<Running> {
    Running::start(version, Options { tls: false, ..Options::default() })
}

#[rstest]
fn a_unit_of_systemd_joins_and_is_replaced(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = plain(version) else { return };
    let unit = Unit::new(&cluster, &["--wal-dir=$HOME/wal"]);
    let host = unit.driven(&format!("wal_dir = \"{}/wal\"", unit.home().display()));
    assert_eq!(host.describe(), "the systemd unit etcd.service on this machine");
    joins_and_is_replaced(&cluster, &host, "infra4", &unit.peer_url);
    assert_eq!(unit.calls("daemon-reload"), 2);
}

#[rstest]
fn a_static_pod_joins_and_is_replaced(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = plain(version) else { return };
    let kubelet = Kubelet::new(&cluster);
    let host = kubelet.driven("");
    joins_and_is_replaced(&cluster, &host, "infra4", &kubelet.peer_url);
}

#[test]
fn nobody_drives_a_member_that_the_profile_does_not_name() {
    let cluster = plain("3.6").unwrap();
    let unit = Unit::new(&cluster, &[]);
    assert!(Driven::new(&unit.profile(""), &unit.places, "infra1").is_none());
}

fn _unused(_: Json) {}
