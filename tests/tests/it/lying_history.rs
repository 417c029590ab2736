//! The history of a key from a server that lies, breaks off, or compacts meanwhile.

use etcdsh_tests::Caller;
use etcdsh_tests::hostile::wire::{Event, Header, KeyValue, Range, Watched};
use etcdsh_tests::hostile::{Hostile, Step, send};
use serde_json::{Value as Json, json};

use crate::failing::{TIMEOUT, Table, fails, profile, redacted};
use crate::hostile::endpoint;

fn pair(key: &str, revision: i64) -> KeyValue {
    let value = format!("at {revision}").into_bytes();
    KeyValue { key: key.into(), value, create_revision: 2, mod_revision: revision, version: 1, lease: 0 }
}

/// What a read answers: the key, last changed at a revision, or nothing where that is 0. The store is at revision 7.
fn range(revision: i64) -> Vec<Step> {
    let kvs = Some(pair("a", revision)).filter(|_| revision > 0).into_iter().collect();
    vec![send(&Range { header: Some(Hostile::new().header()), kvs, more: false, count: 1 })]
}

fn made() -> Step {
    send(&Watched { created: true, ..told(&[]) })
}

/// Changes: puts where the revision is positive, and deletions otherwise.
fn told(changes: &[(&str, i64)]) -> Watched {
    let event =
        |(key, revision): &(&str, i64)| Event { kind: i32::from(*revision < 0), pair: Some(pair(key, revision.abs())) };
    Watched { header: Some(Hostile::new().header()), events: changes.iter().map(event).collect(), ..Default::default() }
}

fn news(changes: &[(&str, i64)]) -> Step {
    send(&told(changes))
}

fn compacted(revision: i64) -> Step {
    send(&Watched { canceled: true, compact_revision: revision, ..told(&[]) })
}

/// A server with the key `a`: what its reads answer, the first one as the proof that it serves reads, and what its watches do.
fn server(reads: &[i64], watches: Vec<Vec<Step>>) -> Hostile {
    let server = Hostile::new();
    server.answer_in_turn("Range", [&[0], reads].concat().into_iter().map(range));
    server.answer_in_turn("Watch", watches);
    server
}

#[test]
fn a_watch_that_makes_no_sense_ends_the_read() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let mut table = Table::default();
    let refused = |reason: &str| {
        let cancel_reason = reason.to_owned();
        send(&Watched { created: true, canceled: true, cancel_reason, ..told(&[]) })
    };
    let no_key = Watched { events: vec![Event { kind: 0, pair: None }], ..told(&[]) };
    let odd = Watched { events: vec![Event { kind: 7, pair: Some(pair("a", 3)) }], ..told(&[]) };
    for (case, reads, steps) in [
        ("nothing", &[6][..], vec![]),
        ("an end", &[6], vec![made(), news(&[("a", 3)])]),
        ("no header", &[6], vec![made(), send(&Watched { header: None, ..told(&[("a", 6)]) })]),
        ("changes out of order", &[6], vec![made(), news(&[("a", 4), ("a", 3)])]),
        ("a change without a key", &[6], vec![made(), send(&no_key)]),
        ("a change of no kind", &[6], vec![made(), send(&odd)]),
        ("a negative compaction", &[6], vec![made(), compacted(-3)]),
        ("a refusal", &[6], vec![refused("rpc error: code = PermissionDenied desc = etcdserver: permission denied")]),
        (
            "a reason that is not known",
            &[6],
            vec![made(), send(&Watched { canceled: true, cancel_reason: "no \u{1b}[2J".into(), ..told(&[]) })],
        ),
        ("a change left out", &[6], vec![made(), news(&[("a", 3), ("a", 8)])]),
        ("silence", &[6], vec![made(), Step::Silence]),
        ("silence about the end", &[0, 0], vec![made(), Step::Silence]),
        ("an error", &[6], vec![made(), Step::Fail(14, "etcdserver: no leader".into())]),
        ("a compaction in the middle", &[6], vec![made(), news(&[("a", 3)]), compacted(5)]),
        ("a compaction from after the read", &[6], vec![made(), compacted(9)]),
    ] {
        let server = server(reads, vec![steps]);
        table.row(
            case,
            &fails(&caller, &profile(&caller, &endpoint(&server), &[]), "history", json!({ "key": "a" }), 3 * TIMEOUT),
        );
    }
    let twice = server(&[6, 3], vec![vec![made(), compacted(4)], vec![made(), compacted(5)]]);
    table.row(
        "a compaction again",
        &fails(&caller, &profile(&caller, &endpoint(&twice), &[]), "history", json!({ "key": "a" }), TIMEOUT),
    );
    insta::assert_snapshot!(table, @r"
    nothing
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: watch error: the watch ended without an answer
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    an end
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the watch ended by itself
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no header
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: it has no header
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    changes out of order
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its changes are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a change without a key
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: a change that is neither a put nor a delete
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a change of no kind
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: a change that is neither a put nor a delete
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a negative compaction
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the compacted revision -3
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    a refusal
      permission_denied: http://127.0.0.1:[port]: rpc error: code = PermissionDenied desc = etcdserver: permission denied
        help: use a user with the role that this needs; most of it needs root
        sent: answered
    a reason that is not known
      server: http://127.0.0.1:[port]: no \u{1b}[2J
        help: the member's log may say more; ask another member
        sent: maybe
    a change left out
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: it left out the change of revision 6
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    silence
      timeout: http://127.0.0.1:[port]: no answer within [almost 2s]; waited for the next changes
        help: see with `health` which members answer; a slow one may need a longer timeout
        sent: maybe
    silence about the end
      timeout: http://127.0.0.1:[port]: no answer within [almost 2s]; waited for the next changes
        help: see with `health` which members answer; a slow one may need a longer timeout
        sent: maybe
    an error
      no_leader: http://127.0.0.1:[port]: etcdserver: no leader
        help: see with `quorum` whether enough members answer
        sent: maybe
    a compaction in the middle
      compacted: the store was compacted while this history was read
        help: try again: the versions from there on are left
    a compaction from after the read
      compacted: the store was compacted while this history was read
        help: try again: the versions from there on are left
    a compaction again
      compacted: the store was compacted while this history was read
        help: try again: the versions from there on are left
    ");
}

#[test]
fn a_history_ends_with_the_revision_of_the_read() {
    let caller = Caller::new();
    let reached = || send(&Watched { watch_id: -1, ..told(&[]) });
    let early = send(&Watched { header: Some(Header { revision: 6, ..Hostile::new().header() }), ..told(&[]) });
    let part = |changes: &[(&str, i64)]| send(&Watched { fragment: true, ..told(changes) });
    let silent = |steps: Vec<Step>| [vec![made()], steps, vec![Step::Silence]].concat();
    for (reads, watches, expected) in [
        // Its last change is known.
        (&[6][..], vec![silent(vec![news(&[("a", 2), ("a", -4)]), news(&[("a", 6), ("a", 9)])])], json!([2, -4, 6])),
        // It is gone: what comes later ends it too, and so does the server's word, once that reaches far enough.
        (&[0], vec![silent(vec![news(&[("a", 2), ("a", -4)]), early.clone(), reached()])], json!([2, -4])),
        (&[0], vec![silent(vec![news(&[("a", 2)]), news(&[("a", -4), ("a", 9)])])], json!([2, -4])),
        // A revision may come in parts.
        (&[6], vec![silent(vec![part(&[("a", 2)]), part(&[("a", 3)]), news(&[("a", 6)])])], json!([2, 3, 6])),
        // A compaction leaves the version that it found.
        (&[6, 3], vec![silent(vec![compacted(4)]), silent(vec![news(&[("a", 6)])])], json!([3, 6])),
        (&[6, 4], vec![silent(vec![compacted(4)]), silent(vec![news(&[("a", 4), ("a", 6)])])], json!([4, 6])),
        (&[3, 3], vec![silent(vec![compacted(4)])], json!([3])),
        (&[0, 3], vec![silent(vec![compacted(4)]), silent(vec![news(&[("a", -5)]), reached()])], json!([3, -5])),
        (&[0, 0], vec![silent(vec![compacted(4)]), silent(vec![reached()])], json!([])),
    ] {
        let server = server(reads, watches.clone());
        let rows = caller.call(&profile(&caller, &endpoint(&server), &[]), "history", json!({ "key": "a" })).unwrap();
        assert_eq!(signed(&rows), expected, "{reads:?} {watches:?}");
    }
}

#[test]
fn a_watch_that_breaks_off_is_gone_on_with_behind_its_last_change() {
    let caller = Caller::new();
    let broken = |steps: Vec<Step>| [vec![made()], steps, vec![Step::Fail(14, "transport is closing".into())]].concat();
    let part = send(&Watched { fragment: true, ..told(&[("a", 4)]) });
    for (first, second, expected) in [
        (news(&[("a", 2), ("a", 4)]), news(&[("a", 6)]), json!([2, 4, 6])),
        (part, news(&[("a", 4), ("a", 6)]), json!([4, 6])),
    ] {
        // Each member that is asked has to prove first that it serves reads.
        let server = server(&[6, 0], vec![broken(vec![first]), vec![made(), second, Step::Silence]]);
        let rows = caller.call(&profile(&caller, &endpoint(&server), &[]), "history", json!({ "key": "a" })).unwrap();
        assert_eq!((signed(&rows), server.asked("Watch")), (expected, 2));
    }
    let server = server(&[6, 0], vec![broken(vec![news(&[("a", 2)])]), broken(vec![])]);
    let seen = fails(&caller, &profile(&caller, &endpoint(&server), &[]), "history", json!({ "key": "a" }), TIMEOUT);
    assert!(seen.starts_with("server: "), "{seen}");
    assert_eq!(server.asked("Watch"), 2);
}

/// An old server answers how far a watch is before it is there, so that the changes of all keys are read.
#[test]
fn an_old_server_is_not_believed_about_its_progress() {
    let caller = Caller::new();
    for (version, is_believed) in [("3.4.24", false), ("3.4.25", true), ("3.5.7", false), ("3.5.8", true)] {
        let reached = send(&Watched { watch_id: -1, ..told(&[]) });
        let changes = [news(&[("a", 2), ("b", 3)]), news(&[("a", -5), ("b", 7)])];
        let server = server(&[0], vec![[vec![made(), reached], changes.to_vec(), vec![Step::Silence]].concat()]);
        server.answer(
            "Status",
            [send(&etcdsh_tests::hostile::wire::Status { version: version.to_owned(), ..server.status() })],
        );
        let rows = caller.call(&profile(&caller, &endpoint(&server), &[]), "history", json!({ "key": "a" })).unwrap();
        assert_eq!(signed(&rows), if is_believed { json!([]) } else { json!([2, -5]) }, "{version}");
    }
}

/// Revisions, those of deletions as negative numbers.
fn signed(rows: &Json) -> Json {
    let signed = |row: &Json| row["revision"].as_i64().unwrap() * if row["change"] == "put" { 1 } else { -1 };
    rows.as_array().unwrap().iter().map(signed).collect()
}
