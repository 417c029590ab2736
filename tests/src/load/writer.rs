//! Writing at a steady rate, on several connections at once, with the failover that a good client has.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use etcdsh_core::profile::Profile;
use tokio::time::MissedTickBehavior;

use super::client::{Clients, Failure, within};
use crate::background::Background;
use crate::cluster::Running;
use crate::look::until;

/// The rate of acknowledged writes below which a run has shown nothing.
pub const FLOOR: f64 = 200.0;

/// How many writes are under way at the same time.
const WORKERS: u32 = 64;
/// Over how many connections to each endpoint.
const CONNECTIONS: usize = 4;
/// How many keys each worker writes in turn. No key has two writers, so the writes of a key have an order.
const KEYS: u64 = 2;
/// How long an answer may take until it counts as lost. What was forwarded to a leader that has died is never answered, so this
/// is a part of what a user sees of it.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the last answers may take when the writer is stopped.
const LAST: Duration = Duration::from_secs(60);

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has said that it is done, at this revision.
    Ok {
        /// The revision.
        revision: i64,
    },
    /// It is certain that it was not done, for this reason.
    Fail(String),
    /// It may be done, now or later; this is why nobody knows.
    Maybe(String),
}

/// One write. A write that did not succeed is not sent again: what is sent elsewhere has a value of its own.
#[derive(Debug, Clone)]
pub struct Write {
    /// The key; all writes of a key follow one another.
    pub key: String,
    /// The value, which no other write has.
    pub value: String,
    /// Who was asked.
    pub url: String,
    /// When it was sent, counted from the start of the writer.
    pub invoked: Duration,
    /// When its outcome was known.
    pub returned: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

impl Write {
    /// Returns the revision of a write that was acknowledged.
    pub fn revision(&self) -> Option<i64> {
        match self.outcome {
            Outcome::Ok { revision } => Some(revision),
            _ => None,
        }
    }
}

/// What was written, in the order in which it was sent.
#[derive(Debug, Clone)]
pub struct Log {
    /// The prefix of all keys, which no other writer has.
    pub prefix: String,
    /// The writes.
    pub writes: Vec<Write>,
    /// When the load was there, counted from the start of the writer.
    pub begun: Duration,
    /// When the writer was told to stop.
    pub ended: Duration,
    /// The alarms that were raised before.
    pub alarms: String,
}

impl Log {
    /// Returns the writes that were acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| write.revision().is_some())
    }

    /// Returns how many writes were acknowledged in a second, over the whole run.
    pub fn rate(&self) -> f64 {
        let count = self.acknowledged().filter(|write| (self.begun..self.ended).contains(&write.returned)).count();
        let count = u32::try_from(count).expect("a test has no billions of writes");
        f64::from(count) / (self.ended - self.begun).as_secs_f64()
    }

    /// Returns the longest time in which no write was acknowledged.
    pub fn longest_gap(&self) -> Duration {
        let mut moments = vec![self.begun, self.ended];
        let within = |moment: &Duration| (self.begun..self.ended).contains(moment);
        moments.extend(self.acknowledged().map(|write| write.returned).filter(within));
        moments.sort();
        moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Ends the test when there was less load than a run needs to count.
    ///
    /// # Panics
    /// The rate was below the floor.
    pub fn counts(&self) {
        let rate = self.rate();
        assert!(rate >= FLOOR, "{rate:.0} acknowledged writes per second are too few for the run to count");
    }
}

/// A writer under way; it ends when it is dropped.
pub struct Writer {
    shared: Arc<Shared>,
    logs: mpsc::Receiver<Vec<Write>>,
    prefix: String,
    alarms: String,
    begun: Duration,
    /// How many writes were acknowledged until then.
    before: usize,
    _workers: Vec<Background>,
}

struct Shared {
    clients: Clients,
    urls: Vec<String>,
    start: Instant,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Writer {
    /// Starts to write to a cluster, as its profile says, and returns when the load is there.
    ///
    /// # Panics
    /// The cluster takes no writes.
    pub fn start(cluster: &Running, per_second: u32) -> Self {
        Writer::start_as(cluster, &cluster.profile(), per_second)
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// The cluster takes no writes.
    pub fn start_as(cluster: &Running, profile: &Profile, per_second: u32) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("load/{}-{}/", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let alarms = cluster.etcdctl(&["alarm", "list"]);
        let shared = Arc::new(Shared {
            clients: Clients::of(profile),
            urls: profile.endpoints.iter().map(ToString::to_string).collect(),
            start: Instant::now(),
            stop: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
        });
        let (sender, logs) = mpsc::channel();
        let worker = |number: u32| {
            let (prefix, shared, sender) = (format!("{prefix}{number}/"), Arc::clone(&shared), sender.clone());
            let every = Duration::from_secs(1) * WORKERS / per_second.max(1);
            Background::run(async move {
                let number = usize::try_from(number).expect("a few workers");
                let (at, connection) = (number / CONNECTIONS, number % CONNECTIONS);
                let mut worker = Worker { prefix, at, connection, shared, writes: Vec::new() };
                worker.work(every).await;
                // Nobody is left to be told when the writer was dropped.
                let _ = sender.send(worker.writes);
            })
        };
        let workers = (0..WORKERS).map(worker).collect();
        let (begun, before) = Default::default();
        let mut writer = Writer { shared, logs, prefix, alarms, begun, before, _workers: workers };
        writer.goes_on();
        writer.before = writer.shared.acknowledged.load(Ordering::Relaxed);
        writer.begun = writer.shared.start.elapsed();
        writer
    }

    /// Waits until more writes are acknowledged: before a fault, so that it meets a load, and after it, so that it is over.
    ///
    /// # Panics
    /// The cluster takes no writes.
    pub fn goes_on(&self) {
        let acknowledged = || self.shared.acknowledged.load(Ordering::Relaxed);
        let before = acknowledged();
        until("writes are acknowledged", || {
            let more = acknowledged() - before;
            if more >= 100 { Ok(()) } else { Err(format!("{more} more writes")) }
        });
    }

    /// Returns how many writes were acknowledged in a second so far.
    pub fn rate(&self) -> f64 {
        let more = self.shared.acknowledged.load(Ordering::Relaxed) - self.before;
        let span = self.shared.start.elapsed() - self.begun;
        f64::from(u32::try_from(more).expect("a test has no billions of writes")) / span.as_secs_f64()
    }

    /// Stops, and returns what was written.
    ///
    /// # Panics
    /// A last answer did not come.
    pub fn stop(self) -> Log {
        let ended = self.shared.start.elapsed();
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        for _ in 0..WORKERS {
            writes.append(&mut self.logs.recv_timeout(LAST).expect("every worker ends"));
        }
        writes.sort_by_key(|write| write.invoked);
        Log { prefix: self.prefix, writes, begun: self.begun, ended, alarms: self.alarms }
    }
}

/// One write after the other.
struct Worker {
    prefix: String,
    /// Which endpoint is asked.
    at: usize,
    connection: usize,
    shared: Arc<Shared>,
    writes: Vec<Write>,
}

impl Worker {
    async fn work(&mut self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        // What waits behind a fault is not given up, as with users: it comes all at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut sequence, mut failed) = (0_u64, 0);
        while !self.shared.stop.load(Ordering::Relaxed) {
            // What failed is tried elsewhere at once, until everybody was asked.
            if failed % self.shared.urls.len() == 0 {
                ticks.tick().await;
            }
            let done = self.write(sequence).await;
            failed = if done { 0 } else { failed + 1 };
            sequence += 1;
        }
    }

    /// Writes once, and says whether that was acknowledged.
    async fn write(&mut self, sequence: u64) -> bool {
        let key = format!("{}{}", self.prefix, sequence % KEYS);
        let value = format!("{}{sequence}", self.prefix);
        let url = self.shared.urls[self.at % self.shared.urls.len()].clone();
        let invoked = self.shared.start.elapsed();
        let outcome = match self.put(&url, &key, &value).await {
            Ok(revision) => Outcome::Ok { revision },
            Err(Failure { never: true, message, .. }) => Outcome::Fail(message),
            Err(Failure { message, .. }) => Outcome::Maybe(message),
        };
        let returned = self.shared.start.elapsed();
        let done = matches!(outcome, Outcome::Ok { .. });
        self.writes.push(Write { key, value, url, invoked, returned, outcome });
        if done {
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            self.at += 1;
        }
        done
    }

    async fn put(&self, url: &str, key: &str, value: &str) -> Result<i64, Failure> {
        let mut client = self.shared.clients.of_endpoint(self.connection, url).await?;
        let answer = within(ANSWER, client.put(key, value, None)).await?;
        Ok(answer.header().expect("every answer has a header").revision())
    }
}
