//! `alarm list`: what the cluster complains about.

use crate::args::NoArgs;
use crate::at_rest;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Depth, observe};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::schema::Records;
use crate::id::MemberId;
use crate::member::Member;
use crate::operation::Operation;
use crate::record;
use crate::rpc::{Alarm, AlarmKind};

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
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "List the alarms", args: &[] },
            Example { about: "List the alarms that a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let (alarms, members) = match ctx.source()? {
            Source::File(path) => {
                let records = at_rest::read(ctx, "db", path, Records::read).await?;
                (records.alarms, records.members)
            }
            Source::Cluster(cluster) => {
                let view = observe(cluster, Depth::Status).await?;
                (view.alarms, view.members.into_iter().map(|view| view.member).collect::<Vec<_>>())
            }
        };
        let named = |id: MemberId| members.iter().find(|member| member.id == id && member.started());
        let row =
            |a: &Alarm| Row { member_id: a.member_id, name: named(a.member_id).map(Member::label), alarm: a.kind };
        Ok(alarms.iter().map(row).collect())
    }
}
