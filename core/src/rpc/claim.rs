//! A claim: a key that one client holds for as long as its lease lives. `change/lock.rs` alone uses it.

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, DeleteOptions, PutOptions, Txn, TxnOp, TxnOpResponse};

use super::call::Kind;
use super::node::Node;
use crate::error::Result;
use crate::id::{LeaseId, Revision};

/// The calls about claims of a [`Node`].
pub struct Claims<'a> {
    pub(super) node: &'a Node,
}

/// Who holds a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What the holder wrote.
    pub value: Vec<u8>,
    /// When that was, as a revision.
    pub revision: Revision,
}

impl Claims<'_> {
    /// Asks for a lease.
    ///
    /// # Errors
    /// The server refused, or its answer was lost; a lease that nobody knows of ends by itself.
    pub async fn lease(&self, ttl: Duration, deadline: Instant) -> Result<LeaseId> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let ask = || {
            let mut lease = self.node.client.lease_client();
            async move { lease.grant(ttl, None).await }
        };
        let answer = self.node.call("LeaseGrant", Kind::Change, deadline, ask).await?.0;
        self.node.header(answer.header)?;
        Ok(LeaseId(answer.id.cast_unsigned()))
    }

    /// Writes a key with a lease, if it is not there; otherwise tells who holds it.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn take(&self, key: &str, value: &[u8], lease: LeaseId, deadline: Instant) -> Result<Option<Holder>> {
        let ask = || {
            let mut kv = self.node.client.kv_client();
            let options = PutOptions::new().with_lease(lease.0.cast_signed());
            let txn = Txn::new()
                .when([Compare::create_revision(key, CompareOp::Equal, 0)])
                .and_then([TxnOp::put(key, value, Some(options))])
                .or_else([TxnOp::get(key, None)]);
            async move { kv.txn(txn).await }
        };
        let answer = self.node.call("Txn", Kind::Change, deadline, ask).await?;
        if answer.succeeded() {
            return Ok(None);
        }
        let held = answer.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(found) => found.kvs().first().map(|kv| (kv.value().to_vec(), kv.mod_revision())),
            _ => None,
        });
        let (value, revision) = held.ok_or_else(|| self.node.nonsense("a key that is there and cannot be read"))?;
        Ok(Some(Holder { value, revision: Revision(revision) }))
    }

    /// Takes the key of a holder that is known to be gone, unless somebody has written it since.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn drop_stale(&self, key: &str, holder: &Holder, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut kv = self.node.client.kv_client();
            let txn = Txn::new()
                .when([Compare::mod_revision(key, CompareOp::Equal, holder.revision.0)])
                .and_then([TxnOp::delete(key, Some(DeleteOptions::new()))]);
            async move { kv.txn(txn).await }
        };
        self.node.call("Txn", Kind::Change, deadline, ask).await?;
        Ok(())
    }

    /// Lets a lease live on for another span.
    ///
    /// # Errors
    /// The lease is gone, or no answer came.
    pub async fn keep(&self, lease: LeaseId, deadline: Instant) -> Result<()> {
        let id = lease.0.cast_signed();
        let ask = || {
            let mut leases = self.node.client.lease_client();
            async move {
                let (mut keeper, mut answers) = leases.keep_alive(id).await?;
                keeper.keep_alive().await?;
                answers.message().await
            }
        };
        let answer = self.node.call("LeaseKeepAlive", Kind::Read, deadline, ask).await?;
        match answer {
            Some(answer) if answer.ttl() > 0 => Ok(()),
            _ => Err(self.node.nonsense("a lease that is gone").into()),
        }
    }

    /// Ends a lease, and with it the claim.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn revoke(&self, lease: LeaseId, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut leases = self.node.client.lease_client();
            async move { leases.revoke(lease.0.cast_signed()).await }
        };
        self.node.call("LeaseRevoke", Kind::Change, deadline, ask).await?;
        Ok(())
    }
}
