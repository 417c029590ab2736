//! A server that lies about a snapshot. Whatever it sends, the answer is an error with a code of its own, within the bound, and
//! no file.

use etcdsh_tests::Caller;
use etcdsh_tests::hostile::wire::Snapshot;
use etcdsh_tests::hostile::{Hostile, Step, send, snapshot};
use h2::Reason;
use serde_json::json;

use crate::failing::{TIMEOUT, Table, profile, redacted, snapshot_fails};
use crate::hostile::endpoint;

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
        help: the member's log may say more; ask another member
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
        help: see with `health` which members answer; a slow one may need a longer timeout
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
