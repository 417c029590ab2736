//! The tools that prove that nothing was lost, on a cluster to which something happens: they must see it, and a log that is
//! wrong must not pass.

use std::time::Duration;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::load::{FLOOR, Log, Outcome, Sampler, Writer, check};
use etcdsh_tests::{Running, run, until};
use rstest::rstest;

/// The rate of the writer; what comes above the floor is for a busy machine.
const RATE: u32 = 400;

/// Makes a log wrong at its last acknowledged write of some key.
fn wrong(log: &Log, change: impl FnOnce(&mut Log, usize)) -> Log {
    let mut log = log.clone();
    let at = log.writes.iter().rposition(|write| write.revision().is_some()).unwrap();
    change(&mut log, at);
    log
}

#[test]
fn a_member_that_is_killed_under_load_is_seen_and_nothing_is_lost() {
    let cluster = Running::start("3.6", Options { tls: false, ..Options::default() }).unwrap();
    let (sampler, writer) = (Sampler::start(&cluster), Writer::start(&cluster, RATE));
    let victim = cluster.leader();
    cluster.kill(&[&victim]);
    writer.goes_on();
    cluster.call("sandbox restart", serde_json::json!({ "member": victim })).unwrap();
    writer.goes_on();
    until("the members are healthy", || match cluster.call("quorum", serde_json::json!({})) {
        Ok(quorum) if quorum["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    until("the writer has made up for the time without a leader", || match writer.rate() {
        rate if rate > FLOOR * 1.05 => Ok(()),
        rate => Err(format!("{rate:.0} acknowledged writes per second")),
    });
    let (log, samples) = (writer.stop(), sampler.stop());
    eprintln!(
        "{} of {} writes acknowledged, {:.0} per second, longest gap {:?}; without quorum for {:?} at most, {} leaders, \
         looked at {:?}, longest pause {:?}, outages {:?}",
        log.acknowledged().count(),
        log.writes.len(),
        log.rate(),
        log.longest_gap(),
        samples.longest_without_quorum,
        samples.leaders,
        samples.looks,
        samples.longest_pause,
        samples.outages,
    );
    log.counts();
    // The fault has fired: a writer lost its leader, and the member was away, alone.
    assert!(log.longest_gap() > Duration::from_millis(300), "{:?}", log.longest_gap());
    assert!(log.writes.iter().any(|write| !matches!(write.outcome, Outcome::Ok { .. })));
    assert!(samples.unavailable(&victim) > Duration::from_millis(300), "{:?}", samples.outages);
    assert_eq!((samples.most_unavailable, samples.most_defragmenting), (1, 0), "{:?}", samples.outages);
    samples.kept(Duration::from_secs(20));
    assert!(samples.leaders >= 2, "{}", samples.leaders);
    assert!(samples.longest_without_quorum > Duration::from_millis(300), "{:?}", samples.longest_without_quorum);
    let checked = check(&cluster, &log).unwrap();
    assert_eq!((checked.acknowledged, checked.members), (log.acknowledged().count(), 3));

    // What does not agree with the cluster is found.
    let found = |log: Log| check(&cluster, &log).unwrap_err();
    let never_written = wrong(&log, |log, at| log.writes[at].value.push_str("-other"));
    assert!(found(never_written).contains("-other\" was acknowledged at"));
    let lost = wrong(&log, |log, at| log.writes[at].key.push_str("-other"));
    assert!(found(lost).contains("-other is gone"));
    let back_in_time = wrong(&log, |log, at| log.writes[at].outcome = Outcome::Ok { revision: 2 });
    assert!(found(back_in_time).contains("had been acknowledged before"));
    let refused = wrong(&log, |log, at| log.writes[at].outcome = Outcome::Fail("no".to_owned()));
    assert!(found(refused).contains("was refused (no), and stands at revision"));
    let forgotten = wrong(&log, |log, at| drop(log.writes.remove(at)));
    assert!(found(forgotten).contains("which nobody wrote"));
    let alarmed = wrong(&log, |log, _| log.alarms = "memberID:1 alarm:NOSPACE\n".to_owned());
    assert!(found(alarmed).contains("the alarms were"));
}

#[test]
fn two_members_that_are_away_cost_the_quorum_and_that_is_seen() {
    // Clients log in, and passwords are cheap to check, or nothing else would be done.
    let flags = vec!["--bcrypt-cost=4".to_owned()];
    let cluster = Running::start("3.6", Options { tls: false, auth: true, flags, ..Options::default() }).unwrap();
    let (sampler, writer) = (Sampler::start(&cluster), Writer::start(&cluster, RATE));
    let followers = cluster.followers();
    cluster.kill(&[&followers[0], &followers[1]]);
    until("there is no quorum", || {
        let quorum = cluster.call("quorum", serde_json::json!({})).map_err(|error| format!("{error:?}"))?;
        if quorum["verdict"] == "no_quorum" { Ok(()) } else { Err(quorum.to_string()) }
    });
    for follower in &followers {
        cluster.call("sandbox restart", serde_json::json!({ "member": follower })).unwrap();
    }
    writer.goes_on();
    let (log, samples) = (writer.stop(), sampler.stop());
    assert_eq!(samples.most_unavailable, 2, "{:?}", samples.outages);
    assert!(samples.longest_without_quorum > Duration::from_millis(300), "{:?}", samples.longest_without_quorum);
    check(&cluster, &log).unwrap();
}

#[rstest]
fn defragmentation_is_seen(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let value = "x".repeat(1 << 20);
    for number in 0..40 {
        cluster.etcdctl_reading(&["put", &format!("big/{number}")], &value).unwrap();
    }
    let (sampler, writer) = (Sampler::start(&cluster), Writer::start(&cluster, RATE));
    // All of them at the same time, which a procedure never does.
    std::thread::scope(|scope| {
        for name in ["infra1", "infra2", "infra3"] {
            let cluster = &cluster;
            scope.spawn(move || {
                for _ in 0..3 {
                    run(cluster.ctl(&cluster.seeded(&[name])).args(["--command-timeout=60s", "defrag"]), "").unwrap();
                }
            });
        }
    });
    writer.goes_on();
    let (log, samples) = (writer.stop(), sampler.stop());
    assert!((2..=3).contains(&samples.most_defragmenting), "{:?}", samples.defragmentations);
    check(&cluster, &log).unwrap();
}
