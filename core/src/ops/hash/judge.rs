//! What the hashes of the members say. Pure.

use super::{Consistency, HashReport, Row};
use crate::change::view::{Answered, ClusterView, Failure, MemberView};
use crate::id::{MemberId, Revision};
use crate::rpc::HashKv;
use crate::version::Version;

/// What one member answered.
pub(super) struct Asked {
    pub(super) id: MemberId,
    pub(super) answer: Answered<HashKv>,
}

/// Takes the hash of a member for its own only if it says so itself.
pub(super) fn own(id: MemberId, hash: HashKv) -> Answered<HashKv> {
    let other = || Failure::unasked("wrong_member", &format!("member {} answered in its place", hash.member_id));
    if hash.member_id == id { Ok(hash) } else { Err(other()) }
}

/// Says whether asking again may give another answer: a member that is a little behind, a compaction that runs.
pub(super) fn passes(answers: &[Asked], revision: Revision, revision_is_given: bool) -> bool {
    let failed = answers.iter().filter_map(|asked| asked.answer.as_ref().err());
    let hashes = || answers.iter().filter_map(|asked| asked.answer.as_ref().ok());
    let unlike =
        hashes().zip(hashes().skip(1)).any(|(a, b)| likeness(a, Some(revision)) != likeness(b, Some(revision)));
    // A revision that everybody has dropped does not come back.
    let gone = revision_is_given && answers.iter().all(|asked| fails_with(asked, "compacted"));
    !gone && (unlike || failed.map(|failure| failure.code).any(|code| matches!(code, "future_revision" | "compacted")))
}

fn fails_with(asked: &Asked, code: &str) -> bool {
    asked.answer.as_ref().is_err_and(|failure| failure.code == code)
}

/// Returns what all members refused with, where it is about the question and not about them.
pub(super) fn refusal(answers: &[Asked], revision_is_given: bool) -> Option<&Failure> {
    let first = answers.first()?.answer.as_ref().err()?;
    let about_question = match first.code {
        "permission_denied" | "unauthenticated" | "unsupported" => true,
        "compacted" | "future_revision" => revision_is_given,
        _ => false,
    };
    (about_question && answers.iter().all(|asked| fails_with(asked, first.code))).then_some(first)
}

/// Only what is alike in this can be compared. Servers before 3.6 do not say which revision they hashed: it is the one that
/// was asked for.
fn likeness(hash: &HashKv, asked: Option<Revision>) -> (Option<Revision>, Option<Revision>) {
    (hash.hash_revision.or(asked), hash.compact_revision)
}

/// A voter with its hash.
struct Hashed<'v> {
    voter: &'v MemberView,
    hash: HashKv,
}

/// Judges the answers for a revision.
pub(super) fn judge(view: &ClusterView, revision: Option<Revision>, answers: &[Asked]) -> HashReport {
    let hash = |id| answers.iter().find(|asked| asked.id == id).and_then(|asked| asked.answer.as_ref().ok());
    let hashed = view.voters().filter_map(|voter| Some(Hashed { voter, hash: *hash(voter.member.id)? }));
    let hashed: Vec<_> = hashed.collect();
    // What most have in common stands for the cluster: first how their stores are compacted, then the hash itself.
    let usual = most(&hashed, |one| likeness(&one.hash, revision));
    let (alike, unlike): (Vec<&Hashed<'_>>, Vec<_>) =
        hashed.iter().partition(|one| Some(likeness(&one.hash, revision)) == usual);
    let common = most(&alike, |one| one.hash.hash);
    let (same, others): (Vec<&Hashed<'_>>, Vec<_>) =
        alike.iter().copied().partition(|one| Some(one.hash.hash) == common);
    let majority = same.len() >= view.quorum();
    let (verdict, reason) = match other_rules(&alike) {
        _ if others.is_empty() && at_its_edge(answers, revision) => (Consistency::NotComparable, edge(revision)),
        _ if others.is_empty() => undivided(view, &alike, &unlike),
        Some(why) => (Consistency::NotComparable, why),
        None => (Consistency::Divergent, divided(&labels(&same), &labels(&others), majority)),
    };
    let minority = match verdict {
        Consistency::Divergent if majority => others.iter().map(|one| one.voter.member.label()).collect(),
        _ => Vec::new(),
    };
    let compared = |id| alike.len() > 1 && alike.iter().any(|one| one.voter.member.id == id);
    let rows = view.members.iter().map(|member| row(member, answers, compared(member.member.id)));
    HashReport { verdict, revision, minority, reason, members: rows.collect() }
}

/// Returns what most of them have; where two are as frequent, the first.
fn most<T, K: PartialEq>(of: &[T], key: impl Fn(&T) -> K) -> Option<K> {
    let count = |one: &&T| of.iter().filter(|other| key(other) == key(one)).count();
    of.iter().rev().max_by_key(count).map(key)
}

fn labels(of: &[&Hashed<'_>]) -> String {
    of.iter().map(|one| one.voter.member.label()).collect::<Vec<_>>().join(", ")
}

fn divided(same: &str, others: &str, majority: bool) -> String {
    if majority {
        format!("the data of {others} differs from that of {same}, which a majority of the voters has")
    } else {
        format!("{same} and {others} differ, and no majority of the voters has the same data: the minority is unknown")
    }
}

/// Says whether nothing was written since a compaction to the newest revision. Servers of 3.4 hash nothing then, and those of 3.5
/// and later that were restarted since hash another store than those that remember the hash that they took while they compacted.
fn at_its_edge(answers: &[Asked], revision: Option<Revision>) -> bool {
    let edge = |hash: &HashKv| hash.compact_revision.is_some() && hash.compact_revision >= revision;
    let hashes = || answers.iter().filter_map(|asked| asked.answer.as_ref().ok());
    let differ = hashes().any(|hash| hashes().any(|other| likeness(hash, revision) != likeness(other, revision)));
    let none = !answers.is_empty() && answers.iter().all(|asked| fails_with(asked, "compacted"));
    none || (differ && hashes().any(edge))
}

fn edge(revision: Option<Revision>) -> String {
    let revision = revision.map_or_else(|| "the newest revision".to_owned(), |revision| format!("revision {revision}"));
    format!("the store is compacted to {revision}, and nothing was written since: compare again after the next write")
}

/// Says what it means that no difference was seen.
fn undivided(view: &ClusterView, alike: &[&Hashed<'_>], unlike: &[&Hashed<'_>]) -> (Consistency, String) {
    let gave = |id| alike.iter().chain(unlike).any(|one| one.voter.member.id == id);
    let silent: Vec<_> = view.voters().filter(|m| !gave(m.member.id)).map(|m| m.member.label()).collect();
    let learners: Vec<_> = view.learners().map(|m| m.member.label()).collect();
    let learners = match learners.is_empty() {
        true => String::new(),
        false => format!("; a learner gives none: {}", learners.join(", ")),
    };
    let so_far = match alike {
        [] => "nobody did".to_owned(),
        [one] => format!("only {} did", one.voter.member.label()),
        several => format!("{} gave the same one", labels(several)),
    };
    if !silent.is_empty() {
        return (Consistency::NotComparable, format!("{} gave no hash; {so_far}{learners}", silent.join(", ")));
    }
    if !unlike.is_empty() {
        let all =
            alike.iter().chain(unlike).map(|one| format!("{} {}", one.voter.member.label(), compaction(&one.hash)));
        let all = all.collect::<Vec<_>>().join(", ");
        return (Consistency::NotComparable, format!("their stores are not compacted alike: {all}{learners}"));
    }
    let reason = match alike {
        [_] => format!("a single voter has nothing to be compared with{learners}"),
        all => format!("all {} voters gave the same hash{learners}", all.len()),
    };
    (Consistency::Consistent, reason)
}

fn compaction(hash: &HashKv) -> String {
    hash.compact_revision.map_or_else(|| "never".to_owned(), |revision| format!("to {revision}"))
}

/// From these versions on a compaction keeps the deletion of a key that was deleted at the compacted revision itself. Before,
/// members of different versions hash such a store differently though they hold the same data.
/// Source: etcd's pull request 18274, and its backports in the changelogs of 3.4 and 3.5.
const KEEPS_DELETIONS: [Version; 3] = [Version::new(3, 4, 34), Version::new(3, 5, 16), Version::new(3, 6, 0)];

/// Says why hashes may differ though the data does not: the members compact by different rules, and those of each rule agree
/// among themselves.
fn other_rules(alike: &[&Hashed<'_>]) -> Option<String> {
    let keeps = |one: &&Hashed<'_>| one.voter.version().is_some_and(|version| version.has(&KEEPS_DELETIONS));
    let (new, old): (Vec<&Hashed<'_>>, Vec<_>) = alike.iter().copied().partition(keeps);
    let agree = |group: &[&Hashed<'_>]| group.iter().zip(group.iter().skip(1)).all(|(a, b)| a.hash.hash == b.hash.hash);
    let compacted = alike.iter().any(|one| one.hash.compact_revision.is_some());
    let possible = compacted && !new.is_empty() && !old.is_empty() && agree(&new) && agree(&old);
    possible.then(|| {
        format!(
            "{} and {} compact by different rules, because of their versions, so their hashes differ even where their data does \
             not; ask again when all run one version",
            labels(&old),
            labels(&new)
        )
    })
}

fn row(member: &MemberView, answers: &[Asked], comparable: bool) -> Row {
    let answer = answers.iter().find(|asked| asked.id == member.member.id).map(|asked| &asked.answer);
    let hash = answer.and_then(|answer| answer.as_ref().ok());
    let failure = answer.and_then(|answer| answer.as_ref().err()).or_else(|| member.failure());
    let silent = match (hash, failure) {
        (Some(_), _) => None,
        (None, Some(failure)) => Some(failure.message.clone()),
        (None, None) if member.status.is_none() => Some("it was added, and has never started".to_owned()),
        (None, None) if member.member.is_learner => Some("a learner gives no hash; ask again when it votes".to_owned()),
        (None, None) => Some("it has no revision yet".to_owned()),
    };
    Row {
        member_id: Some(member.member.id),
        name: member.member.started().then(|| member.member.label()),
        hash: hash.map(|hash| hash.hash),
        hash_revision: hash.and_then(|hash| hash.hash_revision),
        compact_revision: hash.and_then(|hash| hash.compact_revision),
        comparable,
        error: silent,
    }
}
