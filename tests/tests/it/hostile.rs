//! A server that lies. Whatever it says, the answer is an error with a code of its own, within the bound, and no file.

use std::time::Duration;

use etcdsh_core::value::Value;
use etcdsh_tests::hostile::wire::{KeyValue, Member, MemberList, Range, Snapshot, Status};
use etcdsh_tests::hostile::{Hostile, Step, send, snapshot};
use etcdsh_tests::{Caller, record};
use h2::Reason;
use serde_json::json;

use crate::failing::{TIMEOUT, Table, fails, profile, redacted, snapshot_fails};

fn endpoint(server: &Hostile) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

/// Changes an honest snapshot, and returns the steps that send it.
fn changed(change: impl FnOnce(&mut Vec<Snapshot>)) -> Vec<Step> {
    let mut pieces = snapshot();
    change(&mut pieces);
    pieces.iter().map(send).collect()
}

/// Sends the first two pieces of an honest snapshot, and then does something else.
fn two_and(step: Step) -> Vec<Step> {
    let mut steps: Vec<Step> = snapshot().iter().take(2).map(send).collect();
    steps.push(step);
    steps
}

#[test]
fn an_honest_snapshot_of_the_fake_is_saved() {
    let (server, caller) = (Hostile::new(), Caller::new());
    let path = caller.home().join("backup.db");
    let saved =
        caller.call(&profile(&caller, &endpoint(&server), &[]), "snapshot save", json!({"path": path.to_str()}));
    assert_eq!(saved.unwrap()["size"], 4096 + 32);
    assert_eq!(std::fs::metadata(path).unwrap().len(), 4096 + 32);
}

#[test]
fn a_snapshot_that_lies_is_refused_and_leaves_no_file() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let odd = |blob: Vec<u8>| {
        let sha = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &blob).as_ref().to_vec();
        let piece = |blob| send(&Snapshot { blob, remaining: 0, ..Default::default() });
        vec![piece(blob), piece(sha)]
    };
    let empty = Snapshot { remaining: 5, ..Default::default() };
    let cases = [
        ("a piece is missing", changed(|pieces| drop(pieces.remove(1)))),
        ("two pieces are swapped", changed(|pieces| pieces.swap(1, 2))),
        ("a piece is longer than announced", changed(|pieces| pieces[1].blob.push(0))),
        ("what remains grows", changed(|pieces| pieces[1].remaining = 1 << 20)),
        ("what remains is negative", changed(|pieces| pieces[1].remaining = (-7_i64).cast_unsigned())),
        ("it needs more room than there is", changed(|pieces| pieces[0].remaining = 1 << 50)),
        ("a bit is flipped in the data", changed(|pieces| pieces[2].blob[100] ^= 4)),
        ("a bit is flipped in the SHA-256", changed(|pieces| pieces[4].blob[0] ^= 4)),
        ("the SHA-256 is too short", changed(|pieces| pieces[4].blob.truncate(31))),
        ("the SHA-256 is missing", changed(|pieces| drop(pieces.pop()))),
        ("it goes on after the SHA-256", changed(|pieces| pieces.push(pieces[4].clone()))),
        ("it is no database", odd(vec![1; 100])),
        ("it is empty", vec![]),
        ("it ends early", two_and(Step::Hold(ready()))),
        (
            "empty pieces without end",
            vec![Step::Forever(match send(&empty) {
                Step::Send(message) => message,
                other => panic!("{other:?}"),
            })],
        ),
        ("the server gives up", two_and(Step::Fail(2, "read /var/lib/etcd/member/snap/db: input/output error".into()))),
        ("the stream is reset", two_and(Step::Reset(Reason::INTERNAL_ERROR))),
        ("the stream stalls", two_and(Step::Silence)),
        ("it never begins", vec![Step::Silence]),
        ("the connection is given up", vec![Step::GoAway(Reason::ENHANCE_YOUR_CALM)]),
    ];
    let mut table = Table::default();
    for (case, steps) in cases {
        let server = Hostile::new();
        server.answer("Snapshot", steps);
        table.row(case, &snapshot_fails(&caller, &profile(&caller, &endpoint(&server), &[]), TIMEOUT * 2));
        assert!(server.asked("Snapshot") > 0, "{case}: nobody asked for a snapshot");
    }
    insta::assert_snapshot!(table, @r"
    a piece is missing
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: 1024 bytes of the snapshot remain after 1024 of 3072
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    two pieces are swapped
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: 1024 bytes of the snapshot remain after 1024 of 3072
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a piece is longer than announced
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: 2048 bytes of the snapshot remain after 1025 of 3072
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    what remains grows
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: 1048576 bytes of the snapshot remain after 1024 of 3072
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    what remains is negative
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: -7 bytes remain
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    it needs more room than there is
      disk_full: [home]/backup.db does not fit: it needs [id] bytes, and [free] are free
        help: make room, or choose another disk; no file was left
        argument: path
    a bit is flipped in the data
      snapshot_corrupt: the snapshot is damaged: its SHA-256 should be [sha256] and is [sha256]
        help: no file was left; take it from another member, and check this one's disk
    a bit is flipped in the SHA-256
      snapshot_corrupt: the snapshot is damaged: its SHA-256 should be [sha256] and is [sha256]
        help: no file was left; take it from another member, and check this one's disk
    the SHA-256 is too short
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: 31 bytes where the SHA-256 should be
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    the SHA-256 is missing
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the snapshot ended without its SHA-256
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    it goes on after the SHA-256
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the snapshot goes on after its SHA-256
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    it is no database
      snapshot_corrupt: 132 bytes are not the size of a snapshot: its SHA-256 is missing at the end
        help: no file was left; take it from another member, and check this one's disk
    it is empty
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the snapshot is empty
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    it ends early
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the snapshot ended while 2048 bytes remained
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    empty pieces without end
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: an empty piece of the snapshot while 5 bytes remain; it cannot read its database
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    the server gives up
      server: http://127.0.0.1:[port]: read /var/lib/etcd/member/snap/db: input/output error
        sent: maybe
    the stream is reset
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: stream error received: unexpected internal error encountered
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    the stream stalls
      snapshot_stalled: the snapshot broke off after 2048 of 4128 bytes
        because: http://127.0.0.1:[port]: no answer within 1s; waited for the next piece of the snapshot
        help: no file was left; take it from another member, or give idle more time if the member is only slow
        sent: maybe
    it never begins
      timeout: http://127.0.0.1:[port]: no answer within [almost 2s]; waited for the answer to Snapshot
        help: see with health which members answer; a slow one may need a longer timeout
        sent: maybe
    the connection is given up
      connection_lost: http://127.0.0.1:[port]: the connection was lost before the answer
        because: [its end]
        help: try again; if it happens again, the member's log may say why it hung up
        sent: maybe
    ");
}

/// A condition that is true already, for one.
fn ready() -> std::sync::Arc<tokio::sync::Notify> {
    let ready = std::sync::Arc::new(tokio::sync::Notify::new());
    ready.notify_one();
    ready
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
        help: see with health which members answer; a slow one may need a longer timeout
        sent: maybe
    no etcd
      not_etcd: http://127.0.0.1:[port]: this is not etcd; it answered "grpc-status header missing, mapped from HTTP status code 404"
        help: give the members' client URLs; etcd's own port for them is 2379
        sent: answered
    a web server that agrees
      connection_lost: http://127.0.0.1:[port]: protocol error: missing grpc-status trailer, stream was terminated without a final status (possible truncation by a proxy or load balancer)
        sent: maybe
    an unknown error
      server: http://127.0.0.1:[port]: etcdserver: \u{1b}[2Jsomething new
        sent: answered
    a strange code
      server: http://127.0.0.1:[port]: ?
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
        ("a negative quota", Status { db_size_quota: -1, ..honest.clone() }),
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
    a negative quota
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: the db quota -1
    a term beyond all numbers
      degraded: http://127.0.0.1:[port]: the server's answer makes no sense: the raft term 18446744073709551615
    another member
      degraded: http://127.0.0.1:[port] answers as member b, not a
    ");
}

#[test]
fn pages_of_keys_that_lead_nowhere_end_the_read() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let server = Hostile::new();
    let key =
        |key: &str| etcdsh_tests::hostile::wire::KeyValue { key: key.into(), mod_revision: 3, ..Default::default() };
    let page = |keys: &[&str]| Range {
        header: Some(server.header()),
        kvs: keys.iter().map(|name| key(name)).collect(),
        more: true,
        count: 9,
    };
    let cases = [
        ("no header", Range { header: None, ..page(&["a"]) }),
        ("more, and no keys", page(&[])),
        ("the same keys again", page(&["a", "b"])),
        ("keys out of order", page(&["b", "a"])),
        ("a negative count", Range { count: -1, ..page(&["a"]) }),
    ];
    let mut table = Table::default();
    for (case, page) in cases {
        server.answer("Range", [send(&page)]);
        // The proof that a member serves reads is a read too.
        let profile = profile(&caller, &endpoint(&server), &[]);
        table.row(case, &fails(&caller, &profile, "keys", json!({}), TIMEOUT));
    }
    insta::assert_snapshot!(table, @r"
    no header
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: it has no header
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    more, and no keys
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: there are more keys, and none of them is in it
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    the same keys again
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its keys are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    keys out of order
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its keys are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a negative count
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the number of keys -1
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
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
