//! Guards of the membership and of leadership.

use super::{Code, MAX_LAG, Refusal, refusal};
use crate::change::plan::{Who, label};
use crate::change::view::{ClusterView, MemberView};
use crate::id::MemberId;
use crate::rpc::AlarmKind;
use crate::version::Version;

/// Since these versions an update of a learner's peer URLs leaves it a learner; before, it silently becomes a voter (etcd pull
/// requests 21736 and 21737).
const UPDATE_KEEPS_LEARNERS: &[Version] = &[Version::new(3, 5, 31), Version::new(3, 6, 12)];

pub(super) fn check_add(view: &ClusterView, name: &str, urls: &[String], refusals: &mut Vec<Refusal>) {
    urls_are_free(view.members.iter(), urls, refusals);
    name_is_free(view, name, refusals);
    same_scheme(view.members.iter(), urls, refusals);
}

pub(super) fn name_is_free(view: &ClusterView, name: &str, refusals: &mut Vec<Refusal>) {
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

pub(super) fn check_remove(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let is_voter = view.get(id).is_some_and(|m| !m.member.is_learner);
    if is_voter && view.voters().count() == 1 {
        let message = "it is the only voter, and a cluster without voters is lost";
        refusals.push(refusal(Code::LastVoter, message, "to end a cluster, stop its process and keep its data dir"));
    }
    relies_on_corrupt(view, id, refusals);
}

/// When a voter goes, the quorum rests on the others; one of them must not be the one whose data is wrong.
pub(super) fn relies_on_corrupt(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let corrupt = view.voters().find(|m| m.member.id != id && view.has_alarm(m.member.id, AlarmKind::Corrupt));
    if let Some(corrupt) = corrupt {
        let who = label(view, corrupt.member.id);
        let message = format!("{who} has a CORRUPT alarm, and the quorum would rest on it");
        refusals.push(refusal(Code::CorruptAlarm, message, format!("replace {who} first")));
    }
}

pub(super) fn check_promote(view: &ClusterView, who: &Who, refusals: &mut Vec<Refusal>) {
    let Some(learner) = who.find(view) else { return };
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

pub(super) fn check_update(view: &ClusterView, id: MemberId, urls: &[String], refusals: &mut Vec<Refusal>) {
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

pub(super) fn check_transfer(view: &ClusterView, to: MemberId, refusals: &mut Vec<Refusal>) {
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
    if view.is_unfit(to) {
        refusals.push(refusal(Code::BadTransferee, "it has an alarm", "see `alarm list`"));
    }
}
