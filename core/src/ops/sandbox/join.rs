//! `sandbox join`: start a member that was added to the cluster.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, SandboxMember, SandboxName};
use crate::units::Elapsed;

args! {
    /// Which member, and how it starts.
    pub struct Args(
        /// The member, by the name that it is to have.
        member: SandboxMember,
    ) {
        /// What `member add` returned as ETCD_INITIAL_CLUSTER.
        initial_cluster: String,
        /// The sandbox.
        name: SandboxName = "sandbox",
        /// How long the member may take until it serves; with 0sec the command does not wait.
        wait: Elapsed = "60s",
    }
}

/// See [`Operation::CARD`].
pub struct SandboxJoin;

impl Operation for SandboxJoin {
    const CARD: Card = Card {
        name: "sandbox join",
        summary: "Start a member of a throwaway cluster with the state `existing`, after `member add`.",
        details: "The member is one that was removed and added again, or a new one; a new one's peer URL must be at 127.0.0.1. It must be \
            down and have no data dir: `sandbox wipe` moves an old one aside.",
        search: &["add", "existing", "initial-cluster", "replace", "start"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example {
            about: "Start a member that was removed, added again and wiped",
            args: &[
                ("member", Sample::Text("infra2")),
                ("initial_cluster", Sample::Text("infra1=https://127.0.0.1:2380,infra2=https://127.0.0.1:2480")),
            ],
        }],
    };
    type Args = Args;
    type Report = MemberRow;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<MemberRow> {
        let Args { member, initial_cluster, name, wait } = args;
        super::on(ctx, &name, async |sandbox| sandbox.join(&member, &initial_cluster, wait.duration()).await).await
    }
}
