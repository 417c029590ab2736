//! `member add`: make room for a new member.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::ops::member::{new_name, peer_urls};

args! {
    /// Whom to add.
    pub struct Args(
        /// The name that the new member will start with.
        name: String,
    ) {
        /// Where the other members will reach it, for example https://10.0.0.4:2380; needed.
        peer_urls: Vec<String>,
        /// Add it as a voter at once, in place of a learner that is promoted when it has caught up.
        voter: bool,
    }
}

/// See [`Change::CARD`].
pub struct MemberAdd;

impl Change for MemberAdd {
    const CARD: Card = Card {
        name: "member add",
        summary: "Add a member to the cluster, as a learner unless told otherwise.",
        details: "The new member is only entered in the membership list; it has to be started next, with what the report holds \
                  under `start`: ETCD_NAME, ETCD_INITIAL_CLUSTER, ETCD_INITIAL_ADVERTISE_PEER_URLS and \
                  ETCD_INITIAL_CLUSTER_STATE, and with an empty data dir. A learner has no vote and cannot cost the cluster its \
                  quorum; promote it with `member promote` when it has caught up. Adding the same peer URLs again, before the \
                  member has started, changes nothing and returns the start configuration again.",
        search: &["etcdctl", "join", "grow", "scale"],
        effect: Effect::Changes,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Show what adding a learner would do",
                args: &[
                    ("name", Sample::Text("infra4")),
                    ("peer_urls", Sample::List(&["https://10.0.0.4:2380"])),
                    ("dry_run", Sample::On),
                ],
            },
            Example {
                about: "Add a learner",
                args: &[("name", Sample::Text("infra4")), ("peer_urls", Sample::List(&["https://10.0.0.4:2380"]))],
            },
        ],
    };
    type Args = Args;

    fn plan(view: &ClusterView, args: Args) -> Result<Plan> {
        let Args { name, peer_urls: given, voter } = args;
        let name = new_name(name)?;
        let reason = if voter {
            "it was asked to vote at once"
        } else {
            "a learner has no vote, so it cannot cost the cluster its quorum while it catches up"
        };
        let peer_urls = peer_urls(&given)?;
        Ok(Plan::new(Self::CARD.name, view).then(Action::AddMember { name, peer_urls, learner: !voter }, reason))
    }
}
