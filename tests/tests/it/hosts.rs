//! How members' processes are stopped and started, and their data moved aside, for real.

mod broken;
mod driven;
mod fleet;
mod interrupted;
mod kubelet;
mod mistaken;
mod operations;
mod restored;
mod unit;

use etcdsh_core::host::{Data, HostView, Process, StartConfiguration};
use etcdsh_core::id::{ClusterId, MemberId};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, row, side_by_side, until};
use rstest::rstest;
use serde_json::json;

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
    // Its process runs before the others know its name.
    until("it has told its name", || {
        let members = cluster.call("member list", json!({})).map_err(|error| format!("{error:?}"))?;
        let known = members.as_array().unwrap().iter().any(|member| member["name"] == name);
        if known { Ok(()) } else { Err(members.to_string()) }
    });
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

#[test]
fn a_member_of_a_sandbox_joins_and_is_replaced() {
    side_by_side(MATRIX, |turn| of_a_sandbox(&Running::start(turn.version, turn.options).unwrap()));
}

fn of_a_sandbox(cluster: &Running) {
    let host = Driven::new(&cluster.profile(), &cluster.places, "infra2").unwrap();
    assert_eq!(host.describe(), "the sandbox sandbox");
    assert_eq!(host.peer_urls().unwrap(), [cluster.member("infra2").peer_url()]);
    let infra2 = row(&cluster.call("member list", json!({})).unwrap(), "infra2")["member_id"].clone();
    is_somebodys(&host.look().unwrap(), Process::Running, infra2.as_str().unwrap().parse().unwrap(), cluster);
    // A name that the sandbox does not know yet, at an address of its own.
    let (host, url) = (Driven::new(&cluster.profile(), &cluster.places, "infra4").unwrap(), cluster.free_peer_url());
    assert_eq!(host.peer_urls(), None);
    joins_and_is_replaced(cluster, &host, "infra4", &url);
    assert_eq!(host.peer_urls().unwrap(), [url]);
}

/// Returns a cluster without TLS, whose members' addresses are known before they are.
fn plain(version: &str) -> Option<Running> {
    Running::start(version, Options { tls: false, ..Options::default() })
}

#[test]
fn a_unit_of_systemd_joins_and_is_replaced() {
    side_by_side(MATRIX, |turn| {
        let cluster = plain(turn.version).unwrap();
        let unit = Unit::new(&cluster, &["--wal-dir=$HOME/wal"]);
        let host = unit.driven(&format!("wal_dir = \"{}/wal\"", unit.home().display()));
        assert_eq!(host.describe(), "the systemd unit etcd.service on this machine");
        joins_and_is_replaced(&cluster, &host, "infra4", &unit.peer_url);
        assert_eq!(unit.calls("daemon-reload"), 2);
    });
}

#[test]
fn a_static_pod_joins_and_is_replaced() {
    side_by_side(MATRIX, |turn| {
        let cluster = plain(turn.version).unwrap();
        let kubelet = Kubelet::new(&cluster);
        let host = kubelet.driven("");
        joins_and_is_replaced(&cluster, &host, "infra4", &kubelet.peer_url);
    });
}

/// A shell on the other machine would make something else of every one of these.
const ODD: &str = "a 'b' \"c\" $HOME `d` *;é\\";

#[rstest]
#[case::unit("systemd")]
#[case::pod("static_pod")]
fn a_member_on_another_machine_joins_and_is_replaced(#[case] kind: &str) {
    side_by_side(MATRIX, |turn| on_another_machine(&plain(turn.version).unwrap(), kind));
}

fn on_another_machine(cluster: &Running, kind: &str) {
    let there = "host = \"root@member.test\"";
    let home = if kind == "systemd" {
        let unit = Unit::new(cluster, &[]);
        // It is the only file with variables that the unit has.
        let own = unit.home().join("unit/etcd.default");
        let said = std::fs::read_to_string(&own).unwrap() + "ETCD_QUOTA_BACKEND_BYTES=4294967296\n";
        // Who manages the machine's files keeps them elsewhere.
        let managed = unit.home().join("managed.default");
        std::fs::write(&managed, &said).unwrap();
        std::fs::remove_file(&own).unwrap();
        std::os::unix::fs::symlink(&managed, &own).unwrap();
        let host = unit.driven(&format!("{there}\nenv_file = \"{}\"", own.display()));
        assert_eq!(host.describe(), "the systemd unit etcd.service on root@member.test");
        joins_and_is_replaced(cluster, &host, "infra4", &unit.peer_url);
        assert_eq!(std::fs::read_link(&own).unwrap(), managed);
        let now = std::fs::read_to_string(&managed).unwrap();
        assert!(
            now.contains("ETCD_QUOTA_BACKEND_BYTES=4294967296\n") && now.contains("ETCD_NAME=\"infra4\"\n"),
            "{now}"
        );
        let kept = std::fs::read_dir(unit.home()).unwrap().map(|entry| entry.unwrap().path());
        let before: Vec<_> = kept.filter(|path| path.to_string_lossy().contains("managed.default.before-")).collect();
        assert!(before.iter().any(|path| std::fs::read_to_string(path).unwrap() == said), "{before:?}");
        unit.home().to_owned()
    } else {
        let kubelet = Kubelet::new(cluster);
        joins_and_is_replaced(cluster, &kubelet.driven(there), "infra4", &kubelet.peer_url);
        kubelet.home().to_owned()
    };
    let calls = std::fs::read_to_string(home.join("ssh.calls")).unwrap();
    assert!(
        calls.lines().count() > 20 && calls.lines().all(|call| call.contains("-- root@member.test env LC_ALL=C '"))
    );
}

#[test]
fn words_reach_another_machine_as_they_are() {
    let cluster = plain("3.6").unwrap();
    let unit = Unit::new(&cluster, &[]);
    let log = unit.home().join(ODD);
    std::fs::write(&log, "{\"level\":\"fatal\",\"msg\":\"told\"}\n").unwrap();
    let toml = serde_json::to_string(&log).unwrap();
    let host = unit.driven(&format!("host = \"root@member.test\"\nlog = {toml}"));
    assert_eq!(host.last_log().unwrap(), ["told"]);
}

#[test]
fn what_a_host_cannot_do_is_said_before_anything_is_done() {
    let cluster = plain("3.6").unwrap();
    let unit = Unit::new(&cluster, &[]);
    let mut told = String::new();
    let mut tell = |what: &str, error: etcdsh_core::Error| {
        let help = error.help().unwrap_or_default();
        told.push_str(&format!("{what}: {}: {error}\n  help: {help}\n", error.code()));
    };
    tell("away", unit.driven("host = \"root@away.test\"").look().unwrap_err());
    tell("no unit", unit.driven("unit = \"other\"").look().unwrap_err());
    let host = unit.driven("");
    unit.set("refuse", "");
    tell("denied", host.start(None).unwrap_err());
    std::fs::remove_file(unit.home().join("unit/refuse")).unwrap();
    let command = unit.get("command");
    for flag in ["--initial-cluster=a=http://a:1", "--name other", "--config-file=/etc/etcd.yml"] {
        unit.set("command", &format!("{command} {flag}"));
        tell(flag, host.preflight(None).unwrap_err());
    }
    unit.set("command", &command.replace("/data ", "/elsewhere "));
    tell("other data", host.preflight(None).unwrap_err());
    unit.set("command", &format!("{command} --initial-cluster=${{ETCD_INITIAL_CLUSTER}}"));
    host.preflight(None).unwrap();
    let hidden = unit.home().join("unit/etcd.default");
    std::fs::write(&hidden, "DAEMON_ARGS=\"--initial-cluster-state=new\"\n").unwrap();
    tell("hidden", host.preflight(None).unwrap_err());
    let own = unit.driven(&format!("env_file = \"{}/join.env\"", unit.home().display()));
    std::fs::write(&hidden, "").unwrap();
    tell("unread", own.preflight(None).unwrap_err());
    unit.set("environment_files", &format!("{}\n{}/join.env\n", hidden.display(), unit.home().display()));
    own.preflight(None).unwrap();
    assert_eq!((unit.calls("start"), unit.calls("stop")), (1, 0));

    let kubelet = Kubelet::new(&cluster);
    let pod = kubelet.driven("");
    let parked = kubelet.home().join("etcdsh-parked/etcd.yaml");
    let manifest = std::fs::read_to_string(&parked).unwrap();
    std::fs::write(&parked, manifest.replace("/data", "/elsewhere")).unwrap();
    tell("other data", pod.preflight(None).unwrap_err());
    std::fs::write(&parked, manifest.replace("--initial-cluster=", "--initial-cluster\n    - ")).unwrap();
    tell("apart", pod.preflight(None).unwrap_err());
    std::fs::remove_file(&parked).unwrap();
    tell("no manifest", pod.look().unwrap_err());
    let home = cluster.home().to_string_lossy().into_owned();
    insta::assert_snapshot!(told.replace(&home, "[home]"), @"
    away: host_unreachable: root@away.test cannot be reached: ssh: connect to host away.test port 22: Connection refused
      help: see that `ssh root@away.test true` works without asking anything, or correct host in the profile
    no unit: host_not_found: the unit other.service is not there on this machine
      help: correct hosts in the profile
    denied: host_failed: on this machine, `systemctl --no-ask-password --no-block start -- etcd.service` ended with exit code 4: Failed to start etcd.service: Access denied
      help: see that the user may do that there, for example as root
    --initial-cluster=a=http://a:1: host_start_configuration: the systemd unit etcd.service on this machine cannot be given a start configuration for infra4: its command line has --initial-cluster=a=http://a:1, which wins over the environment
      help: take the flag out of ExecStart, and set its variable in an environment file
    --name other: host_start_configuration: the systemd unit etcd.service on this machine cannot be given a start configuration for infra4: its command line has --name=other, which wins over the environment
      help: take the flag out of ExecStart, and set its variable in an environment file
    --config-file=/etc/etcd.yml: host_start_configuration: the systemd unit etcd.service on this machine cannot be given a start configuration for infra4: its command line has --config-file=/etc/etcd.yml, which wins over the environment
      help: take the flag out of ExecStart, and set its variable in an environment file
    other data: host_data_dir: the systemd unit etcd.service on this machine has the data_dir [home]/machine/elsewhere, and the profile says [home]/machine/data for infra4
      help: correct data_dir in the profile, or the host, if another member runs there
    hidden: host_start_configuration: the systemd unit etcd.service on this machine cannot be given a start configuration for infra4: [home]/machine/unit/etcd.default has --initial-cluster-state=new, which wins over the environment
      help: take it out, and set the variables of etcd in its place
    unread: host_start_configuration: the systemd unit etcd.service on this machine cannot be given a start configuration for infra4: [home]/machine/join.env is not the last environment file that it reads
      help: let EnvironmentFile of the unit name it last, or leave env_file out of the profile
    other data: host_data_dir: the static pod [home]/node/manifests/etcd.yaml on this machine has the data_dir [home]/node/elsewhere, and the profile says [home]/node/data for infra4
      help: correct data_dir in the profile, or the host, if another member runs there
    apart: host_start_configuration: the static pod [home]/node/manifests/etcd.yaml on this machine cannot be given a start configuration for infra4: the value of --initial-cluster does not stand behind it as --initial-cluster=VALUE
      help: write etcd's flags into the manifest as kubeadm does, one a line
    no manifest: host_not_found: the manifest [home]/node/manifests/etcd.yaml is not there on this machine
      help: correct hosts in the profile
    ");
}

/// A crash between the two moves of a manifest leaves it parked, or, where somebody made it anew meanwhile, in both places.
#[test]
fn a_static_pod_is_found_wherever_its_manifest_was_left() {
    let cluster = plain("3.6").unwrap();
    let kubelet = Kubelet::new(&cluster);
    let (host, home) = (kubelet.driven(""), kubelet.home());
    let (placed, parked) = (home.join("manifests/etcd.yaml"), home.join("etcdsh-parked/etcd.yaml"));
    assert_eq!(host.look().unwrap().process, Process::Stopped);
    let (_, start) = add(&cluster, "infra4", &kubelet.peer_url);
    host.start(Some(&start)).unwrap();
    promote(&cluster, "infra4");
    let before: Vec<_> = names(&home.join("etcdsh-parked"));
    assert!(before.iter().any(|name| name.starts_with("etcd.yaml.before-")), "{before:?}");
    assert!(placed.exists() && !parked.exists());
    std::fs::write(&parked, "an older one").unwrap();
    host.stop().unwrap();
    assert!(!placed.exists() && std::fs::read_to_string(&parked).unwrap().contains("--initial-cluster-state=existing"));
    let after: Vec<_> = names(&home.join("etcdsh-parked"));
    assert!(after.iter().any(|name| name.starts_with("etcd.yaml.older-")), "{after:?}");
    host.stop().unwrap();
    host.start(None).unwrap();
    serves(&cluster, "infra4");
}

fn names(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[rstest]
#[case("3.4", "stale-data", "its data are an old copy (tocommit(")]
#[case("3.7", "stale-data", "its data are an old copy (tocommit(")]
#[case("3.5", "wiped", "its data are gone, and it was started as if the cluster were new (member ")]
fn health_names_why_a_member_is_down(#[case] version: &str, #[case] how: &str, #[case] why: &str) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.call("sandbox break", json!({ "member": "infra2", "how": how })).unwrap();
    let health = cluster.call("health", json!({})).unwrap();
    let infra2 = row(&health, "infra2");
    let error = infra2["error"].as_str().unwrap();
    assert!(infra2["verdict"] == "down" && error.contains(why), "{error}");
    assert!(error.ends_with("; `member replace infra2` makes it a new member"), "{error}");
    assert!(row(&health, "infra1")["error"].is_null() && row(&health, "infra3")["error"].is_null(), "{health}");
}

#[test]
fn nobody_drives_a_member_that_the_profile_does_not_name() {
    let cluster = plain("3.6").unwrap();
    let unit = Unit::new(&cluster, &[]);
    assert!(Driven::new(&unit.profile(""), &unit.places, "infra1").is_none());
}
