//! The calls that change a cluster. Each is sent once and run to its answer: when the answer is lost, only reading tells
//! whether it was done.

use std::time::Instant;

use etcd_client::MemberAddOptions;

use super::call::Kind;
use super::node::{Node, read_member};
use crate::error::Result;
use crate::id::MemberId;
use crate::member::{Member, Membership};

/// The changing calls of a [`Node`].
pub struct Writer<'a> {
    pub(super) node: &'a Node,
}

impl Writer<'_> {
    /// Adds a member, and returns it with the new membership list.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn member_add(
        &self,
        peer_urls: &[String],
        learner: bool,
        deadline: Instant,
    ) -> Result<(Member, Membership)> {
        let ask = || {
            let mut cluster = self.node.client.cluster_client();
            let options = MemberAddOptions::new();
            let options = if learner { options.with_is_learner() } else { options };
            async move { cluster.member_add(peer_urls, Some(options)).await }
        };
        let answer = self.node.call("MemberAdd", Kind::Change, deadline, ask).await?.0;
        let added = answer.member.map(read_member).ok_or_else(|| self.node.nonsense("no member was added"))?;
        Ok((added, self.node.read_membership(answer.header, answer.members, true)?))
    }

    /// Removes a member.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn member_remove(&self, id: MemberId, deadline: Instant) -> Result<Membership> {
        let ask = || {
            let mut cluster = self.node.client.cluster_client();
            async move { cluster.member_remove(id.0).await }
        };
        let answer = self.node.call("MemberRemove", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.read_membership(answer.header, answer.members, true)?)
    }

    /// Gives a learner a vote.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn member_promote(&self, id: MemberId, deadline: Instant) -> Result<Membership> {
        let ask = || {
            let mut cluster = self.node.client.cluster_client();
            async move { cluster.member_promote(id.0).await }
        };
        let answer = self.node.call("MemberPromote", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.read_membership(answer.header, answer.members, true)?)
    }

    /// Changes the peer URLs of a member.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn member_update(&self, id: MemberId, peer_urls: &[String], deadline: Instant) -> Result<Membership> {
        let ask = || {
            let mut cluster = self.node.client.cluster_client();
            async move { cluster.member_update(id.0, peer_urls).await }
        };
        let answer = self.node.call("MemberUpdate", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.read_membership(answer.header, answer.members, true)?)
    }

    /// Makes another member the leader. Only the leader itself can do this.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn move_leader(&self, to: MemberId, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut maintenance = self.node.client.maintenance_client();
            async move { maintenance.move_leader(to.0).await }
        };
        // The answer has no header.
        self.node.call("MoveLeader", Kind::Change, deadline, ask).await?;
        Ok(())
    }
}
