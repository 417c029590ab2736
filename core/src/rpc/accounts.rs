//! Users, roles and leases: what a member tells of them.

use std::time::Instant;

use etcd_client::LeaseTimeToLiveOptions;
use etcd_client::proto::PbAuthRoleGetResponse;

use super::call::Kind;
use super::node::Node;
use super::raw::{self, RoleGetRequest};
use crate::error::Result;
use crate::format::schema::{Access, Permission, Role};
use crate::id::LeaseId;

/// A lease that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLease {
    /// Its id.
    pub id: LeaseId,
    /// The time to live that was granted, in seconds.
    pub granted: i64,
    /// What remains of it, in seconds.
    pub remaining: i64,
    /// How many keys are bound to it.
    pub keys: u64,
}

impl Node {
    /// Asks for the ids of all leases.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn leases(&self, deadline: Instant) -> Result<Vec<LeaseId>> {
        let ask = || {
            let mut leases = self.client.lease_client();
            async move { leases.leases().await }
        };
        let answer = self.call("LeaseLeases", Kind::Read, deadline, ask).await?;
        Ok(answer.leases().iter().map(|lease| LeaseId(lease.id().cast_unsigned())).collect())
    }

    /// Asks how long a lease lives on; the leader answers. One that is over is none.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn lease(&self, id: LeaseId, deadline: Instant) -> Result<Option<LiveLease>> {
        let ask = || {
            let mut leases = self.client.lease_client();
            let options = LeaseTimeToLiveOptions::new().with_keys();
            async move { leases.time_to_live(id.0.cast_signed(), Some(options)).await }
        };
        let answer = self.call("LeaseTimeToLive", Kind::Read, deadline, ask).await?;
        let (granted, remaining, keys) = (answer.granted_ttl(), answer.ttl(), answer.keys().len() as u64);
        // A lease that is not there lives for -1 s.
        Ok((remaining >= 0).then_some(LiveLease { id, granted, remaining, keys }))
    }

    /// Asks for the names of all users.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn users(&self, deadline: Instant) -> Result<Vec<String>> {
        let ask = || {
            let mut auth = self.client.auth_client();
            async move { auth.user_list().await }
        };
        Ok(self.call("UserList", Kind::Read, deadline, ask).await?.users().to_vec())
    }

    /// Asks for the roles of a user.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn roles_of(&self, user: &str, deadline: Instant) -> Result<Vec<String>> {
        let ask = || {
            let mut auth = self.client.auth_client();
            async move { auth.user_get(user).await }
        };
        Ok(self.call("UserGet", Kind::Read, deadline, ask).await?.roles().to_vec())
    }

    /// Asks for the names of all roles.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn roles(&self, deadline: Instant) -> Result<Vec<String>> {
        let ask = || {
            let mut auth = self.client.auth_client();
            async move { auth.role_list().await }
        };
        Ok(self.call("RoleList", Kind::Read, deadline, ask).await?.roles().to_vec())
    }

    /// Asks what a role permits.
    ///
    /// # Errors
    /// It did not answer in time, or with an error; it named a kind of permission that is not known.
    pub async fn role(&self, name: &str, deadline: Instant) -> Result<Role> {
        // Not etcd-client's own: it casts the numbers of the wire into an enum.
        let ask = || {
            let request = RoleGetRequest { role: name.to_owned() };
            raw::unary(self.sender(), "/etcdserverpb.Auth/RoleGet", request)
        };
        let answer: PbAuthRoleGetResponse = self.call("RoleGet", Kind::Read, deadline, ask).await?;
        let mut role = Role { name: name.to_owned(), permissions: Vec::new() };
        for permission in answer.perm {
            let access = u64::try_from(permission.perm_type).ok().and_then(Access::of);
            let access =
                access.ok_or_else(|| self.nonsense(format!("a permission of the kind {}", permission.perm_type)))?;
            role.permissions.push(Permission { access, key: permission.key, range_end: permission.range_end });
        }
        Ok(role)
    }
}
