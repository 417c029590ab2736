//! Keys from a server that lies or breaks off, in pages and as a stream.

use etcdsh_tests::Caller;
use etcdsh_tests::hostile::wire::{KeyValue, Range, RangeStream};
use etcdsh_tests::hostile::{Hostile, Step, send};
use serde_json::json;

use crate::failing::{TIMEOUT, Table, fails, profile, redacted};
use crate::hostile::endpoint;

/// A page of keys, or a part of a stream.
fn some(server: &Hostile, keys: &[&str], more: bool) -> Range {
    let key = |key: &&str| KeyValue { key: (*key).into(), mod_revision: 3, ..Default::default() };
    Range { header: Some(server.header()), kvs: keys.iter().map(key).collect(), more, count: 3 }
}

/// A part that is not the last of a stream.
fn part(keys: &[&str]) -> Range {
    Range { header: None, count: 0, ..some(&Hostile::new(), keys, false) }
}

fn streamed(range: Range) -> Step {
    send(&RangeStream { range: Some(range) })
}

#[test]
fn pages_of_keys_that_lead_nowhere_end_the_read() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let server = Hostile::new();
    let key = |key: &str| KeyValue { key: key.into(), mod_revision: 3, ..Default::default() };
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
fn a_page_that_breaks_off_is_gone_on_with_behind_its_last_key() {
    let caller = Caller::new();
    let page = |server: &Hostile, keys: &[&str], more| {
        let key = |key: &&str| KeyValue { key: (*key).into(), mod_revision: 3, ..Default::default() };
        let kvs = keys.iter().map(key).collect();
        send(&Range { header: Some(server.header()), kvs, more, count: 3 })
    };
    // Each read is led by a proof that the member serves reads, which is a read too.
    for (limit, expected, asked) in [(None, &["a", "b", "c"][..], 4), (Some(2), &["a", "b"], 3)] {
        let server = Hostile::new();
        let proof = || vec![page(&server, &[], false)];
        let broken = vec![page(&server, &["a", "b"], true), Step::Fail(14, "transport is closing".into())];
        server.answer_in_turn("Range", [proof(), broken, proof(), vec![page(&server, &["c"], false)]]);
        let keys = caller.call(&profile(&caller, &endpoint(&server), &[]), "keys", json!({"limit": limit})).unwrap();
        let keys: Vec<_> = keys.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
        assert_eq!((keys.as_slice(), server.asked("Range")), (expected, asked), "limit {limit:?}");
    }
}

#[test]
fn a_page_that_breaks_off_again_and_again_ends_the_read() {
    let (server, caller) = (Hostile::new(), Caller::new());
    let key = KeyValue { key: "a".into(), mod_revision: 3, ..Default::default() };
    let page = |kvs| send(&Range { header: Some(server.header()), kvs, more: true, count: 3 });
    let broken = |kvs| vec![page(kvs), Step::Fail(14, "transport is closing".into())];
    let proof = || vec![page(vec![])];
    server.answer_in_turn("Range", [proof(), broken(vec![key]), proof(), broken(vec![])]);
    let seen = fails(&caller, &profile(&caller, &endpoint(&server), &[]), "keys", json!({}), TIMEOUT);
    assert!(seen.starts_with("server: "), "{seen}");
    assert_eq!(server.asked("Range"), 4);
}

#[test]
fn a_stream_that_breaks_off_is_gone_on_with_behind_its_last_key() {
    let caller = Caller::new();
    for (limit, expected, streams) in [(None, &["a", "b", "c", "d"][..], 2), (Some(3), &["a", "b", "c"], 1)] {
        let server = Hostile::new();
        let proof = || vec![send(&some(&server, &[], false))];
        // A first page says what revision the stream is of.
        server.answer_in_turn("Range", [proof(), vec![send(&some(&server, &["a"], true))], proof()]);
        let broken =
            vec![streamed(part(&["b"])), streamed(part(&["c"])), Step::Fail(14, "transport is closing".into())];
        server.answer_in_turn("RangeStream", [broken, vec![streamed(some(&server, &["d"], false))]]);
        let keys = caller.call(&profile(&caller, &endpoint(&server), &[]), "keys", json!({"limit": limit})).unwrap();
        let keys: Vec<_> = keys.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
        assert_eq!((keys.as_slice(), server.asked("RangeStream")), (expected, streams), "limit {limit:?}");
        assert_eq!(server.asked("Range"), 3, "limit {limit:?}");
    }
}

#[test]
fn a_stream_of_keys_that_makes_no_sense_ends_the_read() {
    let caller = Caller::new();
    let _redacted = redacted(&caller);
    let server = Hostile::new();
    let mut table = Table::default();
    for (case, parts) in [
        ("nothing", vec![]),
        ("an empty message", vec![send(&RangeStream { range: None })]),
        ("no last part", vec![streamed(part(&["b"]))]),
        ("keys from before", vec![streamed(some(&server, &["a"], false))]),
        ("keys out of order", vec![streamed(part(&["c", "b"])), streamed(some(&server, &[], false))]),
        ("the same keys again", vec![streamed(part(&["b"])), streamed(some(&server, &["b"], false))]),
        ("another message", vec![send(&some(&server, &["b"], false))]),
    ] {
        server.answer_in_turn(
            "Range",
            [vec![send(&some(&server, &[], false))], vec![send(&some(&server, &["a"], true))]],
        );
        server.answer("RangeStream", parts);
        let profile = profile(&caller, &endpoint(&server), &[]);
        table.row(case, &fails(&caller, &profile, "keys", json!({}), TIMEOUT));
    }
    insta::assert_snapshot!(table, @r"
    nothing
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the stream ended before its last keys
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    an empty message
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the stream ended before its last keys
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    no last part
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: the stream ended before its last keys
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    keys from before
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its keys are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    keys out of order
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its keys are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    the same keys again
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: its keys are not in order
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    another message
      protocol: http://127.0.0.1:[port]: the server's answer makes no sense: failed to decode Protobuf message: RangeResponse.header: RangeStreamResponse.range_response: invalid wire type: Varint (expected LengthDelimited)
        help: ask another member; this one, or what stands between, is not in order
        sent: maybe
    ");
}
