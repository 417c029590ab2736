//! `sandbox stop`: stop a throwaway cluster, or one of its members.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, SandboxMember, SandboxName};

args! {
    /// What to stop.
    pub struct Args(
        /// The one member to stop; its data stay. The whole sandbox is stopped and removed when no member is given.
        member: Option<SandboxMember>,
    ) {
        /// The sandbox.
        name: SandboxName = "sandbox",
        /// Keep the folder with the data and the logs, so that `sandbox restart` can start it again.
        keep: bool,
    }
}

/// See [`Operation::CARD`].
pub struct SandboxStop;

impl Operation for SandboxStop {
    const CARD: Card = Card {
        name: "sandbox stop",
        summary: "Stop a throwaway cluster and remove it, or stop one of its members.",
        details: "Without a member everything goes: the processes are killed, and the folder is removed with data, certificates and logs; it is \
            no error when there is no such sandbox. A member, or a sandbox that is kept, is asked to stop, and killed when it has \
            not stopped after ten seconds.",
        search: &["remove", "delete", "clean", "down"],
        effect: Effect::Destroys,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[
            Example { about: "Stop the sandbox and remove it", args: &[] },
            Example { about: "Stop one member and keep its data", args: &[("member", Sample::Text("infra2"))] },
        ],
    };
    type Args = Args;
    type Report = Vec<MemberRow>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Vec<MemberRow>> {
        super::on(ctx, &args.name, async |sandbox| match args.member {
            Some(member) => Ok(vec![sandbox.member(&member)?.stop().await?]),
            None => sandbox.stop(args.keep).await,
        })
        .await
    }
}
