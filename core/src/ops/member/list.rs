//! `member list`: who belongs to the cluster.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::id::MemberId;
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
        /// Whether it leads.
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
                  whether there is one.",
        search: &["etcdctl", "peers", "nodes", "urls"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example { about: "List the members", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let view = observe(ctx.cluster()?, Depth::Status).await?;
        let leader = view.leader().map(|leader| leader.member.id);
        let clean = |urls: &[String]| urls.iter().map(|url| crate::units::escape_word(url)).collect();
        let row = |m: &crate::member::Member| Row {
            member_id: m.id,
            name: m.started().then(|| m.label()),
            status: if m.started() { Started::Started } else { Started::Unstarted },
            is_leader: leader == Some(m.id),
            is_learner: m.is_learner,
            peer_urls: clean(&m.peer_urls),
            client_urls: clean(&m.client_urls),
        };
        Ok(view.members.iter().map(|view| row(&view.member)).collect())
    }
}
