//! `member list`: who belongs to the cluster.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::context::Context;
use crate::error::Result;
use crate::id::MemberId;
use crate::operation::Operation;
use crate::record;
use crate::rpc::Consistency;

args! {
    /// Nothing to say.
    pub struct Args() {}
}

record! {
    /// One member, as the membership list has it.
    pub struct Row {
        /// The member's id, in hex.
        member_id: MemberId,
        /// Its name; null until it has started for the first time.
        name: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct MemberList;

impl Operation for MemberList {
    const CARD: Card = Card {
        name: "member list",
        summary: "List the members of the cluster.",
        details: "",
        search: &["etcdctl", "membership", "peers"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "List the members", args: &[] }],
    };
    type Args = Args;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, Args {}: Args) -> Result<Vec<Row>> {
        let cluster = ctx.cluster()?;
        let list = cluster.membership(Consistency::Linearizable, cluster.deadline()).await?;
        Ok(list.members.into_iter().map(|m| Row { member_id: m.id, name: m.started().then_some(m.name) }).collect())
    }
}
