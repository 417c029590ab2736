//! `quorum`: what the health of the members means for the cluster.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::report::Quorum;
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;

/// See [`Operation::CARD`].
pub struct QuorumOf;

impl Operation for QuorumOf {
    const CARD: Card = Card {
        name: "quorum",
        summary: "Count the healthy voters: does the cluster work, and how much more can it lose?",
        details: "The verdict is healthy when every member is, degraded when some member is not but the voters that serve make \
                  a quorum, and no_quorum when they do not. A member that was added and has not started yet counts as a voter \
                  that is missing, unless it is a learner.",
        search: &["etcdctl", "majority", "tolerance", "raft", "voters"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "Count the healthy voters", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Quorum;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Quorum> {
        Ok(Quorum::of(&observe(ctx.cluster()?, Depth::Reads).await?.admitted()?))
    }
}
