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
        details: "A learner that has started and is more than 100 raft entries behind is waited for, as long as `wait` says; \
                  with dry_run, and with `can`, the answer is how far it is behind. etcd itself promotes at nine tenths of the \
                  leader's log, which can be millions of entries short. A learner that does not answer is refused, and so is \
                  a member that votes already, because that is seldom what was meant.",
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
        Ok(Plan::new(Self::CARD.name, view)
            .remember("member", target.member.id.to_string())
            .then(Action::PromoteMember { who: target.member.id.into() }, "it was asked for"))
    }
}
