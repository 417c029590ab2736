//! Looking at every member ten times a second, as its clients would.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use etcd_client::GetOptions;
use etcdsh_core::profile::Profile;
use tokio::time::{MissedTickBehavior, timeout};

use super::client::{Clients, Failure, within};
use super::metrics::Metrics;
use super::samples::{Probe, Samples, Seen};
use crate::background::Background;
use crate::cluster::Running;
use crate::look::until;

/// How often everything is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take until the member counts as one that does not serve.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the last answers may take when the sampler is stopped.
const LAST: Duration = Duration::from_secs(60);
/// A key that nobody writes: what is asked for does not matter.
const KEY: &str = "load";

/// A sampler under way; it ends when it is dropped.
pub struct Sampler {
    shared: Arc<Shared>,
    ended: mpsc::Receiver<()>,
    _work: Background,
}

/// What all tasks of a sampler share.
struct Shared {
    clients: Clients,
    metrics: Metrics,
    /// Where to ask for the members.
    seeds: Vec<String>,
    start: Instant,
    stop: AtomicBool,
    members: Mutex<HashMap<u64, Member>>,
    probes: Mutex<Vec<Probe>>,
}

/// A member as the last list had it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    url: Option<String>,
    voter: bool,
}

/// What a task asks its member.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// For its status, and for what it knows itself.
    Serializable,
    /// For what a quorum knows.
    Linearizable,
    /// Whether it defragments.
    Metrics,
}

impl Sampler {
    /// Starts to look at all members of a cluster, also at those that join later, and returns when it has seen each of them.
    ///
    /// # Panics
    /// The cluster does not answer.
    pub fn start(cluster: &Running) -> Self {
        Sampler::start_as(&cluster.profile())
    }

    /// The same with settings of its own.
    ///
    /// # Panics
    /// The cluster does not answer.
    pub fn start_as(profile: &Profile) -> Self {
        let shared = Arc::new(Shared {
            clients: Clients::of(profile),
            metrics: Metrics::of(profile),
            seeds: profile.endpoints.iter().map(ToString::to_string).collect(),
            start: Instant::now(),
            stop: AtomicBool::new(false),
            members: Mutex::default(),
            probes: Mutex::default(),
        });
        // The sender goes from task to task; when the last one has ended, so has the channel.
        let (sender, ended) = mpsc::channel();
        let work = Background::run(follow(Arc::clone(&shared), sender));
        let sampler = Sampler { shared, ended, _work: work };
        until("every member was seen", || {
            let (members, probes) = (lock(&sampler.shared.members), lock(&sampler.shared.probes));
            let seen =
                |id: &u64| probes.iter().any(|probe| probe.member == *id && matches!(probe.seen, Seen::Serves { .. }));
            let all = !members.is_empty() && members.keys().all(seen);
            if all { Ok(()) } else { Err(format!("{} probes of {members:?}", probes.len())) }
        });
        sampler
    }

    /// Stops, and returns what was seen.
    ///
    /// # Panics
    /// A last answer did not come.
    pub fn stop(self) -> Samples {
        let span = self.shared.start.elapsed();
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.ended.recv_timeout(LAST);
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "every task ends");
        Samples::of(std::mem::take(&mut *lock(&self.shared.probes)), span)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the list of members, and starts to look at those that are new.
async fn follow(shared: Arc<Shared>, alive: mpsc::Sender<()>) {
    let mut ticks = ticks();
    let mut at = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let Ok(members) = list(&shared, at).await else {
            at += 1;
            continue;
        };
        let before = std::mem::replace(&mut *lock(&shared.members), members.clone());
        for (id, member) in members {
            // A member that was unstarted has an address now.
            if before.get(&id).is_none_or(|known| known.url != member.url) {
                for question in [Question::Serializable, Question::Linearizable, Question::Metrics] {
                    let task = Task { shared: Arc::clone(&shared), id, member: member.clone(), question };
                    let alive = alive.clone();
                    tokio::spawn(async move {
                        task.run().await;
                        drop(alive);
                    });
                }
            }
        }
    }
}

async fn list(shared: &Shared, at: usize) -> Result<HashMap<u64, Member>, Failure> {
    let mut asked = shared.clients.of_endpoint(0, &shared.seeds[at % shared.seeds.len()]).await?;
    let answer = within(ANSWER, asked.member_list()).await?;
    let member = |member: &etcd_client::Member| Member {
        name: member.name().to_owned(),
        url: member.client_urls().first().cloned(),
        voter: !member.is_learner(),
    };
    Ok(answer.members().iter().map(|m| (m.id(), member(m))).collect())
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Asks one member one question, again and again.
struct Task {
    shared: Arc<Shared>,
    id: u64,
    member: Member,
    question: Question,
}

impl Task {
    async fn run(self) {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            let Some(before) = self.current() else { return };
            let started = self.shared.start.elapsed();
            let seen = self.ask().await;
            let ended = self.shared.start.elapsed();
            // A member that was removed meanwhile owes nobody an answer.
            let Some(after) = self.current() else { return };
            let voter = before.voter && after.voter;
            if matches!(seen, Seen::NotTold) {
                return;
            }
            let (member, name) = (self.id, self.name());
            lock(&self.shared.probes).push(Probe { member, name, voter, started, ended, seen });
        }
    }

    /// Returns the member as it is known now; none when it is gone, has another address, or the sampler is to stop.
    fn current(&self) -> Option<Member> {
        let known = lock(&self.shared.members).get(&self.id).cloned()?;
        (known.url == self.member.url && !self.shared.stop.load(Ordering::Relaxed)).then_some(known)
    }

    fn name(&self) -> String {
        if self.member.name.is_empty() { format!("{:x}", self.id) } else { self.member.name.clone() }
    }

    async fn ask(&self) -> Seen {
        let Some(url) = &self.member.url else { return self.failed(Failure::unstarted()) };
        if let Question::Metrics = self.question {
            return match timeout(ANSWER, self.shared.metrics.defragments(url)).await {
                Ok(Ok(Some(inflight))) => Seen::Defragments(inflight),
                Ok(Ok(None)) => Seen::NotTold,
                _ => Seen::Unreadable,
            };
        }
        self.read(url).await.unwrap_or_else(|failure| self.failed(failure))
    }

    async fn read(&self, url: &str) -> Result<Seen, Failure> {
        let mut client = self.shared.clients.of_endpoint(0, url).await?;
        if let Question::Linearizable = self.question {
            within(ANSWER, client.get(KEY, None)).await?;
            return Ok(Seen::Quorum);
        }
        let status = within(ANSWER, client.status()).await?;
        within(ANSWER, client.get(KEY, Some(GetOptions::new().with_serializable()))).await?;
        Ok(Seen::Serves { leader: status.leader(), term: status.raft_term() })
    }

    fn failed(&self, failure: Failure) -> Seen {
        match self.question {
            Question::Serializable => Seen::Down { timed_out: failure.timed_out, why: failure.message },
            Question::Linearizable | Question::Metrics => Seen::Unreadable,
        }
    }
}
