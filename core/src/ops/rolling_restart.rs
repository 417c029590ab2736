//! `rolling-restart`: restart the members of a cluster, one after the other.

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::failed::NoHost;
use crate::change::plan::Step;
use crate::change::view::MemberView;
use crate::change::{Action, Change, ClusterView, Hands, OnHosts, Plan};
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::member::{best_transferee, find};
use crate::units::{Elapsed, Hook};

args! {
    /// Whom to restart, and how.
    pub struct Args(
        /// A closure that restarts a member, whose record it gets; without it, the profile's host driver does it.
        restart: Option<Hook>,
    ) {
        /// Only these members: names, ids in hex, or URLs.
        members: Option<Vec<MemberRef>>,
        /// For how long a restarted member must have served before the next one is taken.
        settle: Elapsed = "5s",
    }
}

/// See [`Change::CARD`].
pub struct RollingRestart;

impl Change for RollingRestart {
    const CARD: Card = Card {
        name: "rolling-restart",
        summary: "Restart the members one after the other, followers first, and the leader last.",
        details: "Before each member every other voter has to serve and to follow closely, and leadership leaves a member before it is \
                  restarted. A member has to serve again for as long as `settle` says before the next one is taken, and `wait` says how \
                  long that may take; give it minutes for a reboot. It stops at the first failure. How a member is restarted says the \
                  profile under `hosts`; a sandbox's does. A closure is given the member's record {name, member_id, role, client_urls, \
                  peer_urls, version}; it may return before the restart is over or begun, and its failure is a veto. A member that is not \
                  seen to go away within `wait` ends the run, because it might go away together with the next one.",
        search: &["reboot", "rollout", "bounce", "maintenance", "upgrade", "drain"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Show the order and what the guards say", args: &[("dry_run", Sample::On)] },
            Example {
                about: "Restart every member with a closure of your own",
                args: &[("restart", Sample::Hook), ("wait", Sample::Text("10min"))],
            },
            Example {
                about: "Restart two members, as the profile says",
                args: &[("members", Sample::List(&["infra1", "infra2"])), ("settle", Sample::Text("30s"))],
            },
        ],
    };
    type Args = Args;

    fn hosting(args: &Args) -> Option<OnHosts> {
        let hands = Hands { restart: args.restart, settle: args.settle.duration(), ..Hands::default() };
        Some(OnHosts { hands, names: Vec::new() })
    }

    fn plan(view: &ClusterView, args: Args) -> Result<Plan> {
        let members = order(view, args.members.as_deref())?;
        let mut plan = Plan::new(Self::CARD.name, view);
        for member in members {
            let (id, name) = (member.member.id, member.member.name.clone());
            if !view.hosting.has(&name) {
                return Err(NoHost { member: member.member.label() }.into());
            }
            plan.steps.extend(one_by_one(view, member, Action::RestartMember { id, name }, ""));
        }
        Ok(plan)
    }
}

/// Returns the members that are meant: whom a run before this had taken down, learners, which nobody misses, then followers, and
/// the leader last.
pub(crate) fn order<'v>(view: &'v ClusterView, wanted: Option<&[MemberRef]>) -> Result<Vec<&'v MemberView>> {
    let mut members: Vec<&MemberView> = view.members.iter().filter(|m| m.member.started()).collect();
    if let Some(wanted) = wanted {
        let ids = wanted.iter().map(|member| Ok(find(view, member)?.member.id)).collect::<Result<Vec<_>>>();
        let ids = ids.map_err(|error| error.for_argument("members"))?;
        if let Some(id) = ids.iter().find(|id| !members.iter().any(|m| m.member.id == **id)) {
            let help = "leave it out: `member replace` starts it where it was added to take a place";
            return Err(BadArgument::invalid("members", format!("names {id}, which has never started"), help).into());
        }
        members.retain(|m| ids.contains(&m.member.id));
    }
    let leader = view.leader().map(|m| m.member.id);
    members.sort_by_key(|m| {
        let id = Some(m.member.id);
        (id == leader, id != view.facts.taken_down, !m.member.is_learner)
    });
    if members.is_empty() {
        let help = "`member list` shows which members have started";
        return Err(BadArgument::invalid("members", "names nobody who has started", help).into());
    }
    Ok(members)
}

/// The steps for one member of a change that takes each away for a while: leadership leaves it first.
pub(crate) fn one_by_one(view: &ClusterView, member: &MemberView, action: Action, more: &str) -> Vec<Step> {
    let leads = view.leader().is_some_and(|leader| leader.member.id == member.member.id);
    let mut steps = Vec::new();
    if let Some(next) = best_transferee(view).filter(|_| leads) {
        let lag = view.lag(next).unwrap_or_default();
        let reason = format!(
            "the leader is about to be away; of the healthy followers this one has the smallest lag, {lag} entries"
        );
        steps.push(Step { action: Action::MoveLeader { to: next.member.id, from: Some(member.member.id) }, reason });
    }
    let why = if member.member.is_learner {
        "a learner has no vote, so nobody misses it"
    } else if leads {
        "it led when this was planned, so it is the last"
    } else {
        "it follows, and the others are a quorum without it"
    };
    let reason = if more.is_empty() { why.to_owned() } else { format!("{why}; {more}") };
    steps.push(Step { action, reason });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::id::ClusterId;

    #[test]
    fn who_has_never_started_is_not_restarted() {
        let view = ClusterView {
            cluster_id: ClusterId(1),
            confirmed: true,
            members: vec![member(1, State::Healthy, false, Some(1), 0), member(2, State::Unstarted, true, Some(1), 0)],
            alarms: vec![],
            hosting: Default::default(),
            facts: Default::default(),
        };
        let ordered: Vec<_> = order(&view, None).unwrap().into_iter().map(|m| m.member.name.as_str()).collect();
        assert_eq!(ordered, ["infra1"]);
        let wrong = order(&view, Some(&[MemberRef("2".to_owned())])).map(drop).unwrap_err();
        insta::assert_snapshot!(crate::tests::shown([wrong]), @"
        invalid_argument (members): the argument members names 2, which has never started
          help: leave it out: `member replace` starts it where it was added to take a place
        ");
    }
}
