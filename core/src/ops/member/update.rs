//! `member update`: tell the others where a member is reached.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::member::MemberRef;
use crate::ops::member::{find, peer_urls};

args! {
    /// Whom to update.
    pub struct Args(
        /// The member: its name, its id in hex, or one of its URLs.
        member: MemberRef,
    ) {
        /// Where the other members reach it from now on; needed.
        peer_urls: Vec<String>,
    }
}

/// See [`Change::CARD`].
pub struct MemberUpdate;

impl Change for MemberUpdate {
    const CARD: Card = Card {
        name: "member update",
        summary: "Change the peer URLs of a member.",
        details: "The member itself has to listen on the new URLs too, which is a matter of its own configuration. The guards \
                  treat it as if it might drop out, so the other voters have to make a quorum by themselves.",
        search: &["etcdctl", "address", "rename", "host"],
        effect: Effect::Changes,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[Example {
            about: "Show what a new address would do",
            args: &[
                ("member", Sample::Text("infra2")),
                ("peer_urls", Sample::List(&["https://10.0.0.5:2380"])),
                ("dry_run", Sample::On),
            ],
        }],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { member, peer_urls: given }: Args) -> Result<Plan> {
        let id = find(view, &member)?.member.id;
        let action = Action::UpdatePeerUrls { id, peer_urls: peer_urls(&given)? };
        Ok(Plan::new(Self::CARD.name, view).remember("member", id.to_string()).then(action, "it was asked for"))
    }
}
