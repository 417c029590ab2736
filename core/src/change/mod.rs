//! Changing a cluster: observe, plan, approve, execute. Only the first and the last talk to it; what lies between is pure.

pub mod execute;
#[cfg(test)]
pub(crate) mod exhaustive;
pub mod failure;
pub mod guard;
pub mod journal;
pub mod observe;
pub mod plan;
pub mod report;
pub mod server;
pub mod stopped;
#[cfg(test)]
mod tests;
pub mod view;

use std::marker::PhantomData;
use std::time::Duration;

pub use observe::{Depth, observe};
pub use plan::{Action, Plan};
pub use report::ChangeReport;
pub use view::ClusterView;

use crate::args::{Args, BadArgument, Param};
use crate::card::Card;
use crate::change::report::{Quorum, plan_table};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::units::Elapsed;
use crate::value::{Record, Value};

crate::args! {
    /// What every change understands.
    pub struct Options() {
        /// Show the plan and what the guards say, and change nothing.
        dry_run: bool,
        /// Refusals to override, each by its code.
        allow: Vec<guard::Code>,
        /// How long each step may take to come true.
        wait: Elapsed = "1min",
    }
}

/// A change of a cluster: a card, arguments, and a pure plan.
pub trait Change: 'static {
    /// What it is.
    const CARD: Card;
    /// What it takes, beside what every change understands.
    type Args: Args;

    /// Decides what is to be done. Every choice is made here.
    ///
    /// # Errors
    /// The arguments do not fit the cluster that is seen.
    fn plan(view: &ClusterView, args: Self::Args) -> Result<Plan>;
}

/// The one way in which a change becomes an operation.
pub struct Changing<C>(PhantomData<C>);

/// The arguments of a change, with what every change understands.
pub struct ChangeArgs<A> {
    args: A,
    options: Options,
}

impl<A: Args> Args for ChangeArgs<A> {
    const PARAMS: &'static [Param] = A::PARAMS;
    const SHARED: &'static [Param] = Options::PARAMS;

    fn read(record: Record) -> Result<Self, BadArgument> {
        let shared = |name: &str| Options::PARAMS.iter().any(|param| param.name == name);
        let (options, args) = record.into_iter().partition::<Vec<_>, _>(|(name, _)| shared(name));
        let options = Options::read(options.into_iter().collect())?;
        Ok(ChangeArgs { args: A::read(args.into_iter().collect())?, options })
    }

    fn fits(name: &str, value: Value) -> Result<(), BadArgument> {
        Options::fits(name, value.clone()).and_then(|()| A::fits(name, value))
    }
}

impl<C: Change> Operation for Changing<C> {
    const CARD: Card = C::CARD;
    type Args = ChangeArgs<C::Args>;
    type Report = ChangeReport;

    async fn run(ctx: &Context<'_>, ChangeArgs { args, options }: Self::Args) -> Result<ChangeReport> {
        let view = ctx.unless_cancelled(observe(ctx.cluster()?, Depth::Reads)).await;
        let view = view.and_then(ClusterView::admitted).map_err(Error::before_sending)?;
        let plan = C::plan(&view, args)?;
        if options.dry_run {
            return Ok(rehearse(plan, &view, &options.allow));
        }
        let approved = guard::approve_in_time(plan, &view, &options.allow)?;
        execute::execute(ctx, approved, &view, options.wait.duration().max(Duration::from_secs(1))).await
    }
}

/// What a dry run reports: the plan, what the guards say, and the quorum that is predicted.
fn rehearse(plan: Plan, view: &ClusterView, allow: &[guard::Code]) -> ChangeReport {
    let table = plan_table(&plan, view);
    let after = plan.steps.iter().fold(view.clone(), |seen, step| seen.after(&step.action));
    let (operation, cluster_id) = (plan.operation.to_owned(), plan.cluster_id);
    let refusals = guard::approve(plan, view, allow).err().map(|refused| refused.refusals).unwrap_or_default();
    ChangeReport {
        operation,
        cluster_id,
        executed: false,
        ok: refusals.is_empty(),
        plan: table,
        refusals,
        steps: Vec::new(),
        before: Quorum::of(view),
        after: Quorum::of(&after),
        journal: None,
        member_id: None,
        start: None,
    }
}

/// Returns a number that nobody can guess, for names that must not meet.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // The system's generator does not fail once a system runs; a name built from zeroes is still refused if it is taken.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
