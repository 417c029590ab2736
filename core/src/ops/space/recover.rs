//! `space recover`: a cluster that is full takes writes again.

use std::path::PathBuf;

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::guard::{Code, Refusal};
use crate::change::view::MemberView;
use crate::change::{Action, Change, ClusterView, Plan};
use crate::context::Context;
use crate::error::Result;
use crate::id::Revision;
use crate::ops::alarm::disarm::{fills, sensible, untold};
use crate::ops::defrag::{expected, measured};
use crate::ops::rolling_restart::{one_by_one, order};
use crate::ops::space::eater;
use crate::rpc::AlarmKind;
use crate::units::Bytes;
use crate::value::Value;

args! {
    /// How.
    pub struct Args() {
        /// How many revisions stay, counted back from the newest.
        keep: i64 = "0",
        /// The quota of the databases, where the servers do not tell it (before 3.6).
        quota: Option<Bytes>,
        /// The file for the snapshot that is saved first; without it, one in the state folder.
        snapshot: Option<PathBuf>,
        /// The revision to compact to, in place of what follows from keep.
        revision: Option<i64>,
    }
}

/// See [`Change::CARD`].
pub struct SpaceRecover;

impl Change for SpaceRecover {
    const CARD: Card = Card {
        name: "space recover",
        summary: "Make a cluster that ran out of space take writes again.",
        details: "Says what eats the space, saves a snapshot, compacts, defragments one member after the other with the leader last, sees \
                  that every database is below nine tenths of its quota, takes the NOSPACE alarms back, and proves with a write and its \
                  deletion (of the key etcdsh/probe) that the cluster takes writes. What is forgotten by the compaction are older values \
                  of keys, and nothing that can be read now. Where the newest values alone fill the quota, it says so, and keys have to be \
                  deleted or the quota be raised.",
        search: &["nospace", "quota", "full", "database space exceeded", "mvcc", "alarm"],
        effect: Effect::Destroys,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Show what would be done, and what eats the space", args: &[("dry_run", Sample::On)] },
            Example { about: "Recover, and keep the last 1,000 revisions", args: &[("keep", Sample::Int(1_000))] },
        ],
    };
    type Args = Args;

    async fn prepare(ctx: &Context<'_>, view: &mut ClusterView, args: Args) -> Result<Args> {
        view.facts.copy_speed = measured(ctx, view);
        if let Some(found) = eater::find(ctx, view).await? {
            (view.facts.eater, view.facts.live) = (Some(found.told), found.live);
        }
        Ok(args)
    }

    fn plan(view: &ClusterView, args: Args) -> Result<Plan> {
        let newest = view.revision().unwrap_or(Revision(0)).0;
        let wrong = |argument, problem: String, help| Err(BadArgument::invalid(argument, problem, help).into());
        if args.keep < 0 {
            return wrong("keep", "cannot be less than nothing".to_owned(), "give how many revisions stay");
        }
        sensible(args.quota)?;
        match args.revision {
            Some(revision) if revision > newest => {
                let problem = format!("is {revision}, and the newest is {newest}");
                return wrong("revision", problem, "give one that the cluster has reached");
            }
            Some(revision) if revision < 1 => {
                let problem = format!("is {revision}, and revisions begin at 1");
                return wrong("revision", problem, "give the oldest revision that is to stay");
            }
            _ => {}
        }
        // Nobody has to forget what it has not got yet.
        let common = view.common_revision().map_or(newest, |revision| revision.0);
        let revision = args.revision.unwrap_or(common - args.keep).max(1);
        // An alarm says that the quota was reached, which is what is known of it where it is not told.
        let alarmed = view.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NoSpace);
        let sizes = alarmed.clone().filter_map(|alarm| view.get(alarm.member_id)?.known().map(|status| status.db_size));
        let quota = args.quota.map(|quota| quota.0).or_else(|| sizes.min());
        let mut plan = Plan::new(Self::CARD.name, view)
            .remember("revision", revision)
            .remember("quota", quota.map_or(Value::Null, Value::Size))
            .then(Action::SaveSnapshot { path: args.snapshot, except: None }, "older values are about to be forgotten");
        if revision > 1 {
            let eater = view.facts.eater.clone().unwrap_or_else(|| "what eats the space was not looked at".to_owned());
            plan = plan.then(Action::Compact { revision: Revision(revision), physical: true }, eater);
        }
        // Who does not serve cannot be defragmented. The guards refuse to take another away meanwhile, unless that is allowed.
        for member in order(view, None)?.into_iter().filter(|m| !m.member.is_learner && m.serves()) {
            let action = Action::Defragment { id: member.member.id };
            plan.steps.extend(one_by_one(view, member, action, &expected(view, member)));
        }
        // Otherwise it would stop at that only when all the work is done.
        plan.objections.extend(hopeless(view, quota));
        let told = untold(view, quota);
        let check =
            |plan: Plan, reason| if told.is_none() { plan.then(Action::CheckSpace { quota }, reason) } else { plan };
        plan = check(plan, "an alarm that is taken back too early comes again with the next write");
        let mut raised: Vec<_> = alarmed.map(|alarm| alarm.member_id).collect();
        if !raised.is_empty() {
            // Every write that is refused meanwhile raises the alarm of the member that refused it.
            raised.extend(view.members.iter().filter(|m| m.member.started()).map(|m| m.member.id));
            raised.sort();
            raised.dedup();
        }
        for id in raised {
            plan = plan.then(Action::DisarmAlarm { id, kind: AlarmKind::NoSpace }, "there is room again");
        }
        plan = plan.then(Action::ProveWrite, "a cluster that takes a write takes writes");
        plan = check(plan, "and that it takes more than one");
        plan.objections.extend(told);
        Ok(plan)
    }
}

/// Objects to what can be seen to be in vain: the newest values alone fill the quota, or a learner, which etcd defragments not.
fn hopeless(view: &ClusterView, quota: Option<i64>) -> Vec<Refusal> {
    let refuse = |message, remedy: &str| Refusal { code: Code::SpaceNotFree, message, remedy: remedy.to_owned() };
    let smallest = view.voters().filter_map(|m| m.room(quota)).map(|(_, quota)| quota).min();
    let mut refusals = Vec::new();
    if let (Some(live), Some(quota)) = (view.facts.live, smallest)
        && fills(live, quota)
    {
        let message = format!("the newest values alone hold {} of a quota of {}", Bytes(live), Bytes(quota));
        refusals
            .push(refuse(message, "delete keys, or raise --quota-backend-bytes on every member; then run this again"));
    }
    let full = |m: &&MemberView| m.room(quota).is_some_and(|(size, quota)| fills(size, quota));
    for learner in view.learners().filter(full) {
        let message = format!("the learner {} is full, and etcd defragments no learner", learner.member.label());
        refusals.push(refuse(message, "promote it first, or remove it and add it again afterwards"));
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::change::guard::approve;
    use crate::id::{ClusterId, MemberId};
    use crate::rpc::Alarm;

    fn planned(alarmed: &[u64]) -> Plan {
        let (plan, view) = plan(alarmed, Some(Bytes(1 << 31)));
        assert!(approve(plan.clone(), &view, &[]).is_ok());
        plan
    }

    fn plan(alarmed: &[u64], quota: Option<Bytes>) -> (Plan, ClusterView) {
        let alarm = |id: &u64| Alarm { member_id: MemberId(*id), kind: AlarmKind::NoSpace };
        let view = ClusterView {
            cluster_id: ClusterId(1),
            confirmed: true,
            members: (1..=3).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect(),
            alarms: alarmed.iter().map(alarm).collect(),
            hosting: Default::default(),
            facts: Default::default(),
        };
        let plan = SpaceRecover::plan(&view, Args { keep: 0, quota, snapshot: None, revision: None }).unwrap();
        (plan, view)
    }

    #[test]
    fn where_nobody_knows_the_quota_nothing_is_begun() {
        let (plan, view) = plan(&[], None);
        let refused = approve(plan, &view, &[]).map(drop).unwrap_err();
        insta::assert_snapshot!(crate::tests::shown([refused.into()]), @"
        space_not_free: space recover is refused: nobody knows whether there is room on who does not tell its quota: infra1, infra2, infra3
          help: give quota, as their --quota-backend-bytes has it (2 GiB where it has not). To do it all the same, allow space_not_free
        ");
        let checks = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.action, Action::CheckSpace { .. }));
        assert!(checks(&planned(&[])) && checks(&planned(&[2])));
    }

    #[test]
    fn an_alarm_that_a_member_raises_meanwhile_is_taken_back_too() {
        let disarmed = |alarmed: &[u64]| -> Vec<u64> {
            let id = |step: crate::change::plan::Step| match step.action {
                Action::DisarmAlarm { id, .. } => Some(id.0),
                _ => None,
            };
            planned(alarmed).steps.into_iter().filter_map(id).collect()
        };
        assert_eq!((disarmed(&[]), disarmed(&[2]), disarmed(&[2, 9])), (vec![], vec![1, 2, 3], vec![1, 2, 3, 9]));
    }

    #[test]
    fn leadership_leaves_a_member_although_all_have_the_alarm() {
        for alarmed in [&[] as &[u64], &[1], &[2, 3], &[1, 2, 3]] {
            let moves = planned(alarmed).steps.into_iter().any(|step| matches!(step.action, Action::MoveLeader { .. }));
            assert!(moves, "{alarmed:?}");
        }
    }
}
