//! The rules that etcd itself applies to a membership change, so that we can say beforehand what it would answer. They are
//! read from `server/etcdserver/server.go` and `server/etcdserver/api/membership/cluster.go`, and apply while
//! `--strict-reconfig-check` is on, which is the default.
//!
//! "Started" means that a member has ever published its name, "connected" that the member which gets the request has had a
//! connection to it for five seconds; we take "answers us" for the latter.

use crate::change::plan::Action;
use crate::change::view::{ClusterView, MemberView, quorum_of};
use crate::id::MemberId;
use crate::version::Version;

/// Since these versions a member can be added while another is down, if a quorum of the new size is connected; before, every
/// voter has to be (etcd pull requests 21667 and 21669).
const ADD_NEEDS_ONLY_A_QUORUM: &[Version] = &[Version::new(3, 5, 30), Version::new(3, 6, 11)];

/// How many learners a server takes, unless it was started with another `--max-learners`.
const MAX_LEARNERS: usize = 1;

/// The share of the leader's log that a learner must have before a server promotes it.
const READY: f64 = 0.9;

/// Says whether the server would accept an action, and carry it out in time.
///
/// # Errors
/// What it would answer, in its own words.
pub fn accepts(action: &Action, view: &ClusterView) -> Result<(), String> {
    match action {
        Action::AddMember { peer_urls, learner, .. } => may_add(view, peer_urls, *learner)?,
        Action::RemoveMember { id } => may_remove(view, *id)?,
        Action::PromoteMember { who } => may_promote(view, who.find(view))?,
        Action::UpdatePeerUrls { id, peer_urls } => {
            known(view, *id)?;
            let others = view.members.iter().filter(|m| m.member.id != *id);
            urls_are_free(others, peer_urls)?;
        }
        Action::MoveLeader { to, .. } => return may_lead(view, *to),
        Action::Defragment { id } if view.get(*id).is_some_and(|m| m.member.is_learner) => {
            return Err("etcdserver: rpc not supported for learner".to_owned());
        }
        // Everything else passes no rule about the membership.
        _ => return Ok(()),
    }
    // What passes the rules is proposed, and waits in vain for a quorum that is not there.
    if view.healthy_voters() < view.quorum() {
        return Err("etcdserver: request timed out".to_owned());
    }
    Ok(())
}

fn connected(member: &&MemberView) -> bool {
    member.known().is_some()
}

fn started(member: &&MemberView) -> bool {
    member.member.started()
}

fn known(view: &ClusterView, id: MemberId) -> Result<&MemberView, String> {
    view.get(id).ok_or_else(|| "etcdserver: member not found".to_owned())
}

fn urls_are_free<'a>(mut others: impl Iterator<Item = &'a MemberView>, urls: &[String]) -> Result<(), String> {
    match others.any(|m| m.member.peer_urls.iter().any(|url| urls.contains(url))) {
        true => Err("etcdserver: Peer URLs already exists".to_owned()),
        false => Ok(()),
    }
}

const NOT_STARTED: &str = "etcdserver: re-configuration failed due to not enough started members";
const UNHEALTHY: &str = "etcdserver: unhealthy cluster";

fn may_add(view: &ClusterView, urls: &[String], learner: bool) -> Result<(), String> {
    let voters = view.voters().count();
    let needed = quorum_of(voters + 1);
    let started = view.voters().filter(started).count();
    // A cluster of one may always grow, since there is nobody to ask.
    if !learner && voters > 1 && started < needed {
        return Err(NOT_STARTED.to_owned());
    }
    let connected = view.voters().filter(connected).count();
    let by_quorum = view.oldest_version().is_none_or(|version| version.has(ADD_NEEDS_ONLY_A_QUORUM));
    let enough = if by_quorum { voters == 1 || connected >= needed } else { connected == voters };
    if !enough {
        return Err(UNHEALTHY.to_owned());
    }
    if learner && view.learners().count() >= MAX_LEARNERS {
        return Err("etcdserver: too many learner members in cluster".to_owned());
    }
    urls_are_free(view.members.iter(), urls)
}

fn may_remove(view: &ClusterView, id: MemberId) -> Result<(), String> {
    let target = known(view, id)?;
    if target.member.is_learner {
        return Ok(());
    }
    let rest: Vec<_> = view.voters().filter(|m| m.member.id != id).collect();
    let needed = quorum_of(rest.len());
    if rest.iter().copied().filter(started).count() < needed {
        return Err(NOT_STARTED.to_owned());
    }
    // A member that is down is not part of the quorum that works, so its removal cannot break it.
    if connected(&target) && rest.iter().copied().filter(connected).count() < needed {
        return Err(UNHEALTHY.to_owned());
    }
    Ok(())
}

fn may_lead(view: &ClusterView, to: MemberId) -> Result<(), String> {
    let target = view.get(to).filter(|m| !m.member.is_learner);
    let target = target.ok_or("etcdserver: bad leader transferee")?;
    view.leader().ok_or("etcdserver: no leader")?;
    // It is not asked whether it is there; the leader waits for it to take over.
    target.known().ok_or("etcdserver: request timed out, leader transfer took too long")?;
    Ok(())
}

/// The leader looks at its own record of how far the member's log reaches. It keeps the record of a learner that has died, so
/// it may promote that one; nobody else can see the record, so here the answer is no.
fn may_promote(view: &ClusterView, target: Option<&MemberView>) -> Result<(), String> {
    let target = target.ok_or("etcdserver: member not found")?;
    if !target.member.is_learner {
        return Err("etcdserver: can only promote a learner member".to_owned());
    }
    let leader = view.leader().and_then(MemberView::known).map(|status| status.raft_index);
    let learner = target.known().map(|status| status.raft_applied_index);
    let ready = match (leader, learner) {
        #[expect(clippy::cast_precision_loss, reason = "the server compares in floats too")]
        (Some(leader), Some(learner)) => learner as f64 >= leader as f64 * READY,
        _ => false,
    };
    if !ready {
        return Err("etcdserver: can only promote a learner member which is in sync with leader".to_owned());
    }
    let started = view.voters().filter(started).count() + 1;
    if started < quorum_of(view.voters().count() + 1) {
        return Err(NOT_STARTED.to_owned());
    }
    Ok(())
}
