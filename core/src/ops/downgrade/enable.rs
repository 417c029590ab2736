//! `downgrade enable`: let the members make their data ready for the version before.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::version::Release;

args! {
    /// Where to.
    pub struct Args(
        /// The version to go back to, such as 3.5; a release of it is taken for its whole line.
        version: Release,
    ) {}
}

/// See [`Change::CARD`].
pub struct DowngradeEnable;

impl Change for DowngradeEnable {
    const CARD: Card = Card {
        name: "downgrade enable",
        summary: "Let the cluster go back to the version before: its members make their data ready for it.",
        details: "etcd goes back by one minor version, from 3.6 on. When `downgrade status` says that every member is ready, restart one \
                  after another with the older version, for example by `rolling-restart` with a closure. `downgrade cancel` takes it back.",
        search: &["etcdctl", "rollback", "version", "older"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Show whether it would be allowed",
                args: &[("version", Sample::Text("3.5")), ("dry_run", Sample::On)],
            },
            Example { about: "Go back to 3.5", args: &[("version", Sample::Text("3.5"))] },
        ],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { version }: Args) -> Result<Plan> {
        let line = version.line();
        let version = format!("{}.{}", line.major, line.minor);
        Ok(Plan::new(Self::CARD.name, view)
            .remember("version", version.clone())
            .then(Action::EnableDowngrade { version }, "it was asked for"))
    }
}
