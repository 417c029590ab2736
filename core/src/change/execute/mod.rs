//! Carrying out an approved plan. Before each step it looks again; what is true already is not done again; and an answer that is
//! lost is found out by reading, never by repeating. In reading order: `run` takes one step, `send` asks a server for it, `host`
//! a host, and `check` does what only looks.

mod check;
mod host;
mod run;
mod send;

use std::time::{Duration, Instant};

use tracing::Instrument;

use crate::change::failed::AlreadyResumed;
use crate::change::guard::Approved;
use crate::change::journal::{Entry, Journal};
use crate::change::lock::Lock;
use crate::change::plan::{Action, Plan, Step};
use crate::change::record::{RunRecord, runs};
use crate::change::report::{ChangeReport, Outcome, Quorum, TakenStep, plan_table};
use crate::change::stopped::Stopped;
use crate::change::view::ClusterView;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::rpc::AlarmKind;
use crate::value::{Value, to_value};
use host::start_configuration;
pub use host::{Hands, ToDo, ToRestart};
use run::{Run, Taken};

/// Carries out a plan.
///
/// # Errors
/// [`Stopped`], with the report so far, when a step failed or Ctrl-C was pressed; an error of the journal before anything was
/// changed; another change of members is under way.
pub async fn execute(
    ctx: &Context<'_>,
    approved: Approved,
    before: &ClusterView,
    bound: Duration,
    hands: Hands,
) -> Result<ChangeReport> {
    let plan = approved.plan();
    let mut journal = Journal::start(&ctx.places().state, plan.operation)?;
    let resumes = ctx.memory().map(|memory| memory.run.as_str());
    journal.write(Entry::Plan { plan, allow: approved.allow(), resumes })?;
    let mut report = start_report(plan, before, &journal);
    // Only one change at a time may change members or take them away, whoever makes it.
    let excludes = plan.steps.iter().any(|step| step.action.excludes_others());
    let alarm = before.alarms.first();
    if let Some(alarm) = alarm.filter(|_| excludes) {
        // A claim is a write. Whoever refuses it for want of space raises an alarm of its own.
        ctx.emit(&Event::Warning { message: no_claim(alarm.kind) });
    }
    let lock = match excludes && alarm.is_none() {
        true => Some(Lock::take(ctx, before, plan, journal.id(), bound).await.map_err(Error::before_sending)),
        false => None,
    };
    let lock = lock
        .transpose()
        .inspect_err(|error| drop(journal.write(Entry::End { ok: false, code: Some(error.code()) })))?;
    let mut run = Run::new(ctx, &approved, before, bound, hands)?;
    let done = async {
        if lock.is_some() {
            run.members_are_the_same().await?;
            nobody_else_resumed(ctx, journal.id())?;
        }
        steps(&mut run, plan, before, &mut journal, &mut report).await
    };
    let done = done.await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    if let Err(error) = done {
        // The error says more than a journal that cannot be closed any more.
        let _ = journal.write(Entry::End { ok: false, code: Some(error.code()) });
        return Err(stopped(&run, report, error).await);
    }
    // Every step is journalled already, so a last line that is missing loses nothing.
    let _ = journal.write(Entry::End { ok: true, code: None });
    // Everything was done, and was seen to be; who cannot look once more still has that to tell.
    let after = run.last_look().await;
    report.ok = true;
    report.after = Quorum::of(&after);
    report.member_id = run.added.or_else(|| plan.steps.last().and_then(|step| step.action.target()));
    report.start = start(plan, &run, &after);
    Ok(report)
}

/// Holds that nobody has gone on with the same run while the right to do so was waited for.
fn nobody_else_resumed(ctx: &Context<'_>, id: &str) -> Result<()> {
    let Some(memory) = ctx.memory() else { return Ok(()) };
    let all = runs(&ctx.places().state);
    // One that waits for the right too has taken no step.
    let went_on = |run: &&RunRecord| run.id != id && run.resumes.as_ref() == Some(&memory.run) && !run.steps.is_empty();
    match all.iter().find(went_on) {
        Some(other) => {
            Err(Error::from(AlreadyResumed { run: memory.run.clone(), by: other.id.clone() }).before_sending())
        }
        None => Ok(()),
    }
}

/// Takes the steps in order, until one ends the run.
async fn steps(
    run: &mut Run<'_, '_>,
    plan: &Plan,
    before: &ClusterView,
    journal: &mut Journal,
    report: &mut ChangeReport,
) -> Result<()> {
    for (at, step) in plan.steps.iter().enumerate() {
        let number = at + 1;
        run.ctx.emit(&Event::Step { number, of: plan.steps.len(), step: describe(step, before) });
        let mut taken = Ok(());
        if let Some(first) = run.hand_over_first(&step.action).await {
            taken = one(run, &first, number, before, journal, report).await;
        }
        if taken.is_ok() {
            taken = one(run, step, number, before, journal, report).await;
        }
        if let Err(error) = taken {
            let rest = plan.steps.iter().skip(number).map(|step| skipped(step, before));
            report.steps.extend(rest);
            return Err(error);
        }
    }
    Ok(())
}

/// Takes one step, and writes down what came of it.
async fn one(
    run: &mut Run<'_, '_>,
    step: &Step,
    number: usize,
    before: &ClusterView,
    journal: &mut Journal,
    report: &mut ChangeReport,
) -> Result<()> {
    let start = Instant::now();
    run.asked = None;
    let span = tracing::info_span!("step", number, step = step.action.word());
    let taken = run.take(step, number, journal).instrument(span.clone()).await;
    let Taken { outcome, detail, result, error } = taken.unwrap_or_else(Taken::failed);
    let entry = Entry::Outcome { number, step, outcome: outcome.word(), detail: &detail, result: &result };
    let written = journal.write(entry);
    run.ctx.emit(&Event::Outcome { number, step: step.action.word().to_owned(), outcome, detail: detail.clone() });
    let (member, endpoint) = (run.member(step, before), run.asked.as_ref().map(tracing::field::display));
    tracing::info!(parent: &span, member, endpoint, took = ?start.elapsed(), outcome = outcome.word(), "step");
    let (target, took) = (step.action.target_label(before), start.elapsed().into());
    report.steps.push(TakenStep { step: step.action.word().to_owned(), target, outcome, took, detail, result });
    error.or(written.err()).map_or(Ok(()), Err)
}

fn start_report(plan: &Plan, before: &ClusterView, journal: &Journal) -> ChangeReport {
    ChangeReport {
        operation: plan.operation.to_owned(),
        cluster_id: plan.cluster_id,
        executed: true,
        ok: false,
        plan: plan_table(plan, before),
        refusals: Vec::new(),
        steps: Vec::new(),
        before: Quorum::of(before),
        after: Quorum::of(before),
        journal: Some(journal.path().to_string_lossy().into_owned()),
        member_id: None,
        start: None,
    }
}

fn describe(step: &Step, view: &ClusterView) -> String {
    format!("{} {}", step.action.word(), step.action.target_label(view)).trim_end().to_owned()
}

fn skipped(step: &Step, view: &ClusterView) -> TakenStep {
    TakenStep {
        step: step.action.word().to_owned(),
        target: step.action.target_label(view),
        outcome: Outcome::Skipped,
        took: Duration::ZERO.into(),
        detail: String::new(),
        result: None,
    }
}

/// Returns what the member that the plan added is started with.
fn start(plan: &Plan, run: &Run<'_, '_>, after: &ClusterView) -> Option<Value> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::AddMember { name, .. } => {
            start_configuration(name, run.added?, after).map(|start| Value::Record(start.to_record()))
        }
        _ => None,
    })
}

async fn stopped(run: &Run<'_, '_>, mut report: ChangeReport, mut error: Error) -> Error {
    let after = run.last_look().await;
    report.after = Quorum::of(&after);
    report.member_id = run.added;
    report.start = start(run.plan(), run, &after);
    let done = report.steps.iter().filter(|s| matches!(s.outcome, Outcome::Done | Outcome::Already)).count();
    let (operation, of) = (report.operation.clone(), report.plan.len());
    let done = done.min(of);
    // What a closure throws comes out as it was thrown, with what became of the change.
    let native = error.take_native();
    Error::from(Stopped {
        operation,
        done,
        of,
        by_closure: run.hands.closure(),
        profile: run.cluster.profile().name.clone(),
        report: to_value(&report).ok(),
        source: error,
    })
    .with_native(native)
}

/// Says why no other change is kept out of a cluster that has an alarm.
fn no_claim(alarm: AlarmKind) -> String {
    format!(
        "nothing keeps another change out meanwhile: the cluster has a {} alarm, and takes no claim",
        alarm.word().to_uppercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_beside_a_change() {
        let told = Event::Warning { message: no_claim(AlarmKind::NoSpace) }.line();
        insta::assert_snapshot!(told, @"warning: nothing keeps another change out meanwhile: the cluster has a NOSPACE alarm, and takes no claim");
    }
}
