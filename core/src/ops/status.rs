//! `status`: what every member says about itself.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::view::{ClusterView, MemberView, Role};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::id::MemberId;
use crate::operation::Operation;
use crate::record;
use crate::rpc::AlarmKind;
use crate::units::{Bytes, Elapsed};

record! {
    /// One member, as it describes itself.
    pub struct Row {
        /// The member's id, in hex.
        member_id: MemberId,
        /// Its name; null until it has started for the first time.
        name: Option<String>,
        /// What it is: leader, follower, learner, unstarted or unknown.
        role: Role,
        /// Where it was asked.
        endpoint: Option<Endpoint>,
        /// Its etcd version.
        version: Option<String>,
        /// The version of its data's form; etcd tells it from 3.6 on.
        storage_version: Option<String>,
        /// The size of its database file.
        db_size: Option<Bytes>,
        /// The part of the database file that holds data; the rest is free for new data, or for defragmentation to give back.
        db_in_use: Option<Bytes>,
        /// The size beyond which it refuses writes; etcd tells it from 3.6 on.
        db_quota: Option<Bytes>,
        /// Its raft term.
        raft_term: Option<i64>,
        /// The last raft index that it knows to be committed.
        raft_index: Option<i64>,
        /// The last raft index that it has applied to its store.
        raft_applied_index: Option<i64>,
        /// How many raft entries its store is behind the newest that any member knows.
        lag: Option<i64>,
        /// Alarms about it: nospace, corrupt.
        alarms: Vec<AlarmKind>,
        /// How long its answer took.
        latency: Option<Elapsed>,
        /// Why it did not answer, or what it complains about.
        error: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct Status;

impl Operation for Status {
    const CARD: Card = Card {
        name: "status",
        summary: "Show what every member says about itself: version, database, raft.",
        details: "Every member of the cluster has a row, also one that does not answer; its error says why.",
        search: &["etcdctl", "endpoint", "raft", "leader", "dbsize", "lag", "version"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "Show the status of every member", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let view = observe(ctx.cluster()?, Depth::Status).await?;
        Ok(view.members.iter().map(|member| row(&view, member)).collect())
    }
}

fn row(view: &ClusterView, member: &MemberView) -> Row {
    let status = member.known();
    let complaint =
        status.and_then(|status| status.errors.iter().find(|e| crate::change::observe::parse_alarm(e).is_none()));
    Row {
        member_id: member.member.id,
        name: member.member.started().then(|| member.member.label()),
        role: view.role(member),
        endpoint: member.endpoint.clone(),
        version: status.map(|s| crate::units::escape_word(&s.version)),
        storage_version: status.and_then(|s| s.storage_version.as_deref()).map(crate::units::escape_word),
        db_size: status.map(|s| Bytes(s.db_size)),
        db_in_use: status.map(|s| Bytes(s.db_in_use)),
        db_quota: status.and_then(|s| s.db_quota).map(Bytes),
        raft_term: status.map(|s| s.raft_term),
        raft_index: status.map(|s| s.raft_index),
        raft_applied_index: status.map(|s| s.raft_applied_index),
        lag: view.lag(member),
        alarms: alarms_of(view, member),
        latency: member.latency.map(Elapsed::from),
        error: member
            .failure()
            .map(|f| f.message.clone())
            .or_else(|| complaint.map(|text| crate::units::escape_word(text))),
    }
}

/// Returns the alarms about one member.
pub(crate) fn alarms_of(view: &ClusterView, member: &MemberView) -> Vec<AlarmKind> {
    view.alarms.iter().filter(|alarm| alarm.member_id == member.member.id).map(|alarm| alarm.kind).collect()
}
