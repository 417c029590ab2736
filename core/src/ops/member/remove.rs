//! `member remove`: take a member out for ever.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::member::{best_transferee, find};

args! {
    /// Whom to remove.
    pub struct Args(
        /// The member: its name, its id in hex, or one of its URLs.
        member: MemberRef,
    ) {}
}

/// See [`Change::CARD`].
pub struct MemberRemove;

impl Change for MemberRemove {
    const CARD: Card = Card {
        name: "member remove",
        summary: "Remove a member from the cluster for ever.",
        details: "The member's id never comes back: to bring the machine back, add it as a new member with an empty data dir. \
                  A leader hands its leadership over first. It is refused when the voters that stay would not make a quorum.",
        search: &["etcdctl", "evict", "shrink", "delete"],
        effect: Effect::Destroys,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Show what the removal would do",
                args: &[("member", Sample::Text("infra2")), ("dry_run", Sample::On)],
            },
            Example { about: "Remove a member", args: &[("member", Sample::Text("infra2"))] },
        ],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { member }: Args) -> Result<Plan> {
        let target = find(view, &member)?;
        let id = target.member.id;
        // Another member may get the name.
        let mut plan = Plan::new(Self::CARD.name, view).remember("member", id.to_string());
        let leads = view.leader().is_some_and(|leader| leader.member.id == id);
        if let Some(next) = best_transferee(view).filter(|_| leads) {
            let reason = "the leader goes, and a chosen follower takes over without an election";
            plan = plan.then(Action::MoveLeader { to: next.member.id, from: Some(target.member.id) }, reason);
        }
        plan = plan.then(Action::RemoveMember { id }, "it was asked for");
        for alarm in view.alarms.iter().filter(|alarm| alarm.member_id == id) {
            let action = Action::DisarmAlarm { id, kind: alarm.kind };
            plan = plan.then(action, "an alarm outlives the member that it is about");
        }
        Ok(plan)
    }
}
