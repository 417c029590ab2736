//! `sandbox list`: what throwaway clusters there are.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, Sandbox, SandboxName};

args! {
    /// What to list.
    pub struct Args() {
        /// Only this sandbox.
        name: Option<SandboxName>,
    }
}

/// See [`Operation::CARD`].
pub struct SandboxList;

impl Operation for SandboxList {
    const CARD: Card = Card {
        name: "sandbox list",
        summary: "List the members of all throwaway clusters on this machine.",
        details: "It looks at the processes and not at the clusters; `health` with the profile of a sandbox tells whether its members serve.",
        search: &["status", "processes", "ps"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[
            Example { about: "List all members of all sandboxes", args: &[] },
            Example { about: "List the members of one", args: &[("name", Sample::Text("sandbox"))] },
        ],
    };
    type Args = Args;
    type Report = Vec<MemberRow>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Vec<MemberRow>> {
        let names = args.name.map_or_else(|| Sandbox::names(ctx.places()), |name| vec![name.to_string()]);
        let mut rows = Vec::new();
        for name in names {
            rows.extend(super::named(ctx, &name)?.rows()?);
        }
        Ok(rows)
    }
}
