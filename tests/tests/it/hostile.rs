//! A server that lies. Whatever it says, the answer is an error with a code of its own, within the bound.

use std::time::Duration;

use etcdsh_core::value::Value;
use etcdsh_tests::hostile::wire::{KeyValue, Member, MemberList, Range, Status};
use etcdsh_tests::hostile::{Hostile, Step, send};
use etcdsh_tests::{Caller, record};
use h2::Reason;
use serde_json::json;

use crate::failing::{TIMEOUT, Table, fails, profile, redacted};

pub(crate) fn endpoint(server: &Hostile) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

#[test]
fn a_membership_list_that_makes_no_sense_is_refused() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let honest = Hostile::new().members();
    let of = |count: u64| MemberList {
        members: (1..=count).map(|id| Member { id, ..Default::default() }).collect(),
        ..honest.clone()
    };
    let twice = MemberList { members: vec![honest.members[0].clone(), honest.members[0].clone()], ..honest.clone() };
    let cases = [
        ("no header", vec![send(&MemberList { header: None, ..honest.clone() })]),
        ("no members", vec![send(&of(0))]),
        ("many members", vec![send(&of(100_000))]),
        ("a million members", vec![send(&of(1_000_000))]),
        ("a member twice", vec![send(&twice)]),
        ("no message", vec![]),
        ("no protobuf", vec![Step::Send(vec![0xff; 20].into())]),
        ("no answer", vec![Step::Silence]),
        ("no etcd", vec![Step::Http(404)]),
        ("a web server that agrees", vec![Step::Http(200)]),
        ("an unknown error", vec![Step::Fail(13, "etcdserver: \u{1b}[2Jsomething new".into())]),
        ("a strange code", vec![Step::Fail(99, "?".into())]),
        ("another service", vec![Step::Fail(12, "unknown service etcdserverpb.Cluster".into())]),
        ("a reset stream", vec![Step::Reset(Reason::PROTOCOL_ERROR)]),
        ("a refused stream", vec![Step::Reset(Reason::REFUSED_STREAM)]),
        ("goodbye", vec![Step::GoAway(Reason::NO_ERROR)]),
    ];
    let mut table = Table::default();
    for (case, steps) in cases {
        let server = Hostile::new();
        server.answer("MemberList", steps);
        let profile = profile(&caller, &endpoint(&server), &[]);
        table.row(case, &fails(&caller, &profile, "member list", json!({}), TIMEOUT));
        assert!(server.asked("MemberList") > 0, "{case}: nobody asked for the members");
    }
    insta::assert_snapshot!(table, @r#"
    no header
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: it has no header
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no members
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: a cluster of 0 members
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    many members
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: a cluster of 100000 members
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a million members
      too_large: http://127.0.0.1:[port]: Error, decoded message length too large: found 5983500 bytes, the limit is: 4194304 bytes
        help: no cluster answers this with so much; ask another member
        sent: maybe
    a member twice
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: two members with the id a
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no message
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: Missing response message.
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no protobuf
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: failed to decode Protobuf message: invalid varint
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no answer
      timeout: http://127.0.0.1:[port]: no answer within [almost 2s]; waited for the answer to MemberList
        help: see with `health` which members answer; a slow one may need a longer timeout
        sent: maybe
    no etcd
      not_etcd: http://127.0.0.1:[port]: this is not etcd; it answered "grpc-status header missing, mapped from HTTP status code 404"
        help: give the members' client URLs; etcd's own port for them is 2379
        sent: answered
    a web server that agrees
      connection_lost: http://127.0.0.1:[port]: protocol error: missing grpc-status trailer, stream was terminated without a final status (possible truncation by a proxy or load balancer)
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    an unknown error
      server: http://127.0.0.1:[port]: etcdserver: \u{1b}[2Jsomething new
        help: the member's log may say more; ask another member
        sent: answered
    a strange code
      server: http://127.0.0.1:[port]: ?
        help: the member's log may say more; ask another member
        sent: maybe
    another service
      not_etcd: http://127.0.0.1:[port]: this is not etcd; it answered "unknown service etcdserverpb.Cluster"
        help: give the members' client URLs; etcd's own port for them is 2379
        sent: answered
    a reset stream
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: stream error received: unspecific protocol error detected
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    a refused stream
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: stream error received: refused stream before processing any application logic
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    goodbye
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    "#);
}

#[test]
fn a_status_that_makes_no_sense_is_an_error_in_its_row() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let honest = Hostile::new().status();
    let other_member = etcdsh_tests::hostile::wire::Header { member_id: 0xb, ..honest.header.clone().unwrap() };
    let cases = [
        ("no header", Status { header: None, ..honest.clone() }),
        ("a negative size", Status { db_size: -1, ..honest.clone() }),
        ("a negative size in use", Status { db_size_in_use: i64::MIN, ..honest.clone() }),
        ("a term beyond all numbers", Status { raft_term: u64::MAX, ..honest.clone() }),
        ("another member", Status { header: Some(other_member), ..honest.clone() }),
    ];
    let mut table = Table::default();
    for (case, status) in cases {
        let server = Hostile::new();
        server.answer("Status", [send(&status)]);
        let rows = caller.call(&profile(&caller, &endpoint(&server), &[]), "health", json!({})).unwrap();
        let row = &rows.as_array().unwrap()[0];
        table.row(case, &format!("{}: {}", row["verdict"].as_str().unwrap(), row["error"].as_str().unwrap()));
    }
    insta::assert_snapshot!(table, @r"
    no header
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: it has no header
    a negative size
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: the db size -1
    a negative size in use
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: the db size in use -9223372036854775808
    a term beyond all numbers
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: the raft term 18446744073709551615
    another member
      degraded: http://127.0.0.1:[port] answers as member b, not a
    ");
}

#[test]
fn a_server_that_says_goodbye_once_is_asked_again() {
    let (server, caller) = (Hostile::new(), Caller::new());
    let profile = profile(&caller, &endpoint(&server), &[]);
    server.answer("Range", [Step::GoAway(Reason::NO_ERROR)]);
    fails(&caller, &profile, "get", json!({"key": "a"}), Duration::from_secs(2));
    server.answer("Range", [send(&Range { header: Some(server.header()), ..Default::default() })]);
    assert_eq!(caller.call(&profile, "get", json!({"key": "a"})).unwrap(), json!(null));
}

#[test]
fn a_change_whose_answer_cannot_be_read_is_not_taken_for_undone() {
    let (server, caller) = (Hostile::new(), Caller::new());
    let _redacted = redacted(&caller);
    server.answer("MemberAdd", [Step::Send(vec![0xff; 20].into())]);
    // A user who may not write makes no claim.
    server.answer("LeaseGrant", [Step::Fail(7, "etcdserver: permission denied".into())]);
    let add = json!({"name": "infra2", "peer_urls": ["http://127.0.0.1:9"], "wait": "1s"});
    let seen = fails(&caller, &profile(&caller, &endpoint(&server), &[]), "member add", add, TIMEOUT * 5);
    assert_eq!(server.asked("MemberAdd"), 1);
    insta::assert_snapshot!(seen, @r"
    outcome_unknown: member add stopped after 0 of 1 steps
        because: the answer to add_member was lost, and the cluster does not show it
        because: http://127.0.0.1:[port]: the server's answer makes no sense: failed to decode Protobuf message: invalid varint
        help: it may still be applied; look at `member list` before you run this again
        sent: maybe
    ");
}

/// What drives a terminal, reorders text, or begins a line of its own.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\t\u{9b}31m\u{202e}evil\u{2066}\u{7f}\0\u{feff}";

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Text(text) => found.push(text.clone()),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Record(fields) => fields.iter().for_each(|(_, field)| texts(field, found)),
        _ => {}
    }
}

#[test]
fn nothing_that_a_server_says_reaches_a_terminal_as_it_is() {
    let (server, caller) = (Hostile::new(), Caller::new());
    let nasty = |text: &str| format!("{text}{NASTY}");
    let mut members = server.members();
    members.members[0].name = nasty("infra1");
    members.members[0].peer_urls.push(nasty("http://127.0.0.1:2"));
    members.members[0].client_urls.push(nasty("http://127.0.0.1:3"));
    let mut second = members.members[0].clone();
    (second.id, second.name, second.client_urls) = (0xb, nasty("infra2"), vec![nasty("http://127.0.0.1:4")]);
    members.members.push(second);
    server.answer("MemberList", [send(&members)]);
    let mut status = server.status();
    (status.version, status.storage_version) = (nasty("3.6.0"), nasty("3.6.0"));
    status.errors = vec![nasty("memberID:10 alarm:NOSPACE"), nasty("memberID:11 alarm:"), nasty("!")];
    server.answer("Status", [send(&status)]);
    let pair =
        KeyValue { key: nasty("key").into(), value: nasty("value").into(), mod_revision: 3, ..Default::default() };
    server.answer("Range", [send(&Range { header: Some(server.header()), kvs: vec![pair], more: false, count: 1 })]);
    server.answer("Snapshot", [Step::Fail(2, nasty("cannot"))]);
    let profile = profile(&caller, &endpoint(&server), &[]);
    let mut shown = Vec::new();
    for (name, args) in [
        ("status", json!({})),
        ("health", json!({})),
        ("quorum", json!({})),
        ("member list", json!({})),
        ("alarm list", json!({})),
        ("keys", json!({})),
        ("get", json!({"key": "key"})),
        ("can", json!({"action": "remove", "member": "a"})),
        ("member add", json!({"name": "infra3", "peer_urls": ["http://127.0.0.1:9"]})),
        ("member remove", json!({"member": "nobody"})),
        ("member remove", json!({"member": "b", "dry_run": true})),
        ("snapshot save", json!({"path": "backup.db"})),
    ] {
        match caller.answer(&profile, name, record(args)) {
            Ok(answer) => texts(&answer, &mut shown),
            Err(error) => {
                shown.extend([error.to_string(), error.in_one_line(), format!("{error:?}")]);
                shown.extend(error.causes().into_iter().chain(error.help()).chain(error.member()));
                error.report().iter().for_each(|report| texts(report, &mut shown));
            }
        }
    }
    let unsafe_to_show =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let bad: Vec<_> = shown.iter().filter(|text| text.contains(unsafe_to_show)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(shown.iter().any(|text| text.contains("infra1\\u{1b}[2J")), "{shown:#?}");
    assert!(shown.iter().any(|text| text.contains("cannot\\u{1b}[2J")), "{shown:#?}");
}
