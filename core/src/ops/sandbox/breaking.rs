//! `sandbox break`: break a member for real.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{Breakage, MemberRow, SandboxMember, SandboxName};

args! {
    /// Which member, and how.
    pub struct Args(
        /// The member, by its name.
        member: SandboxMember,
    ) {
        /// How: an old copy of its data, no data, or a damaged database.
        how: Breakage,
        /// The sandbox.
        name: SandboxName = "sandbox",
    }
}

/// See [`Operation::CARD`].
pub struct SandboxBreak;

impl Operation for SandboxBreak {
    const CARD: Card = Card {
        name: "sandbox break",
        summary: "Break a member of a throwaway cluster for real, so that it cannot start.",
        details: "stale-data puts an old copy of its data dir in place, as a virtual machine that is put back to a snapshot does, after 100 keys \
            below etcdsh-sandbox/ were written: it ends with `tocommit is out of range`. wiped takes its data away: it ends with \
            `has already been bootstrapped`. bad-disk overwrites the beginning of its database. What it had lies beside its \
            data dir, except for bad-disk. The leader may be broken too; another one is elected. Refused when the others would \
            have no quorum. The way back: `member remove`, `member add` with the same peer URL, `sandbox wipe`, `sandbox join` with \
            the start configuration, `member promote`.",
        search: &["corrupt", "damage", "disaster", "chaos", "rehearse"],
        effect: Effect::Destroys,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[Example {
            about: "Break a member as a restored virtual machine does",
            args: &[("member", Sample::Text("infra2")), ("how", Sample::Text("stale-data"))],
        }],
    };
    type Args = Args;
    type Report = MemberRow;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<MemberRow> {
        super::on(ctx, &args.name, async |sandbox| sandbox.break_member(&args.member, args.how).await).await
    }
}
