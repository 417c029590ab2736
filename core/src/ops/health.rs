//! `health`: whether every member does what it should.

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::view::{ClusterView, MemberView, Role, Verdict};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::host::{Host, death};
use crate::id::MemberId;
use crate::operation::Operation;
use crate::ops::status::alarms_of;
use crate::record;
use crate::rpc::AlarmKind;
use crate::units::Elapsed;

record! {
    /// One member, and how it is.
    pub struct Row {
        /// The member's id, in hex.
        member_id: MemberId,
        /// Its name; null until it has started for the first time.
        name: Option<String>,
        /// What it is: leader, follower, learner, unstarted or unknown.
        role: Role,
        /// Where it was asked.
        endpoint: Option<Endpoint>,
        /// The judgement: healthy, degraded, unresponsive, down or unstarted.
        verdict: Verdict,
        /// Whether it answered at all.
        reachable: bool,
        /// Whether it serves reads from what it knows itself.
        serializable: bool,
        /// Whether it serves reads that a quorum confirms; a learner serves none.
        linearizable: bool,
        /// Alarms about it: nospace, corrupt.
        alarms: Vec<AlarmKind>,
        /// How long its slowest answer took.
        latency: Option<Elapsed>,
        /// What is wrong with it.
        error: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct Health;

impl Operation for Health {
    const CARD: Card = Card {
        name: "health",
        summary: "Judge every member: does it answer, and does it serve reads?",
        details: "A voter is healthy when it serves a linearizable read, knows its leader and has no alarm; a learner when it \
                  serves a serializable read; and none while an alarm is raised of somebody who is no member any more. Degraded \
                  members answer, but not as they should; unresponsive ones do not answer in time; on down ones nothing listens; unstarted ones were added and have never run. All members are asked at \
                  once, so one that hangs costs one timeout, once. Where the profile says under `hosts` how a member that is down is \
                  reached, its log is read, and what it says of the member's data is told. `quorum` says what this means for the cluster.",
        search: &["etcdctl", "endpoint", "check", "alive", "sick", "broken"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "Judge every member", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let view = observe(ctx.cluster()?, Depth::Reads).await?;
        let rows = view.members.iter().map(async |member| row(&view, member, why(ctx, &view, member).await));
        Ok(join_all(rows).await)
    }
}

/// Finds out why a member is down, where the profile says how its host is reached. What cannot be read in the time of one answer
/// is told, and takes nothing from what is known without it.
async fn why(ctx: &Context<'_>, view: &ClusterView, member: &MemberView) -> Option<String> {
    let name = member.member.name.as_str();
    if view.verdict(member) != Verdict::Down || name.is_empty() {
        return None;
    }
    let cluster = ctx.cluster().ok()?;
    let profile = cluster.profile();
    let read = async {
        let Some(host) = Host::of(profile, ctx.places(), name)? else { return Ok(None) };
        Ok(death::why(&host.last_log(ctx).await?, name))
    };
    let read: Result<Option<String>> = timeout(profile.timeout, read).await.unwrap_or(Ok(None));
    read.unwrap_or_else(|error| Some(format!("its log cannot be read: {}", error.in_one_line())))
}

fn row(view: &ClusterView, member: &MemberView, why: Option<String>) -> Row {
    Row {
        member_id: member.member.id,
        name: member.member.started().then(|| member.member.label()),
        role: view.role(member),
        endpoint: member.endpoint.clone(),
        verdict: match view.verdict(member) {
            // It takes part in a cluster with an alarm.
            Verdict::Healthy if view.orphans().next().is_some() => Verdict::Degraded,
            verdict => verdict,
        },
        reachable: member.known().is_some(),
        serializable: matches!(member.serializable, Some(Ok(()))),
        linearizable: matches!(member.linearizable, Some(Ok(()))),
        alarms: alarms_of(view, member),
        latency: member.latency.map(Elapsed::from),
        error: match (problem(view, member), why) {
            (Some(problem), Some(why)) => Some(format!("{problem}; {why}")),
            (problem, why) => problem.or(why),
        },
    }
}

/// Says in words why the verdict is not healthy.
fn problem(view: &ClusterView, member: &MemberView) -> Option<String> {
    if let Some(failure) = member.failure() {
        return Some(failure.message.clone());
    }
    match view.verdict(member) {
        Verdict::Healthy => {
            let orphan = view.orphans().next()?;
            let kind = orphan.kind.word().to_uppercase();
            Some(format!(
                "the cluster has the alarm {kind} of {}, who is no member; see `alarm disarm`",
                orphan.member_id
            ))
        }
        Verdict::Unstarted => Some("it was added, and has never started".to_owned()),
        _ if member.known().is_some_and(|status| status.leader.is_none()) => Some("it knows no leader".to_owned()),
        _ => {
            let alarms: Vec<_> = alarms_of(view, member).iter().map(|kind| kind.word().to_uppercase()).collect();
            Some(format!("it has the alarm {}", alarms.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::change::report::Quorum;
    use crate::id::{ClusterId, MemberId};
    use crate::rpc::{Alarm, AlarmKind};

    /// An alarm of a member that is gone keeps the cluster from writing all the same.
    #[test]
    fn nobody_is_healthy_in_a_cluster_with_an_alarm() {
        let view = |about: u64| ClusterView {
            cluster_id: ClusterId(1),
            confirmed: true,
            members: (1..=3).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect(),
            alarms: vec![Alarm { member_id: MemberId(about), kind: AlarmKind::NoSpace }],
            hosting: Default::default(),
            facts: Default::default(),
        };
        let told = |view: &ClusterView| {
            let rows = view.members.iter().map(|m| row(view, m, None)).collect::<Vec<_>>();
            let lines = rows.iter().map(|row| format!("{} {}\n", row.verdict, row.error.as_deref().unwrap_or("-")));
            format!("{}{}\n", lines.collect::<String>(), Quorum::of(view).verdict)
        };
        insta::assert_snapshot!(format!("{}{}", told(&view(2)), told(&view(0xd))), @"
        healthy -
        degraded it has the alarm NOSPACE
        healthy -
        degraded
        degraded the cluster has the alarm NOSPACE of d, who is no member; see `alarm disarm`
        degraded the cluster has the alarm NOSPACE of d, who is no member; see `alarm disarm`
        degraded the cluster has the alarm NOSPACE of d, who is no member; see `alarm disarm`
        degraded
        ");
    }
}
