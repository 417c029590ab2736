//! `leader move`: hand leadership over. The file has another name than its command because `move` is a word of Rust.

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::member::{best_transferee, find};

args! {
    /// To whom.
    pub struct Args(
        /// The member that is to lead; without it, the healthy follower with the smallest lag.
        member: Option<MemberRef>,
    ) {}
}

/// See [`Change::CARD`].
pub struct LeaderMove;

impl Change for LeaderMove {
    const CARD: Card = Card {
        name: "leader move",
        summary: "Hand leadership over to another voter.",
        details: "The leader is found by itself. A learner, a member that does not serve linearizable reads and one that is \
                  behind are refused. When the chosen member leads already, nothing is done.",
        search: &["etcdctl", "transfer", "election", "handover"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Let the best follower lead", args: &[] },
            Example { about: "Let a certain member lead", args: &[("member", Sample::Text("infra2"))] },
        ],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { member }: Args) -> Result<Plan> {
        let (to, reason) = match &member {
            Some(member) => (find(view, member)?, "it was asked for".to_owned()),
            None => {
                let best = best_transferee(view).ok_or_else(|| {
                    let help = "`health` shows which voters serve linearizable reads";
                    BadArgument::invalid("member", "is not given, and no healthy follower can be chosen", help)
                })?;
                let lag = view.lag(best).unwrap_or_default();
                (best, format!("of the healthy followers it has the smallest lag, {lag} entries"))
            }
        };
        let to = to.member.id;
        let plan = Plan::new(Self::CARD.name, view).remember("member", to.to_string());
        Ok(plan.then(Action::MoveLeader { to, from: None }, reason))
    }
}
