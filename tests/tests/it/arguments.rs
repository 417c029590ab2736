//! What is said about arguments that only the operation itself can judge.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::Running;
use etcdsh_tests::hostile::Hostile;
use etcdsh_tests::hostile::send;
use etcdsh_tests::hostile::wire::{Member, MemberList};
use serde_json::json;

use crate::failing::{TIMEOUT, Table, fails, profile, redacted};
use crate::hostile::endpoint;

#[test]
fn arguments_that_no_operation_takes_are_explained() {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let _redacted = redacted(&cluster.caller);
    let mut table = Table::default();
    for (name, args) in [
        ("get", json!({"key": ""})),
        ("keys", json!({"revision": 0})),
        ("snapshot save", json!({"path": ""})),
        ("can", json!({"action": "add", "member": "infra9"})),
        ("sandbox start", json!({"name": "other", "members": 10})),
        ("sandbox list", json!({"name": "../other"})),
        ("sandbox wipe", json!({"member": "infra1"})),
        ("sandbox join", json!({"member": "a/b", "initial_cluster": "a/b=http://127.0.0.1:1"})),
        ("sandbox join", json!({"member": "infra9", "initial_cluster": "infra1=http://127.0.0.1:1"})),
        ("sandbox join", json!({"member": "infra9", "initial_cluster": "infra9=http://10.0.0.1:1"})),
    ] {
        let seen = fails(&cluster.caller, &cluster.profile(), name, args.clone(), TIMEOUT);
        table.row(&format!("{name} {args}"), &seen);
    }
    insta::assert_snapshot!(table, @r#"
    get {"key":""}
      invalid_argument: the argument key is empty
        help: etcd has no empty key; `keys` reads all keys
        argument: key
    keys {"revision":0}
      invalid_argument: the argument revision must be 1 or more
        help: leave it out for the newest
        argument: revision
    snapshot save {"path":""}
      invalid_argument: the argument path is an empty path
        help: give a file or folder
        argument: path
    can {"action":"add","member":"infra9"}
      invalid_argument: the argument member is no peer URL: the argument peer_urls has "infra9" without a scheme
        help: give URLs such as https://host:2380, each with its scheme and port
        argument: member
    sandbox start {"members":10,"name":"other"}
      invalid_argument: the argument members should be from 1 to 9
        help: 3 is the usual number
        argument: members
    sandbox list {"name":"../other"}
      invalid_argument: the argument name is "../other", which cannot be the name of a folder
        help: use letters, digits, '-', '_' and '.'
        argument: name
    sandbox wipe {"member":"infra1"}
      sandbox_state: infra1 is running
        help: stop it first, with `sandbox stop` or `sandbox kill`
        argument: member
    sandbox join {"initial_cluster":"a/b=http://127.0.0.1:[port]","member":"a/b"}
      invalid_argument: the argument member cannot be the name of a file
        help: use letters, digits, '-', '_' and '.'
        argument: member
    sandbox join {"initial_cluster":"infra1=http://127.0.0.1:[port]","member":"infra9"}
      invalid_argument: the argument initial_cluster does not name infra9; it names infra1
        help: give ETCD_INITIAL_CLUSTER as `member add` returned it
        argument: initial_cluster
    sandbox join {"initial_cluster":"infra9=http://10.0.0.1:1","member":"infra9"}
      invalid_argument: the argument initial_cluster has the peer URL "http://10.0.0.1:1", where a sandbox can listen only at one such as http://127.0.0.1:[port]
        help: add the member with such a URL
        argument: initial_cluster
    "#);
}

#[test]
fn a_member_without_a_client_url_is_a_row() {
    let caller = etcdsh_tests::Caller::new();
    let server = Hostile::new();
    let other =
        Member { id: 7, name: "infra2".into(), peer_urls: vec!["http://10.0.0.2:2380".into()], ..Default::default() };
    let list = server.members();
    server.answer("MemberList", [send(&MemberList { members: [list.members.clone(), vec![other]].concat(), ..list })]);
    let health = caller.call(&profile(&caller, &endpoint(&server), &[]), "health", json!({})).unwrap();
    let row = etcdsh_tests::row(&health, "infra2");
    assert_eq!(row["error"], "it advertises no client URL that can be used", "{health}");
}
