//! What "nothing lost" means, looked up in the cluster itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use etcd_client::Client;

use super::client::{Dial, Failure, within};
use super::history::{Current, History, current, history};
use super::writer::{Log, Outcome, Write};
use crate::background::wait_for;
use crate::cluster::Running;
use crate::look::until;

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Writes that were acknowledged, and are there.
    pub acknowledged: usize,
    /// Writes that nobody knows of.
    pub maybe: usize,
    /// Members whose data has the same hash.
    pub members: usize,
}

/// Checks that a cluster holds what it has acknowledged: every such write is there or was overwritten by a later one,
/// revisions follow the order of time, all members have the same data, and no alarm was raised.
///
/// # Errors
/// What is wrong, a line each.
///
/// # Panics
/// The cluster does not answer.
pub fn check(cluster: &Running, log: &Log) -> Result<Checked, String> {
    let mut wrong = out_of_order(&log.writes);
    let dial = Dial::of(&cluster.profile());
    let urls: Vec<String> = cluster.profile().endpoints.iter().map(ToString::to_string).collect();
    let revisions = || log.acknowledged().filter_map(Write::revision);
    let (first, last) = revisions().min().zip(revisions().max()).unwrap_or_default();
    let (now, then, members) = asked(&dial, &urls, "the store is read", async |mut client| {
        let now = current(&mut client, &log.prefix).await?;
        // What is not there will not be told either; there is nothing to wait for.
        let to = now.values().map(|current| current.revision).max().unwrap_or_default().min(last);
        let then =
            if to >= first && to > 0 { history(&mut client, &log.prefix, first, to).await? } else { History::none() };
        let members = within(ANSWER, client.member_list()).await?;
        let voters = members.members().iter().filter(|member| !member.is_learner());
        Ok((now, then, voters.filter_map(|m| Some((m.name().to_owned(), m.client_urls().first()?.clone()))).collect()))
    });
    wrong.append(&mut not_there(log, &now));
    wrong.append(&mut not_written(log, &then));
    let members: Vec<(String, String)> = members;
    if let Err(different) = same_hash(&dial, &members, last) {
        wrong.push(different);
    }
    let alarms = cluster.etcdctl(&["alarm", "list"]);
    if alarms != log.alarms {
        wrong.push(format!("the alarms were {:?} and are {alarms:?}", log.alarms));
    }
    if wrong.is_empty() {
        let maybe = log.writes.iter().filter(|write| matches!(write.outcome, Outcome::Maybe(_))).count();
        return Ok(Checked { acknowledged: log.acknowledged().count(), maybe, members: members.len() });
    }
    let (count, rest) = (wrong.len(), wrong.len().saturating_sub(20));
    wrong.truncate(20);
    let mut text = format!("{count} findings:\n{}\n", wrong.join("\n"));
    if rest > 0 {
        let _ = writeln!(text, "and {rest} more");
    }
    Err(text)
}

/// Asks one endpoint after the other until one answers.
fn asked<T>(dial: &Dial, urls: &[String], what: &str, ask: impl AsyncFn(Client) -> Result<T, Failure>) -> T {
    let mut next = urls.iter().cycle();
    until(what, || {
        let url = next.next().expect("a cluster has endpoints");
        wait_for(async { ask(dial.client(url).await?).await }).map_err(|failure| format!("{url}: {}", failure.message))
    })
}

/// Returns what contradicts the order of time: a write that began when another one had been acknowledged has a later revision.
fn out_of_order(writes: &[Write]) -> Vec<String> {
    let mut begun: Vec<&Write> = writes.iter().filter(|write| write.revision().is_some()).collect();
    let mut ended = begun.clone();
    begun.sort_by_key(|write| write.invoked);
    ended.sort_by_key(|write| write.returned);
    let (mut ended, mut newest) = (ended.into_iter().peekable(), None::<&Write>);
    let mut wrong = Vec::new();
    for write in begun {
        while let Some(before) = ended.next_if(|before| before.returned < write.invoked) {
            if before.revision() > newest.and_then(Write::revision) {
                newest = Some(before);
            }
        }
        if let Some(newest) = newest.filter(|newest| newest.revision() >= write.revision()) {
            wrong.push(format!(
                "{:?} has revision {:?}, although {:?} had been acknowledged before at {:?}",
                write.value,
                write.revision().unwrap_or_default(),
                newest.value,
                newest.revision().unwrap_or_default()
            ));
        }
    }
    wrong
}

/// Returns the writes that are neither there nor overwritten.
fn not_there(log: &Log, now: &HashMap<String, Current>) -> Vec<String> {
    let mut of_keys: BTreeMap<&str, Vec<&Write>> = BTreeMap::new();
    for write in &log.writes {
        of_keys.entry(&write.key).or_default().push(write);
    }
    let mut wrong = Vec::new();
    for (key, writes) in of_keys {
        let acknowledged = writes.iter().filter(|write| write.revision().is_some());
        let Some(last) = acknowledged.clone().max_by_key(|write| write.revision()) else { continue };
        let Some(current) = now.get(key) else {
            wrong.push(format!("{key} is gone; {:?} was acknowledged", last.value));
            continue;
        };
        let revision = last.revision().unwrap_or_default();
        let by = writes.iter().find(|write| write.value == current.value);
        let right = match by.map(|write| &write.outcome) {
            Some(Outcome::Ok { revision: of }) => *of == current.revision && *of == revision,
            // Nobody can say when it took hold, only that it was after the last one that is known.
            Some(Outcome::Maybe(_)) => current.revision > revision,
            Some(Outcome::Fail(_)) | None => false,
        };
        if !right {
            wrong.push(format!(
                "{key} is {:?} at revision {}, {}; {:?} was acknowledged at {revision}",
                current.value,
                current.revision,
                by.map_or("which nobody wrote".to_owned(), |write| format!("{:?}", write.outcome)),
                last.value
            ));
        }
        // A key counts its writes, also those whose revisions are compacted.
        let maybe = writes.iter().filter(|write| matches!(write.outcome, Outcome::Maybe(_))).count();
        let (least, count) = (acknowledged.count(), usize::try_from(current.version).unwrap_or_default());
        if !(least..=least + maybe).contains(&count) {
            wrong
                .push(format!("{key} was written {count} times; {least} were acknowledged, and {maybe} are not known"));
        }
    }
    wrong
}

/// Returns the writes that the history does not have at their revision.
fn not_written(log: &Log, then: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for write in log.acknowledged() {
        let revision = write.revision().unwrap_or_default();
        let found = then.written.get(&revision);
        if revision >= then.from && found.is_none_or(|(key, value)| (key, value) != (&write.key, &write.value)) {
            wrong.push(format!("{:?} was acknowledged at revision {revision}, which holds {found:?}", write.value));
        }
    }
    let failed: HashMap<&str, &str> = log
        .writes
        .iter()
        .filter_map(|write| match &write.outcome {
            Outcome::Fail(why) => Some((write.value.as_str(), why.as_str())),
            _ => None,
        })
        .collect();
    for (revision, (_, value)) in &then.written {
        if let Some(why) = failed.get(value.as_str()) {
            wrong.push(format!("{value:?} was refused ({why}), and stands at revision {revision}"));
        }
    }
    wrong
}

/// Waits until all members have a revision, and compares their data up to there.
fn same_hash(dial: &Dial, members: &[(String, String)], revision: i64) -> Result<(), String> {
    let hash = |url: &str| {
        wait_for(async {
            let mut client = dial.client(url).await?;
            let answer = within(ANSWER, client.hash_kv(revision)).await?;
            Ok((answer.hash(), answer.compact_version()))
        })
        .map_err(|failure: Failure| failure.message)
    };
    let mut last = String::new();
    let mut look = || {
        let mut hashes = BTreeMap::new();
        last = format!("at revision {revision}");
        for (name, url) in members {
            // One that lags behind says so; one that compacts later has another hash for a while.
            let found = hash(url)?;
            let _ = write!(last, ", {name} has {found:?}");
            hashes.insert(name, found);
        }
        let first = hashes.values().next();
        Ok::<_, String>(hashes.values().all(|hash| Some(hash) == first))
    };
    let start = std::time::Instant::now();
    until("every member tells its hash", || match look() {
        Ok(same) if same || start.elapsed() > Duration::from_secs(20) => Ok(same),
        Ok(_) => Err("the hashes differ".to_owned()),
        Err(problem) => Err(problem),
    })
    .then_some(())
    .ok_or_else(|| format!("the members' data differs: {last}"))
}
