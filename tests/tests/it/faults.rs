//! Connections that break, stall, or lead to the wrong place.

use std::time::Duration;

use etcdsh_core::event::Event;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::ports::{BlackHole, Port};
use etcdsh_tests::proxy::{Times, Way, What, When};
use etcdsh_tests::{Caller, Running, column, free_port, record};
use rstest::rstest;
use serde_json::{Value, json};

use crate::failing::{CONNECT_TIMEOUT, TIMEOUT, Table, fails, files, profile, redacted, snapshot_fails};
use crate::proxied::Proxied;

#[test]
fn every_port_that_does_not_answer_is_told_apart_within_the_connect_timeout() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let silent = Port::silent();
    let hole = BlackHole::new();
    let web = Port::saying("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let ssh = Port::saying("SSH-2.0-OpenSSH_9.2\r\n");
    let cases = [
        ("nobody listens", format!("http://127.0.0.1:{}", free_port())),
        ("a silent port", format!("http://127.0.0.1:{}", silent.port)),
        ("a black hole", format!("http://127.0.0.1:{}", hole.port)),
        ("a dead name", "https://name.invalid:2379".to_owned()),
        ("a web server", format!("http://127.0.0.1:{}", web.port)),
        ("another server", format!("http://127.0.0.1:{}", ssh.port)),
    ];
    let mut table = Table::default();
    for (case, endpoint) in cases {
        let profile = profile(&caller, &endpoint, &[]);
        table.row(case, &fails(&caller, &profile, "member list", json!({}), CONNECT_TIMEOUT));
        snapshot_fails(&caller, &profile, CONNECT_TIMEOUT);
    }
    for port in [&silent, &web, &ssh] {
        assert!(port.accepted() > 0, "nobody came to port {}", port.port);
    }
    insta::assert_snapshot!(table, @r#"
    nobody listens
      unreachable: http://127.0.0.1:[port]: cannot connect
        because: Connection refused (os error 111)
        help: check the address and the port, and that etcd runs there
        sent: never
    a silent port
      handshake_timeout: http://127.0.0.1:[port]: connected, but the server said nothing within 1s; waited for HTTP/2 to begin
        help: see whether the process there is frozen, and whether it is etcd
        sent: never
    a black hole
      connect_timeout: http://127.0.0.1:[port]: not connected within 1s; waited for the connection
        help: see whether the host is up and a firewall lets you through to this port
        sent: never
    a dead name
      dns: https://name.invalid:2379: the name "name.invalid" cannot be resolved
        because: failed to lookup address information: Name or service not known
        help: check how the name is written, and that this machine can resolve it
        sent: never
    a web server
      not_etcd: http://127.0.0.1:[port]: this is not etcd; it answered "HTTP/1.1 400 Bad Request"
        help: give the members' client URLs; etcd's own port for them is 2379
        sent: never
    another server
      not_etcd: http://127.0.0.1:[port]: this is not etcd; it answered "SSH-2.0-OpenSSH_9.2"
        help: give the members' client URLs; etcd's own port for them is 2379
        sent: never
    "#);
}

#[test]
fn endpoints_of_two_clusters_are_refused_before_anything_is_changed() {
    let one = || Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let (first, second) = (one(), one());
    let caller = &first.caller;
    let _redacted = redacted(caller);
    let ids: Vec<Value> =
        [&first, &second].map(|cluster| cluster.call("quorum", json!({})).unwrap()["cluster_id"].clone()).to_vec();
    let endpoints = format!("{},{}", first.profile().endpoints[0], second.profile().endpoints[0]);
    let mixed = profile(caller, &endpoints, &[]);
    let pinned = |cluster: &Running, id: &Value| {
        profile(caller, &cluster.profile().endpoints[0].to_string(), &[("cluster_id", id.as_str().unwrap())])
    };
    let add = json!({"name": "infra9", "peer_urls": ["http://127.0.0.1:9"]});
    let mut table = Table::default();
    let mut row = |case: &str, profile: &Profile, name: &str, args: &Value| {
        table.row(case, &fails(caller, profile, name, args.clone(), TIMEOUT));
    };
    for (name, args) in [("status", json!({})), ("member list", json!({})), ("member add", add.clone())] {
        row(name, &mixed, name, &args);
    }
    row("the cluster of a pin", &pinned(&second, &ids[0]), "member add", &add);
    for cluster in [&first, &second] {
        let members = cluster.call("member list", json!({})).unwrap();
        assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
    }
    assert_eq!(caller.call(&pinned(&first, &ids[0]), "quorum", json!({})).unwrap()["cluster_id"], ids[0]);
    insta::assert_snapshot!(table, @r"
    status
      cluster_mismatch: http://127.0.0.1:[port]: this is the cluster [id], but http://127.0.0.1:[port] is the cluster [id]
        help: give endpoints of one cluster only
        sent: maybe
    member list
      cluster_mismatch: http://127.0.0.1:[port]: this is the cluster [id], but http://127.0.0.1:[port] is the cluster [id]
        help: give endpoints of one cluster only
        sent: maybe
    member add
      cluster_mismatch: http://127.0.0.1:[port]: this is the cluster [id], but http://127.0.0.1:[port] is the cluster [id]
        help: give endpoints of one cluster only
        sent: never
    the cluster of a pin
      cluster_mismatch: http://127.0.0.1:[port]: this is the cluster [id], but the profile is the cluster [id]
        help: give endpoints of one cluster only
        sent: never
    ");
}

#[rstest]
fn keys_whose_connection_breaks_are_all_there(#[values("3.6", "3.7")] version: &str) {
    let Some(proxied) = Proxied::of(version, false) else { return };
    proxied.fill(20);
    let Proxied { cluster, proxy } = &proxied;
    let through = profile(&cluster.caller, &format!("http://127.0.0.1:{}", proxy.port), &[]);
    let read = || cluster.call_with(&through, "keys", json!({})).unwrap();
    let whole = read();
    assert_eq!(column(&whole, "key").len(), 20);
    for what in [What::Cut, What::Reset] {
        let before = proxy.fired();
        proxy.arm(Times::Once, Way::Down, When::After(9 << 20), what);
        assert!(read() == whole, "{what:?}: not the same keys");
        assert_eq!(proxy.fired(), before + 1, "{what:?}: the fault did not fire");
    }
}

#[test]
fn a_snapshot_whose_connection_breaks_leaves_no_file() {
    let Proxied { cluster, proxy } = &{
        let proxied = Proxied::start(false);
        proxied.fill(20);
        proxied
    };
    let caller = &cluster.caller;
    let _redacted = redacted(caller);
    let through = profile(caller, &format!("http://127.0.0.1:{}", proxy.port), &[]);
    let megabytes = |count: u64| When::After(count << 20);
    let cases = [
        ("cut", Times::Once, What::Cut, megabytes(5)),
        // A snapshot that has not begun is asked for once more, so this has to happen twice.
        ("cut in the first piece", Times::Always, What::Cut, When::After(20_000)),
        ("reset", Times::Once, What::Reset, megabytes(5)),
        ("closed by the server", Times::Once, What::HalfClose, megabytes(5)),
        ("stalled", Times::Once, What::Stall, megabytes(5)),
        ("lost", Times::Once, What::BlackHole, megabytes(5)),
        ("a bit flipped", Times::Once, What::Flip, megabytes(5)),
    ];
    let mut table = Table::default();
    for (number, (case, times, what, when)) in cases.into_iter().enumerate() {
        let before = proxy.fired();
        proxy.arm(times, Way::Down, when, what);
        // Other settings, so that no connection is left over from the case before.
        let profile = Profile { timeout: TIMEOUT + Duration::from_millis(number as u64), ..through.clone() };
        table.row(case, &snapshot_fails(caller, &profile, TIMEOUT * 2));
        assert!(proxy.fired() > before, "{case}: the fault did not fire");
    }
    proxy.disarm();
    let path = cluster.home().join("good.db");
    cluster.call_with(&through, "snapshot save", json!({"path": path.to_str()})).unwrap();
    assert!(files(cluster.home()).contains(&"good.db".to_owned()));
    insta::assert_snapshot!(table, @r"
    cut
      snapshot_cut: the snapshot broke off after [some] of [all] bytes
        because: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: no file was left; try again, from another member if it happens again
        sent: maybe
    cut in the first piece
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    reset
      snapshot_cut: the snapshot broke off after [some] of [all] bytes
        because: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: no file was left; try again, from another member if it happens again
        sent: maybe
    closed by the server
      snapshot_cut: the snapshot broke off after [some] of [all] bytes
        because: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: no file was left; try again, from another member if it happens again
        sent: maybe
    stalled
      snapshot_stalled: the snapshot broke off after [some] of [all] bytes
        because: http://127.0.0.1:[port]: no answer within 1s; waited for the next piece of the snapshot
        help: no file was left; take it from another member, or give idle more time if the member is only slow
        sent: maybe
    lost
      snapshot_stalled: the snapshot broke off after [some] of [all] bytes
        because: http://127.0.0.1:[port]: no answer within 1s; waited for the next piece of the snapshot
        help: no file was left; take it from another member, or give idle more time if the member is only slow
        sent: maybe
    a bit flipped
      snapshot_corrupt: the snapshot is damaged: its SHA-256 should be [sha256] and is [sha256]
        help: no file was left; take it from another member, and check this one's disk
    ");
}

#[test]
fn a_read_whose_connection_breaks_is_sent_again_and_a_change_is_not() {
    let proxied = Proxied::start(false);
    let Proxied { cluster, proxy } = &proxied;
    let caller = &cluster.caller;
    let through = proxied.profile();
    let before = cluster.call_with(&through, "member list", json!({})).unwrap();
    for what in [What::Cut, What::Reset, What::HalfClose] {
        proxy.arm(Times::Once, Way::Down, When::After(0), what);
        assert_eq!(cluster.call_with(&through, "member list", json!({})).unwrap(), before, "{what:?}");
    }
    assert_eq!(proxy.fired(), 3);

    // The request passes and is carried out, its answer is lost: reading tells that it was done.
    let url = "http://127.0.0.1:9";
    let connections = proxy.connections();
    proxy.arm(Times::Once, Way::Down, When::Sees(url.as_bytes().to_vec()), What::Reset);
    let add = json!({"name": "infra9", "peer_urls": [url], "wait": "5s"});
    let report = cluster.call_with(&through, "member add", add.clone()).unwrap();
    assert_eq!(proxy.fired(), 4, "the answer was not lost: {report}");
    assert!(proxy.connections() > connections, "the connection was not broken");
    assert_eq!((&report["ok"], &report["steps"][0]["outcome"]), (&json!(true), &json!("done")), "{report}");
    assert_eq!(report["start"]["ETCD_NAME"], "infra9", "{report}");
    let members = cluster.call("member list", json!({})).unwrap();
    let added: Vec<_> = members.as_array().unwrap().iter().filter(|m| m["peer_urls"] == json!([url])).collect();
    assert_eq!(added.len(), 1, "{members}");
    assert_eq!(report["member_id"], added[0]["member_id"]);

    // The request itself is lost: nothing shows that it was done, and it is not sent again.
    let _redacted = redacted(caller);
    let removed = added[0]["member_id"].as_str().unwrap();
    cluster.call_with(&through, "member remove", json!({"member": removed})).unwrap();
    proxy.arm(Times::Once, Way::Up, When::Sees(url.as_bytes().to_vec()), What::Cut);
    let seen =
        fails(caller, &through, "member add", json!({"name": "infra9", "peer_urls": [url], "wait": "1s"}), TIMEOUT * 5);
    assert_eq!(proxy.fired(), 5, "the request was not lost");
    let members = cluster.call("member list", json!({})).unwrap();
    assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
    insta::assert_snapshot!(seen, @r"
    outcome_unknown: member add stopped after 0 of 1 steps
        because: the answer to add_member was lost, and the cluster does not show it
        because: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: it may still be applied; look at `member list` before you run this again
        sent: maybe
    ");
}

#[test]
fn a_leader_that_dies_between_two_steps_stops_the_change() {
    let cluster = Running::start("3.6", Options::default()).unwrap();
    let leader = cluster.leader();
    let profile = cluster.profile();
    let plan = cluster.call("member remove", json!({"member": leader, "dry_run": true})).unwrap();
    let next = plan["plan"][0]["target"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let pid = cluster.member(&next).row().unwrap().pid.unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let kill = |event: &Event| {
        if matches!(event, Event::Step { number: 2, .. }) {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    };
    let args = record(json!({"member": leader, "wait": "3s"}));
    let error = cluster.caller.answer_told(&profile, "member remove", args, &kill).unwrap_err();
    let report = etcdsh_tests::json(&error.report().unwrap());
    let outcomes: Vec<_> = column(&report["steps"], "outcome");
    assert_eq!(outcomes, ["done", "failed"], "{report}");
    let members = cluster.call("member list", json!({})).unwrap();
    assert_eq!(members.as_array().unwrap().len(), 3, "{members}");
    // After a step the cluster gets time to settle; who has waited in vain is told why, and how to go on.
    assert_eq!(error.code(), "wait_timeout");
    let (causes, help) = (error.causes().join("\n"), error.help().unwrap());
    assert!(causes.contains("removing it would leave 1 of 2 voters healthy; quorum needs 2"), "{causes}");
    assert!(help.contains("bring the other voters back first") && help.contains("`change resume "), "{help}");
}
