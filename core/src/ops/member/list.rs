//! `member list`: who belongs to the cluster.

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
use crate::{choice, record};

choice! {
    /// Whether a member has ever run.
    pub enum Started {
        /// It has started at least once.
        Started = "started",
        /// It was added, and has never started.
        Unstarted = "unstarted",
    }
}

record! {
    /// One member, as the membership list has it.
    pub struct Row {
        /// The member's id, in hex.
        member_id: MemberId,
        /// Its name; null until it has started for the first time.
        name: Option<String>,
        /// Whether it has run: started, or unstarted when it was added and has never run.
        status: Started,
        /// Whether it leads; a file does not tell.
        is_leader: bool,
        /// Whether it has no vote yet.
        is_learner: bool,
        /// Where other members reach it.
        peer_urls: Vec<String>,
        /// Where clients reach it.
        client_urls: Vec<String>,
    }
}

/// See [`Operation::CARD`].
pub struct MemberList;

impl Operation for MemberList {
    const CARD: Card = Card {
        name: "member list",
        summary: "List the members of the cluster.",
        details: "A quorum confirms the list. Where there is no quorum, the list is what one member last knew; `quorum` says \
                  whether there is one. Of a file it is the list that its member had.",
        search: &["etcdctl", "peers", "nodes", "urls"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "List the members", args: &[] },
            Example { about: "List the members that a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let (leader, members) = match ctx.source()? {
            Source::File(path) => (None, at_rest::read(ctx, "db", path, Records::read).await?.members),
            Source::Cluster(cluster) => {
                let view = observe(cluster, Depth::Status).await?;
                let leader = view.leader().map(|leader| leader.member.id);
                (leader, view.members.into_iter().map(|view| view.member).collect::<Vec<_>>())
            }
        };
        let clean = |urls: &[String]| urls.iter().map(|url| crate::units::escape_word(url)).collect();
        let row = |m: &Member| Row {
            member_id: m.id,
            name: m.started().then(|| m.label()),
            status: if m.started() { Started::Started } else { Started::Unstarted },
            is_leader: leader == Some(m.id),
            is_learner: m.is_learner,
            peer_urls: clean(&m.peer_urls),
            client_urls: clean(&m.client_urls),
        };
        Ok(members.iter().map(row).collect())
    }
}
