//! Procedures on clusters that are written to all the time: nothing that was acknowledged is lost, and nobody but the member
//! whose turn it is goes away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use etcdsh_core::context::Cancel;
use etcdsh_core::error::Result;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_core::value::Value;
use etcdsh_tests::load::{FLOOR, Log, Outage, Sampler, Samples, Writer, check};
use etcdsh_tests::{Running, driver, etcd, json as to_json, record, row, run, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The rate of the writer; what comes above the floor is for a busy machine and for the time without a leader.
const RATE: u32 = 400;
/// How long there may be no quorum: an election under load, and two looks of the sampler.
const WITHOUT_QUORUM: Duration = Duration::from_secs(10);

/// For how long a member may be slow.
const SLOW: Duration = Duration::from_secs(3);

/// How long the writer may take to come to its rate in the end.
const MAKES_UP: Duration = Duration::from_secs(20);

/// Two loads at the same time would leave neither of them its rate.
fn alone() -> MutexGuard<'static, ()> {
    static LOAD: Mutex<()> = Mutex::new(());
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster whose members' programs can be exchanged: each is started through a link of its own.
pub(crate) struct Upgradable {
    pub(crate) cluster: Running,
    links: tempfile::TempDir,
}

impl Upgradable {
    pub(crate) fn start(version: &str, members: usize) -> Option<Self> {
        let (tools, links) = (etcd(version)?, tempfile::tempdir().unwrap());
        let only = |number: usize| {
            let (name, path) = (format!("infra{number}"), links.path().join(format!("infra{number}")));
            std::os::unix::fs::symlink(tools.program("etcd"), &path).unwrap();
            let etcd = Some(path.to_string_lossy().into_owned());
            (name, MemberOptions { etcd, ..MemberOptions::default() })
        };
        let only: BTreeMap<_, _> = (1..=members).map(only).collect();
        let cluster = Running::start(version, Options { members, only, ..Options::default() })?;
        cluster.settled();
        Some(Upgradable { cluster, links })
    }

    /// Gives a member another program, with which it starts the next time.
    pub(crate) fn exchange(&self, member: &str, program: &Path) {
        let (place, new) = (self.links.path().join(member), self.links.path().join(format!("{member}.new")));
        std::os::unix::fs::symlink(program, &new).unwrap();
        std::fs::rename(new, place).unwrap();
    }

    /// Gives every member the program of another version, with a closure that exchanges it and restarts the member.
    fn exchange_all(&self, to: &str) -> Json {
        let program: PathBuf = etcd(to).unwrap().program("etcd");
        let restart = |member: Value| -> Result<Value> {
            let name = to_json(&member)["name"].as_str().unwrap().to_owned();
            self.exchange(&name, &program);
            let restarted = driver().block_on(self.cluster.member(&name).restart(Duration::from_secs(60)))?;
            drop(restarted);
            Ok(Value::Null)
        };
        let mut args = record(json!({ "settle": "2s" }));
        args.insert("restart", Value::Hook(0));
        let profile = self.cluster.profile();
        let report = self.cluster.caller.answer_hooked(
            &profile,
            "rolling-restart",
            args,
            &|_| {},
            &[Box::new(restart)],
            Cancel::new(),
        );
        to_json(&report.unwrap_or_else(|error| panic!("{error:?} {:?}", error.report())))
    }
}

fn call(cluster: &Running, name: &str, args: Json) -> Json {
    let report = cluster.call(name, args).unwrap_or_else(|error| panic!("{name}: {error:?} {:?}", error.report()));
    assert_ne!(report["ok"], false, "{report}");
    report
}

fn healthy(cluster: &Running) {
    until("the members are healthy", || match cluster.call("quorum", json!({})) {
        Ok(quorum) if quorum["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// What is measured beside ours, and has promised nothing.
const BY_HAND: &str = "by hand";

type Gaps = Vec<(&'static str, Duration)>;

/// Runs something until it counts. What is promised holds in every run; only the load needs a machine that has time for it.
fn until_it_counts<T>(run: impl Fn() -> Option<T>) -> T {
    (0..3).find_map(|_| run()).unwrap_or_else(|| panic!("there were never {FLOOR} acknowledged writes per second"))
}

/// A cluster that is written to and looked at, and the parts of what is done to it.
struct Load<'c> {
    cluster: &'c Running,
    writer: Writer,
    sampler: Sampler,
    begun: Instant,
    parts: Vec<(&'static str, Duration, Duration)>,
}

impl<'c> Load<'c> {
    fn start(cluster: &'c Running) -> Self {
        let (sampler, writer) = (Sampler::start(cluster), Writer::start(cluster, RATE));
        Load { cluster, writer, sampler, begun: Instant::now(), parts: Vec::new() }
    }

    /// Does something, and waits until writes went on behind it.
    fn part(&mut self, what: &'static str, work: impl FnOnce()) {
        let from = self.begun.elapsed();
        work();
        self.writer.goes_on();
        healthy(self.cluster);
        self.parts.push((what, from, self.begun.elapsed()));
    }

    /// Checks everything that is promised, and returns the longest gap between acknowledged writes in each part; none when there
    /// were too few writes for the run to count.
    fn end(self, title: &str) -> Option<Gaps> {
        let start = Instant::now();
        let counts = until("the writer has made up for the time without a leader", || match self.writer.rate() {
            rate if rate > FLOOR * 1.05 => Ok(true),
            _ if start.elapsed() > MAKES_UP => Ok(false),
            rate => Err(format!("{rate:.0} acknowledged writes per second")),
        });
        let (log, samples): (Log, Samples) = (self.writer.stop(), self.sampler.stop());
        let gap = |from: Duration, until: Duration| {
            let (begun, ended) = (log.begun + from, log.begun + until);
            Log { begun, ended, ..log.clone() }.longest_gap()
        };
        let gaps: Vec<_> = self.parts.iter().map(|(what, from, until)| (*what, gap(*from, *until))).collect();
        let took: Vec<_> =
            self.parts.iter().map(|(what, from, until)| format!("{what} {:.1?}", *until - *from)).collect();
        eprintln!(
            "{title}: {:.0} acknowledged writes per second, {} in all; longest gaps {gaps:.0?}; took {took:?}; most voters away {}, most \
             defragmenting {}, longest without quorum {:.0?}, {} leaders",
            log.rate(),
            log.acknowledged().count(),
            away_at_once(&samples),
            samples.most_defragmenting,
            samples.longest_without_quorum,
            samples.leaders,
        );
        if title != BY_HAND {
            kept(&samples);
        }
        let checked = check(self.cluster, &log).unwrap_or_else(|wrong| panic!("{title}: {wrong}"));
        assert_eq!(checked.acknowledged, log.acknowledged().count());
        counts.then_some(gaps)
    }
}

/// Counts the voters that were away at the same time, at most. Who is only slow to answer, for a moment, on a machine that runs
/// five members and their load on two cores, is not away.
fn away_at_once(samples: &Samples) -> usize {
    let slow = |outage: &Outage| outage.why.starts_with("no answer") && outage.until - outage.from < SLOW;
    let away: Vec<&Outage> = samples.outages.iter().filter(|outage| outage.voter && !slow(outage)).collect();
    let at = |moment: Duration| {
        let then = away.iter().filter(|outage| (outage.from..=outage.until).contains(&moment));
        then.map(|outage| &outage.member).collect::<BTreeSet<_>>().len()
    };
    away.iter().map(|outage| at(outage.from)).max().unwrap_or_default()
}

/// What is promised of every moment of a procedure.
fn kept(samples: &Samples) {
    samples.counts();
    assert!(away_at_once(samples) <= 1, "{:?}", samples.outages);
    assert!(samples.most_defragmenting <= 1, "{:?}", samples.defragmentations);
    assert!(samples.longest_without_quorum <= WITHOUT_QUORUM, "{samples:?}");
}

fn member_id(cluster: &Running, name: &str) -> String {
    row(&call(cluster, "member list", json!({})), name)["member_id"].as_str().unwrap().to_owned()
}

/// All procedures, one after the other, then the upgrade to the next version, and the way back where there is one.
#[rstest]
#[case(3, "3.4", "3.5")]
#[case(3, "3.5", "3.6")]
#[case(3, "3.6", "3.7")]
#[case(5, "3.6", "3.7")]
fn procedures_lose_nothing(#[case] members: usize, #[case] version: &str, #[case] next: &str) {
    let _alone = alone();
    if etcd(version).is_some() {
        until_it_counts(|| all_procedures(members, version, next));
    }
}

fn all_procedures(members: usize, version: &str, next: &str) -> Option<Gaps> {
    let upgradable = Upgradable::start(version, members)?;
    let cluster = &upgradable.cluster;
    let old = member_id(cluster, "infra2");
    let mut load = Load::start(cluster);
    call(cluster, "sandbox break", json!({ "member": "infra2", "how": "stale-data" }));
    load.part("member replace", || drop(call(cluster, "member replace", json!({ "member": "infra2" }))));
    assert_ne!(member_id(cluster, "infra2"), old);
    load.part("rolling-restart", || drop(call(cluster, "rolling-restart", json!({ "settle": "2s" }))));
    load.part("defrag", || drop(call(cluster, "defrag", json!({}))));
    load.part("upgrade", || drop(upgradable.exchange_all(next)));
    runs(cluster, next);
    if next != "3.5" && members == 3 {
        load.part("downgrade", || {
            cluster.settled_on(next);
            call(cluster, "downgrade enable", json!({ "version": version }));
            until("the data of all members is ready", || match call(cluster, "downgrade status", json!({})) {
                status if status["stage"] == "ready" => Ok(()),
                status => Err(status.to_string()),
            });
            upgradable.exchange_all(version);
        });
        runs(cluster, version);
    }
    load.end(&format!("{members} members, {version} to {next}"))
}

fn runs(cluster: &Running, version: &str) {
    let status = call(cluster, "status", json!({}));
    let versions: Vec<&str> = status.as_array().unwrap().iter().map(|row| row["version"].as_str().unwrap()).collect();
    assert!(versions.iter().all(|found| found.starts_with(version)), "{versions:?}");
}

/// The same steps as an operator takes them who has etcdctl and the runbook.
fn by_hand(cluster: &Running, load: &mut Load<'_>) {
    let victim = cluster.followers().remove(0);
    load.part("member replace", || {
        cluster.kill(&[&victim]);
        cluster.etcdctl(&["member", "remove", &member_id(cluster, &victim)]);
        call(cluster, "sandbox wipe", json!({ "member": victim }));
        let url = cluster.member(&victim).peer_url().to_owned();
        let add = ["member", "add", &victim, "--learner", "--peer-urls", &url];
        let added = until("the member is added", || cluster.etcdctl_reading(&add, ""));
        let start = added.lines().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER=")).unwrap();
        call(cluster, "sandbox join", json!({ "member": victim, "initial_cluster": start.trim_matches('"') }));
        let promote = || cluster.etcdctl_reading(&["member", "promote", &member_id(cluster, &victim)], "");
        until("the learner is promoted", promote);
    });
    load.part("rolling-restart", || {
        for name in ["infra1", "infra2", "infra3"] {
            call(cluster, "sandbox restart", json!({ "member": name }));
            healthy(cluster);
        }
    });
    load.part("defrag", || {
        for name in ["infra1", "infra2", "infra3"] {
            run(cluster.ctl(&cluster.seeded(&[name])).args(["--command-timeout=60s", "defrag"]), "").unwrap();
        }
    });
}

fn ours(cluster: &Running, load: &mut Load<'_>) {
    // A follower, as by hand: the death of a leader costs an election, whoever replaces it.
    let victim = cluster.followers().remove(0);
    load.part("member replace", || {
        cluster.kill(&[&victim]);
        call(cluster, "member replace", json!({ "member": victim }));
    });
    load.part("rolling-restart", || drop(call(cluster, "rolling-restart", json!({ "settle": "2s" }))));
    load.part("defrag", || drop(call(cluster, "defrag", json!({}))));
}

fn measured(title: &str, work: impl Fn(&Running, &mut Load<'_>)) -> Option<Gaps> {
    let cluster = Running::start("3.6", Options::default())?;
    let mut load = Load::start(&cluster);
    work(&cluster, &mut load);
    load.end(title)
}

#[test]
fn the_same_steps_by_hand_are_measured_beside_ours() {
    let _alone = alone();
    let ours = until_it_counts(|| measured("with ours", ours));
    let theirs = until_it_counts(|| measured(BY_HAND, by_hand));
    for ((what, ours), (_, by_hand)) in ours.iter().zip(&theirs) {
        eprintln!("longest gap between acknowledged writes, {what}: {ours:.0?} with ours, {by_hand:.0?} by hand");
    }
    assert_eq!(ours.len(), theirs.len());
}
