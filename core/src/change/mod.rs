//! Changing a cluster: observe, plan, approve, execute. Only the first and the last talk to it; what lies between is pure.

pub mod beacon;
pub mod execute;
#[cfg(test)]
pub(crate) mod exhaustive;
pub(crate) mod failed;
pub mod failure;
pub mod guard;
pub mod journal;
pub mod lock;
pub(crate) mod memory;
pub mod observe;
pub mod plan;
mod predict;
pub mod record;
pub mod report;
pub mod server;
pub mod stopped;
#[cfg(test)]
mod tests;
pub mod view;

use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;

pub use execute::Hands;
pub use observe::{Depth, observe, observe_hosts};
pub use plan::{Action, Plan};
pub use report::ChangeReport;
pub use view::{ClusterView, Hosting};

use crate::args::{Args, BadArgument, Param};
use crate::card::Card;
use crate::change::failed::{NotOurs, OtherCluster};
use crate::change::memory::Memory;
use crate::change::report::{Quorum, plan_table};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::operation::Operation;
use crate::places::Places;
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

    /// Says what is done on hosts; nothing, for a change that sends RPCs only.
    fn hosting(_args: &Self::Args) -> Option<OnHosts> {
        None
    }

    /// Says what else has to be looked at before it can be planned, and puts it into the arguments.
    fn prepare(
        _ctx: &Context<'_>,
        _view: &mut ClusterView,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Args>> {
        std::future::ready(Ok(args))
    }
}

/// What a change does on hosts.
#[derive(Debug, Clone, Default)]
pub struct OnHosts {
    /// Who does it, where it is not the profile's drivers.
    pub hands: Hands,
    /// Members that need not be in the membership list any more.
    pub names: Vec<String>,
}

/// The one way in which a change becomes an operation.
pub struct Changing<C>(PhantomData<C>);

/// The arguments of a change, with what every change understands.
pub struct ChangeArgs<A> {
    pub(crate) args: A,
    /// The same as they were given, for the journal.
    given: Record,
    pub(crate) options: Options,
}

impl<A: Args> Args for ChangeArgs<A> {
    const PARAMS: &'static [Param] = A::PARAMS;
    const SHARED: &'static [Param] = Options::PARAMS;

    fn read(record: Record) -> Result<Self, BadArgument> {
        let shared = |name: &str| Options::PARAMS.iter().any(|param| param.name == name);
        let (options, args) = record.into_iter().partition::<Vec<_>, _>(|(name, _)| shared(name));
        let options = Options::read(options.into_iter().collect())?;
        let given: Record = args.into_iter().collect();
        Ok(ChangeArgs { args: A::read(given.clone())?, given, options })
    }

    fn fits(name: &str, value: Value) -> Result<(), BadArgument> {
        Options::fits(name, value.clone()).and_then(|()| A::fits(name, value))
    }
}

impl<C: Change> Operation for Changing<C> {
    const CARD: Card = C::CARD;
    type Args = ChangeArgs<C::Args>;
    type Report = ChangeReport;

    async fn run(ctx: &Context<'_>, ChangeArgs { args, given, options }: Self::Args) -> Result<ChangeReport> {
        let view = ctx.unless_cancelled(observe(ctx.cluster()?, Depth::Reads)).await;
        let mut view = view.and_then(ClusterView::admitted).map_err(Error::before_sending)?;
        if let Some(other) = ctx.memory().filter(|memory| memory.cluster_id != view.cluster_id) {
            return Err(OtherCluster { planned: other.cluster_id, found: view.cluster_id }.into());
        }
        beacon::note(ctx.places(), &view);
        let on_hosts = C::hosting(&args);
        if let Some(OnHosts { hands, names }) = &on_hosts {
            view.hosting = look_at_hosts(ctx, &view, *hands, names).await?;
        }
        view.facts.taken_down = ctx.memory().and_then(|memory| memory.taken_down(&view));
        view.facts.removed = ctx.memory().map(Memory::removed).unwrap_or_default();
        let args = ctx.unless_cancelled(C::prepare(ctx, &mut view, args)).await.map_err(Error::before_sending)?;
        let came_true = ctx.memory().and_then(|memory| memory.came_true(C::CARD.name, &view));
        let mut plan = came_true.map_or_else(|| C::plan(&view, args), Ok)?;
        settle(&mut plan, &view, given, &options, ctx.places());
        snapshot_is_new(ctx, &plan)?;
        let hands = on_hosts.map(|on| on.hands).unwrap_or_default();
        ready(ctx, &view, &plan, hands).await?;
        if options.dry_run {
            return Ok(rehearse(plan, &view, &options.allow));
        }
        // Without a quorum nobody can be asked who has the right.
        let claims = view.confirmed && plan.steps.iter().any(|step| step.action.excludes_others());
        let approved = match guard::approve_in_time(plan, &view, &options.allow) {
            // Who is away may be away for somebody else's change, which is what there is to wait for.
            Err(refused) if claims && refused.refusals.iter().any(|refusal| refusal.code.may_settle()) => {
                return Err(lock::under_way(ctx, &view).await.unwrap_or_else(|| refused.into()));
            }
            judged => judged?,
        };
        execute::execute(ctx, approved, &view, options.wait.duration().max(Duration::from_secs(1)), hands).await
    }
}

/// Looks at the hosts of all members that have a name, and of those that are meant besides.
pub(crate) async fn look_at_hosts(
    ctx: &Context<'_>,
    view: &ClusterView,
    hands: Hands,
    names: &[String],
) -> Result<Hosting> {
    if hands.closure() {
        return Ok(Hosting::Closure);
    }
    let members = view.members.iter().map(|m| &m.member.name).filter(|name| !name.is_empty());
    let mut all: Vec<String> = members.chain(names).cloned().collect();
    all.sort();
    all.dedup();
    ctx.unless_cancelled(observe_hosts(ctx, &all)).await
}

/// Holds that the hosts are those that the profile means, and will take a start configuration, before anything is stopped.
pub(crate) async fn ready(ctx: &Context<'_>, view: &ClusterView, plan: &Plan, hands: Hands) -> Result<()> {
    let mut looks = Vec::new();
    for step in plan.steps.iter().filter(|_| !hands.closure()) {
        let (name, starts) = match &step.action {
            Action::StartMember { name, .. } => (name, true),
            Action::RestartMember { name, .. } => (name, false),
            // Whether one that nobody sees may be passed over is for the guards to say.
            Action::StopMember { name, .. } if view.hosting.sees(name) => (name, false),
            _ => continue,
        };
        if let Some(host) = Host::of(ctx.cluster()?.profile(), ctx.places(), name)? {
            looks.push(async move { if starts { host.preflight(ctx, None).await } else { host.fits(ctx).await } });
        }
    }
    ctx.unless_cancelled(try_join_all(looks)).await.map_err(Error::before_sending)?;
    Ok(())
}

/// Settles what no plan can know: the place of a snapshot that was given none, whether there is to be one, and what was given
/// when it is planned again.
fn settle(plan: &mut Plan, view: &ClusterView, given: Record, options: &Options, places: &Places) {
    if options.allow.contains(&guard::Code::ProcessUnknown) {
        let unseen = |name: &str| !view.hosting.sees(name);
        plan.steps.retain(|step| !matches!(&step.action, Action::StopMember { name, .. } if unseen(name)));
    }
    // As a number it would be read as seconds.
    plan.again.insert("wait", format!("{}ns", options.wait.0));
    if options.allow.contains(&guard::Code::NoSnapshot) {
        plan.steps.retain(|step| !matches!(step.action, Action::SaveSnapshot { .. }));
    }
    for step in &mut plan.steps {
        if let Action::SaveSnapshot { path: path @ None, .. } = &mut step.action {
            // Two runs may begin within the same second.
            let name = format!("{}-{}-{:04x}.db", plan.cluster_id, journal::stamp(), random() & 0xffff);
            let place = places.state.join("snapshots").join(name);
            plan.again.insert("snapshot", place.to_string_lossy().into_owned());
            *path = Some(place);
        }
    }
    for (name, value) in given {
        // A closure cannot be kept, and a default says nothing.
        match value {
            Value::Hook(_) => plan.by_closure = true,
            Value::Null => {}
            Value::Elapsed(span) if plan.again.get(&name).is_none() => plan.again.insert(name, format!("{span}ns")),
            value if plan.again.get(&name).is_none() => plan.again.insert(name, value),
            _ => {}
        }
    }
}

/// Holds that a snapshot will not be saved to a file that is there already, and that nobody has checked.
fn snapshot_is_new(ctx: &Context<'_>, plan: &Plan) -> Result<()> {
    let ours = |path: &Path| ctx.memory().is_some_and(|memory| memory.may_have_saved(path));
    let files = plan.steps.iter().filter_map(|step| match &step.action {
        Action::SaveSnapshot { path, .. } => path.as_ref(),
        _ => None,
    });
    match files.into_iter().find(|path| path.symlink_metadata().is_ok() && !ours(path)) {
        Some(path) => Err(NotOurs { path: path.clone() }.into()),
        None => Ok(()),
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
