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
        /// Wait until every member has freed the space inside its database, as `defrag` wants it.
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
        let found = beacon::older_than(ctx.places(), view, age.duration());
        let revision = found.ok_or(AgeUnknown { age, cluster: view.cluster_id })?;
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
            (None, Some(keep), None) => {
                // Nobody has to forget what it has not got yet.
                let newest = view.common_revision().map_or(newest, |revision| revision.0);
                (newest - keep, format!("the newest that every voter has is {newest}, and {keep} before it stay"))
            }
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
        if args.revision.is_some_and(|revision| revision < 1) {
            let problem = format!("is {revision}, and revisions begin at 1");
            return Err(BadArgument::invalid("revision", problem, "give the oldest revision that is to stay").into());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};

    fn view(revision: i64) -> ClusterView {
        let mut member = member(1, State::Healthy, false, Some(1), 0);
        if let Some(Ok(status)) = &mut member.status {
            status.revision = Revision(revision);
        }
        let (hosting, facts) = Default::default();
        ClusterView { cluster_id: ClusterId(1), confirmed: true, members: vec![member], alarms: vec![], hosting, facts }
    }

    fn planned(revision: Option<i64>, keep: Option<i64>) -> Result<Option<i64>> {
        let plan = Compact::plan(&view(100), Args { revision, keep, age: None, physical: false })?;
        let only = plan.steps.first().map(|step| match step.action {
            Action::Compact { revision, .. } => revision.0,
            _ => 0,
        });
        Ok(only)
    }

    #[test]
    fn so_many_revisions_stay() {
        assert_eq!(planned(Some(60), None).unwrap(), Some(60));
        assert_eq!(planned(None, Some(0)).unwrap(), Some(100));
        assert_eq!(planned(None, Some(30)).unwrap(), Some(70));
        // There is nothing to forget before the first revision.
        assert_eq!(planned(None, Some(500)).unwrap(), None);
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        let errors = [
            planned(None, None).unwrap_err(),
            planned(Some(5), Some(5)).unwrap_err(),
            planned(Some(101), None).unwrap_err(),
            planned(None, Some(-1)).unwrap_err(),
            AgeUnknown { age: Elapsed(3_600_000_000_000), cluster: ClusterId(0xabc) }.into(),
        ];
        insta::assert_snapshot!(crate::tests::shown(errors), @"
        invalid_argument (revision): the argument revision is needed, or keep or age in its place, and only one
          help: give one of revision, keep and age
        invalid_argument (revision): the argument revision is needed, or keep or age in its place, and only one
          help: give one of revision, keep and age
        invalid_argument (revision): the argument revision is 101, and the newest is 100
          help: give one that the cluster has reached
        invalid_argument (keep): the argument keep cannot be less than nothing
          help: give how many revisions stay
        age_unknown (age): which revision cluster abc had 3600s ago was not written down here
          help: it is written down from now on, whenever a change looks at the cluster; run this again later, or give keep or revision
        ");
    }
}
