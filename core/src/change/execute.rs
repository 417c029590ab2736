//! Carrying out an approved plan: the only code that sends a changing RPC. Before each step it looks again; what is true already
//! is not done again; and an answer that is lost is found out by reading, never by repeating.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument;

use crate::change::guard::Approved;
use crate::change::journal::{Entry, Journal};
use crate::change::observe::{Depth, observe};
use crate::change::plan::{Action, Plan, Step};
use crate::change::report::{ChangeReport, Outcome, Quorum, TakenStep, plan_table};
use crate::change::stopped::{NobodyToAsk, OtherCluster, OutcomeUnknown, Stopped};
use crate::change::view::{ClusterView, MemberView, same_urls};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{Error, Interrupted, Result, Sent};
use crate::event::Event;
use crate::id::MemberId;
use crate::rpc::{Cluster, Node};
use crate::value::{Record, Value, to_value};
use crate::wait::{Look, pause, sleep, until};

/// Carries out a plan.
///
/// # Errors
/// [`Stopped`], with the report so far, when a step failed or Ctrl-C was pressed; an error of the journal before anything was
/// changed.
pub async fn execute(
    ctx: &Context<'_>,
    approved: Approved,
    before: &ClusterView,
    bound: Duration,
) -> Result<ChangeReport> {
    let plan = approved.plan();
    let mut journal = Journal::start(&ctx.places().state, plan.operation)?;
    journal.write(Entry::Plan { plan, allow: approved.allow() })?;
    let mut report = start_report(plan, before, &journal);
    let (cluster, seen) = (ctx.cluster()?, before.clone());
    let mut run = Run { ctx, cluster, approved: &approved, bound, added: None, asked: None, seen };
    for (at, step) in plan.steps.iter().enumerate() {
        ctx.emit(&Event::Step { number: at + 1, of: plan.steps.len(), step: describe(step, before) });
        let start = Instant::now();
        run.asked = None;
        let span = tracing::info_span!("step", number = at + 1, step = step.action.word());
        let taken = run.take(step, at, &mut journal).instrument(span.clone()).await;
        let Taken { outcome, detail, error } = taken.unwrap_or_else(Taken::failed);
        let written = journal.write(Entry::Outcome { number: at + 1, outcome: outcome.word(), detail: &detail });
        let (member, endpoint) = (run.member(step, before), run.asked.as_ref().map(tracing::field::display));
        tracing::info!(parent: &span, member, endpoint, took = ?start.elapsed(), outcome = outcome.word(), "step");
        report.steps.push(taken_step(step, before, outcome, start.elapsed(), detail));
        if let Some(error) = error.or(written.err()) {
            let rest = plan.steps.iter().skip(at + 1);
            report
                .steps
                .extend(rest.map(|step| taken_step(step, before, Outcome::Skipped, Duration::ZERO, String::new())));
            // The error says more than a journal that cannot be closed any more.
            let _ = journal.write(Entry::End { ok: false });
            return Err(stopped(&run, report, error).await);
        }
    }
    // Every step is journalled already, so a last line that is missing loses nothing.
    let _ = journal.write(Entry::End { ok: true });
    // Everything was done, and was seen to be; who cannot look once more still has that to tell.
    let after = run.last_look().await;
    report.ok = true;
    report.after = Quorum::of(&after);
    report.member_id = run.added.or_else(|| plan.steps.last().and_then(|step| step.action.target()));
    report.start = run.start(&after);
    Ok(report)
}

fn start_report(plan: &Plan, before: &ClusterView, journal: &Journal) -> ChangeReport {
    ChangeReport {
        operation: plan.operation.to_owned(),
        cluster_id: plan.cluster_id,
        executed: true,
        ok: false,
        plan: plan_table(plan, before),
        refusals: Vec::new(),
        steps: Vec::new(),
        before: Quorum::of(before),
        after: Quorum::of(before),
        journal: Some(journal.path().to_string_lossy().into_owned()),
        member_id: None,
        start: None,
    }
}

fn describe(step: &Step, view: &ClusterView) -> String {
    format!("{} {}", step.action.word(), step.action.target_label(view))
}

fn taken_step(step: &Step, view: &ClusterView, outcome: Outcome, took: Duration, detail: String) -> TakenStep {
    let target = step.action.target_label(view);
    TakenStep { step: step.action.word().to_owned(), target, outcome, took: took.into(), detail }
}

async fn stopped(run: &Run<'_, '_>, mut report: ChangeReport, error: Error) -> Error {
    let after = run.last_look().await;
    report.after = Quorum::of(&after);
    report.member_id = run.added;
    report.start = run.start(&after);
    let done = report.steps.iter().filter(|s| matches!(s.outcome, Outcome::Done | Outcome::Already)).count();
    Stopped {
        operation: report.operation.clone(),
        done,
        of: report.plan.len(),
        report: to_value(&report).ok(),
        source: error,
    }
    .into()
}

/// What came of a step, and what ends the run with it.
struct Taken {
    outcome: Outcome,
    detail: String,
    error: Option<Error>,
}

impl Taken {
    fn failed(error: Error) -> Self {
        let unknown = error.code() == OutcomeUnknown::CODE;
        let outcome = if unknown { Outcome::Unknown } else { Outcome::Failed };
        Taken { outcome, detail: error.in_one_line(), error: Some(error) }
    }
}

struct Run<'r, 'c> {
    ctx: &'r Context<'c>,
    cluster: &'r Arc<Cluster>,
    approved: &'r Approved,
    bound: Duration,
    added: Option<MemberId>,
    /// Who was asked last to carry out the step.
    asked: Option<Endpoint>,
    /// The cluster as it was when the last step came true.
    seen: ClusterView,
}

impl Run<'_, '_> {
    /// Takes one step: looks, checks, writes down what it means to do, does it, and waits until it is true.
    async fn take(&mut self, step: &Step, at: usize, journal: &mut Journal) -> Result<Taken> {
        let view = self.look(step).await.map_err(Error::before_sending)?;
        self.ctx.check_cancel().map_err(Error::before_sending)?;
        if let Some(detail) = self.already(&step.action, &view) {
            return Ok(Taken { outcome: Outcome::Already, detail, error: None });
        }
        journal.write(Entry::Intent { number: at + 1, step })?;
        match self.act(&step.action, &view).await {
            Ok(()) => {}
            Err(error) if error.sent() == Some(Sent::Maybe) => self.find_out(&step.action, error).await?,
            Err(error) => return Err(error),
        }
        // What the server has done is done, whatever keeps it from being seen.
        let (detail, error) = match self.settle(&step.action).await {
            Ok(detail) => (detail, None),
            Err(error) => (format!("the server has done it; then: {}", error.in_one_line()), Some(error)),
        };
        Ok(Taken { outcome: Outcome::Done, detail, error })
    }

    /// Returns what a member that was added is to be started with.
    fn start(&self, after: &ClusterView) -> Option<Value> {
        match self.approved.plan().steps.last().map(|step| &step.action) {
            Some(Action::AddMember { name, .. }) => start_configuration(name, self.added?, after),
            _ => None,
        }
    }

    /// Looks once more, for the report; who has pressed Ctrl-C does not wait long for that.
    async fn last_look(&self) -> ClusterView {
        let given_up = async {
            self.ctx.cancel().cancelled().await;
            sleep(LAST_LOOK).await;
        };
        tokio::select! {
            seen = observe(self.cluster, Depth::Reads) => seen.unwrap_or_else(|_| self.seen.clone()),
            () = given_up => self.seen.clone(),
        }
    }

    /// Returns the member that a step is about, by name and id; one that is added gets its id from the server.
    fn member(&self, step: &Step, view: &ClusterView) -> String {
        let label = step.action.target_label(view);
        let added = self.added.filter(|_| step.action.target().is_none());
        added.map_or_else(|| label.clone(), |id| format!("{label} ({id})"))
    }

    /// Looks until a step may be taken: what only needs time is waited for, and everything else is refused at once.
    async fn look(&self, step: &Step) -> Result<ClusterView> {
        let (ctx, cluster, approved) = (self.ctx, self.cluster, self.approved);
        until(ctx, "the learner has caught up", self.bound, async || {
            let view = ctx.unless_cancelled(observe(cluster, Depth::Reads)).await?.admitted()?;
            if view.cluster_id != approved.plan().cluster_id {
                return Err(OtherCluster { planned: approved.plan().cluster_id, found: view.cluster_id }.into());
            }
            if view.already(&step.action).is_some() {
                return Ok(Look::Ready(view));
            }
            match approved.still_allows(step, &view) {
                Ok(()) => Ok(Look::Ready(view)),
                Err(refused) if approved.still_allows(step, &view.caught_up()).is_ok() => {
                    Ok(Look::NotYet(refused.reasons()))
                }
                Err(refused) => Err(refused.into()),
            }
        })
        .await
    }

    /// Says why nothing has to be done, where that is so, and remembers which member was added before.
    fn already(&mut self, action: &Action, view: &ClusterView) -> Option<String> {
        let said = view.already(action)?;
        if let Action::AddMember { peer_urls, learner, .. } = action {
            self.added = view.added_before(peer_urls, *learner).map(|found| found.member.id);
        }
        Some(said)
    }

    /// Sends the RPC of an action. A transfer goes to the leader, which alone takes it; everything else goes to the leader too
    /// if it can, because it sees best who is connected, but never to the member that it is about.
    async fn act(&mut self, action: &Action, view: &ClusterView) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.send(action, view).await {
                // The server has answered, so nothing was done, and asking again is safe.
                Err(error) if passes(action, error.code()) && start.elapsed() < self.bound.min(SETTLING) => {
                    pause(self.ctx, Duration::from_millis(500)).await?;
                }
                other => return other,
            }
        }
    }

    async fn send(&mut self, action: &Action, view: &ClusterView) -> Result<()> {
        let mut last = None;
        for node in self.nodes(action, view)? {
            self.asked = Some(node.endpoint().clone());
            match self.send_to(&node, action).await {
                // Only what never left this machine may be tried elsewhere.
                Err(error) if error.sent() == Some(Sent::Never) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| NobodyToAsk.into()))
    }

    fn nodes(&self, action: &Action, view: &ClusterView) -> Result<Vec<Arc<Node>>> {
        let leader = view.leader().map(|m| m.member.id);
        let is_leader = |m: &&MemberView| Some(m.member.id) == leader;
        let fit = |m: &&MemberView| match action {
            Action::MoveLeader { .. } => is_leader(m),
            _ => m.serves() && Some(m.member.id) != action.target(),
        };
        let mut members: Vec<&MemberView> = view.voters().filter(fit).collect();
        // The last voter can only be asked to change itself.
        if members.is_empty() {
            members = view.voters().filter(|m| m.serves()).collect();
        }
        members.sort_by_key(|m| Some(m.member.id) != leader);
        members.iter().filter_map(|m| m.endpoint.as_ref()).map(|endpoint| self.cluster.node(endpoint)).collect()
    }

    async fn send_to(&mut self, node: &Node, action: &Action) -> Result<()> {
        let deadline = self.cluster.deadline();
        let writer = node.writer();
        match action {
            Action::AddMember { peer_urls, learner, .. } => {
                let (member, _) = writer.member_add(peer_urls, *learner, deadline).await?;
                self.added = Some(member.id);
                Ok(())
            }
            Action::RemoveMember { id } => writer.member_remove(*id, deadline).await.map(drop),
            Action::PromoteMember { id } => writer.member_promote(*id, deadline).await.map(drop),
            Action::UpdatePeerUrls { id, peer_urls } => writer.member_update(*id, peer_urls, deadline).await.map(drop),
            Action::MoveLeader { to } => writer.move_leader(*to, deadline).await,
            Action::StopMember { .. } => Err(Error::internal("a member is stopped by its host, not by an RPC")),
        }
    }

    /// The answer was lost. Looks until the cluster shows that it was applied, or the bound has passed without it.
    async fn find_out(&mut self, action: &Action, lost: Error) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < self.bound.min(SETTLING) {
            let seen = self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await;
            if let Ok(view) = seen
                && view.confirmed
                && self.already(action, &view).is_some()
            {
                return Ok(());
            }
            // Ctrl-C ends the looking, and tells nothing about what was sent.
            if pause(self.ctx, crate::wait::EVERY).await.is_err() {
                break;
            }
        }
        Err(OutcomeUnknown { step: action.word(), source: lost }.into())
    }

    /// Waits until what was done is seen by a quorum, and the cluster stands on its feet.
    async fn settle(&mut self, action: &Action) -> Result<String> {
        self.seen = self.until_seen(action).await?;
        Ok(standing(&self.seen))
    }

    async fn until_seen(&self, action: &Action) -> Result<ClusterView> {
        let what = format!("the cluster shows {}", action.word());
        let cluster = Arc::clone(self.cluster);
        let (ctx, bound) = (self.ctx, self.bound);
        let id = self.added;
        until(ctx, &what, bound, async || {
            let view = match ctx.unless_cancelled(observe(&cluster, Depth::Reads)).await {
                Ok(view) => view,
                Err(error) if matches!(error.code(), "cluster_mismatch" | Interrupted::CODE) => return Err(error),
                Err(error) => return Ok(Look::NotYet(error.in_one_line())),
            };
            let seen = match action {
                Action::AddMember { .. } => id.is_some_and(|id| view.get(id).is_some()),
                Action::RemoveMember { id } => view.get(*id).is_none() && view.leader().is_some(),
                Action::PromoteMember { id } => view.get(*id).is_some_and(|m| !m.member.is_learner),
                Action::UpdatePeerUrls { id, peer_urls } => {
                    view.get(*id).is_some_and(|m| same_urls(&m.member.peer_urls, peer_urls))
                }
                Action::MoveLeader { to } => view.leader().is_some_and(|m| m.member.id == *to),
                Action::StopMember { .. } => true,
            };
            Ok(if seen && view.confirmed { Look::Ready(view) } else { Look::NotYet(standing(&view)) })
        })
        .await
    }
}

fn standing(view: &ClusterView) -> String {
    format!("{} of {} voters healthy", view.healthy_voters(), view.voters().count())
}

/// For how long a server may refuse a change because connections have not settled: its own bound is five seconds.
const SETTLING: Duration = Duration::from_secs(15);
/// For how long the cluster is looked at once more after Ctrl-C.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Says whether a server gives an answer only for a while. For some seconds after a change it refuses the next one, until it
/// has seen every connection settle. And it makes a new member's id of its peer URLs and the second, so the id of a member that
/// was removed within the same second comes out again, and is not taken.
fn passes(action: &Action, code: &str) -> bool {
    match code {
        "unhealthy_cluster" | "not_enough_started_members" | "learner_not_ready" => true,
        "member_not_found" => matches!(action, Action::AddMember { .. }),
        _ => false,
    }
}

/// Returns what an added member is to be started with. etcd compares `ETCD_INITIAL_CLUSTER` with the membership list, so every
/// member has to be in it with every peer URL, and the added one under the name that it will have.
fn start_configuration(name: &str, id: MemberId, view: &ClusterView) -> Option<Value> {
    let added = view.get(id)?;
    let entries = view.members.iter().filter(|m| m.member.id == id || m.member.started()).flat_map(|m| {
        let name = if m.member.id == id { name } else { m.member.name.as_str() };
        m.member.peer_urls.iter().map(move |url| format!("{name}={url}"))
    });
    let initial_cluster = entries.collect::<Vec<_>>().join(",");
    let mut start = Record::new();
    start.insert("ETCD_NAME", name);
    start.insert("ETCD_INITIAL_CLUSTER", initial_cluster);
    start.insert("ETCD_INITIAL_ADVERTISE_PEER_URLS", added.member.peer_urls.join(","));
    start.insert("ETCD_INITIAL_CLUSTER_STATE", "existing");
    Some(Value::Record(start))
}
