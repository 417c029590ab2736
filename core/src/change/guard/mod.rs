//! What we refuse, whatever the server would accept. Each refusal carries its numbers and a remedy, and can be overridden by
//! its own name and no other way.

mod away;
mod membership;

pub(crate) use away::MAX_OTHERS_LAG;

use crate::change::plan::{Action, Plan, Step};
use crate::change::server;
use crate::change::view::ClusterView;
use crate::error::Fault;
use crate::value::Value;

/// How many log entries a member may be behind and still count as caught up. The server promotes at nine tenths of the
/// leader's log, which on an old cluster can be millions of entries.
pub const MAX_LAG: i64 = 100;

crate::choice! {
    /// What a refusal protects from. `allow` takes these words and nothing else.
    pub enum Code {
        /// A change that no quorum can confirm.
        NoQuorum = "no_quorum",
        /// A step after which too few voters are healthy for a quorum.
        QuorumAtRisk = "quorum_at_risk",
        /// The removal of the only voter.
        LastVoter = "last_voter",
        /// A step that etcd's own rules do not accept.
        ServerWouldRefuse = "server_would_refuse",
        /// Relying on a member whose data differs from the others'.
        CorruptAlarm = "corrupt_alarm",
        /// A vote for a member that has not caught up.
        LearnerLagging = "learner_lagging",
        /// Leadership for a member that cannot lead well.
        BadTransferee = "bad_transferee",
        /// Two members with one peer URL.
        PeerUrlInUse = "peer_url_in_use",
        /// Two members with one name.
        NameInUse = "name_in_use",
        /// A peer URL with another scheme than every other member's.
        PeerSchemeDiffers = "peer_scheme_differs",
        /// A known fault of this etcd version, which makes a voter of a learner.
        UpdatePromotesLearner = "update_promotes_learner",
        /// A plan that was made for another membership.
        StalePlan = "stale_plan",
        /// The replacement of somebody who is not in the cluster, where nobody seems to be missing.
        NotAMember = "not_a_member",
        /// The replacement of a learner by a voter, where no voter seems to be missing.
        NotAVoter = "not_a_voter",
        /// A change that takes away what only a snapshot could bring back, without one.
        NoSnapshot = "no_snapshot",
        /// The replacement of a member that nothing is wrong with.
        MemberHealthy = "member_healthy",
        /// Taking a member away while another does not serve.
        OthersUnhealthy = "others_unhealthy",
        /// Taking a member away while another has not caught up.
        OthersLagging = "others_lagging",
        /// Members whose versions are more than one minor apart, or that are on their way to an older one.
        VersionSkew = "version_skew",
        /// A fault of this etcd version that damages data.
        KnownCorruption = "known_corruption",
        /// Data that belong to a member of this cluster, or to another cluster.
        DataInUse = "data_in_use",
        /// A member that has started once, and whose data are not where its host has them.
        DataMissing = "data_missing",
        /// A member that has to serve for what is to be done to it.
        NotServing = "not_serving",
        /// A restart by a closure of which nothing was seen.
        NotRestarted = "not_restarted",
        /// A process that would have to be down.
        ProcessRuns = "process_runs",
        /// A process of which nobody can tell whether it runs.
        ProcessUnknown = "process_unknown",
        /// A database that has not enough room below its quota.
        SpaceNotFree = "space_not_free",
    }
}

impl Code {
    /// Says whether a refusal of this code may go away by itself in the seconds after a step, while connections settle, a
    /// leader is elected or a member comes back.
    pub(crate) fn may_settle(self) -> bool {
        matches!(
            self,
            Code::NoQuorum
                | Code::QuorumAtRisk
                | Code::ServerWouldRefuse
                | Code::LearnerLagging
                | Code::BadTransferee
                | Code::OthersUnhealthy
                | Code::OthersLagging
                | Code::ProcessRuns
        )
    }
}

crate::record! {
    /// Why a step is refused.
    pub struct Refusal {
        /// The code; `allow` overrides the refusals of one code.
        code: Code,
        /// What is wrong, with the numbers.
        message: String,
        /// What to do.
        remedy: String,
    }
}

fn refusal(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into(), remedy: remedy.into() }
}

/// Judges one action against what is seen, and what would be seen afterwards.
pub fn check(action: &Action, view: &ClusterView) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    // To start a member never takes a quorum away, and may bring it back.
    let starts = matches!(action, Action::StartMember { .. });
    if !starts && (!view.confirmed || view.healthy_voters() < view.quorum()) {
        refusals.push(no_quorum(view));
    }
    if view.already(action).is_some() {
        // Nothing will be sent; but the name of an unstarted member is nowhere yet, and will be what is given now.
        if let Action::AddMember { name, .. } = action {
            membership::name_is_free(view, name, &mut refusals);
        }
        return refusals;
    }
    // What is done to a member serves nothing when it has gone since the plan was made.
    if let Action::RestartMember { id, .. } | Action::Defragment { id } = action
        && view.get(*id).is_none()
    {
        let message = format!("{id} is not a member any more");
        refusals.push(refusal(
            Code::StalePlan,
            message,
            "run it again, so that it is planned for the members that are there",
        ));
        return refusals;
    }
    if let Action::AddMember { .. }
    | Action::RemoveMember { .. }
    | Action::PromoteMember { .. }
    | Action::UpdatePeerUrls { .. }
    | Action::Defragment { .. } = action
    {
        away::versions_stay(view, &mut refusals);
    }
    match action {
        Action::AddMember { name, peer_urls, .. } => membership::check_add(view, name, peer_urls, &mut refusals),
        Action::RemoveMember { id } => membership::check_remove(view, *id, &mut refusals),
        Action::PromoteMember { who } => membership::check_promote(view, who, &mut refusals),
        Action::UpdatePeerUrls { id, peer_urls } => membership::check_update(view, *id, peer_urls, &mut refusals),
        Action::MoveLeader { to, .. } => membership::check_transfer(view, *to, &mut refusals),
        Action::StopMember { id, name } => away::check_stop(view, *id, name, &mut refusals),
        Action::RestartMember { id, name } => away::check_restart(view, *id, name, &mut refusals),
        Action::Defragment { id } => away::check_defragment(view, *id, &mut refusals),
        Action::SetDataAside { name, .. } => away::check_aside(view, name, &mut refusals),
        Action::EnableDowngrade { version } => away::check_downgrade(view, version, &mut refusals),
        Action::StartMember { name, peer_urls } => away::check_start(view, name, peer_urls, &mut refusals),
        _ => {}
    }
    if !refusals.iter().any(|r| matches!(r.code, Code::NoQuorum | Code::LastVoter)) {
        quorum_stays(action, view, &mut refusals);
    }
    // What we refuse ourselves says more than the server's answer, so it comes first.
    if let Err(answer) = server::accepts(action, view) {
        let remedy = match answer.as_str() {
            text if text.contains("unhealthy cluster") => {
                "bring the other members back first, or take out what is lost with `member remove`; `health` names them"
            }
            text if text.contains("not supported for learner") => "promote it first, or leave it out",
            text if text.contains("too many learner") => {
                "give the learner that there is its vote with `member promote`, or take it out with `member remove`"
            }
            _ => "see `health` and `member list` for what the server misses",
        };
        refusals.push(refusal(Code::ServerWouldRefuse, format!("the server would answer: {answer}"), remedy));
    }
    refusals
}

/// Says why no change can be confirmed. Members that are each healthy may still not have answered together in time.
fn no_quorum(view: &ClusterView) -> Refusal {
    let (healthy, voters, quorum) = (view.healthy_voters(), view.voters().count(), view.quorum());
    if healthy >= quorum {
        let message = format!(
            "{healthy} of {voters} voters are healthy, but no quorum has confirmed in time who the members are"
        );
        return refusal(Code::NoQuorum, message, "run it again; if it is refused again, see what `quorum` says");
    }
    let message = format!("{healthy} of {voters} voters are healthy; a change needs a quorum of {quorum}");
    refusal(Code::NoQuorum, message, "bring voters back first; `health` names those that are down")
}

/// The first promise: no step leaves fewer healthy voters than the quorum afterwards.
fn quorum_stays(action: &Action, view: &ClusterView, refusals: &mut Vec<Refusal>) {
    let next = match action {
        // While it is away it counts as gone, although it comes back.
        Action::RestartMember { id, .. } => view.without(*id),
        // A cluster of one has nobody else who could serve meanwhile; its requests wait.
        Action::Defragment { id } if view.voters().count() > 1 => view.without(*id),
        _ => view.after(action),
    };
    let (healthy, voters, quorum) = (next.healthy_voters(), next.voters().count(), next.quorum());
    // What leaves the voters as they are cannot cost the quorum.
    if healthy >= quorum || next == *view {
        return;
    }
    let verb = match action {
        Action::AddMember { .. } => "adding a voter",
        Action::RemoveMember { .. } => "removing it",
        Action::PromoteMember { .. } => "promoting it",
        Action::UpdatePeerUrls { .. } => "a mistake in its new peer URLs",
        Action::MoveLeader { .. } => "moving the leader",
        Action::RestartMember { .. } => "restarting it",
        Action::Defragment { .. } => "defragmenting it",
        _ => "stopping it",
    };
    let message = format!("{verb} would leave {healthy} of {voters} voters healthy; quorum needs {quorum}");
    let remedy = match action {
        Action::AddMember { .. } => "add it as a learner, start it, and promote it when it has caught up",
        _ if view.healthy_voters() == view.voters().count() => {
            "so few voters can do without none of them; add one first, with `member add` and `member promote`"
        }
        _ => "bring the other voters back first; `health` names those that are down",
    };
    refusals.push(refusal(Code::QuorumAtRisk, message, remedy));
}

/// A plan that may be carried out. Nothing but [`approve`] makes one.
#[derive(Debug)]
pub struct Approved {
    plan: Plan,
    allow: Vec<Code>,
}

impl Approved {
    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the refusals that the caller allowed.
    pub fn allow(&self) -> &[Code] {
        &self.allow
    }

    /// Judges a step again, against what is there now.
    ///
    /// # Errors
    /// The refusals that were not allowed by name.
    pub(crate) fn still_allows(&self, step: &Step, view: &ClusterView) -> Result<(), Refused> {
        let left = not_allowed(check(&step.action, view), &self.allow);
        if left.is_empty() { Ok(()) } else { Err(Refused { operation: self.plan.operation, refusals: left }) }
    }
}

/// Judges a plan: each step against what would be there when its turn comes.
///
/// # Errors
/// The refusals that were not allowed by name.
pub fn approve(plan: Plan, view: &ClusterView, allow: &[Code]) -> Result<Approved, Refused> {
    let mut refusals = not_allowed(plan.objections.clone(), allow);
    let mut seen = view.clone();
    for step in &plan.steps {
        refusals.extend(not_allowed(check(&step.action, &seen), allow));
        seen = seen.after(&step.action);
    }
    let refusals = once(refusals, |a, b| a.code == b.code && a.message == b.message);
    if refusals.is_empty() {
        Ok(Approved { plan, allow: allow.to_vec() })
    } else {
        Err(Refused { operation: plan.operation, refusals })
    }
}

/// Judges a plan as [`approve`] does, where there is time: what is refused only because a learner has not caught up yet is
/// approved, and its step waits for that.
///
/// # Errors
/// The refusals that time does not heal, with the others.
pub fn approve_in_time(plan: Plan, view: &ClusterView, allow: &[Code]) -> Result<Approved, Refused> {
    approve(plan.clone(), view, allow).or_else(|refused| approve(plan, &view.caught_up(), allow).map_err(|_| refused))
}

/// Leaves out what was said before.
fn once<T>(all: impl IntoIterator<Item = T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.iter().any(|known| same(known, &one)) {
            kept.push(one);
        }
    }
    kept
}

fn not_allowed(refusals: Vec<Refusal>, allow: &[Code]) -> Vec<Refusal> {
    refusals.into_iter().filter(|refusal| !allow.contains(&refusal.code)).collect()
}

/// A plan was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} is refused: {}", self.reasons())]
pub struct Refused {
    /// The operation, by its words.
    pub operation: &'static str,
    /// Why.
    pub refusals: Vec<Refusal>,
}

impl Refused {
    /// Refuses what was planned for other members than those that are there.
    pub(crate) fn stale(operation: &'static str) -> Self {
        let message = "the members are not those any more for which it was planned";
        let remedy = "run it again, so that it is planned for the members that are there";
        Refused { operation, refusals: vec![refusal(Code::StalePlan, message, remedy)] }
    }

    /// Returns what is wrong, in one line.
    pub fn reasons(&self) -> String {
        self.refusals.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl Fault for Refused {
    fn code(&self) -> &'static str {
        self.refusals.first().map_or("refused", |refusal| refusal.code.word())
    }

    fn help(&self) -> Option<String> {
        let remedies = once(self.refusals.iter().map(|r| r.remedy.as_str()), |a, b| a == b);
        let codes = once(self.refusals.iter().map(|r| r.code.word()), |a, b| a == b);
        Some(format!("{}. To do it all the same, allow {}", remedies.join("; "), codes.join(", ")))
    }

    fn report(&self) -> Option<Value> {
        crate::value::to_value(&self.refusals).ok()
    }
}
