//! `downgrade status`: whether the cluster is on its way to an older version, and how far it is.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::view::{ClusterView, MemberView};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::id::MemberId;
use crate::operation::Operation;
use crate::ops::downgrade::SINCE;
use crate::units::escape_word;
use crate::version::Version;
use crate::{choice, record};

choice! {
    /// How far a downgrade is.
    pub enum Stage {
        /// No member knows of a downgrade.
        Inactive = "inactive",
        /// It is enabled, and the data of some member is not ready for the older version yet.
        Preparing = "preparing",
        /// The data of every member is ready: each may be restarted with the older version.
        Ready = "ready",
        /// No member tells: none runs 3.6 or later.
        Unknown = "unknown",
    }
}

record! {
    /// One member, and how far it is.
    pub struct Row {
        /// The member's id, in hex.
        member_id: MemberId,
        /// Its name; null until it has started for the first time.
        name: Option<String>,
        /// Its etcd version.
        version: Option<String>,
        /// The version of its data's form; etcd tells it from 3.6 on.
        storage_version: Option<String>,
        /// The version that it knows a downgrade to lead to.
        target: Option<String>,
        /// Why it did not tell.
        error: Option<String>,
    }
}

record! {
    /// Whether a downgrade is under way.
    pub struct Progress {
        /// How far it is: inactive, preparing, ready or unknown.
        stage: Stage,
        /// Where it leads.
        target: Option<String>,
        /// What that means, and what to do next.
        reason: String,
        /// Every member.
        members: Vec<Row>,
    }
}

/// See [`Operation::CARD`].
pub struct DowngradeStatus;

impl Operation for DowngradeStatus {
    const CARD: Card = Card {
        name: "downgrade status",
        summary: "Show whether the cluster is on its way to an older version, and how far it is.",
        details: "While a downgrade is enabled, the members make their data ready for the older version. When it is ready on \
                  every member, they can be restarted with that version, one after another. etcd can do this from 3.6 on.",
        search: &["etcdctl", "rollback", "version", "storage", "older"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "See whether a downgrade is under way", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Progress;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Progress> {
        Ok(progress(&observe(ctx.cluster()?, Depth::Status).await?))
    }
}

/// Judges what the members tell; pure.
pub(crate) fn progress(view: &ClusterView) -> Progress {
    let target =
        view.members.iter().filter_map(MemberView::known).find_map(|status| status.downgrade_target.as_deref());
    let (stage, reason) = match target.and_then(Version::parse) {
        Some(target) => under_way(view, target),
        None if view.members.iter().filter_map(MemberView::version).all(|version| version < SINCE) => {
            (Stage::Unknown, "only members of 3.6 or later tell of a downgrade, and can be downgraded".to_owned())
        }
        None => (Stage::Inactive, "no member knows of a downgrade".to_owned()),
    };
    let members = view.members.iter().map(row).collect();
    Progress { stage, target: target.map(escape_word), reason, members }
}

fn under_way(view: &ClusterView, target: Version) -> (Stage, String) {
    let line = |version: Version| (version.major, version.minor);
    let older = |m: &MemberView| m.version().is_some_and(|version| line(version) <= line(target));
    let storage = |m: &MemberView| m.known().and_then(|s| s.storage_version.as_deref()).and_then(Version::parse);
    let ready = |m: &MemberView| older(m) || storage(m).is_some_and(|version| line(version) <= line(target));
    let labels = |wanted: &dyn Fn(&MemberView) -> bool| {
        view.members.iter().filter(|m| wanted(m)).map(|m| m.member.label()).collect::<Vec<_>>()
    };
    let (target_line, target) = (line(target), format!("{}.{}", target.major, target.minor));
    let far = labels(&|m| m.version().is_some_and(|version| line(version) > (target_line.0, target_line.1 + 1)));
    if !far.is_empty() {
        let far = far.join(", ");
        let reason = format!(
            "{far} runs more than one minor version above {target}, and would not start beside it; take this back with `downgrade cancel`"
        );
        return (Stage::Preparing, reason);
    }
    let (waiting, done) = (labels(&|m| !ready(m)), labels(&|m| older(m)));
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        return (
            Stage::Preparing,
            format!("the data of {waiting} is not known to be ready for {target}; replace no etcd yet"),
        );
    }
    let left = labels(&|m| !older(m)).join(", ");
    let reason = match (done.len(), left.is_empty()) {
        (0, _) => format!("the data of every member is ready for {target}; restart one after another with it"),
        (_, true) => format!("every member runs {target}; the cluster notices by itself, in some seconds"),
        (done, false) => format!("{done} of {} members run {target}; {left} still to go", view.members.len()),
    };
    (Stage::Ready, reason)
}

fn row(member: &MemberView) -> Row {
    let status = member.known();
    let word = |text: &Option<String>| text.as_deref().map(escape_word);
    Row {
        member_id: member.member.id,
        name: member.member.started().then(|| member.member.label()),
        version: status.map(|status| escape_word(&status.version)),
        storage_version: status.and_then(|status| word(&status.storage_version)),
        target: status.and_then(|status| word(&status.downgrade_target)),
        error: member.failure().map(|failure| failure.message.clone()),
    }
}
