//! The calls that change a cluster. Each is sent once and run to its answer: when the answer is lost, only reading tells
//! whether it was done.

use std::time::Instant;

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, CompactionOptions, Compare, CompareOp, DowngradeOptions, MemberAddOptions,
    Txn, TxnOp,
};

use super::call::Kind;
use super::node::{Node, read_member};
use super::types::AlarmKind;
use crate::error::{Error, Result};
use crate::id::{MemberId, Revision};
use crate::member::{Member, Membership};

/// What a probing write leaves in a key, for the moment until it deletes it: nobody else's value is deleted.
const PROBE: &str = "etcdsh probe: this key may be deleted";

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

    /// Writes the member's database anew, without the free pages in it. The member serves nothing meanwhile, and goes on to
    /// the end even when nobody waits for its answer any more: a timeout says nothing about whether it was done.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn defragment(&self, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut maintenance = self.node.client.maintenance_client();
            async move { maintenance.defragment().await }
        };
        // The answer has no header.
        self.node.call("Defragment", Kind::Change, deadline, ask).await?;
        Ok(())
    }

    /// Drops what all keys were before a revision, on every member. A physical compaction is answered when this member has
    /// freed the pages too.
    ///
    /// # Errors
    /// The server refused, or its answer was lost; `compacted` when it was compacted this far before.
    pub async fn compact(&self, revision: Revision, physical: bool, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut kv = self.node.client.kv_client();
            let options = CompactionOptions::new();
            let options = if physical { options.with_physical() } else { options };
            async move { kv.compact(revision.0, Some(options)).await }
        };
        let answer = self.node.call("Compact", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.header(answer.header).map(drop)?)
    }

    /// Takes one alarm of one member back. Nothing happens when it is not raised.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn disarm(&self, member: MemberId, kind: AlarmKind, deadline: Instant) -> Result<()> {
        // The kind NONE would stand for every alarm, and the member zero for all members.
        let kind = match kind {
            AlarmKind::NoSpace => AlarmType::Nospace,
            AlarmKind::Corrupt => AlarmType::Corrupt,
            AlarmKind::Unknown => return Err(Error::internal("an alarm of an unknown kind cannot be disarmed")),
        };
        let ask = || {
            let mut maintenance = self.node.client.maintenance_client();
            let mut options = AlarmOptions::new();
            options.with_member(member.0);
            async move { maintenance.alarm(AlarmAction::Deactivate, kind, Some(options)).await }
        };
        let answer = self.node.call("Alarm", Kind::Change, deadline, ask).await?.0;
        // 3.4 sends no header here.
        if answer.header.is_some() {
            self.node.header(answer.header)?;
        }
        Ok(())
    }

    /// Lets members of an older version join, and makes the data ready for them.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn downgrade_enable(&self, version: &str, deadline: Instant) -> Result<()> {
        self.downgrade(|| DowngradeOptions::Enable(version.to_owned()), deadline).await
    }

    /// Gives up a downgrade that is under way.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn downgrade_cancel(&self, deadline: Instant) -> Result<()> {
        self.downgrade(|| DowngradeOptions::Cancel, deadline).await
    }

    async fn downgrade(&self, what: impl Fn() -> DowngradeOptions, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut maintenance = self.node.client.maintenance_client();
            let what = what();
            async move { maintenance.downgrade(what).await }
        };
        let answer = self.node.call("Downgrade", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.header(answer.header).map(drop)?)
    }

    /// Proves that writes are accepted: puts a key that is not there, and deletes it again. A key with somebody else's value
    /// stays as it is; what was tried on it is proof enough. Returns the revision of the store after it.
    ///
    /// # Errors
    /// The server refused, or its answer was lost; `nospace` as long as it takes no writes.
    pub async fn probe_write(&self, key: &str, deadline: Instant) -> Result<Revision> {
        let absent = Compare::create_revision(key, CompareOp::Equal, 0);
        let put = Txn::new().when([absent]).and_then([TxnOp::put(key, PROBE, None)]);
        self.transaction(put, deadline).await?;
        let ours = Compare::value(key, CompareOp::Equal, PROBE);
        let delete = Txn::new().when([ours]).and_then([TxnOp::delete(key, None)]);
        self.transaction(delete, deadline).await
    }

    async fn transaction(&self, txn: Txn, deadline: Instant) -> Result<Revision> {
        let ask = || {
            let mut kv = self.node.client.kv_client();
            let txn = txn.clone();
            async move { kv.txn(txn).await }
        };
        let header = self.node.header(self.node.call("Txn", Kind::Change, deadline, ask).await?.0.header)?;
        Ok(Revision(self.node.not_negative("revision", header.revision)?))
    }
}
