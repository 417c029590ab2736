//! `change resume`: go on with a change that was interrupted.

use crate::args;
use crate::args::Kind;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::failed::StillFull;
use crate::change::guard::Code;
use crate::change::memory::Memory;
use crate::change::record::{RunName, RunRecord, RunState, find, last_of};
use crate::change::{ChangeArgs, ChangeReport};
use crate::context::Context;
use crate::error::{Error, Fault, Result, Sent};
use crate::operation::{Entry, Operation};
use crate::report::{Answer, Relayed};
use crate::units::Hook;
use crate::value::{Record, Value};

args! {
    /// Which one.
    pub struct Args(
        /// The run, as `change list` names it, or a beginning of its name that no other run has.
        id: RunName<true>,
        /// The closure that the run was given, where it was given one: a journal cannot keep it.
        closure: Option<Hook>,
    ) {}
}

/// See [`Operation::CARD`].
pub struct ChangeResume;

impl Operation for ChangeResume {
    const CARD: Card = Card {
        name: "change resume",
        summary: "Go on with a change that was interrupted.",
        details: "It is planned again from what is there now, with what it was told then: what has come true is not done again, and \
                  what the cluster cannot show, such as a restart, is known from the journal. Without the journal, from another \
                  machine, run the operation itself again. Refusals that were overridden then are overridden again.",
        search: &["continue", "retry", "crash", "interrupted", "recover"],
        effect: Effect::Destroys,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Show what is left to do",
                args: &[("id", Sample::Text("20261126T031500Z-member-replace")), ("dry_run", Sample::On)],
            },
            Example { about: "Go on with a change", args: &[("id", Sample::Text("20261126T031500Z-member-replace"))] },
        ],
    };
    type Args = ChangeArgs<Args>;
    type Report = Relayed<ChangeReport>;

    async fn run(ctx: &Context<'_>, ChangeArgs { args, options, .. }: Self::Args) -> Result<Self::Report> {
        let state = &ctx.places().state;
        let run = last_of(state, find(state, &args.id.0)?);
        if !run.state.is_open() {
            return Err(NothingToResume { id: run.id, state: run.state }.into());
        }
        // All that makes room had been done.
        if run.stopped_by.as_deref() == Some(StillFull::CODE) {
            return Err(NoRoom { id: run.id, operation: run.operation }.into());
        }
        let entry = crate::catalogue::find(&run.operation).filter(|entry| entry.is_change());
        let entry = entry.ok_or_else(|| Foreign { id: run.id.clone(), operation: run.operation.clone() })?;
        let mut record = arguments(entry, &run, args.closure)?;
        let allowed = run.allow.iter().filter_map(|word| Code::ALL.iter().copied().find(|code| code.word() == word));
        let allow = options.allow.iter().copied().chain(allowed).map(|code| Value::from(code.word())).collect();
        record.insert("allow", Value::List(allow));
        record.insert("dry_run", options.dry_run);
        // As long as it was told then, or longer.
        let told = record.get("wait").and_then(crate::units::parse_elapsed).unwrap_or_default();
        record.insert("wait", Value::Elapsed(options.wait.0.max(told)));
        let resumed = ctx.resuming(Memory::of(state, &run));
        match Box::pin(entry.run(&resumed, record)).await? {
            Answer::Value(report) => Ok(Self::Report::new(report)),
            Answer::Stream(_) => Err(Error::internal("a change that streams")),
        }
    }
}

/// Returns what the operation is given again.
fn arguments(entry: &Entry, run: &RunRecord, closure: Option<Hook>) -> Result<Record> {
    let mut record: Record = run.again.clone().into_iter().map(|(name, field)| (name, super::value(field))).collect();
    let hook = entry.all_params().find(|param| param.kind == Kind::Hook);
    match (hook, closure) {
        (Some(param), Some(Hook(number))) => {
            record.insert(param.name, Value::Hook(usize::try_from(number).map_err(Error::internal)?));
        }
        (Some(_), None) if run.by_closure => return Err(NeedsClosure { id: run.id.clone() }.into()),
        _ => {}
    }
    Ok(record)
}

#[derive(Debug, thiserror::Error)]
#[error("the run {id} is {state}, so there is nothing to go on with")]
struct NothingToResume {
    id: String,
    state: RunState,
}

impl Fault for NothingToResume {
    fn code(&self) -> &'static str {
        if self.state == RunState::Running { "run_running" } else { "run_over" }
    }

    fn argument(&self) -> Option<&str> {
        Some("id")
    }

    fn help(&self) -> Option<String> {
        Some("`change list` shows how every run stands".to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the run {id} had done all that makes room, and there was none")]
struct NoRoom {
    id: String,
    operation: String,
}

impl Fault for NoRoom {
    fn code(&self) -> &'static str {
        "run_over"
    }

    fn argument(&self) -> Option<&str> {
        Some("id")
    }

    fn help(&self) -> Option<String> {
        Some(format!("what was deleted since has to be compacted too: run `{}` again", self.operation))
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the run {id} is of {operation:?}, which this version does not have")]
struct Foreign {
    id: String,
    operation: String,
}

impl Fault for Foreign {
    fn code(&self) -> &'static str {
        "run_foreign"
    }

    fn help(&self) -> Option<String> {
        Some("go on with the version that began it, or look at the cluster with `health` and `member list`".to_owned())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the run {id} was carried out by a closure, and none is given")]
struct NeedsClosure {
    id: String,
}

impl Fault for NeedsClosure {
    fn code(&self) -> &'static str {
        "missing_argument"
    }

    fn argument(&self) -> Option<&str> {
        Some("closure")
    }

    fn help(&self) -> Option<String> {
        Some("give the same closure again, behind the name of the run".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_gone_on_with() {
        let id = || "20261126T031500Z-member-replace-87b8".to_owned();
        let errors: [Error; 4] = [
            NothingToResume { id: id(), state: RunState::Done }.into(),
            NothingToResume { id: id(), state: RunState::Running }.into(),
            Foreign { id: id(), operation: "member teleport".to_owned() }.into(),
            NeedsClosure { id: id() }.into(),
        ];
        insta::assert_snapshot!(crate::tests::shown(errors), @r#"
        run_over (id): the run 20261126T031500Z-member-replace-87b8 is done, so there is nothing to go on with
          help: `change list` shows how every run stands
        run_running (id): the run 20261126T031500Z-member-replace-87b8 is running, so there is nothing to go on with
          help: `change list` shows how every run stands
        run_foreign: the run 20261126T031500Z-member-replace-87b8 is of "member teleport", which this version does not have
          help: go on with the version that began it, or look at the cluster with `health` and `member list`
        missing_argument (closure): the run 20261126T031500Z-member-replace-87b8 was carried out by a closure, and none is given
          help: give the same closure again, behind the name of the run
        "#);
    }
}
