//! What a change did, or would do.

use crate::change::guard::Refusal;
use crate::change::plan::{Plan, Step};
use crate::change::view::ClusterView;
use crate::id::{ClusterId, MemberId, Revision};
use crate::record;
use crate::units::Elapsed;
use crate::value::Value;

crate::choice! {
    /// How the cluster as a whole is.
    pub enum QuorumVerdict {
        /// Every member is healthy.
        Healthy = "healthy",
        /// There is a quorum, but not every member is healthy, or an alarm is raised that is about none of them.
        Degraded = "degraded",
        /// Too few voters are healthy for a quorum: no writes, and no reads that a quorum confirms.
        NoQuorum = "no_quorum",
    }
}

record! {
    /// The arithmetic of a quorum.
    pub struct Quorum {
        /// The cluster's id, in hex.
        cluster_id: ClusterId,
        /// Whether every member is healthy, and no alarm is raised.
        healthy: bool,
        /// How the cluster is: healthy, degraded or no_quorum.
        verdict: QuorumVerdict,
        /// How many members vote.
        voters: i64,
        /// How many of them serve linearizable reads.
        healthy_voters: i64,
        /// How many of them have to agree.
        quorum: i64,
        /// How many more of them may fail; negative where too many have failed already.
        tolerance: i64,
        /// How many members have no vote yet.
        learners: i64,
        /// The leader's name.
        leader: Option<String>,
        /// The newest revision of the store.
        revision: Option<Revision>,
        /// The members that are not healthy, by name, or by id where they have none yet.
        down: Vec<String>,
    }
}

impl Quorum {
    /// Counts.
    pub fn of(view: &ClusterView) -> Self {
        use crate::change::view::Verdict;
        let down: Vec<String> =
            view.members.iter().filter(|m| view.verdict(m) != Verdict::Healthy).map(|m| m.member.label()).collect();
        let (healthy_voters, quorum) = (count(view.healthy_voters()), count(view.quorum()));
        let verdict = if healthy_voters < quorum {
            QuorumVerdict::NoQuorum
        } else if down.is_empty() && view.orphans().next().is_none() {
            QuorumVerdict::Healthy
        } else {
            QuorumVerdict::Degraded
        };
        Quorum {
            cluster_id: view.cluster_id,
            healthy: verdict == QuorumVerdict::Healthy,
            verdict,
            voters: count(view.voters().count()),
            healthy_voters,
            quorum,
            tolerance: healthy_voters - quorum,
            learners: count(view.learners().count()),
            leader: view.leader().map(|m| m.member.label()),
            revision: view.revision(),
            down,
        }
    }
}

pub(crate) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

record! {
    /// A step of a plan.
    pub struct PlannedStep {
        /// Its place, counted from one.
        number: i64,
        /// What is done.
        step: String,
        /// The member that it is done to.
        target: String,
        /// Why.
        reason: String,
    }
}

crate::choice! {
    /// What came of a step.
    pub enum Outcome {
        /// It was done, and came true.
        Done = "done",
        /// It was done, and was not seen to come true.
        Unseen = "unseen",
        /// It was true already, so nothing was done.
        Already = "already",
        /// It was not reached.
        Skipped = "skipped",
        /// It failed; how far it came is in its detail.
        Failed = "failed",
        /// It was sent, its answer was lost, and reading the cluster did not tell either.
        Unknown = "unknown",
    }
}

record! {
    /// A step that was carried out, or was not.
    pub struct TakenStep {
        /// What was done.
        step: String,
        /// The member that it was done to.
        target: String,
        /// What came of it: done, unseen, already, skipped, failed or unknown.
        outcome: Outcome,
        /// How long it took.
        took: Elapsed,
        /// More about it.
        detail: String,
        /// Facts that are needed later, such as how much space a defragmentation gave back; null where there are none.
        result: Option<Value>,
    }
}

record! {
    /// What a change did, or with dry_run would do.
    pub struct ChangeReport {
        /// The operation, by its words.
        operation: String,
        /// The cluster's id, in hex.
        cluster_id: ClusterId,
        /// Whether anything was carried out; false for a dry run.
        executed: bool,
        /// Whether every step came true or, of a dry run, whether it would be approved.
        ok: bool,
        /// The steps as they were planned.
        plan: Vec<PlannedStep>,
        /// Why the plan would be refused now; what only has to catch up the change itself waits for.
        refusals: Vec<Refusal>,
        /// The steps as they were taken.
        steps: Vec<TakenStep>,
        /// The quorum before.
        before: Quorum,
        /// The quorum afterwards; of a dry run, as predicted.
        after: Quorum,
        /// The journal of the run.
        journal: Option<String>,
        /// The id of the member that was added or changed.
        member_id: Option<MemberId>,
        /// What an added member is to be started with, as environment variables.
        start: Option<Value>,
    }
}

/// Shows a plan as a table.
pub fn plan_table(plan: &Plan, view: &ClusterView) -> Vec<PlannedStep> {
    let row = |(number, step): (usize, &Step)| PlannedStep {
        number: count(number) + 1,
        step: step.action.word().to_owned(),
        target: step.action.target_label(view),
        reason: step.reason.clone(),
    };
    plan.steps.iter().enumerate().map(row).collect()
}
