//! One change at a time takes members away, whoever makes it and from wherever: the right to do so is a key in the cluster that
//! lives as long as its holder does. It keeps two operators out of each other's way. Safety does not rest on it: before each
//! step the cluster is looked at again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::change::plan::Plan;
use crate::context::Context;
use crate::error::{Error, Fault, Result, Sent};
use crate::event::Event;
use crate::id::LeaseId;
use crate::rpc::{Cluster, Consistency, Node, RangeQuery};
use crate::sandbox::process::{Condition, Process};
use crate::wait::{Look, TimedOut, sleep, until};

/// The key that the holder writes.
pub const KEY: &str = "etcdsh/change";
/// For how long the right outlives a holder that nobody can ask.
const TTL: Duration = Duration::from_secs(30);
/// How soon it is tried again to give it back.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(8);

/// Who holds the right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    run: String,
    operation: String,
    machine: String,
    process: Process,
}

impl Note {
    fn told(&self) -> String {
        let [run, operation, machine] =
            [&self.run, &self.operation, &self.machine].map(|t| crate::units::escape_word(t));
        format!("{operation}, run {run} on {machine}")
    }

    /// Says whether the holder still runs, where that can be known: on this machine.
    fn runs(&self) -> Option<bool> {
        (self.machine == machine()).then(|| !matches!(self.process.condition(), Condition::Ended(_)))
    }
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The right to take members away, held until it is given back or its holder dies.
pub(crate) struct Lock {
    cluster: Arc<Cluster>,
    lease: Option<LeaseId>,
    renewing: Option<JoinHandle<()>>,
}

impl Lock {
    /// Takes the right, and waits for whoever has it: as long as a step may take, and long enough for a holder elsewhere that
    /// may have died.
    ///
    /// # Errors
    /// Somebody else has it still; the cluster did not answer.
    pub(crate) async fn take(ctx: &Context<'_>, plan: &Plan, run: &str, bound: Duration) -> Result<Self> {
        let note = Note {
            run: run.to_owned(),
            operation: plan.operation.to_owned(),
            machine: machine(),
            process: Process::this(),
        };
        let value = serde_json::to_vec(&note).map_err(Error::internal)?;
        let cluster = Arc::clone(ctx.cluster()?);
        let mut holder: Option<Note> = None;
        let begun = Instant::now();
        let taken = until(ctx, "no other change takes members away", bound.max(TTL + RENEW), async || {
            match ctx.unless_cancelled(try_take(&cluster, &value)).await {
                Ok(Attempt::Taken(lease)) => Ok(Look::Ready(Some(lease))),
                // Whoever is known to be alive does not lose the right by itself.
                Ok(Attempt::Held(Some(note))) if note.runs() == Some(true) && begun.elapsed() >= bound => {
                    Err(Busy { holder: note.told() }.into())
                }
                Ok(Attempt::Held(note)) => {
                    let status = note.as_ref().map_or_else(|| "somebody has the right".to_owned(), Note::told);
                    holder = note;
                    Ok(Look::NotYet(status))
                }
                // A cluster that is full takes no claim, and has to be helped all the same.
                Err(error) if matches!(error.code(), "nospace" | "permission_denied") => {
                    ctx.emit(&Event::Warning { message: unclaimed(&error) });
                    Ok(Look::Ready(None))
                }
                Err(error) if error.retryable() => Ok(Look::NotYet(error.in_one_line())),
                Err(error) => Err(error),
            }
        })
        .await;
        let lease = taken.map_err(|error| match (error.code(), holder) {
            (TimedOut::CODE, Some(holder)) => Busy { holder: holder.told() }.into(),
            _ => error,
        })?;
        let renewing = lease.map(|lease| tokio::spawn(renew(Arc::clone(&cluster), lease)));
        Ok(Lock { cluster, lease, renewing })
    }

    /// Gives the right back. Where nobody answers, as in an election, it is tried again beside whatever comes next, until the lease
    /// has ended by itself: this process may live on, and would be taken for a holder who does.
    pub(crate) async fn release(mut self) {
        let Some(lease) = self.lease.take() else { return };
        if revoked(&self.cluster, lease).await {
            return;
        }
        let (cluster, end) = (Arc::clone(&self.cluster), Instant::now() + TTL);
        tokio::spawn(async move {
            while Instant::now() < end && !revoked(&cluster, lease).await {
                sleep(AGAIN).await;
            }
        });
    }
}

async fn revoked(cluster: &Arc<Cluster>, lease: LeaseId) -> bool {
    let deadline = cluster.deadline();
    for node in nodes(cluster) {
        if node.claims().revoke(lease, deadline).await.is_ok() {
            return true;
        }
    }
    false
}

/// Returns an error that names the change that has the right now, unless nobody has it or its holder is known to be gone.
pub(crate) async fn under_way(ctx: &Context<'_>) -> Option<Error> {
    let cluster = ctx.cluster().ok()?;
    let query = RangeQuery {
        key: KEY.as_bytes().to_vec(),
        end: Vec::new(),
        revision: 0,
        limit: 1,
        keys_only: false,
        count_only: false,
        consistency: Consistency::Linearizable,
    };
    let deadline = cluster.deadline();
    for node in nodes(cluster) {
        let asked = ctx.unless_cancelled(node.range(&query, deadline)).await;
        let Ok(page) = asked else { continue };
        let note: Note = serde_json::from_slice(&page.items.first()?.value).ok()?;
        return (note.runs() != Some(false)).then(|| Busy { holder: note.told() }.into());
    }
    None
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}

enum Attempt {
    Taken(LeaseId),
    Held(Option<Note>),
}

async fn try_take(cluster: &Arc<Cluster>, value: &[u8]) -> Result<Attempt> {
    let mut last = None;
    for node in nodes(cluster) {
        match try_at(cluster, &node, value).await {
            // Only what never left this machine may be tried elsewhere.
            Err(error) if error.sent() == Some(Sent::Never) => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("a cluster without endpoints")))
}

async fn try_at(cluster: &Arc<Cluster>, node: &Node, value: &[u8]) -> Result<Attempt> {
    let claims = node.claims();
    let lease = claims.lease(TTL, cluster.deadline()).await?;
    let taken = claims.take(KEY, value, lease, cluster.deadline()).await;
    let holder = match taken {
        Ok(None) => return Ok(Attempt::Taken(lease)),
        Ok(Some(holder)) => Ok(holder),
        Err(error) => Err(error),
    };
    // Where the answer was lost, the key may be ours; it goes with its lease, now or when that ends by itself.
    let _ = claims.revoke(lease, cluster.deadline()).await;
    let holder = holder?;
    let note: Option<Note> = serde_json::from_slice(&holder.value).ok();
    if note.as_ref().and_then(Note::runs) == Some(false) {
        claims.drop_stale(KEY, &holder, cluster.deadline()).await?;
    }
    Ok(Attempt::Held(note))
}

/// Returns the members that may be asked, in the order in which they are known.
fn nodes(cluster: &Arc<Cluster>) -> Vec<Arc<Node>> {
    let tls = cluster.profile().tls.is_set();
    let members = cluster.members();
    let listed = members.iter().flat_map(|member| &member.client_urls);
    let mut endpoints = cluster.seeds().to_vec();
    endpoints.extend(listed.filter_map(|url| crate::endpoint::Endpoint::parse(url, tls).ok()));
    let mut known = Vec::new();
    endpoints.retain(|endpoint| {
        !known.contains(endpoint) && {
            known.push(endpoint.clone());
            true
        }
    });
    endpoints.iter().filter_map(|endpoint| cluster.node(endpoint).ok()).collect()
}

/// Renews the lease until it is told to end. Whoever does not answer is passed over; the next one may.
async fn renew(cluster: Arc<Cluster>, lease: LeaseId) {
    loop {
        sleep(RENEW).await;
        for node in nodes(&cluster) {
            let deadline = Instant::now() + Duration::from_secs(2);
            if node.claims().keep(lease, deadline).await.is_ok() {
                break;
            }
        }
    }
}

/// Says why no other change is kept out.
fn unclaimed(error: &Error) -> String {
    format!("nothing keeps another change out meanwhile: {}", error.in_one_line())
}

/// Another change is under way.
#[derive(Debug, thiserror::Error)]
#[error("another change takes members away: {holder}")]
struct Busy {
    holder: String,
}

impl Fault for Busy {
    fn code(&self) -> &'static str {
        "change_under_way"
    }

    fn help(&self) -> Option<String> {
        Some("wait for it to end; `change list` shows it on the machine where it runs".to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }

    fn retryable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(process: Process) -> Note {
        let text = |text: &str| text.to_owned();
        Note { run: text("20261126T031500Z-defrag-87b8"), operation: text("defrag"), machine: machine(), process }
    }

    #[test]
    fn a_holder_is_gone_when_its_process_is_known_to_have_ended() {
        let here = note(Process::this());
        let elsewhere = Note { machine: "another".to_owned(), ..here.clone() };
        // The same number, of a process that began at another time.
        let ended = serde_json::to_value(&here).unwrap();
        let mut ended: serde_json::Value = ended;
        ended["process"]["started"] = "another time".into();
        let ended: Note = serde_json::from_value(ended).unwrap();
        assert_eq!([&here, &elsewhere, &ended].map(Note::runs), [Some(true), None, Some(false)]);
    }

    #[test]
    fn who_may_not_write_is_told_that_nobody_is_kept_out() {
        let error = Error::internal("no claim");
        assert_eq!(unclaimed(&error), "nothing keeps another change out meanwhile: a mistake inside etcdsh: no claim");
    }

    #[test]
    fn who_is_kept_out_learns_by_whom() {
        let holder = Note { machine: "bastion".to_owned(), ..note(Process::this()) }.told();
        insta::assert_snapshot!(crate::tests::shown([Busy { holder }.into()]), @"
        change_under_way: another change takes members away: defrag, run 20261126T031500Z-defrag-87b8 on bastion
          help: wait for it to end; `change list` shows it on the machine where it runs
        ");
    }
}
