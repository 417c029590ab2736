//! Guards of what takes a member away for a while, and of what is done on its host.

use super::membership::relies_on_corrupt;
use super::{Code, Refusal, refusal};
use crate::change::plan::label;
use crate::change::view::{ClusterView, MemberView};
use crate::host::{Data, Process};
use crate::id::MemberId;
use crate::ops::downgrade;
use crate::rpc::AlarmKind;
use crate::version::Version;

/// How many log entries the other members may be behind when one is taken away. Members are not asked in the same instant, so
/// under many writes they always seem to be some behind.
pub(crate) const MAX_OTHERS_LAG: i64 = 1_000;

/// Since these versions a snapshot that a member applies while it is defragmented does not damage its data (etcd pull requests
/// 20650 and 20653).
const DEFRAG_WHILE_CATCHING_UP: &[Version] = &[Version::new(3, 5, 23), Version::new(3, 6, 5)];
/// Since these versions a defragmentation that ends in a crash does not damage data (etcd pull request 14685); lines before 3.5
/// do not have the fault.
const DEFRAG_KEEPS_INDEX: &[Version] = &[Version::new(3, 5, 6), Version::new(3, 6, 0)];

pub(super) fn check_restart(view: &ClusterView, id: MemberId, name: &str, refusals: &mut Vec<Refusal>) {
    others_can_do_without(view, id, refusals);
    versions_are_near(view, refusals);
    if view.get(id).is_some_and(MemberView::serves) {
        data_are_ready(view, refusals);
    }
    belongs(view, id, name, refusals);
    has_its_data(view, view.get(id), name, refusals);
}

/// What has to hold of the others while a member is away.
fn others_can_do_without(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    nobody_is_corrupt(view, refusals);
    others_serve(view, id, refusals);
    others_follow(view, id, refusals);
}

pub(super) fn check_stop(view: &ClusterView, id: MemberId, name: &str, refusals: &mut Vec<Refusal>) {
    relies_on_corrupt(view, id, refusals);
    belongs(view, id, name, refusals);
}

/// Which of two members is right is not known while one differs, so none goes away until that is settled.
fn nobody_is_corrupt(view: &ClusterView, refusals: &mut Vec<Refusal>) {
    let Some(alarm) = view.alarms.iter().find(|alarm| alarm.kind == AlarmKind::Corrupt) else { return };
    let known = view.get(alarm.member_id);
    let who = known.map_or_else(|| "a member that nobody could tell".to_owned(), |m| m.member.label_with_id());
    let message = format!("{who} has a CORRUPT alarm, so the members' data differ");
    let remedy = match known {
        Some(member) => format!("`hash` shows who differs; replace {} first", member.member.label()),
        None => "`hash` shows who differs; replace that member first".to_owned(),
    };
    refusals.push(refusal(Code::CorruptAlarm, message, remedy));
}

/// What runs on a host is the member whose data lie there; where they do not tell, it is who the process says it is.
fn belongs(view: &ClusterView, id: MemberId, name: &str, refusals: &mut Vec<Refusal>) {
    let Some(host) = view.hosting.of(name).map(|seen| &seen.view) else { return };
    let message = match (&host.data, &host.called) {
        (Data::Of { member, .. }, _) => {
            let Some(found) = view.get(*member) else { return };
            // Whose process it is may be unknown; no real id is zero.
            let other = *member != id && id != MemberId(0);
            if !other && (found.member.name == name || !found.member.started()) {
                return;
            }
            format!(
                "on the host of {name} runs {}, and not {}",
                label(view, *member),
                if other { id.to_string() } else { name.to_owned() }
            )
        }
        _ if host.process != Process::Running => return,
        (_, Some(called)) if called == name => return,
        (_, Some(called)) => {
            format!("the process on the host of {name} calls itself {}", crate::units::escape_word(called))
        }
        (data, None) => {
            let why = match data {
                Data::Unknown(why) => why,
                _ => "there are no data where the profile says they are",
            };
            format!("nobody can tell whose process runs on the host of {name}: {why}")
        }
    };
    // Another code than that of a stale plan: whoever allows that does not mean to stop somebody else.
    let remedy =
        "look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again";
    refusals.push(refusal(Code::DataInUse, message, remedy));
}

pub(super) fn check_defragment(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    others_can_do_without(view, id, refusals);
    let Some(target) = view.get(id) else { return };
    if !target.serves() {
        let message = format!("{} does not serve, and only who serves can be defragmented", target.member.label());
        refusals.push(refusal(Code::NotServing, message, "bring it back first; `health` says what is wrong with it"));
    }
    let Some(version) = target.version() else { return };
    let old = version >= Version::new(3, 5, 0);
    if old && !version.has(DEFRAG_KEEPS_INDEX) {
        let message = format!("etcd {version} can lose entries when it ends while it is defragmented");
        refusals.push(refusal(Code::KnownCorruption, message, "upgrade it to 3.5.6 or newer first"));
    }
    let behind = view.members.iter().find(|m| catching_up(view, m));
    if let (true, false, Some(behind)) = (old, version.has(DEFRAG_WHILE_CATCHING_UP), behind) {
        let who = label(view, behind.member.id);
        let message =
            format!("{who} is catching up, and etcd {version} can damage data that arrives while it is defragmented");
        refusals.push(refusal(
            Code::KnownCorruption,
            message,
            "wait until it has caught up, or upgrade to 3.5.23 or 3.6.5",
        ));
    }
}

fn catching_up(view: &ClusterView, member: &MemberView) -> bool {
    view.lag(member).is_none_or(|lag| lag > MAX_OTHERS_LAG)
}

fn others_serve(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let sick: Vec<_> = view.voters().filter(|m| m.member.id != id && !m.serves()).map(|m| m.member.label()).collect();
    if !sick.is_empty() {
        let message = format!("another voter does not serve: {}", sick.join(", "));
        let remedy = "bring it back first; `health` says what is wrong with it, and `rolling-restart` of it alone starts it again";
        refusals.push(refusal(Code::OthersUnhealthy, message, remedy));
    }
}

fn others_follow(view: &ClusterView, id: MemberId, refusals: &mut Vec<Refusal>) {
    let others = view.members.iter().filter(|m| m.member.id != id);
    let behind = others.filter_map(|m| view.lag(m).map(|lag| (m, lag))).find(|(_, lag)| *lag > MAX_OTHERS_LAG);
    if let Some((behind, lag)) = behind {
        let who = behind.member.label();
        let message = format!("{who} is {lag} log entries behind; while one is away at most {MAX_OTHERS_LAG} are safe");
        refusals.push(refusal(Code::OthersLagging, message, "wait until it has caught up; `status` shows its lag"));
    }
}

fn versions_are_near(view: &ClusterView, refusals: &mut Vec<Refusal>) {
    let minors = || view.members.iter().filter_map(MemberView::version).map(|v| (v.major, v.minor));
    if let (Some(oldest), Some(newest)) = (minors().min(), minors().max())
        && (oldest.0 != newest.0 || newest.1 - oldest.1 > 1)
    {
        let message = format!("members run etcd {}.{} and {}.{}", oldest.0, oldest.1, newest.0, newest.1);
        let remedy = "etcd supports members of two neighbouring minor versions; upgrade the oldest first";
        refusals.push(refusal(Code::VersionSkew, message, remedy));
    }
}

/// Whoever restarts members while a downgrade is prepared may do it with the older version.
fn data_are_ready(view: &ClusterView, refusals: &mut Vec<Refusal>) {
    let progress = downgrade::status::progress(view);
    if progress.stage == downgrade::status::Stage::Preparing {
        refusals.push(refusal(Code::VersionSkew, progress.reason, "`downgrade status` says when it is ready"));
    }
}

/// While versions are on their way, only what the way needs is done.
pub(super) fn versions_stay(view: &ClusterView, refusals: &mut Vec<Refusal>) {
    versions_are_near(view, refusals);
    if let Some(version) = view.downgrade() {
        let message = format!("a downgrade to {} is under way", crate::units::escape_word(version));
        refusals.push(refusal(Code::VersionSkew, message, "finish it, or take it back with `downgrade cancel`"));
    }
}

/// Data are moved aside when they belong to nobody in the cluster any more. A member that has started once and loses its data
/// cannot come back (etcd issues 10254, 20269 and 21178), so the id in its data dir decides, and not what was done before.
pub(super) fn check_aside(view: &ClusterView, name: &str, refusals: &mut Vec<Refusal>) {
    let Some(host) = view.hosting.of(name).map(|seen| &seen.view) else { return };
    if host.process == Process::Running {
        let message = format!("the process of {name} runs on its host, with its data open");
        refusals.push(refusal(Code::ProcessRuns, message, "stop it first"));
    }
    let (message, remedy) = match &host.data {
        Data::Of { cluster, .. } if *cluster != view.cluster_id => {
            let message = format!("the data of {name} on its host belong to another cluster, {cluster}");
            (message, "look whether the profile names the right host and data dir")
        }
        Data::Of { member, .. } if view.get(*member).is_some() => {
            let message =
                format!("the data of {name} on its host are those of {}, which is a member", label(view, *member));
            let own = view.get(*member).is_some_and(|m| m.member.name == name || !m.member.started());
            let remedy = if own {
                "remove that member first; one that has started cannot come back without its data"
            } else {
                "look whether the profile names the right host and data dir; that member needs its data"
            };
            (message, remedy)
        }
        // Data of a member that has gone are needed by nobody, whatever they are.
        Data::Unknown(why) if host.process == Process::Unknown || still_there(view, name) => {
            (format!("nobody can tell whose data {name} has: {why}"), "look at its data dir")
        }
        _ => return,
    };
    refusals.push(refusal(Code::DataInUse, message, remedy));
}

/// Says whether a member of this name or at the address of this host is in the membership list.
fn still_there(view: &ClusterView, name: &str) -> bool {
    let urls = view.hosting.of(name).and_then(|host| host.peer_urls.as_ref());
    view.members.iter().any(|m| m.member.name == name) || urls.is_some_and(|urls| view.at(urls).is_some())
}

/// A member that has started once and has lost its data cannot come back (etcd issues 10254, 20269 and 21178): its log begins anew,
/// and the leader goes on with what it has acknowledged.
fn has_its_data(view: &ClusterView, member: Option<&MemberView>, name: &str, refusals: &mut Vec<Refusal>) {
    let Some(member) = member.filter(|m| m.member.started() && !m.serves()) else { return };
    if view.data(name) == Some(&Data::None) {
        let who = member.member.label();
        let message = format!("{who} has run before, and there are no data of it on its host, so it cannot come back");
        let remedy =
            format!("`member replace {who}` makes it a new member; if it has data, correct data_dir in the profile");
        refusals.push(refusal(Code::DataMissing, message, remedy));
    }
}

/// A member is started on its own data, or on none if it has never had any.
pub(super) fn check_start(view: &ClusterView, name: &str, peer_urls: &[String], refusals: &mut Vec<Refusal>) {
    let Some(host) = view.hosting.of(name).map(|seen| &seen.view) else { return };
    let there = view.at(peer_urls);
    has_its_data(view, there, name, refusals);
    let expected = there.map(|m| m.member.id);
    if let (Data::Of { member, cluster }, Some(expected)) = (&host.data, expected)
        && (*member != expected || *cluster != view.cluster_id)
    {
        let message = format!("the data of {name} on its host are those of member {member} of cluster {cluster}");
        refusals.push(refusal(Code::DataInUse, message, "move them aside first"));
    }
}

/// etcd goes back by one minor version, and not before 3.6; an older server would carry out the call and answer with a timeout.
pub(super) fn check_downgrade(view: &ClusterView, wanted: &str, refusals: &mut Vec<Refusal>) {
    let (Some(oldest), Some(wanted)) = (view.oldest_version(), Version::parse(wanted)) else { return };
    let silent: Vec<_> =
        view.members.iter().filter(|m| m.member.started() && m.version().is_none()).map(|m| m.member.label()).collect();
    if !silent.is_empty() {
        let message =
            format!("nobody knows which version runs on {}, and all have to go back together", silent.join(", "));
        refusals.push(refusal(
            Code::OthersUnhealthy,
            message,
            "bring it back first; `health` says what is wrong with it",
        ));
    }
    if let Some(objection) = downgrade::objection(view) {
        refusals.push(objection);
    } else if (oldest.major, oldest.minor) != (wanted.major, wanted.minor.saturating_add(1)) {
        let message = format!("etcd {oldest} can go back to {}.{} only", oldest.major, oldest.minor.saturating_sub(1));
        refusals.push(refusal(Code::ServerWouldRefuse, message, "go back by one minor version at a time"));
    }
}
