//! The changing calls of the wire that no operation stands on yet, and what servers of every version answer to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcdsh_core::error::Result;
use etcdsh_core::id::Revision;
use etcdsh_core::rpc::{AlarmKind, Node};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, driver};
use rstest::rstest;

/// Runs calls on the connection to the first member.
fn with<T>(cluster: &Running, work: impl AsyncFnOnce(&Node) -> Result<T>) -> Result<T> {
    let connections = driver().cluster(cluster.profile())?;
    driver().block_on(async {
        let node: Arc<Node> = connections.node(&connections.seeds()[0])?;
        work(&node).await
    })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn one(version: &str, flags: &[&str]) -> Option<Running> {
    let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    Running::start(version, Options { members: 1, tls: false, flags, ..Options::default() })
}

#[rstest]
fn compacting_and_defragmenting(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = one(version, &[]) else { return };
    assert_eq!(with(&cluster, async |node| node.compacted(soon()).await).unwrap(), None);
    for number in 0..5 {
        cluster.etcdctl(&["put", "a", &number.to_string()]);
    }
    let compact = |revision| with(&cluster, async |node| node.writer().compact(Revision(revision), true, soon()).await);
    compact(4).unwrap();
    assert_eq!(with(&cluster, async |node| node.compacted(soon()).await).unwrap(), Some(Revision(4)));
    assert_eq!(compact(4).unwrap_err().code(), "compacted");
    assert_eq!(compact(999).unwrap_err().code(), "future_revision");
    let size = |cluster: &Running| cluster.view().unwrap().members[0].known().unwrap().db_size;
    let big = "x".repeat(1 << 20);
    for _ in 0..4 {
        cluster.etcdctl_reading(&["put", "big"], &big).unwrap();
    }
    let newest = cluster.view().unwrap().revision().unwrap();
    compact(newest.0).unwrap();
    let before = size(&cluster);
    with(&cluster, async |node| node.writer().defragment(soon()).await).unwrap();
    assert!(before > size(&cluster) + (2 << 20), "{before} bytes before, {} after", size(&cluster));
}

#[rstest]
fn a_write_proves_whether_writes_are_accepted(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = one(version, &["--quota-backend-bytes=16777216"]) else { return };
    let probe = || with(&cluster, async |node| node.writer().probe_write("probe", soon()).await);
    let first = probe().unwrap();
    assert_eq!((probe().unwrap(), cluster.etcdctl(&["get", "probe"]).as_str()), (Revision(first.0 + 2), ""));
    cluster.etcdctl(&["put", "probe", "mine"]);
    probe().unwrap();
    assert_eq!(cluster.etcdctl(&["get", "probe"]), "probe\nmine\n");

    let big = "x".repeat(1 << 20);
    while cluster.etcdctl_reading(&["put", "big"], &big).is_ok() {}
    assert_eq!(probe().unwrap_err().code(), "nospace");
    let view = cluster.view().unwrap();
    let (id, newest) = (view.members[0].member.id, view.revision().unwrap());
    assert!(view.has_alarm(id, AlarmKind::NoSpace));
    let recovered = with(&cluster, async |node| {
        let writer = node.writer();
        writer.compact(newest, true, soon()).await?;
        writer.defragment(soon()).await?;
        // An alarm that is not raised is no mistake, and takes no other one along.
        writer.disarm(id, AlarmKind::Corrupt, soon()).await
    });
    recovered.unwrap();
    assert!(cluster.view().unwrap().has_alarm(id, AlarmKind::NoSpace));
    assert_eq!(probe().unwrap_err().code(), "nospace");
    with(&cluster, async |node| node.writer().disarm(id, AlarmKind::NoSpace, soon()).await).unwrap();
    assert!(cluster.view().unwrap().alarms.is_empty());
    probe().unwrap();
}

/// What servers answer, one call after another: to validate, cancel, enable, enable again, validate, cancel, cancel again. One
/// of 3.5 does what it is told, and answers after seven seconds that it did not.
#[rstest]
#[case("3.4", "3.3.0", ["unsupported"; 7])]
#[case("3.5", "3.4.0", ["ok", "no_downgrade", "timeout", "downgrade_in_progress", "downgrade_in_progress", "timeout", "no_downgrade"])]
#[case("3.6", "3.5.0", ["ok", "ok", "ok", "downgrade_in_progress", "downgrade_in_progress", "ok", "ok"])]
#[case("3.7", "3.6.0", ["ok", "ok", "ok", "downgrade_in_progress", "downgrade_in_progress", "ok", "ok"])]
fn downgrading(#[case] version: &str, #[case] older: &str, #[case] expected: [&str; 7]) {
    let Some(cluster) = one(version, &[]) else { return };
    cluster.settled();
    let said = |answer: Result<()>| answer.map_or_else(|error| error.code(), |()| "ok");
    let validate = |to: &str| said(with(&cluster, async |node| node.downgrade_validate(to, soon()).await.map(drop)));
    let cancel = || said(with(&cluster, async |node| node.writer().downgrade_cancel(soon()).await));
    let enable = || said(with(&cluster, async |node| node.writer().downgrade_enable(older, soon()).await));
    let (first, idle, enabled, again) = (validate(older), cancel(), enable(), enable());
    assert_eq!([first, idle, enabled, again, validate(older), cancel(), cancel()], expected);
    if version != "3.4" {
        assert_eq!((validate("3.1.0"), validate("oldest")), ("bad_downgrade_target", "bad_downgrade_target"));
    }
}
