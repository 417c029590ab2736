//! `sandbox restart`: start members again.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, SandboxMember, SandboxName};
use crate::units::Elapsed;

args! {
    /// What to restart.
    pub struct Args(
        /// The one member to restart; all of them when it is not given.
        member: Option<SandboxMember>,
    ) {
        /// The sandbox.
        name: SandboxName = "sandbox",
        /// How long the members may take until they serve; with 0sec the command does not wait.
        wait: Elapsed = "60s",
    }
}

/// See [`Operation::CARD`].
pub struct SandboxRestart;

impl Operation for SandboxRestart {
    const CARD: Card = Card {
        name: "sandbox restart",
        summary: "Stop members of a throwaway cluster if they run, and start them again.",
        details: "They start with the flags that they were started with. A member serves only with a quorum: when several are down, \
            restart all at once, or do not wait. A member that ends or does not serve in time is an error, and stays as it is.",
        search: &["up", "again", "reboot"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[
            Example { about: "Restart a member", args: &[("member", Sample::Text("infra2"))] },
            Example { about: "Restart the whole cluster, for example after a reboot", args: &[] },
        ],
    };
    type Args = Args;
    type Report = Vec<MemberRow>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Vec<MemberRow>> {
        let member = args.member.as_deref().map(String::as_str);
        super::on(ctx, &args.name, async |sandbox| sandbox.restart(member, args.wait.duration()).await).await
    }
}
