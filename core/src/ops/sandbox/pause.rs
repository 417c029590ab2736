//! `sandbox pause`: freeze a member.

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
pub struct SandboxPause;

impl Operation for SandboxPause {
    const CARD: Card = Card {
        name: "sandbox pause",
        summary: "Pause a member of a throwaway cluster.",
        details: "A paused member keeps its connections and answers nothing, as one with a frozen disk or a frozen virtual machine does.",
        search: &["freeze", "hang", "SIGSTOP", "suspend"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example { about: "Freeze a member", args: &[("member", Sample::Text("infra2"))] }],
    };
    type Args = Args;
    type Report = MemberRow;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<MemberRow> {
        super::on(ctx, &args.name, async |sandbox| sandbox.member(&args.member)?.pause().await).await
    }
}
