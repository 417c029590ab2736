//! What a change would do: fully specified steps, each with its reason, made from one view of the cluster. Every choice is made
//! here, so that what is read before it runs is what runs.

use serde::Serialize;

use crate::change::view::ClusterView;
use crate::id::{ClusterId, MemberId};

/// One thing that is done to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Adds a member to the membership list.
    AddMember {
        /// The name that it will start with.
        name: String,
        /// Where the others will reach it.
        peer_urls: Vec<String>,
        /// Whether it has no vote at first.
        learner: bool,
    },
    /// Takes a member out of the membership list, for ever.
    RemoveMember {
        /// The member.
        id: MemberId,
    },
    /// Gives a learner its vote.
    PromoteMember {
        /// The member.
        id: MemberId,
    },
    /// Tells the others where a member is reached.
    UpdatePeerUrls {
        /// The member.
        id: MemberId,
        /// Where it is reached from now on.
        peer_urls: Vec<String>,
    },
    /// Hands leadership over.
    MoveLeader {
        /// The member that is to lead.
        to: MemberId,
    },
    /// Stops a member's process, for a while or for good.
    StopMember {
        /// The member.
        id: MemberId,
    },
}

impl Action {
    /// Returns the word for what it does.
    pub fn word(&self) -> &'static str {
        match self {
            Action::AddMember { .. } => "add_member",
            Action::RemoveMember { .. } => "remove_member",
            Action::PromoteMember { .. } => "promote_member",
            Action::UpdatePeerUrls { .. } => "update_peer_urls",
            Action::MoveLeader { .. } => "move_leader",
            Action::StopMember { .. } => "stop_member",
        }
    }

    /// Returns the member that it is done to, where there is one already.
    pub fn target(&self) -> Option<MemberId> {
        match self {
            Action::AddMember { .. } => None,
            Action::RemoveMember { id }
            | Action::PromoteMember { id }
            | Action::UpdatePeerUrls { id, .. }
            | Action::MoveLeader { to: id }
            | Action::StopMember { id } => Some(*id),
        }
    }

    /// Returns what it is done to, in words for a person.
    pub fn target_label(&self, view: &ClusterView) -> String {
        match self {
            Action::AddMember { name, .. } => crate::units::escape_word(name),
            _ => self.target().map_or_else(String::new, |id| label(view, id)),
        }
    }
}

/// Returns a member's name with its id, for a person.
pub(crate) fn label(view: &ClusterView, id: MemberId) -> String {
    view.get(id).map_or_else(|| id.to_string(), |m| m.member.label_with_id())
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The operation, by its words.
    pub operation: &'static str,
    /// The cluster that it was made for.
    pub cluster_id: ClusterId,
    /// The members that it was made for; with others it is stale.
    pub members: Vec<MemberId>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Starts a plan for what is seen.
    pub fn new(operation: &'static str, view: &ClusterView) -> Self {
        Plan {
            operation,
            cluster_id: view.cluster_id,
            members: view.members.iter().map(|m| m.member.id).collect(),
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, action: Action, reason: impl Into<String>) -> Self {
        self.steps.push(Step { action, reason: reason.into() });
        self
    }
}
