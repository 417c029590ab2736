//! `compact`: forget what keys were before a revision.

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan, beacon};
use crate::context::Context;
use crate::error::{Fault, Result};
use crate::id::{ClusterId, Revision};
use crate::units::Elapsed;
use crate::value::Value;

args! {
    /// How far.
    pub struct Args() {
        /// The oldest revision that stays.
        revision: Option<i64>,
        /// Keep this many revisions, counted back from the newest.
        keep: Option<i64>,
        /// Keep what is younger than this.
        age: Option<Elapsed>,
        /// Wait until the space inside the databases is free.
        physical: bool,
    }
}

/// See [`Change::CARD`].
pub struct Compact;

impl Change for Compact {
    const CARD: Card = Card {
        name: "compact",
        summary: "Forget what keys were before a revision, so that their space can be used again.",
        details: "Give one of revision, keep and age. What is forgotten cannot be read any more, and watchers that are still behind it \
                  have to start anew. The newest value of every key stays. The files do not get smaller; `defrag` does that. etcd does \
                  not know which revision it had when, so an age is looked up in what was written down from here, each time that a \
                  change looked at the cluster.",
        search: &["etcdctl", "compaction", "history", "revision", "space", "mvcc"],
        effect: Effect::Destroys,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Keep the last 10,000 revisions", args: &[("keep", Sample::Int(10_000))] },
            Example { about: "Keep the last hour", args: &[("age", Sample::Text("1hr"))] },
            Example {
                about: "Show what compacting to a revision would do",
                args: &[("revision", Sample::Int(123_456)), ("dry_run", Sample::On)],
            },
        ],
    };
    type Args = Args;

    async fn prepare(ctx: &Context<'_>, view: &mut ClusterView, args: Args) -> Result<Args> {
        let Some(age) = args.age.filter(|_| args.revision.is_none() && args.keep.is_none()) else { return Ok(args) };
        let found = beacon::older_than(ctx.places(), view.cluster_id, age.duration());
        let (revision, _) = found.ok_or(AgeUnknown { age, cluster: view.cluster_id })?;
        Ok(Args { revision: Some(revision.0), age: None, ..args })
    }

    fn plan(view: &ClusterView, args: Args) -> Result<Plan> {
        let newest = view.revision().unwrap_or(Revision(0)).0;
        let (revision, reason) = match (args.revision, args.keep, args.age) {
            (Some(revision), None, None) => (revision, "what came before it is not needed any more".to_owned()),
            (None, Some(keep), None) if keep < 0 => {
                return Err(BadArgument::invalid(
                    "keep",
                    "cannot be less than nothing",
                    "give how many revisions stay",
                )
                .into());
            }
            (None, Some(keep), None) => (newest - keep, format!("the newest is {newest}, and {keep} before it stay")),
            _ => {
                let help = "give one of revision, keep and age";
                return Err(BadArgument::invalid(
                    "revision",
                    "is needed, or keep or age in its place, and only one",
                    help,
                )
                .into());
            }
        };
        if revision > newest {
            let problem = format!("is {revision}, and the newest is {newest}");
            return Err(BadArgument::invalid("revision", problem, "give one that the cluster has reached").into());
        }
        let plan = Plan::new(Self::CARD.name, view)
            .remember("revision", revision)
            .remember("keep", Value::Null)
            .remember("age", Value::Null);
        if revision <= 1 {
            // There is nothing before the first revision, and etcd takes no smaller number.
            return Ok(plan);
        }
        Ok(plan.then(Action::Compact { revision: Revision(revision), physical: args.physical }, reason))
    }
}

/// Nothing was written down that is so old.
#[derive(Debug, thiserror::Error)]
#[error("which revision cluster {cluster} had {age} ago was not written down here")]
struct AgeUnknown {
    age: Elapsed,
    cluster: ClusterId,
}

impl Fault for AgeUnknown {
    fn code(&self) -> &'static str {
        "age_unknown"
    }

    fn argument(&self) -> Option<&str> {
        Some("age")
    }

    fn help(&self) -> Option<String> {
        let help = "it is written down from now on, whenever a change looks at the cluster; run this again later, or give keep or revision";
        Some(help.to_owned())
    }
}
