//! `can`: whether a change would be carried out, as data.

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::guard::{Refusal, approve};
use crate::change::report::{PlannedStep, count, plan_table};
use crate::change::server;
use crate::change::{Action, Change, ClusterView, Depth, Hands, Plan, look_at_hosts, observe, ready};
use crate::context::Context;
use crate::error::Result;
use crate::member::MemberRef;
use crate::operation::Operation;
use crate::ops::defrag;
use crate::ops::leader::transfer::{Args as MoveArgs, LeaderMove};
use crate::ops::member::{add, find, promote, remove, replace};
use crate::ops::rolling_restart::one_by_one;
use crate::{args, choice, record};

choice! {
    /// What could be done.
    pub enum What {
        /// Add a learner with this peer URL.
        Add = "add",
        /// Remove it.
        Remove = "remove",
        /// Give it its vote.
        Promote = "promote",
        /// Hand leadership over to it.
        MoveLeader = "move_leader",
        /// Stop its process for a while.
        Restart = "restart",
        /// Put a new member in its place.
        Replace = "replace",
        /// Give back the free space in its database.
        Defrag = "defrag",
    }
}

args! {
    /// What could be done to whom.
    pub struct Args(
        /// The change: add, remove, promote, move_leader, restart, replace or defrag.
        action: What,
        /// The member: its name, its id in hex, or one of its URLs; for add, the peer URL of the new one.
        member: MemberRef,
    ) {}
}

record! {
    /// The verdict about a change that nobody has made yet.
    pub struct Can {
        /// Whether the change would be carried out now: no guard refuses it.
        allowed: bool,
        /// Whether etcd itself would accept it, which says little about whether it is safe.
        server_accepts: bool,
        /// What was asked about.
        action: What,
        /// The member that it would be done to.
        member: String,
        /// How many voters have to agree now.
        quorum_before: i64,
        /// How many voters would have to agree afterwards.
        quorum_after: i64,
        /// How many more voters could fail afterwards; negative where too few would be left.
        tolerance_after: i64,
        /// Why it would be refused; what only has to catch up the change itself waits for.
        refusals: Vec<Refusal>,
        /// The steps that it would take.
        plan: Vec<PlannedStep>,
    }
}

/// See [`Operation::CARD`].
pub struct CanDo;

impl Operation for CanDo {
    const CARD: Card = Card {
        name: "can",
        summary: "Ask whether a change would be safe and accepted, without making it.",
        details: "The verdict comes from the plan and the guards that the change itself would use, and from etcd's own rules. \
                  Nothing is changed.",
        search: &["preflight", "check", "safe", "guard", "allowed"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Ask whether a member can be restarted now",
                args: &[("action", Sample::Text("restart")), ("member", Sample::Text("infra2"))],
            },
            Example {
                about: "Ask whether a member can be removed",
                args: &[("action", Sample::Text("remove")), ("member", Sample::Text("infra2"))],
            },
        ],
    };
    type Args = Args;
    type Report = Can;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Can> {
        let mut view = observe(ctx.cluster()?, Depth::Reads).await?.admitted()?;
        if matches!(args.action, What::Replace | What::Restart) {
            let names = [args.member.0.clone()];
            view.hosting = look_at_hosts(ctx, &view, Hands::default(), &names).await?;
        }
        // What the hosts do not take is refused by the change too, before anything is done.
        ready(ctx, &view, &plan(&view, args.action, &args.member)?, Hands::default()).await?;
        judge(&view, args)
    }
}

/// Judges a change against what is seen; pure.
///
/// # Errors
/// The member cannot be told, or its URL cannot be read.
pub fn judge(view: &ClusterView, Args { action, member }: Args) -> Result<Can> {
    let plan = plan(view, action, &member)?;
    let table = plan_table(&plan, view);
    let mut server_accepts = true;
    let mut after = view.clone();
    for step in &plan.steps {
        server_accepts &= server::accepts(&step.action, &after).is_ok();
        after = after.after(&step.action);
    }
    let label = table.last().map_or_else(String::new, |step| step.target.clone());
    let refusals = approve(plan, view, &[]).err().map(|refused| refused.refusals).unwrap_or_default();
    Ok(Can {
        allowed: refusals.is_empty(),
        server_accepts,
        action,
        member: label,
        quorum_before: count(view.quorum()),
        quorum_after: count(after.quorum()),
        tolerance_after: count(after.healthy_voters()) - count(after.quorum()),
        refusals,
        plan: table,
    })
}

/// The plan of the change itself, so that the verdict is the one that the change would get.
fn plan(view: &ClusterView, action: What, member: &MemberRef) -> Result<Plan> {
    match action {
        What::Add => {
            let name = "new".to_owned();
            let args = add::Args { name, peer_urls: vec![member.0.clone()], voter: false };
            // The URL is given as the member here, so that is the argument to point at.
            add::MemberAdd::plan(view, args).map_err(|error| {
                let help = error.help().unwrap_or_default();
                BadArgument::invalid("member", format!("is no peer URL: {error}"), help).into()
            })
        }
        What::Remove => remove::MemberRemove::plan(view, remove::Args { member: member.clone() }),
        What::Promote => promote::MemberPromote::plan(view, promote::Args { member: member.clone() }),
        What::Replace => {
            let member = member.clone();
            let args = replace::Args { member, name: None, peer_urls: vec![], snapshot: None, host: None };
            replace::MemberReplace::plan(view, args)
        }
        What::Defrag => {
            let args = defrag::Args { members: Some(vec![member.clone()]), rule: None, quota: None };
            defrag::Defrag::plan(view, args).map_err(|error| error.for_argument("member"))
        }
        What::MoveLeader => LeaderMove::plan(view, MoveArgs { member: Some(member.clone()) }),
        What::Restart => {
            let target = find(view, member)?;
            let restart = Action::RestartMember { id: target.member.id, name: target.member.name.clone() };
            let mut plan = Plan::new("restart", view);
            plan.steps = one_by_one(view, target, restart, "");
            Ok(plan)
        }
    }
}
