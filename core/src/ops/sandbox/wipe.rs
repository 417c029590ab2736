//! `sandbox wipe`: take away a member's data.

use std::path::PathBuf;

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::record;
use crate::sandbox::{SandboxMember, SandboxName};

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

record! {
    /// Where the data are now.
    pub struct Row {
        /// The sandbox.
        sandbox: String,
        /// The member.
        name: String,
        /// Its data dir, which is not there any more.
        data_dir: PathBuf,
        /// Where the old one lies now; null when there was none.
        moved_to: Option<PathBuf>,
    }
}

/// See [`Operation::CARD`].
pub struct SandboxWipe;

impl Operation for SandboxWipe {
    const CARD: Card = Card {
        name: "sandbox wipe",
        summary: "Move the data dir of a member aside, so that the member starts empty.",
        details: "The member must be down. Nothing is deleted: the old data dir lies beside the new one, with the time in its name.",
        search: &["data", "move", "aside", "empty"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example {
            about: "Take away the data of a member that is down",
            args: &[("member", Sample::Text("infra2"))],
        }],
    };
    type Args = Args;
    type Report = Row;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Row> {
        let member = super::named(ctx, &args.name)?.member(&args.member)?;
        let moved_to = member.wipe().await?;
        Ok(Row { sandbox: args.name.to_string(), name: args.member.to_string(), data_dir: member.data_dir(), moved_to })
    }
}
