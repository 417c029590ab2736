//! Calls that only a throwaway cluster of our own gets, where there is nothing to guard. Only `sandbox` may ask for them.

use std::time::Instant;

use super::call::Kind;
use super::node::Node;
use crate::error::Result;

/// The calls on a [`Node`] of a sandbox.
pub struct Scratch<'a> {
    pub(super) node: &'a Node,
}

impl Scratch<'_> {
    /// Writes a key.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn put(&self, key: &str, value: &str, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut kv = self.node.client.kv_client();
            async move { kv.put(key, value, None).await }
        };
        let answer = self.node.call("Put", Kind::Change, deadline, ask).await?.0;
        Ok(self.node.header(answer.header).map(drop)?)
    }

    /// Makes a user who may do everything, and asks everybody for a user from then on.
    ///
    /// # Errors
    /// The server refused, or its answer was lost.
    pub async fn enable_auth(&self, user: &str, password: &str, deadline: Instant) -> Result<()> {
        let auth = || self.node.client.auth_client();
        let add = || {
            let mut auth = auth();
            async move { auth.user_add(user, password, None).await }
        };
        self.node.call("UserAdd", Kind::Change, deadline, add).await?;
        let grant = || {
            let mut auth = auth();
            // The role of this name exists always, and may do everything.
            async move { auth.user_grant_role(user, "root").await }
        };
        self.node.call("UserGrantRole", Kind::Change, deadline, grant).await?;
        let enable = || {
            let mut auth = auth();
            async move { auth.auth_enable().await }
        };
        self.node.call("AuthEnable", Kind::Change, deadline, enable).await?;
        Ok(())
    }
}
