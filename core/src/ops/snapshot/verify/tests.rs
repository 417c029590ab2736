//! What is said of files that are odd, and of files that do not belong together.

use std::path::Path;

use super::compare::{Own, Reach, alike, apart, left_out, unknown, unlike};
use super::*;
use crate::format::bolt::Image;
use crate::format::bolt::fixture::{self, Rows};
use crate::format::bolt::tests::on_disk;
use crate::format::mvcc::row_tests::{row_key, row_value};
use crate::format::mvcc::{KeyValue, Rev};
use crate::format::schema::{ConfState, Records};
use crate::format::snap::Snap;
use crate::format::wal;
use crate::format::wal::tests::{FIRST, SECOND, two_files};
use crate::id::MemberId;

fn row(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

fn checked(buckets: &[(&str, Rows)]) -> Checked {
    let file = on_disk(&fixture::snapshot(fixture::file(buckets)));
    check(&Image::open(&file.path).unwrap()).unwrap()
}

fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { severity, code, r#where, message, remedy } = finding;
        let place = if r#where.is_empty() { String::new() } else { format!(" ({where})") };
        let remedy = remedy.as_ref().map(|remedy| format!("\n  remedy: {remedy}")).unwrap_or_default();
        format!("{severity} {code}{place}: {message}{remedy}\n")
    };
    findings.iter().map(line).collect()
}

/// The records of a cluster in which everything is odd.
fn odd() -> Vec<(&'static str, Rows)> {
    let pair = KeyValue { key: b"k", created: 5, modified: 5, version: 1, value: b"v", lease: 0 };
    let member = br#"{"id":2,"peerURLs":["http://b:2380"],"name":"s1"}"#;
    vec![
        ("alarm", vec![row(b"\x08\x02\x10\x01", b""), row(b"\x08\x09\x10\x02", b"")]),
        ("auth", vec![row(b"authEnabled", b"\x01")]),
        ("authUsers", vec![row(b"bob", b"\x0a\x03bob\x1a\x03ops\x1a\x04root")]),
        (
            "cluster",
            vec![row(b"clusterVersion", b"4.0.0"), row(b"downgrade", br#"{"target-version":"3.5.0","enabled":true}"#)],
        ),
        ("key", vec![(row_key(5, 0, false), row_value(&pair))]),
        ("members", vec![row(b"2", member)]),
        ("members_removed", vec![row(b"2", b"removed")]),
        (
            "meta",
            vec![row(b"finishedCompactRev", &row_key(7, 0, false)), row(b"scheduledCompactRev", &row_key(9, 0, false))],
        ),
        ("mine", vec![row(b"x", b"y")]),
    ]
}

#[test]
fn records_that_surprise_are_told() {
    let odd = checked(&odd());
    insta::assert_snapshot!(told(&records::findings(&odd)), @"
    info bucket_missing: the buckets authRoles, lease are missing; etcd makes them when it starts
    warning foreign_data: the bucket mine is none of etcd's
      remedy: find out what wrote into the file, and use another backup if it was not etcd
    warning applied_index_missing: it does not say up to which entry of the log it was applied
      remedy: restore it with `snapshot restore`, which writes that anew
    info compaction_unfinished: a compaction to revision 9 had not ended; etcd carries it on when it starts
    info newest_change_compacted: its newest change is of revision 5, and it is compacted to revision 9
      remedy: no data is missing: what was changed last was deleted. On restore, count a bump of the revision from the compaction; `snapshot restore` does
    warning alarm_raised: the alarm nospace of s1 is raised in it, and a cluster that is restored from it begins with it
      remedy: restore it with scrub_alarms, or disarm it afterwards with `alarm disarm`
    warning alarm_raised: the alarm corrupt of 9, which is no member of it is raised in it, and a cluster that is restored from it begins with it
      remedy: restore it with scrub_alarms, or disarm it afterwards with `alarm disarm`
    warning root_missing: users have to log in, and there is no user root with the role root, so nobody can change that
      remedy: use another backup, or the password of a user who may do what is needed
    warning role_missing: the user bob has roles that are not in it: ops
      remedy: after a restore, grant the user roles that there are
    warning member_removed: s1 is a member, and was removed
      remedy: `snapshot restore` writes the members anew; a data dir with this is not to be started as it is
    warning version_unknown: it is for etcd 4.0.0, and etcd is known here up to 3.7
      remedy: use an etcdsh that knows that version; this one may not see all that matters
    warning downgrade_under_way: a downgrade to 3.5.0 was under way
      remedy: a cluster that is restored from it goes on with it; `downgrade cancel` ends it
    ");
    insta::assert_snapshot!(told(&records::strays(3).into_iter().collect::<Vec<_>>()), @"
    warning lease_missing: 3 keys live that are bound to leases which are not in it, so they would never expire
      remedy: etcd makes no such file by itself; look at the keys with `keys` and db, and delete those that should be gone
    ");
    assert!(records::strays(0).is_none());
    let empty = checked(&[("meta", vec![])]);
    insta::assert_snapshot!(told(&records::findings(&empty)), @"
    error store_missing: it has no bucket `key`, in which etcd keeps its keys
      remedy: this is no database of etcd's; use another file
    info bucket_missing: the buckets alarm, auth, authRoles, authUsers, cluster, lease, members, members_removed are missing; etcd makes them when it starts
    warning applied_index_missing: it does not say up to which entry of the log it was applied
      remedy: restore it with `snapshot restore`, which writes that anew
    info members_missing: it has no members
      remedy: `snapshot restore` writes them anew in any case
    ");
}

#[test]
fn the_gravest_finding_is_the_verdict() {
    let report = |findings: Vec<Finding>| {
        let report = report(Path::new("/b.db"), checked(&odd()), findings);
        (report.ok, report.verdict, report.revision, report.compact_revision, report.members.concat())
    };
    let of = |severity| finding(severity, "x", "x".to_owned(), "");
    let (info, warning, error) = (of(Severity::Info), of(Severity::Warning), of(Severity::Error));
    let verdicts =
        [vec![], vec![info.clone()], vec![info.clone(), warning.clone()], vec![info, error, warning]].map(|all| {
            let (ok, verdict, ..) = report(all);
            (ok, verdict)
        });
    assert_eq!(
        verdicts,
        [(true, Verdict::Sound), (true, Verdict::Sound), (true, Verdict::Usable), (false, Verdict::Damaged)]
    );
    let (unlike, warning) = (unlike("the cluster", 7, true), of(Severity::Warning));
    let verdicts = [vec![unlike.clone(), warning], vec![unlike, of(Severity::Error)]].map(report);
    let verdicts = verdicts.map(|(ok, verdict, ..)| (ok, verdict));
    assert_eq!(verdicts, [(false, Verdict::Other), (false, Verdict::Damaged)]);
    let (.., revision, compacted, members) = report(vec![]);
    assert_eq!((revision, compacted, members.as_str()), (Some(Revision(5)), Some(Revision(9)), "s1"));
}

#[test]
fn damage_has_its_place_and_a_remedy() {
    let mut buckets = odd();
    buckets[4].1[0].1 = b"\xff".to_vec();
    let mut damaged = checked(&buckets);
    damaged.untold.insert("row_damaged", 3);
    let findings = std::mem::take(&mut damaged.findings);
    insta::assert_snapshot!(told(&pages(findings, &damaged)), @"
    error row_damaged (bucket key, element 0): the value of revision 5 cannot be read: the message ends within a field
      remedy: use another backup; `keys` with db and skip_hash_check reads what is whole in this one
    error row_damaged: 3 more of this kind were found
    ");
}

/// A data dir with the log of member 7.
fn data_dir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (wal, snap) = (folder.path().join("member/wal"), folder.path().join("member/snap"));
    std::fs::create_dir_all(&wal).unwrap();
    std::fs::create_dir_all(&snap).unwrap();
    let (first, second, _) = two_files();
    std::fs::write(wal.join(FIRST), first).unwrap();
    std::fs::write(wal.join(SECOND), second).unwrap();
    std::fs::write(snap.join("0000000000000002-0000000000000003.snap"), b"broken").unwrap();
    folder
}

#[test]
fn a_log_that_does_not_belong_to_its_database_is_told() {
    let folder = data_dir();
    let mut records = checked(&odd()).records;
    (records.applied.consistent_index, records.applied.term) = (Some(258), Some(9));
    insta::assert_snapshot!(told(&log::findings(folder.path(), None, &records).unwrap()), @"
    warning snap_damaged (0000000000000002-0000000000000003.snap): it cannot be read: the message ends within a field
      remedy: etcd takes the one before, and has to have its log from there on
    error log_behind: the database has applied entry 258, and the log ends with entry 3
      remedy: database and log are of different times, as when one was put back alone: replace the member with `member replace`, or restore from a snapshot
    error log_behind: the database is of term 9, and the log of term 2
      remedy: database and log are of different times: replace the member, or restore from a snapshot
    warning members_differ: the database has the members 2, and raft has 7
      remedy: etcd up to 3.5 goes by raft's, and 3.6 by the database's, which brings removed members back on an upgrade: replace the member before, or restore from a snapshot
    ");
    // As it should be.
    (records.applied.consistent_index, records.applied.term) = (Some(3), Some(2));
    records.members.iter_mut().for_each(|member| member.id = MemberId(7));
    let fits = log::findings(&folder.path().join("member"), None, &records).unwrap();
    assert_eq!(fits.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["snap_damaged"]);
    let elsewhere = log::findings(folder.path(), Some(Path::new("/no/such/wal")), &records).unwrap();
    insta::assert_snapshot!(told(&elsewhere[1..]), @"
    warning log_missing: there is no log in /no/such/wal
      remedy: say where it lies with wal_dir; a member without its log does not start, and its database may lack the last changes
    ");
    let wal = folder.path().join("member/wal");
    std::fs::write(wal.join(FIRST), b"damaged and more than one frame long").unwrap();
    let damaged = log::findings(folder.path(), None, &records).unwrap();
    assert_eq!(damaged[1].severity, Severity::Error, "{damaged:?}");
}

#[test]
fn an_old_store_that_keeps_etcd_from_starting_is_told() {
    let folder = data_dir();
    let store = br#"{"Root":{"Children":{"1":{"Children":{"a":{"Value":"x"}}}}}}"#.to_vec();
    let snap = Snap { term: 2, index: 3, conf_state: ConfState::default(), store };
    let wal_dir = folder.path().join("member/wal");
    let summary = wal::summary(&wal_dir).unwrap();
    let mut records = Records::default();
    let findings = [
        log::order(&records, &summary, Some(&snap), folder.path()),
        log::old_store(&records, &summary, Some(&snap), &wal_dir).unwrap(),
        log::old_store(&records, &summary, Some(&Snap { store: b"{".to_vec(), ..snap.clone() }), &wal_dir).unwrap(),
    ];
    insta::assert_snapshot!(told(&findings.concat()), @"
    error database_behind: its .snap file is of entry 3, and the database has applied entry 0 only
      remedy: etcd does not start with it: replace the member with `member replace`, or restore from a snapshot
    warning old_store_used: the interface of etcd 2 was used: its store holds keys or users
      remedy: etcd 3.6 does not start with it; remove them before an upgrade, or restore from a snapshot, which leaves them out
    warning old_store_damaged: the old store in it cannot be read: EOF while parsing an object at line 1 column 1
    ");
    // The database that a leader sent is there, to be taken over.
    std::fs::write(folder.path().join("0000000000000003.snap.db"), b"").unwrap();
    assert!(log::order(&records, &summary, Some(&snap), folder.path()).is_empty());
    records.applied.storage_version = Some("3.7.0".to_owned());
    assert!(log::findings(folder.path(), None, &records).unwrap().iter().all(|finding| finding.code == "snap_damaged"));
}

#[test]
fn members_tell_whose_a_file_is() {
    let checked = checked(&odd());
    let of_nobody = Records::default();
    let strange =
        |records, others: &[u64]| Own { span: &checked.span, records }.is_strange(others.iter().copied().map(MemberId));
    // Member 2 is one, and was removed.
    assert_eq!(
        [strange(&checked.records, &[2, 7]), strange(&checked.records, &[7]), strange(&checked.records, &[])],
        [false, true, false]
    );
    let mut left = checked.records.clone();
    left.removed.push(MemberId(7));
    assert_eq!([strange(&of_nobody, &[7]), strange(&left, &[7])], [false, false]);
}

#[test]
fn histories_are_compared() {
    let reach = |newest, compacted| Reach { newest, compacted };
    assert_eq!(reach(9, Some(3)).common(reach(12, None)), (9, Some(3)));
    let last = Some(Rev { main: 4, sub: 0 });
    let span = crate::format::mvcc::Span { last, finished: Some(2), scheduled: Some(6) };
    assert_eq!((Reach::from(&span).newest, Reach::from(&span).compacted), (6, Some(6)));
    let compared = |ours, theirs| alike("/b.db", reach(ours, None), reach(theirs, None), 7);
    let findings = [
        compared(7, 7),
        compared(7, 9),
        compared(9, 7),
        unlike("/b.db", 7, false),
        unlike("/b.db", 7, true),
        apart("the cluster", 7, Some(9)),
        apart("the cluster", 7, None),
        left_out("the cluster"),
        unknown("the cluster", "no member told its revision"),
    ];
    insta::assert_snapshot!(told(&findings), @"
    info same_history: it has the history of /b.db up to revision 7, which is the newest of both
    info behind: it has the history of /b.db up to revision 7, and is 2 revisions behind
    warning ahead: it has the history of /b.db up to revision 7, and is 2 revisions ahead
      remedy: the other one lacks changes that were made: find out why before you restore it
    error other_history: at revision 7 it differs from /b.db: it is another cluster's, or their histories parted
      remedy: do not restore it over that cluster; `snapshot diff` shows what differs
    error other_cluster: at revision 7 it differs from /b.db: no member of the one is a member of the other, so it is another cluster's
      remedy: do not restore it over that cluster; `snapshot diff` shows what differs
    info not_comparable: it cannot be compared with the cluster: they have revision 7 in common, and one is compacted to revision 9
      remedy: a newer snapshot can be compared
    info not_comparable: it cannot be compared with the cluster: they have revision 7 in common, and one is compacted
      remedy: a newer snapshot can be compared
    info not_compared: it was not compared with the cluster: what is damaged differs from anything
    warning not_comparable: it cannot be compared with the cluster: no member told its revision
      remedy: `health` shows how its members are
    ");
}
