//! `defrag`: give back the free space in the members' databases.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::record::runs;
use crate::change::view::MemberView;
use crate::change::{Action, Change, ClusterView, Plan};
use crate::context::Context;
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::alarm::disarm::sensible;
use crate::ops::rolling_restart::{one_by_one, order};
use crate::rule::{Rule, Variables};
use crate::units::{Bytes, Elapsed};

args! {
    /// Whose databases.
    pub struct Args() {
        /// Only these members: names, ids in hex, or URLs.
        members: Option<Vec<MemberRef>>,
        /// Only members for which this holds, for example `db_free > 200MB && db_free / db_size > 0.4`.
        rule: Option<Rule>,
        /// The quota of the databases, for a rule that needs it where the servers do not tell it (before 3.6).
        quota: Option<Bytes>,
    }
}

/// See [`Change::CARD`].
pub struct Defrag;

impl Change for Defrag {
    const CARD: Card = Card {
        name: "defrag",
        summary: "Give back the free space in the members' databases, one member at a time, the leader last.",
        details: "A member serves nothing while its database is copied, so leadership leaves it first, and the next member is taken only \
                  when this one serves again and every other voter follows closely. An answer that is lost counts as still running \
                  until the member serves again. A rule is an expression over the columns of `status` that hold sizes, numbers \
                  and words, and db_free, quota_usage; the variables of etcd-defrag (dbSize, dbSizeInUse, dbSizeFree, dbQuota, \
                  dbQuotaUsage) are understood too. How long a member will be away is estimated from the last defragmentation that was measured from here.",
        search: &["etcdctl", "defragment", "compact", "space", "fragmentation", "dbsize", "etcd-defrag"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Show the order and what the guards say", args: &[("dry_run", Sample::On)] },
            Example {
                about: "Defragment the members that would give back much",
                args: &[("rule", Sample::Text("db_free > 200MB && db_free / db_size > 0.4"))],
            },
            Example { about: "Defragment one member", args: &[("members", Sample::List(&["infra2"]))] },
        ],
    };
    type Args = Args;

    async fn prepare(ctx: &Context<'_>, view: &mut ClusterView, args: Args) -> Result<Args> {
        view.facts.copy_speed = measured(ctx, view);
        Ok(args)
    }

    fn plan(view: &ClusterView, Args { members, rule, quota }: Args) -> Result<Plan> {
        sensible(quota)?;
        let mut plan = Plan::new(Self::CARD.name, view);
        let chosen = order(view, members.as_deref())?;
        // A learner is defragmented only when it is named, and the guard says then that etcd does not do it.
        let chosen = chosen.into_iter().filter(|m| members.is_some() || !m.member.is_learner);
        for member in chosen {
            // Of one that does not serve nothing is known, and the guard says so.
            if let Some(rule) = rule.as_ref().filter(|_| member.serves())
                && !rule.holds(&Variables::of(view, member, quota))?
            {
                continue;
            }
            plan.steps.extend(one_by_one(
                view,
                member,
                Action::Defragment { id: member.member.id },
                &expected(view, member),
            ));
        }
        Ok(plan)
    }
}

/// Says what it will bring and cost, as far as that is known.
pub(crate) fn expected(view: &ClusterView, member: &MemberView) -> String {
    let Some(status) = member.known() else { return "its database was not seen".to_owned() };
    let free = Bytes((status.db_size - status.db_in_use).max(0));
    let size = Bytes(status.db_size);
    match view.facts.copy_speed.filter(|speed| *speed > 0) {
        Some(speed) => {
            let seconds = std::time::Duration::from_millis(
                u64::try_from(status.db_in_use.saturating_mul(1000) / speed).unwrap_or(0),
            );
            format!("{free} of {size} are free; it should be away for about {}", Elapsed::from(seconds))
        }
        None => format!("{free} of {size} are free; how long it will be away was not measured yet"),
    }
}

/// Returns how many bytes a second a member of this cluster copied when it was last measured from here.
pub(crate) fn measured(ctx: &Context<'_>, view: &ClusterView) -> Option<i64> {
    let of_here = runs(&ctx.places().state).into_iter().filter(|run| run.cluster_id == view.cluster_id);
    of_here.flat_map(|run| run.steps.into_iter().rev()).find_map(|step| {
        let field = |name: &str| step.result.get(name).and_then(serde_json::Value::as_i64);
        let (copied, stalled) = (field("db_size_after")?, field("stalled")?);
        // What is small, or quick, measures the network and not the disk.
        (stalled > 1_000_000 && copied >= MEASURABLE).then(|| copied.saturating_mul(1000) / (stalled / 1_000_000))
    })
}

/// The size of a database whose defragmentation tells how fast the disk is.
const MEASURABLE: i64 = 1 << 20;
