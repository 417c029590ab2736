//! One change at a time changes members or takes them away, whoever makes it and from wherever: the right to do so is a key in
//! the cluster that lives as long as its holder does. It keeps two operators out of each other's way. Safety does not rest on it:
//! before each step the cluster is looked at again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::change::failed::NobodyToAsk;
use crate::change::plan::Plan;
use crate::change::view::ClusterView;
use crate::context::Context;
use crate::endpoint::Endpoint;
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
/// How long one member may take to answer about it, before another one is asked.
const BRIEF: Duration = Duration::from_secs(2);

/// Who holds the right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    run: String,
    operation: String,
    machine: String,
    /// What tells its processes from those of others with the same numbers: another machine may have the same name, and so may
    /// a container.
    #[serde(default)]
    place: String,
    process: Process,
}

impl Note {
    fn of(plan: &Plan, run: &str) -> Self {
        let (run, operation) = (run.to_owned(), plan.operation.to_owned());
        Note { run, operation, machine: machine(), place: place(), process: Process::this() }
    }

    fn told(&self) -> String {
        let [run, operation, machine] =
            [&self.run, &self.operation, &self.machine].map(|t| crate::units::escape_word(t));
        format!("{operation}, run {run} on {machine}")
    }

    /// Says whether the holder still runs, where that can be known: on this machine.
    fn runs(&self) -> Option<bool> {
        let here = self.machine == machine() && self.place == place();
        here.then(|| !matches!(self.process.condition(), Condition::Ended(_)))
    }
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns what tells this system and its numbers of processes from others.
fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), processes.display())
}

/// The right to change members, held until it is given back or its holder dies.
pub(crate) struct Lock {
    voters: Voters,
    lease: Option<LeaseId>,
    renewing: Option<JoinHandle<()>>,
}

impl Lock {
    /// Takes the right, and waits for whoever has it: as long as a step may take, and long enough for a holder elsewhere that
    /// may have died.
    ///
    /// # Errors
    /// Somebody else has it still; the cluster did not answer.
    pub(crate) async fn take(
        ctx: &Context<'_>,
        view: &ClusterView,
        plan: &Plan,
        run: &str,
        bound: Duration,
    ) -> Result<Self> {
        let value = serde_json::to_vec(&Note::of(plan, run)).map_err(Error::internal)?;
        let voters = Voters::of(ctx, view)?;
        let mut holder: Option<Note> = None;
        let (begun, mut tries) = (Instant::now(), 0);
        let taken = until(ctx, "no other change is under way", bound.max(TTL + RENEW), async || {
            tries += 1;
            match ctx.unless_cancelled(try_take(&voters, tries - 1, &value)).await {
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
                // Who may not write has not the role root, and would be told so again when a member is down.
                Err(error)
                    if error.code() == "permission_denied" && plan.steps.iter().any(|step| step.action.stops()) =>
                {
                    Err(NoRights { source: error }.into())
                }
                // A cluster that is full or whose data differ takes no claim, and has to be helped all the same.
                Err(error) if matches!(error.code(), "nospace" | "corrupt" | "permission_denied") => {
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
        let renewing = lease.map(|lease| tokio::spawn(renew(voters.clone(), lease)));
        Ok(Lock { voters, lease, renewing })
    }

    /// Gives the right back. Where nobody answers, as in an election, it is tried again beside whatever comes next, until the lease
    /// has ended by itself: this process may live on, and would be taken for a holder who does.
    pub(crate) async fn release(mut self) {
        let Some(lease) = self.lease.take() else { return };
        if revoked(&self.voters, lease).await {
            return;
        }
        let (voters, end) = (self.voters.clone(), Instant::now() + TTL);
        tokio::spawn(async move {
            while Instant::now() < end && !revoked(&voters, lease).await {
                sleep(AGAIN).await;
            }
        });
    }
}

async fn revoked(voters: &Voters, lease: LeaseId) -> bool {
    for node in voters.from(0) {
        if node.claims().revoke(lease, Instant::now() + BRIEF).await.is_ok() {
            return true;
        }
    }
    false
}

/// Returns an error that names the change that has the right now, unless nobody has it or its holder is known to be gone.
pub(crate) async fn under_way(ctx: &Context<'_>, view: &ClusterView) -> Option<Error> {
    let query = RangeQuery {
        key: KEY.as_bytes().to_vec(),
        end: Vec::new(),
        revision: 0,
        limit: 1,
        keys_only: false,
        count_only: false,
        consistency: Consistency::Linearizable,
    };
    for node in Voters::of(ctx, view).ok()?.from(0) {
        let asked = ctx.unless_cancelled(node.range(&query, Instant::now() + BRIEF)).await;
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

async fn try_take(voters: &Voters, tries: usize, value: &[u8]) -> Result<Attempt> {
    let mut last = None;
    for node in voters.from(tries) {
        match try_at(&voters.cluster, &node, value).await {
            // Only what never left this machine may be tried elsewhere at once.
            Err(error) if error.sent() == Some(Sent::Never) => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| NobodyToAsk.into()))
}

async fn try_at(cluster: &Cluster, node: &Node, value: &[u8]) -> Result<Attempt> {
    let (claims, deadline) = (node.claims(), || cluster.deadline());
    let lease = claims.lease(TTL, deadline()).await?;
    let taken = claims.take(KEY, value, lease, deadline()).await;
    let holder = match taken {
        Ok(None) => return Ok(Attempt::Taken(lease)),
        Ok(Some(holder)) => Ok(holder),
        Err(error) => Err(error),
    };
    // Where the answer was lost, the key may be ours; it goes with its lease, now or when that ends by itself.
    let _ = claims.revoke(lease, deadline()).await;
    let holder = holder?;
    let note: Option<Note> = serde_json::from_slice(&holder.value).ok();
    if note.as_ref().and_then(Note::runs) == Some(false) {
        claims.drop_stale(KEY, &holder, deadline()).await?;
    }
    Ok(Attempt::Held(note))
}

/// Who is asked about the right.
#[derive(Clone)]
struct Voters {
    cluster: Arc<Cluster>,
    /// Those that served when the change was approved, the leader first. A member that is cut off from the others answers nothing
    /// here, and a learner refuses.
    first: Vec<Endpoint>,
}

impl Voters {
    fn of(ctx: &Context<'_>, view: &ClusterView) -> Result<Self> {
        let leader = view.leader().map(|leader| leader.member.id);
        let mut serving: Vec<_> = view.voters().filter(|m| m.serves()).collect();
        serving.sort_by_key(|m| Some(m.member.id) != leader);
        let first = serving.into_iter().filter_map(|m| m.endpoint.clone()).collect();
        Ok(Voters { cluster: Arc::clone(ctx.cluster()?), first })
    }

    /// Returns them, and then the voters that are known by now, beginning later with each try: who has not answered is not
    /// asked first again.
    fn from(&self, tries: usize) -> Vec<Arc<Node>> {
        let tls = self.cluster.profile().tls.is_set();
        let members = self.cluster.members();
        let voters = members.iter().filter(|member| !member.is_learner).flat_map(|member| &member.client_urls);
        let mut endpoints = self.first.clone();
        for endpoint in voters.filter_map(|url| Endpoint::parse(url, tls).ok()) {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        let turn = tries.checked_rem(endpoints.len()).unwrap_or_default();
        endpoints.rotate_left(turn);
        endpoints.iter().filter_map(|endpoint| self.cluster.node(endpoint).ok()).collect()
    }
}

/// Renews the lease until it is told to end. Whoever does not answer is passed over; the next one may.
async fn renew(voters: Voters, lease: LeaseId) {
    loop {
        sleep(RENEW).await;
        for node in voters.from(0) {
            if node.claims().keep(lease, Instant::now() + BRIEF).await.is_ok() {
                break;
            }
        }
    }
}

/// Says why no other change is kept out.
fn unclaimed(error: &Error) -> String {
    format!("nothing keeps another change out meanwhile: {}", error.in_one_line())
}

/// The user has not the rights that what follows needs.
#[derive(Debug, thiserror::Error)]
#[error("this user may not change the cluster, and a member would be down before that shows")]
struct NoRights {
    source: Error,
}

impl Fault for NoRights {
    fn code(&self) -> &'static str {
        "permission_denied"
    }

    fn help(&self) -> Option<String> {
        Some("use a user with the role root".to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

/// Another change is under way.
#[derive(Debug, thiserror::Error)]
#[error("another change is under way: {holder}")]
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
        let (run, operation) = (text("20261126T031500Z-defrag-87b8"), text("defrag"));
        Note { run, operation, machine: machine(), place: place(), process }
    }

    #[test]
    fn a_holder_is_gone_when_its_process_is_known_to_have_ended() {
        let here = note(Process::this());
        let elsewhere = Note { machine: "another".to_owned(), ..here.clone() };
        let contained = Note { place: "of the same name".to_owned(), ..here.clone() };
        // The same number, of a process that began at another time.
        let ended = serde_json::to_value(&here).unwrap();
        let mut ended: serde_json::Value = ended;
        ended["process"]["started"] = "another time".into();
        let ended: Note = serde_json::from_value(ended).unwrap();
        assert_eq!([&here, &elsewhere, &contained, &ended].map(Note::runs), [Some(true), None, None, Some(false)]);
    }

    #[test]
    fn who_may_not_write_is_told_that_nobody_is_kept_out() {
        let error = Error::internal("no claim");
        assert_eq!(unclaimed(&error), "nothing keeps another change out meanwhile: a mistake inside etcdsh: no claim");
    }

    #[test]
    fn who_is_kept_out_learns_by_whom() {
        let holder = Note { machine: "bastion".to_owned(), ..note(Process::this()) }.told();
        let rights = NoRights { source: Error::internal("no claim") };
        insta::assert_snapshot!(crate::tests::shown([Busy { holder }.into(), rights.into()]), @"
        change_under_way: another change is under way: defrag, run 20261126T031500Z-defrag-87b8 on bastion
          help: wait for it to end; `change list` shows it on the machine where it runs
        permission_denied: this user may not change the cluster, and a member would be down before that shows
          because: a mistake inside etcdsh: no claim
          help: use a user with the role root
        ");
    }
}
