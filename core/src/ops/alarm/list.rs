//! `alarm list`: what the cluster complains about.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::id::MemberId;
use crate::operation::Operation;
use crate::record;
use crate::rpc::AlarmKind;

record! {
    /// One alarm.
    pub struct Row {
        /// The member that it is about, in hex; 0 when etcd could not tell which one.
        member_id: MemberId,
        /// Its name; null when it is no member any more.
        name: Option<String>,
        /// Which one. nospace: only reads, deletions and compaction are served. corrupt: its data differs from the others'.
        alarm: AlarmKind,
    }
}

/// See [`Operation::CARD`].
pub struct AlarmList;

impl Operation for AlarmList {
    const CARD: Card = Card {
        name: "alarm list",
        summary: "List the alarms that are raised.",
        details: "An alarm outlives the member that it is about; then its name is null. The alarms are read from the members' \
                  status, which writes nothing and needs no quorum.",
        search: &["etcdctl", "nospace", "corrupt", "quota"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "List the alarms", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let view = observe(ctx.cluster()?, Depth::Status).await?;
        let name = |id| view.get(id).filter(|m| m.member.started()).map(|m| m.member.label());
        let row = |a: &crate::rpc::Alarm| Row { member_id: a.member_id, name: name(a.member_id), alarm: a.kind };
        Ok(view.alarms.iter().map(row).collect())
    }
}
