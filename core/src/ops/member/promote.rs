//! `member promote`: give a learner its vote.

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::member::find;

args! {
    /// Whom to promote.
    pub struct Args(
        /// The learner: its name, its id in hex, or one of its URLs.
        member: MemberRef,
    ) {}
}

/// See [`Change::CARD`].
pub struct MemberPromote;

impl Change for MemberPromote {
    const CARD: Card = Card {
        name: "member promote",
        summary: "Give a learner its vote.",
        details: "It is refused while the learner is more than 100 raft entries behind; etcd itself promotes at nine tenths of \
                  the leader's log, which can be millions of entries. Promoting a member that votes already is an error, \
                  because it is seldom what was meant.",
        search: &["etcdctl", "voter", "learner", "vote"],
        effect: Effect::Changes,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[Example { about: "Promote a learner", args: &[("member", Sample::Text("infra4"))] }],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { member }: Args) -> Result<Plan> {
        let target = find(view, &member)?;
        if !target.member.is_learner {
            let problem = format!("names {}, which votes already", target.member.label());
            return Err(BadArgument::invalid("member", problem, "`member list` shows who is a learner").into());
        }
        Ok(Plan::new(Self::CARD.name, view).then(Action::PromoteMember { id: target.member.id }, "it was asked for"))
    }
}
