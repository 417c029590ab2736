//! `sandbox resume`: let a paused member go on.

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
pub struct SandboxResume;

impl Operation for SandboxResume {
    const CARD: Card = Card {
        name: "sandbox resume",
        summary: "Let a paused member of a throwaway cluster go on.",
        details: "",
        search: &["continue", "unfreeze", "SIGCONT"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example { about: "Let a member go on", args: &[("member", Sample::Text("infra2"))] }],
    };
    type Args = Args;
    type Report = MemberRow;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<MemberRow> {
        super::on(ctx, &args.name, async |sandbox| sandbox.member(&args.member)?.resume().await).await
    }
}
