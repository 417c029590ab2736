//! `change show`: what a change did.

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::record::{RunName, RunState, find};
use crate::change::report::count;
use crate::context::Context;
use crate::error::Result;
use crate::id::ClusterId;
use crate::operation::Operation;
use crate::units::Timestamp;
use crate::value::Value;
use crate::{args, record};

args! {
    /// Which one.
    pub struct Args(
        /// The run, as `change list` names it, or a beginning of its name that no other run has.
        id: RunName,
    ) {}
}

record! {
    /// A step that was begun, or that had nothing to do.
    pub struct ShownStep {
        /// Its place in the plan.
        number: i64,
        /// What it did.
        step: String,
        /// What came of it; null where the run ended before that was known.
        outcome: Option<String>,
        /// When that was known, or when it was begun.
        time: Timestamp,
        /// More about it.
        detail: String,
        /// The action with all that it needs.
        action: Value,
        /// Facts that were needed later.
        result: Value,
    }
}

record! {
    /// A run of a change, as its journal tells it.
    pub struct Shown {
        /// Its name.
        id: String,
        /// When it began.
        started: Timestamp,
        /// The operation.
        operation: String,
        /// How it stands: running, done, stopped, interrupted or resumed.
        state: RunState,
        /// The cluster, in hex.
        cluster_id: ClusterId,
        /// How many steps were planned.
        planned: i64,
        /// The steps that were begun or had nothing to do.
        steps: Vec<ShownStep>,
        /// The refusals that were overridden.
        allow: Vec<String>,
        /// The arguments with which it is planned again.
        args: Value,
        /// The run that it went on with.
        resumes: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct ChangeShow;

impl Operation for ChangeShow {
    const CARD: Card = Card {
        name: "change show",
        summary: "Show what a change did, step by step.",
        details: "A step without an outcome was begun when the program or its machine died; whether it came true only the cluster tells.",
        search: &["audit", "history", "journal", "log"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[Example {
            about: "Show a change by the beginning of its name",
            args: &[("id", Sample::Text("20261126T031500Z-member-replace"))],
        }],
    };
    type Args = Args;
    type Report = Shown;

    async fn run(ctx: &Context<'_>, Args { id }: Args) -> Result<Shown> {
        let run = find(&ctx.places().state, &id.0)?;
        let step = |step: crate::change::record::StepRecord| {
            let word = step.action.get("action").and_then(serde_json::Value::as_str).unwrap_or_default();
            ShownStep {
                number: step.number,
                step: word.to_owned(),
                outcome: step.outcome,
                time: super::time(&step.time),
                detail: step.detail,
                action: super::value(step.action),
                result: super::value(step.result),
            }
        };
        Ok(Shown {
            id: run.id,
            started: super::time(&run.started),
            operation: run.operation,
            state: run.state,
            cluster_id: run.cluster_id,
            planned: count(run.planned.len()),
            steps: run.steps.into_iter().map(step).collect(),
            allow: run.allow,
            args: super::value(serde_json::Value::Object(run.again)),
            resumes: run.resumes,
        })
    }
}
