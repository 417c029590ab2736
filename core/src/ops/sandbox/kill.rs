//! `sandbox kill`: kill a member.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, SandboxMember, SandboxName};

args! {
    /// Which member.
    pub struct Args(
        /// The member, by its name.
        member: SandboxMember,
    ) {
        /// The sandbox that it belongs to.
        name: SandboxName = "sandbox",
    }
}

/// See [`Operation::CARD`].
pub struct SandboxKill;

impl Operation for SandboxKill {
    const CARD: Card = Card {
        name: "sandbox kill",
        summary: "Kill a member of a throwaway cluster, as a power cut would.",
        details: "Its data stay. `sandbox restart` starts it again.",
        search: &["crash", "SIGKILL"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example { about: "Kill a member", args: &[("member", Sample::Text("infra2"))] }],
    };
    type Args = Args;
    type Report = MemberRow;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<MemberRow> {
        super::on(ctx, &args.name, async |sandbox| sandbox.member(&args.member)?.kill().await).await
    }
}
