//! `role list`: what roles permit.

use futures_util::future::try_join_all;

use crate::args::NoArgs;
use crate::at_rest;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::schema::{self, Access, Records};
use crate::operation::Operation;
use crate::units::{Octets, escape_word};
use crate::{choice, record};

choice! {
    /// Which keys a permission is about.
    pub enum Scope {
        /// The one key.
        Key = "key",
        /// All keys that begin so.
        Prefix = "prefix",
        /// The key and all that come behind it.
        From = "from",
        /// The keys from the first up to, and without, the second.
        Range = "range",
    }
}

record! {
    /// One permission.
    pub struct Permission {
        /// What may be done: read, write or readwrite.
        access: Access,
        /// Which keys it is about: the one key, those that begin so (prefix), those from it on (from), or those up to range_end.
        scope: Scope,
        /// The key, or the first one.
        key: Octets,
        /// The first key that is not in the range any more; null where the scope says enough.
        range_end: Option<Octets>,
    }
}

record! {
    /// One role.
    pub struct Row {
        /// The role's name.
        name: String,
        /// What it permits.
        permissions: Vec<Permission>,
    }
}

impl Row {
    fn new(role: schema::Role) -> Self {
        Row { name: escape_word(&role.name), permissions: role.permissions.into_iter().map(permission).collect() }
    }
}

fn permission(found: schema::Permission) -> Permission {
    let schema::Permission { access, key, range_end } = found;
    let scope = match range_end.as_slice() {
        [] => Scope::Key,
        [0] => Scope::From,
        end if !key.is_empty() && crate::ops::keys::prefix_end(&key) == end => Scope::Prefix,
        _ => Scope::Range,
    };
    let range_end = (scope == Scope::Range).then_some(Octets(range_end));
    Permission { access, scope, key: Octets(key), range_end }
}

/// See [`Operation::CARD`].
pub struct RoleList;

impl Operation for RoleList {
    const CARD: Card = Card {
        name: "role list",
        summary: "List the roles with what they permit.",
        details: "The role root permits everything, also where it is not listed.",
        search: &["etcdctl", "auth", "permissions", "rbac"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "List the roles", args: &[] },
            Example { about: "List the roles that a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let roles = match ctx.source()? {
            Source::File(path) => at_rest::read(ctx, "db", path, Records::read).await?.roles,
            Source::Cluster(cluster) => {
                let deadline = cluster.deadline();
                let read = |node: std::sync::Arc<crate::rpc::Node>| async move {
                    let names = node.roles(deadline).await?;
                    try_join_all(names.iter().map(|name| node.role(name, deadline))).await
                };
                cluster.any(deadline, read).await?
            }
        };
        Ok(roles.into_iter().map(Row::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"a", b"", Scope::Key)]
    #[case(b"a", b"b", Scope::Prefix)]
    #[case(b"/a/", b"/a0", Scope::Prefix)]
    #[case(b"a", b"\0", Scope::From)]
    #[case(b"", b"\0", Scope::From)]
    #[case(b"a", b"c", Scope::Range)]
    fn a_permission_is_told_as_it_was_meant(#[case] key: &[u8], #[case] end: &[u8], #[case] scope: Scope) {
        let found = schema::Permission { access: Access::Read, key: key.to_vec(), range_end: end.to_vec() };
        let told = permission(found);
        assert_eq!((told.scope, told.range_end.is_some()), (scope, scope == Scope::Range));
    }
}
