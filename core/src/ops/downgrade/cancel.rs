//! `downgrade cancel`: stay with the version that runs.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;

/// See [`Change::CARD`].
pub struct DowngradeCancel;

impl Change for DowngradeCancel {
    const CARD: Card = Card {
        name: "downgrade cancel",
        summary: "Take a downgrade back that is under way.",
        details: "The members that run the newer version go on with it. Where none is under way, nothing is done.",
        search: &["etcdctl", "rollback", "version", "abort"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[Example { about: "Take a downgrade back", args: &[] }],
    };
    type Args = NoArgs;

    fn plan(view: &ClusterView, NoArgs {}: NoArgs) -> Result<Plan> {
        Ok(Plan::new(Self::CARD.name, view).then(Action::CancelDowngrade, "it was asked for"))
    }
}
