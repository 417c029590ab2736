//! What we refuse, whatever the server would accept. Each refusal carries its numbers and a remedy, and can be overridden by
//! its own name and no other way.

use crate::change::plan::{Action, Plan, Step, label};
use crate::change::server;
use crate::change::view::{ClusterView, MemberView};
use crate::error::Fault;
use crate::id::MemberId;
use crate::rpc::AlarmKind;
use crate::value::Value;
use crate::version::Version;

/// How many log entries a member may be behind and still count as caught up. The server promotes at nine tenths of the
/// leader's log, which on an old cluster can be millions of entries.
pub const MAX_LAG: i64 = 100;

/// Since these versions an update of a learner's peer URLs leaves it a learner; before, it silently becomes a voter (etcd pull
/// requests 21736 and 21737).
const UPDATE_KEEPS_LEARNERS: &[Version] = &[Version::new(3, 5, 31), Version::new(3, 6, 12)];

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
    if !view.confirmed || view.healthy_voters() < view.quorum() {
        let message = format!(
            "{} of {} voters are healthy; a change needs a quorum of {}",
            view.healthy_voters(),
            view.voters().count(),
            view.quorum()
        );
        refusals.push(refusal(Code::NoQuorum, message, "bring voters back first; `health` names those that are down"));
    }
    if view.already(action).is_some() {
        // Nothing will be sent; but the name of an unstarted member is nowhere yet, and will be what is given now.
        if let Action::AddMember { name, .. } = action {
            name_is_free(view, name, &mut refusals);
        }
        return refusals;
    }
    match action {
        Action::AddMember { name, peer_urls, .. } => check_add(view, name, peer_urls, &mut refusals),
        Action::RemoveMember { id } => check_remove(view, *id, &mut refusals),
        Action::PromoteMember { id } => check_promote(view, *id, &mut refusals),
        Action::UpdatePeerUrls { id, peer_urls } => check_update(view, *id, peer_urls, &mut refusals),
        Action::MoveLeader { to } => check_transfer(view, *to, &mut refusals),
        Action::StopMember { id } => relies_on_corrupt(view, *id, &mut refusals),
    }
    if !refusals.iter().any(|r| matches!(r.code, Code::NoQuorum | Code::LastVoter)) {
        quorum_stays(action, view, &mut refusals);
    }
    // What we refuse ourselves says more than the server's answer, so it comes first.
    if let Err(answer) = server::accepts(action, view) {
        let remedy = "see `health` and `member list` for what the server misses";
        refusals.push(refusal(Code::ServerWouldRefuse, format!("the server would answer: {answer}"), remedy));
    }
    refusals
}

/// The first promise: no step leaves fewer healthy voters than the quorum afterwards.
fn quorum_stays(action: &Action, view: &ClusterView, refusals: &mut Vec<Refusal>) {
    let next = view.after(action);
    let (healthy, voters, quorum) = (next.healthy_voters(), next.voters().count(), next.quorum());
    if healthy < quorum {
        let verb = match action {
            Action::AddMember { .. } => "adding a voter",
            Action::RemoveMember { .. } => "removing it",
            Action::PromoteMember { .. } => "promoting it",
            Action::UpdatePeerUrls { .. } => "a mistake in its new peer URLs",
            Action::MoveLeader { .. } => "moving the leader",
            Action::StopMember { .. } => "stopping it",
        };
        let message = format!("{verb} would leave {healthy} of {voters} voters healthy; quorum needs {quorum}");
        let remedy = match action {
            Action::AddMember { .. } => "add it as a learner, start it, and promote it when it has caught up",
            _ => "bring the other voters back first; `health` names those that are down",
        };
        refusals.push(refusal(Code::QuorumAtRisk, message, remedy));
    }
}

fn check_add(view: &ClusterView, name: &str, urls: &[String], refusals: &mut Vec<Refusal>) {
    urls_are_free(view.members.iter(), urls, refusals);
    name_is_free(view, name, refusals);
    same_scheme(view.members.iter(), urls, refusals);
}

fn name_is_free(view: &ClusterView, name: &str, refusals: &mut Vec<Refusal>) {
    if let Some(twin) = view.members.iter().find(|m| !name.is_empty() && m.member.name == name) {
        let message = format!("the name {name:?} is that of {}", label(view, twin.member.id));
        refusals.push(refusal(Code::NameInUse, message, "choose another name, or remove the old member first"));
    }
}

fn urls_are_free<'a>(others: impl Iterator<Item = &'a MemberView>, urls: &[String], refusals: &mut Vec<Refusal>) {
    for other in others {
        for url in other.member.peer_urls.iter().filter(|url| urls.contains(url)) {
            let message = format!("the peer URL {url} is that of {}", other.member.label());
            let remedy = format!("give another URL, or remove {} first", other.member.label());
            refusals.push(refusal(Code::PeerUrlInUse, message, remedy));
        }
    }
}

/// A member whose peers speak TLS cannot be reached over plain HTTP, nor the other way round; it would be in the list and never
/// come up.
fn same_scheme<'a>(others: impl Iterator<Item = &'a MemberView>, urls: &[String], refusals: &mut Vec<Refusal>) {
    let scheme = |url: &String| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
    let mut used: Vec<_> = others.flat_map(|m| m.member.peer_urls.iter().filter_map(scheme)).collect();
    used.sort();
    used.dedup();
    let [only] = used.as_slice() else { return };
    if let Some(url) = urls.iter().find(|url| scheme(url).as_ref() != Some(only)) {
        let message = format!("every other member's peer URL is {only}, and {url} is not");
        refusals.push(refusal(Code::PeerSchemeDiffers, message, format!("give an {only} URL")));
    }
}

fn check_remove(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let is_voter = view.get(id).is_some_and(|m| !m.member.is_learner);
    if is_voter && view.voters().count() == 1 {
        let message = "it is the only voter, and a cluster without voters is lost";
        refusals.push(refusal(Code::LastVoter, message, "to end a cluster, stop its process and keep its data dir"));
    }
    relies_on_corrupt(view, id, refusals);
}

/// When a voter goes, the quorum rests on the others; one of them must not be the one whose data is wrong.
fn relies_on_corrupt(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let corrupt = view.voters().find(|m| m.member.id != id && view.has_alarm(m.member.id, AlarmKind::Corrupt));
    if let Some(corrupt) = corrupt {
        let who = label(view, corrupt.member.id);
        let message = format!("{who} has a CORRUPT alarm, and the quorum would rest on it");
        refusals.push(refusal(Code::CorruptAlarm, message, format!("replace {who} first")));
    }
}

fn check_promote(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let Some(learner) = view.get(id) else { return };
    match view.lag(learner) {
        Some(lag) if lag <= MAX_LAG => {}
        Some(lag) => {
            let message = format!("it is {lag} log entries behind; at most {MAX_LAG} are fit for a vote");
            refusals.push(refusal(
                Code::LearnerLagging,
                message,
                "wait until it has caught up; `status` shows its lag",
            ));
        }
        None => {
            let message = "it does not answer, so nobody knows how far it is behind";
            refusals.push(refusal(Code::LearnerLagging, message, "start it, and wait until it has caught up"));
        }
    }
}

fn check_update(view: &ClusterView, id: MemberId, urls: &[String], refusals: &mut Vec<Refusal>) {
    let others = || view.members.iter().filter(|m| m.member.id != id);
    urls_are_free(others(), urls, refusals);
    same_scheme(others(), urls, refusals);
    let is_learner = view.get(id).is_some_and(|m| m.member.is_learner);
    if let Some(version) = view.oldest_version()
        && is_learner
        && !version.has(UPDATE_KEEPS_LEARNERS)
    {
        let message = format!("etcd {version} makes a voter of a learner whose peer URLs are updated");
        let remedy = "remove the learner and add it with its new URLs, or upgrade etcd first";
        refusals.push(refusal(Code::UpdatePromotesLearner, message, remedy));
    }
}

fn check_transfer(view: &ClusterView, to: MemberId, refusals: &mut Vec<Refusal>) {
    let Some(target) = view.get(to) else { return };
    let mut bad = |message: String| {
        let remedy = "choose a follower that is healthy and caught up, or none, to let the best be chosen";
        refusals.push(refusal(Code::BadTransferee, message, remedy));
    };
    if target.member.is_learner {
        return bad("it is a learner and cannot lead".to_owned());
    }
    if !target.serves() {
        return bad("it does not serve linearizable reads".to_owned());
    }
    match view.lag(target) {
        Some(lag) if lag > MAX_LAG => bad(format!("it is {lag} log entries behind")),
        _ => {}
    }
    if view.alarms.iter().any(|alarm| alarm.member_id == to) {
        refusals.push(refusal(Code::BadTransferee, "it has an alarm", "see `alarm list`"));
    }
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
    pub fn still_allows(&self, step: &Step, view: &ClusterView) -> Result<(), Refused> {
        let left = not_allowed(check(&step.action, view), &self.allow);
        if left.is_empty() { Ok(()) } else { Err(Refused { operation: self.plan.operation, refusals: left }) }
    }
}

/// Judges a plan: each step against what would be there when its turn comes.
///
/// # Errors
/// The refusals that were not allowed by name.
pub fn approve(plan: Plan, view: &ClusterView, allow: &[Code]) -> Result<Approved, Refused> {
    let mut refusals = Vec::new();
    let mut seen = view.clone();
    for step in &plan.steps {
        refusals.extend(not_allowed(check(&step.action, &seen), allow));
        seen = seen.after(&step.action);
    }
    refusals.dedup_by(|a, b| a.code == b.code && a.message == b.message);
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
        let mut remedies: Vec<&str> = self.refusals.iter().map(|r| r.remedy.as_str()).collect();
        remedies.dedup();
        let mut codes: Vec<&str> = self.refusals.iter().map(|r| r.code.word()).collect();
        codes.dedup();
        Some(format!("{}. To do it all the same, allow {}", remedies.join("; "), codes.join(", ")))
    }

    fn report(&self) -> Option<Value> {
        crate::value::to_value(&self.refusals).ok()
    }
}
