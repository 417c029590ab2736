//! One step: look, check, write down what is meant, do it, and wait until it is true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::Hands;
use crate::change::failed::{Alarmed, NotReady, NotStarted, OtherCluster, OutcomeUnknown};
use crate::change::guard::{Approved, Code, MAX_OTHERS_LAG, Refused};
use crate::change::journal::{Entry, Journal};
use crate::change::observe::{Depth, observe, observe_hosts};
use crate::change::plan::{Action, Plan, Step, label};
use crate::change::report::Outcome;
use crate::change::view::{ClusterView, MemberView, same_urls};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{Error, Interrupted, Result, Sent};
use crate::event::Event;
use crate::id::MemberId;
use crate::ops::member::best_transferee;
use crate::rpc::{AlarmKind, Cluster};
use crate::value::Value;
use crate::wait::{Look, TimedOut, pause, sleep, until};

/// What came of a step, and what ends the run with it.
pub(super) struct Taken {
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Error>,
}

impl Taken {
    pub(super) fn failed(error: Error) -> Self {
        let unknown = error.code() == OutcomeUnknown::CODE;
        let outcome = if unknown { Outcome::Unknown } else { Outcome::Failed };
        Taken { outcome, detail: error.in_one_line(), result: None, error: Some(error) }
    }

    fn already(detail: String) -> Self {
        Taken { outcome: Outcome::Already, detail, result: None, error: None }
    }
}

/// What doing something brought, beside what the cluster shows.
#[derive(Default)]
pub(super) struct Deed {
    /// More about it.
    pub(super) detail: String,
    /// Facts that are needed later.
    pub(super) result: Option<Value>,
    /// Whether it turned out that there was nothing to do.
    pub(super) already: bool,
}

pub(super) struct Run<'r, 'c> {
    pub(super) ctx: &'r Context<'c>,
    pub(super) cluster: &'r Arc<Cluster>,
    pub(super) approved: &'r Approved,
    pub(super) bound: Duration,
    pub(super) hands: Hands,
    pub(super) added: Option<MemberId>,
    /// Who was asked last to carry out the step.
    pub(super) asked: Option<Endpoint>,
    /// The cluster as it was when the last step came true.
    pub(super) seen: ClusterView,
    /// Whether a step has come true already, after which the cluster needs time to settle.
    begun: bool,
}

impl<'r, 'c> Run<'r, 'c> {
    pub(super) fn new(
        ctx: &'r Context<'c>,
        approved: &'r Approved,
        before: &ClusterView,
        bound: Duration,
        hands: Hands,
    ) -> Result<Self> {
        let (cluster, seen) = (ctx.cluster()?, before.clone());
        Ok(Run { ctx, cluster, approved, bound, hands, added: None, asked: None, seen, begun: ctx.memory().is_some() })
    }

    /// Holds that nobody has changed the membership while the right to take members away was waited for.
    pub(super) async fn members_are_the_same(&self) -> Result<()> {
        let seen = self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await;
        let now: BTreeSet<_> = seen.map_err(Error::before_sending)?.members.iter().map(|m| m.member.id).collect();
        let planned: BTreeSet<_> = self.plan().members.iter().copied().collect();
        let same = now == planned || self.approved.allow().contains(&Code::StalePlan);
        if same { Ok(()) } else { Err(Refused::stale(self.plan().operation).into()) }
    }

    pub(super) fn plan(&self) -> &Plan {
        self.approved.plan()
    }

    /// Returns how long a step may take that copies or reads a whole database: longer where the database is large, at a speed
    /// that every disk and network in use has.
    pub(super) fn patience(&self) -> Duration {
        let largest = self.seen.members.iter().filter_map(MemberView::known).map(|status| status.db_size).max();
        self.bound + Duration::from_secs(u64::try_from(largest.unwrap_or(0) / SLOWEST).unwrap_or(0))
    }

    /// Takes one step.
    pub(super) async fn take(&mut self, step: &Step, number: usize, journal: &mut Journal) -> Result<Taken> {
        if let Some(said) = self.done_before(&step.action)
            && self.stands(&step.action).await?
        {
            return Ok(Taken::already(said));
        }
        let view = self.look(step).await.map_err(Error::before_sending)?;
        self.ctx.check_cancel().map_err(Error::before_sending)?;
        if let Some(detail) = self.already(&step.action, &view) {
            return Ok(Taken::already(detail));
        }
        journal.write(Entry::Intent { number, step })?;
        let word = step.action.word().to_owned();
        self.ctx.emit(&Event::Intent { number, step: word.clone() });
        let deed = match self.act(&step.action, &view).await {
            Ok(deed) => deed,
            Err(error) if error.sent() == Some(Sent::Maybe) && !step.action.only_looks() => {
                self.find_out(&step.action, error, &view).await?
            }
            Err(error) => return Err(error),
        };
        self.ctx.emit(&Event::Acted { number, step: word });
        if deed.already {
            return Ok(Taken { result: deed.result, ..Taken::already(deed.detail) });
        }
        // What was done is done, whatever keeps it from being seen.
        let (seen, error) = match self.settle(&step.action).await {
            Ok(seen) => (seen, None),
            Err(error) => (format!("it was done; then: {}", error.in_one_line()), Some(error)),
        };
        self.begun = true;
        let detail = [deed.detail, seen].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        // What has not come true is done again by whoever goes on.
        let outcome = if error.is_some() { Outcome::Unseen } else { Outcome::Done };
        Ok(Taken { outcome, detail, result: deed.result, error })
    }

    /// Says that an earlier run did it, where the cluster cannot tell.
    fn done_before(&self, action: &Action) -> Option<String> {
        let memory = self.ctx.memory()?;
        let done = match action {
            // A file of the final name is whole, whether or not its end was journalled; one that nobody began is not ours.
            Action::SaveSnapshot { path: Some(path), .. } => path.exists() && memory.may_have_saved(path),
            _ => action.leaves_no_trace() && memory.has_done(action),
        };
        done.then(|| format!("it was done by the run {}", memory.run))
    }

    /// Says whether the member that was taken away before has come back; otherwise it is done again.
    async fn stands(&self, action: &Action) -> Result<bool> {
        let (Action::RestartMember { id, .. } | Action::Defragment { id }) = action else { return Ok(true) };
        let view =
            self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await.map_err(Error::before_sending)?;
        Ok(view.get(*id).is_some_and(MemberView::serves))
    }

    /// Looks at the cluster, and at the host of the member that a step is about.
    pub(super) async fn observe(&self, action: &Action) -> Result<ClusterView> {
        let mut view = self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await?.admitted()?;
        let name = match action {
            Action::StopMember { name, .. }
            | Action::SetDataAside { name, .. }
            | Action::StartMember { name, .. }
            | Action::RestartMember { name, .. } => name.clone(),
            _ => return Ok(view),
        };
        if !self.hands.closure() {
            view.hosting = self.ctx.unless_cancelled(observe_hosts(self.ctx, &[name])).await?;
        }
        Ok(view)
    }

    /// Looks until a step may be taken: what only needs time is waited for, and everything else is refused at once.
    async fn look(&self, step: &Step) -> Result<ClusterView> {
        let approved = self.approved;
        let (what, bound) = match step.action {
            Action::PromoteMember { .. } => ("the learner has caught up".to_owned(), self.patience()),
            _ => (format!("the cluster is ready for {}", step.action.word()), self.bound),
        };
        let mut awaited = None;
        let ready = until(self.ctx, &what, bound, async || {
            let view = match self.observe(&step.action).await {
                Ok(view) => view,
                Err(error) if self.begun && error.retryable() => return Ok(Look::NotYet(error.in_one_line())),
                Err(error) => return Err(error),
            };
            if view.cluster_id != approved.plan().cluster_id {
                return Err(OtherCluster { planned: approved.plan().cluster_id, found: view.cluster_id }.into());
            }
            if view.already(&step.action).is_some() {
                return Ok(Look::Ready(view));
            }
            match approved.still_allows(step, &view) {
                Ok(()) => Ok(Look::Ready(view)),
                Err(refused) if self.passes(step, &view, &refused) => {
                    let reasons = refused.reasons();
                    awaited = Some(refused);
                    Ok(Look::NotYet(reasons))
                }
                Err(refused) => Err(refused.into()),
            }
        });
        let ready = ready.await;
        ready.map_err(|waited| match (waited.code(), awaited) {
            // Who has waited in vain is told what to do about it.
            (TimedOut::CODE, Some(refused)) => NotReady { waited, refused }.into(),
            _ => waited,
        })
    }

    /// Says whether a refusal goes away by itself: a lag does, and after a step the cluster settles.
    fn passes(&self, step: &Step, view: &ClusterView, refused: &Refused) -> bool {
        let settles = self.begun && refused.refusals.iter().all(|refusal| refusal.code.may_settle());
        settles || self.approved.still_allows(step, &view.caught_up()).is_ok()
    }

    /// Says why nothing has to be done, where that is so, and remembers which member was added before.
    fn already(&mut self, action: &Action, view: &ClusterView) -> Option<String> {
        let said = view.already(action)?;
        if let Action::AddMember { peer_urls, learner, .. } = action {
            self.added = view.added_before(peer_urls, *learner).map(|found| found.member.id);
        }
        Some(said)
    }

    /// Leadership leaves a member before it is taken away, also where it came to it only after the plan was made.
    pub(super) async fn hand_over_first(&self, action: &Action) -> Option<Step> {
        let id = match action {
            Action::RestartMember { id, .. }
            | Action::StopMember { id, .. }
            | Action::Defragment { id }
            | Action::RemoveMember { id } => *id,
            _ => return None,
        };
        if self.done_before(action).is_some() {
            return None;
        }
        let view = self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await.ok()?;
        let leads = view.leader().is_some_and(|leader| leader.member.id == id);
        let next = best_transferee(&view).filter(|_| leads)?;
        let action = Action::MoveLeader { to: next.member.id, from: Some(id) };
        Some(Step { action, reason: "it leads by now, and is about to be away".to_owned() })
    }

    async fn act(&mut self, action: &Action, view: &ClusterView) -> Result<Deed> {
        match action {
            Action::SaveSnapshot { path, except } => self.save_snapshot(path.as_deref(), *except, view).await,
            Action::CompareHashes { all } => self.compare_hashes(*all).await,
            Action::AwaitHealthy { who } => self.await_healthy(who).await,
            Action::CheckSpace { quota } => self.check_space(*quota).await,
            Action::StopMember { .. }
            | Action::SetDataAside { .. }
            | Action::StartMember { .. }
            | Action::RestartMember { .. } => self.on_host(action, view).await,
            _ => self.send(action, view).await,
        }
    }

    /// The answer was lost. Looks until the cluster shows that it was applied, or the bound has passed without it.
    async fn find_out(&mut self, action: &Action, lost: Error, before: &ClusterView) -> Result<Deed> {
        if let Action::Defragment { id } = action {
            return self.until_defragmented(*id, lost, before).await;
        }
        let start = Instant::now();
        while start.elapsed() < self.bound.min(SETTLING) {
            let seen = self.ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await;
            if let Ok(view) = seen
                && view.confirmed
                && (self.already(action, &view).is_some() || self.is_compacted(action, &view).await)
            {
                return Ok(self.freed_by_all(action, &view, Deed::default()).await);
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
        if action.only_looks() || matches!(action, Action::Compact { .. } | Action::ProveWrite) {
            return Ok(String::new());
        }
        self.seen = self.until_seen(action).await.map_err(|error| match action {
            Action::StartMember { name, .. } if self.hands.closure() && error.code() == TimedOut::CODE => {
                NotStarted { member: name.clone(), source: error }.into()
            }
            _ => error,
        })?;
        Ok(standing(&self.seen))
    }

    async fn until_seen(&self, action: &Action) -> Result<ClusterView> {
        let what = format!("the cluster shows {}", action.word());
        let settle = if matches!(action, Action::RestartMember { .. }) { self.hands.settle } else { Duration::ZERO };
        // Who is new serves when it has copied everything.
        let bound = if matches!(action, Action::StartMember { .. }) { self.patience() } else { self.bound };
        let (ctx, bound, id) = (self.ctx, bound + settle, self.added);
        let mut serving_since = None;
        let mut host_seen = Instant::now();
        until(ctx, &what, bound, async || {
            let view = match ctx.unless_cancelled(observe(self.cluster, Depth::Reads)).await {
                Ok(view) => view,
                Err(error) if matches!(error.code(), "cluster_mismatch" | Interrupted::CODE) => return Err(error),
                Err(error) => return Ok(Look::NotYet(error.in_one_line())),
            };
            let seen = match action {
                Action::AddMember { .. } => id.is_some_and(|id| view.get(id).is_some()),
                Action::RemoveMember { id } => view.get(*id).is_none() && view.leader().is_some(),
                Action::PromoteMember { who } => who.find(&view).is_some_and(|m| !m.member.is_learner),
                Action::UpdatePeerUrls { id, peer_urls } => {
                    view.get(*id).is_some_and(|m| same_urls(&m.member.peer_urls, peer_urls))
                }
                Action::MoveLeader { to, .. } => view.leader().is_some_and(|m| m.member.id == *to),
                Action::StartMember { peer_urls, .. } => {
                    view.at(peer_urls).is_some_and(|m| m.member.started() && m.serves())
                }
                Action::RestartMember { id, .. } => {
                    let follows = |m: &MemberView| m.serves() && view.lag(m).is_some_and(|lag| lag <= MAX_OTHERS_LAG);
                    let serves = view.get(*id).is_some_and(follows);
                    let since = serves.then(|| *serving_since.get_or_insert_with(Instant::now));
                    serving_since = since;
                    since.is_some_and(|since| since.elapsed() >= settle)
                }
                Action::Defragment { id } => view.get(*id).is_some_and(MemberView::serves),
                Action::DisarmAlarm { id, kind } => !view.has_alarm(*id, *kind),
                Action::EnableDowngrade { .. } => view.downgrade().is_some(),
                Action::CancelDowngrade => view.downgrade().is_none(),
                _ => true,
            };
            if let Action::RestartMember { .. } = action
                && let Some(alarm) = view.alarms.iter().find(|alarm| alarm.kind == AlarmKind::Corrupt)
                && !self.approved.allow().contains(&Code::CorruptAlarm)
            {
                // It does not go away by itself, and nobody else is taken away while data differ.
                return Err(Alarmed { member: label(&view, alarm.member_id), alarm: alarm.kind }.into());
            }
            if seen && view.confirmed {
                return Ok(Look::Ready(view));
            }
            if host_seen.elapsed() >= HOST_EVERY {
                host_seen = Instant::now();
                self.still_runs(action).await?;
            }
            let stays = serving_since.map(|since: Instant| settle.saturating_sub(since.elapsed()));
            Ok(Look::NotYet(self.awaited(action, &view, stays)))
        })
        .await
    }

    /// Says how what is awaited stands, and how long a member that serves again has to go on.
    fn awaited(&self, action: &Action, view: &ClusterView, stays: Option<Duration>) -> String {
        let member = match action {
            Action::StartMember { peer_urls, .. } => view.at(peer_urls),
            Action::RestartMember { id, .. } | Action::Defragment { id } => view.get(*id),
            _ => None,
        };
        let stays = stays.map(|span| format!(" and has to stay so for {} s", span.as_secs() + 1)).unwrap_or_default();
        let state = member.map(|m| format!("{} is {}{stays}; ", m.member.label(), view.verdict(m)));
        format!("{}{}", state.unwrap_or_default(), standing(view))
    }

    /// Looks once more, for the report; who has pressed Ctrl-C does not wait long for that.
    pub(super) async fn last_look(&self) -> ClusterView {
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
    pub(super) fn member(&self, step: &Step, view: &ClusterView) -> String {
        let label = step.action.target_label(view);
        let added = self.added.filter(|_| matches!(step.action, Action::AddMember { .. }));
        added.map_or_else(|| label.clone(), |id| format!("{label} ({id})"))
    }
}

pub(super) fn standing(view: &ClusterView) -> String {
    format!("{} of {} voters healthy", view.healthy_voters(), view.voters().count())
}

/// For how long a server may refuse a change because connections have not settled: its own bound is five seconds.
pub(super) const SETTLING: Duration = Duration::from_secs(15);
/// For how long the cluster is looked at once more after Ctrl-C.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// How many bytes a second are copied at least.
const SLOWEST: i64 = 5_000_000;
/// How often a host is asked whether the process that is awaited still runs.
const HOST_EVERY: Duration = Duration::from_secs(1);
