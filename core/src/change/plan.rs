//! What a change would do: fully specified steps, each with its reason, made from one view of the cluster. Every choice is made
//! here, so that what is read before it runs is what runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::change::guard::Refusal;
use crate::change::view::{ClusterView, MemberView};
use crate::id::{ClusterId, MemberId, Revision};
use crate::rpc::AlarmKind;
use crate::value::{Record, Value};

/// One thing that is done to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Saves a snapshot and checks it, before anything is taken away.
    SaveSnapshot {
        /// The file; without it, one in the caller's state folder.
        path: Option<PathBuf>,
        /// The member that is about to be replaced, which is not asked.
        except: Option<MemberId>,
    },
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
        who: Who,
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
        /// The member that is to lead no more; when it does not, there is nothing to do.
        from: Option<MemberId>,
    },
    /// Stops a member's process, for a while or for good.
    StopMember {
        /// The member.
        id: MemberId,
        /// Its name, by which its host knows it.
        name: String,
    },
    /// Moves the data dir of a member that was removed aside.
    SetDataAside {
        /// The name by which the host knows it.
        name: String,
        /// The member whose data it should be.
        id: Option<MemberId>,
    },
    /// Starts a member that was added.
    StartMember {
        /// The name that it starts with.
        name: String,
        /// Where the others reach it, by which it is found in the membership list.
        peer_urls: Vec<String>,
    },
    /// Restarts a member's process.
    RestartMember {
        /// The member.
        id: MemberId,
        /// Its name, by which its host knows it.
        name: String,
    },
    /// Copies a member's database into one without free space.
    Defragment {
        /// The member.
        id: MemberId,
    },
    /// Forgets what keys were before a revision.
    Compact {
        /// The oldest revision that stays.
        revision: Revision,
        /// Whether the answer waits until the space inside the database is free.
        physical: bool,
    },
    /// Takes an alarm back.
    DisarmAlarm {
        /// The member that it is about.
        id: MemberId,
        /// What it is about.
        kind: AlarmKind,
    },
    /// Writes a key and deletes it, to see that the cluster takes writes.
    ProveWrite,
    /// Compares the hashes of all members at one revision.
    CompareHashes {
        /// Whether it is a failure too when not all of them can be compared.
        all: bool,
    },
    /// Waits until a member is healthy.
    AwaitHealthy {
        /// The member.
        who: Who,
    },
    /// Sees that every database is well below its quota.
    CheckSpace {
        /// The quota, where the servers do not tell it.
        quota: Option<i64>,
    },
    /// Lets the members go on as an older version.
    EnableDowngrade {
        /// The version, as in 3.5.
        version: String,
    },
    /// Takes that back.
    CancelDowngrade,
}

/// A member that may have no id yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The one of this id.
    Id(MemberId),
    /// The one that the others reach here, and that has this name when it has started.
    At {
        /// Its name.
        name: String,
        /// Where the others reach it.
        peer_urls: Vec<String>,
    },
}

impl From<MemberId> for Who {
    fn from(id: MemberId) -> Self {
        Who::Id(id)
    }
}

impl Who {
    /// Finds the member.
    pub fn find<'v>(&self, view: &'v ClusterView) -> Option<&'v MemberView> {
        match self {
            Who::Id(id) => view.get(*id),
            Who::At { peer_urls, .. } => view.at(peer_urls),
        }
    }

    /// Returns its name for a person, with its id where that will stay the same.
    fn label(&self, view: &ClusterView) -> String {
        match self {
            Who::Id(id) => label(view, *id),
            Who::At { name, .. } => crate::units::escape_word(name),
        }
    }
}

impl Action {
    /// Returns the word for what it does.
    pub fn word(&self) -> &'static str {
        match self {
            Action::SaveSnapshot { .. } => "save_snapshot",
            Action::AddMember { .. } => "add_member",
            Action::RemoveMember { .. } => "remove_member",
            Action::PromoteMember { .. } => "promote_member",
            Action::UpdatePeerUrls { .. } => "update_peer_urls",
            Action::MoveLeader { .. } => "move_leader",
            Action::StopMember { .. } => "stop_member",
            Action::SetDataAside { .. } => "set_data_aside",
            Action::StartMember { .. } => "start_member",
            Action::RestartMember { .. } => "restart_member",
            Action::Defragment { .. } => "defragment",
            Action::Compact { .. } => "compact",
            Action::DisarmAlarm { .. } => "disarm_alarm",
            Action::ProveWrite => "prove_write",
            Action::CompareHashes { .. } => "compare_hashes",
            Action::AwaitHealthy { .. } => "await_healthy",
            Action::CheckSpace { .. } => "check_space",
            Action::EnableDowngrade { .. } => "enable_downgrade",
            Action::CancelDowngrade => "cancel_downgrade",
        }
    }

    /// Returns the member that it is done to, where there is one of a known id.
    pub fn target(&self) -> Option<MemberId> {
        match self {
            Action::RemoveMember { id }
            | Action::UpdatePeerUrls { id, .. }
            | Action::MoveLeader { to: id, .. }
            | Action::StopMember { id, .. }
            | Action::RestartMember { id, .. }
            | Action::Defragment { id }
            | Action::DisarmAlarm { id, .. }
            | Action::PromoteMember { who: Who::Id(id) }
            | Action::AwaitHealthy { who: Who::Id(id) } => Some(*id),
            Action::SetDataAside { id, .. } => *id,
            _ => None,
        }
    }

    /// Returns what it is done to, in words for a person.
    pub fn target_label(&self, view: &ClusterView) -> String {
        match self {
            Action::AddMember { name, .. } | Action::StartMember { name, .. } | Action::SetDataAside { name, .. } => {
                crate::units::escape_word(name)
            }
            // No real id is zero: nobody knows whose process it is.
            Action::StopMember { id: MemberId(0), name } => crate::units::escape_word(name),
            Action::PromoteMember { who } | Action::AwaitHealthy { who } => who.label(view),
            Action::Compact { revision, .. } => format!("revision {revision}"),
            Action::EnableDowngrade { version } => crate::units::escape_word(version),
            _ => self.target().map_or_else(String::new, |id| label(view, id)),
        }
    }

    /// Says whether a member is away, or may be, while this is done, or whether it changes how many may be away: what only one may
    /// do to a cluster at a time.
    pub fn excludes_others(&self) -> bool {
        matches!(
            self,
            Action::AddMember { .. }
                | Action::RemoveMember { .. }
                | Action::PromoteMember { .. }
                | Action::UpdatePeerUrls { .. }
                | Action::StopMember { .. }
                | Action::SetDataAside { .. }
                | Action::StartMember { .. }
                | Action::RestartMember { .. }
                | Action::Defragment { .. }
        )
    }

    /// Says whether a process is stopped for it.
    pub fn stops(&self) -> bool {
        matches!(self, Action::StopMember { .. } | Action::RestartMember { .. })
    }

    /// Says whether it leaves no trace in the cluster, so that only a journal knows of it.
    pub fn leaves_no_trace(&self) -> bool {
        matches!(
            self,
            Action::SaveSnapshot { .. } | Action::RestartMember { .. } | Action::Defragment { .. } | Action::ProveWrite
        )
    }

    /// Says whether it only looks, and sends nothing that changes the cluster or a host.
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Action::SaveSnapshot { .. }
                | Action::CompareHashes { .. }
                | Action::AwaitHealthy { .. }
                | Action::CheckSpace { .. }
        )
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
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The operation, by its words.
    pub operation: &'static str,
    /// The cluster that it was made for.
    pub cluster_id: ClusterId,
    /// The members that it was made for; with others it is stale.
    pub members: Vec<MemberId>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The arguments with which it is planned again after an interruption, every choice made. They differ from those that were
    /// given where the cluster will not tell any more what they meant, as of a member that was removed.
    pub again: Record,
    /// Whether a closure of the caller's carries out what is done on hosts.
    pub by_closure: bool,
    /// What speaks against the change as a whole, and is overridden by name like any other refusal.
    #[serde(skip)]
    pub objections: Vec<Refusal>,
}

impl Plan {
    /// Starts a plan for what is seen.
    pub fn new(operation: &'static str, view: &ClusterView) -> Self {
        Plan {
            operation,
            cluster_id: view.cluster_id,
            members: view.members.iter().map(|m| m.member.id).collect(),
            steps: Vec::new(),
            again: Record::new(),
            by_closure: false,
            objections: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, action: Action, reason: impl Into<String>) -> Self {
        self.steps.push(Step { action, reason: reason.into() });
        self
    }

    /// Keeps an argument for when it is planned again.
    #[must_use]
    pub fn remember(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.again.insert(name, value);
        self
    }
}
