//! Every rule, with a cluster that it finds and what it says.

use rstest::rstest;

use super::*;
use crate::change::exhaustive::{State, member};
use crate::id::{ClusterId, MemberId};
use crate::rpc::{Alarm, AlarmKind, Status};

/// Members of these versions, all of them healthy.
fn cluster(versions: &[&str]) -> ClusterView {
    let mut members: Vec<_> =
        (1..).zip(versions).map(|(id, _)| member(id, State::Healthy, false, Some(1), 0)).collect();
    for (member, version) in members.iter_mut().zip(versions) {
        set(member, |status| {
            (*version).clone_into(&mut status.version);
            let version = Version::parse(version).unwrap();
            status.storage_version = (version >= rules::TELLS_STORAGE).then(|| line_of(version).to_string());
        });
    }
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: Vec::new(),
        hosting: Default::default(),
        facts: Default::default(),
    }
}

fn set(member: &mut MemberView, change: impl FnOnce(&mut Status)) {
    if let Some(Ok(status)) = &mut member.status {
        change(status);
    }
}

fn to(version: &str) -> Release {
    Release::parse(version).unwrap()
}

/// Returns the codes of the findings, those that forbid the upgrade with a mark.
fn codes(versions: &[&str], target: &str) -> Vec<String> {
    let report = check(&cluster(versions), to(target));
    let marked =
        |finding: &Finding| format!("{}{}", if finding.severity == Severity::Error { "!" } else { "" }, finding.code);
    let codes: Vec<_> = report.findings.iter().map(marked).collect();
    assert_eq!(report.ok, codes.iter().all(|code| !code.starts_with('!')));
    codes
}

#[rstest]
#[case(&["3.4.23"; 3], "3.5", &["flags_removed", "way_back"])]
#[case(&["3.4.23"; 3], "3.5.2", &["!data_inconsistency", "!defrag_crash_inconsistency", "defrag_snapshot_corruption", "update_promotes_learner", "unguarded_maintenance", "flags_removed", "way_back"])]
#[case(&["3.4.23"; 3], "3.6", &["!skips_minor"])]
#[case(&["3.5.35"; 3], "3.6", &["flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.35"; 3], "3.6.16", &["flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.35"; 3], "3.6.4", &["defrag_snapshot_corruption", "update_promotes_learner", "unguarded_maintenance", "flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.26"; 3], "3.6", &["update_promotes_learner", "update_promotes_learner", "update_promotes_learner", "unguarded_maintenance", "unguarded_maintenance", "unguarded_maintenance", "flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.35", "3.5.25", "3.5.35"], "3.6", &["!patch_too_old", "update_promotes_learner", "unguarded_maintenance", "flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.35"; 3], "3.7", &["!skips_minor"])]
#[case(&["3.6.16"; 3], "3.7", &["old_entries_in_wal", "flags_removed", "way_back"])]
#[case(&["3.6.10", "3.6.16", "3.6.16"], "3.7", &["!patch_too_old", "old_entries_in_wal", "update_promotes_learner", "flags_removed", "way_back"])]
#[case(&["3.6.16"; 3], "3.6", &["already_there"])]
#[case(&["3.6.16"; 3], "3.6.16", &["already_there"])]
#[case(&["3.6.14", "3.6.16", "3.6.14"], "3.6.16", &["under_way"])]
#[case(&["3.6.14"; 3], "3.6.16", &[])]
#[case(&["3.6.16"; 3], "3.6.14", &["older_release"])]
#[case(&["3.6.16"; 3], "3.5", &["!older_version"])]
#[case(&["3.5.35", "3.6.16", "3.5.35"], "3.6", &["under_way", "flags_removed", "check_v2store", "way_back"])]
#[case(&["3.5.35", "3.6.16", "3.5.35"], "3.7", &["!skips_minor"])]
#[case(&["3.5.35", "3.6.16", "3.5.35"], "3.5", &["!older_version"])]
#[case(&["3.7.3"; 3], "3.8", &["unknown_version", "way_back"])]
#[case(&["3.7.3"; 3], "4.0", &["!skips_minor"])]
#[case(&["3.5.1"; 3], "3.5.35", &["data_inconsistency", "data_inconsistency", "data_inconsistency", "defrag_crash_inconsistency", "defrag_crash_inconsistency", "defrag_crash_inconsistency", "defrag_snapshot_corruption", "defrag_snapshot_corruption", "defrag_snapshot_corruption", "update_promotes_learner", "update_promotes_learner", "update_promotes_learner", "unguarded_maintenance", "unguarded_maintenance", "unguarded_maintenance"])]
#[case(&["3.6.16"], "3.7", &["no_tolerance", "old_entries_in_wal", "flags_removed", "way_back"])]
#[case(&["3.6.16"; 2], "3.7", &["no_tolerance", "old_entries_in_wal", "flags_removed", "way_back"])]
fn of_versions(#[case] versions: &[&str], #[case] target: &str, #[case] expected: &[&str]) {
    assert_eq!(codes(versions, target), expected);
}

/// Every pair of a version that is run and one that is meant: what etcd's policy forbids is never found good.
#[test]
fn no_step_that_etcd_forbids_is_good() {
    let releases = |minor: u32| (0..36).map(move |patch| Version::new(3, minor, patch));
    for from in (4..=7).flat_map(releases) {
        for line in 3..=8 {
            let target = Release { version: Version::new(3, line, 0), exact: false };
            let good = check(&cluster(&[from.to_string().as_str(); 3]), target).ok;
            let gate = match line {
                6 if from.minor == 5 => from.patch >= 26,
                7 if from.minor == 6 => from.patch >= 11,
                _ => true,
            };
            let expected = (from.minor == line || from.minor + 1 == line) && gate;
            assert_eq!(good, expected, "{from} to {target}");
        }
    }
}

#[test]
fn of_members() {
    let mut view = cluster(&["3.6.16"; 5]);
    view.members[0] = member(1, State::Cut, false, Some(2), 0);
    view.members[1] = member(2, State::Down, false, None, 0);
    view.members[2] = member(3, State::Unstarted, false, None, 0);
    view.members[3].member.is_learner = true;
    set(&mut view.members[4], |status| {
        status.raft_applied_index = 0;
        status.downgrade_target = Some("3.5.0".to_owned());
        status.storage_version = Some("3.5.0".to_owned());
    });
    view.alarms = vec![
        Alarm { member_id: MemberId(5), kind: AlarmKind::NoSpace },
        Alarm { member_id: MemberId(0xdead), kind: AlarmKind::Corrupt },
    ];
    insta::assert_snapshot!(told(&view, "3.7"), @"
    error member_unhealthy (infra1): it is degraded: refused
      remedy: bring it back first; `health` says more
    error member_unhealthy (infra2): it is down: refused
      remedy: bring it back first; `health` says more
    error member_unstarted (3): it was added, and has never started
      remedy: start it, or remove it with `member remove`
    error learner_pending (infra4): it is a learner still
      remedy: wait until it has caught up and promote it, or remove it
    error no_quorum: 1 of 4 voters are healthy, and a quorum is 3
      remedy: bring voters back first; `health` names those that are down
    error alarm_raised (infra5): the alarm nospace is raised
      remedy: see `alarm list`; an upgrade cures no alarm
    error alarm_raised (dead): the alarm corrupt is raised
      remedy: see `alarm list`; an upgrade cures no alarm
    error downgrade_in_progress (infra5): a downgrade to 3.5.0 is under way
      remedy: finish it, or give it up with `downgrade cancel`
    warning storage_version_behind (infra1): it runs 3.6.16, and its data still has the form of an older version
      remedy: wait: it changes when all members run the new version, with the next raft snapshot
    warning old_entries_in_wal: 3.7 panics on log entries that 3.5 wrote; a member that ran 3.5 needs a raft snapshot that it made under 3.6
      remedy: when all run 3.6, restart each once more under 3.6, and see that member/snap has a .snap file that is newer than its first start under 3.6; a cluster that began with 3.6 has no such entries
      source: https://github.com/etcd-io/etcd/blob/v3.6.16/server/etcdserver/server.go#L1978
    info flags_removed: 3.7 does not start with --experimental-*, --discovery, --discovery-proxy
      remedy: 3.6 has each of them under its new name, or in --feature-gates; change them before the upgrade
      source: https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/
    info way_back: as long as a member runs the old version the others can be put back; afterwards only `downgrade` leads back
      remedy: save a snapshot first
    ");
    let mut lagging = cluster(&["3.6.16"; 3]);
    set(&mut lagging.members[1], |status| (status.raft_applied_index, status.storage_version) = (0, None));
    insta::assert_snapshot!(told(&lagging, "3.6.17"), @"
    warning member_lagging (infra2): its store is 1000 log entries behind
      remedy: wait until it has caught up; `status` shows its lag
    warning storage_version_behind (infra2): it runs 3.6.16, and its data still has the form of an older version
      remedy: wait: it changes when all members run the new version, with the next raft snapshot
    ");
    let mut gone = cluster(&["3.6.16"; 3]);
    gone.members.iter_mut().for_each(|m| *m = member(m.member.id.0, State::Down, false, None, 0));
    let report = check(&gone, to("3.7"));
    assert_eq!((report.ok, report.from), (false, None));
}

#[test]
fn of_steps() {
    let steps = [
        (&["3.4.23", "3.4.23", "3.4.23"], "3.5.1"),
        (&["3.5.25", "3.5.35", "3.6.16"], "3.6"),
        (&["3.6.4", "3.6.16", "3.6.16"], "3.7"),
        (&["3.5.35", "3.5.35", "3.5.35"], "3.7"),
        (&["3.6.16", "3.6.16", "3.6.16"], "3.5.35"),
        (&["3.6.16", "3.6.16", "3.6.16"], "3.6.16"),
        (&["3.6.16", "3.6.16", "3.6.16"], "3.6.5"),
        (&["3.7.3", "3.7.3", "3.7.3"], "3.8"),
    ];
    let all: String =
        steps.map(|(versions, target)| format!("to {target}\n{}", told(&cluster(versions), target))).concat();
    insta::assert_snapshot!(all, @"
    to 3.5.1
    error data_inconsistency: in 3.5.1, a member that is killed under load can lose writes that the others have
      remedy: choose one that has the repair: 3.5.3 or later
      source: https://github.com/etcd-io/etcd/pull/13908
    error defrag_crash_inconsistency: in 3.5.1, a crash while a member is defragmented can leave it with other data than the others
      remedy: choose one that has the repair: 3.5.6 or later
      source: https://github.com/etcd-io/etcd/pull/14733
    warning defrag_snapshot_corruption: in 3.5.1, defragmenting a member while it catches up from a snapshot can corrupt its data
      remedy: choose one that has the repair: 3.5.23, 3.6.5 or later
      source: https://github.com/etcd-io/etcd/issues/20650
    warning update_promotes_learner: in 3.5.1, updating the peer URLs of a learner silently makes a voter of it
      remedy: choose one that has the repair: 3.5.31, 3.6.12 or later
      source: https://github.com/etcd-io/etcd/pull/21736
    warning unguarded_maintenance: in 3.5.1, with authentication on, users without rights can call maintenance and the membership (CVE-2026-33413)
      remedy: choose one that has the repair: 3.5.28, 3.6.9 or later
      source: https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md
    info flags_removed: 3.5 does not start with --debug, --log-output, --log-package-levels
      remedy: use --log-level and --log-outputs
      source: https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/
    info way_back: as long as a member runs the old version the others can be put back; afterwards only a restored snapshot leads back
      remedy: save a snapshot first
    to 3.6
    error patch_too_old (infra1): it runs 3.5.25, and has to run 3.5.26 or later first: older ones can bring removed members back, or make learners of voters, when they become 3.6
      remedy: upgrade it to 3.5.26 or later of its line first
      source: https://etcd.io/docs/latest/upgrades/upgrade_3_6/, https://etcd.io/blog/2025/zombie_members_upgrade/
    warning update_promotes_learner (infra1): it runs 3.5.25, in which updating the peer URLs of a learner silently makes a voter of it
      remedy: do not update a learner; remove it and add it anew
      source: https://github.com/etcd-io/etcd/pull/21736
    warning unguarded_maintenance (infra1): it runs 3.5.25, in which with authentication on, users without rights can call maintenance and the membership (CVE-2026-33413)
      remedy: let only trusted machines reach the client port
      source: https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md
    info under_way: the upgrade is under way: 1 of 3 members run 3.6
      remedy: upgrade the others, one after another
    info flags_removed: 3.6 does not start with --enable-v2, --experimental-enable-v2v3, --proxy, --proxy-*
      remedy: leave them out; the v2 API and the v2 proxy are gone
      source: https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/
    info check_v2store: 3.6 does not read data that was written through the v2 API; whether there is any cannot be seen from here
      remedy: if the members run with --enable-v2, run `etcdutl check v2store` of 3.5.32 or later on each data dir first
      source: https://etcd.io/docs/latest/upgrades/upgrade_3_6/
    info way_back: as long as a member runs the old version the others can be put back; afterwards only `downgrade` leads back
      remedy: save a snapshot first
    to 3.7
    error patch_too_old (infra1): it runs 3.6.4, and has to run 3.6.11 or later first: older ones may not work together with 3.7
      remedy: upgrade it to 3.6.11 or later of its line first
      source: https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/
    warning old_entries_in_wal: 3.7 panics on log entries that 3.5 wrote; a member that ran 3.5 needs a raft snapshot that it made under 3.6
      remedy: when all run 3.6, restart each once more under 3.6, and see that member/snap has a .snap file that is newer than its first start under 3.6; a cluster that began with 3.6 has no such entries
      source: https://github.com/etcd-io/etcd/blob/v3.6.16/server/etcdserver/server.go#L1978
    warning defrag_snapshot_corruption (infra1): it runs 3.6.4, in which defragmenting a member while it catches up from a snapshot can corrupt its data
      remedy: do not defragment while a member catches up
      source: https://github.com/etcd-io/etcd/issues/20650
    warning update_promotes_learner (infra1): it runs 3.6.4, in which updating the peer URLs of a learner silently makes a voter of it
      remedy: do not update a learner; remove it and add it anew
      source: https://github.com/etcd-io/etcd/pull/21736
    warning unguarded_maintenance (infra1): it runs 3.6.4, in which with authentication on, users without rights can call maintenance and the membership (CVE-2026-33413)
      remedy: let only trusted machines reach the client port
      source: https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md
    info flags_removed: 3.7 does not start with --experimental-*, --discovery, --discovery-proxy
      remedy: 3.6 has each of them under its new name, or in --feature-gates; change them before the upgrade
      source: https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/
    info way_back: as long as a member runs the old version the others can be put back; afterwards only `downgrade` leads back
      remedy: save a snapshot first
    to 3.7
    error skips_minor: 3.7 is more than one minor version above 3.5.35
      remedy: go to 3.6 first, on all members
      source: https://etcd.io/docs/latest/upgrades/upgrading-etcd/
    to 3.5.35
    error older_version: 3.5.35 is older than 3.6.16, which a member runs
      remedy: an older version is reached by a downgrade; see `downgrade validate`
    to 3.6.16
    info already_there: all members run 3.6.16 already
      remedy: there is nothing to upgrade
    to 3.6.5
    warning older_release: 3.6.5 is an older release than 3.6.16, which a member runs
      remedy: choose a newer release of the line
    warning update_promotes_learner: in 3.6.5, updating the peer URLs of a learner silently makes a voter of it
      remedy: choose one that has the repair: 3.5.31, 3.6.12 or later
      source: https://github.com/etcd-io/etcd/pull/21736
    warning unguarded_maintenance: in 3.6.5, with authentication on, users without rights can call maintenance and the membership (CVE-2026-33413)
      remedy: choose one that has the repair: 3.5.28, 3.6.9 or later
      source: https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md
    to 3.8
    warning unknown_version: the rules for 3.8 are not known to this version of etcdsh
      remedy: read etcd's upgrade guide, or use a newer etcdsh
    info way_back: as long as a member runs the old version the others can be put back; afterwards only `downgrade` leads back
      remedy: save a snapshot first
    ");
    insta::assert_snapshot!(told(&cluster(&["3.7.3"]), "3.7.4"), @"
    warning no_tolerance: no voter can be missed: while one restarts, the cluster takes no writes
      remedy: tell its users, or add a member before the upgrade
    ");
}

/// Shows the findings as a user reads them.
fn told(view: &ClusterView, target: &str) -> String {
    let show = |finding: &Finding| {
        let Finding { severity, code, member, message, remedy, source } = finding;
        let member = member.as_ref().map_or_else(String::new, |member| format!(" ({member})"));
        let source = source.as_ref().map_or_else(String::new, |source| format!("  source: {source}\n"));
        format!("{severity} {code}{member}: {message}\n  remedy: {remedy}\n{source}")
    };
    check(view, to(target)).findings.iter().map(show).collect()
}
