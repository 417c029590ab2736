//! `user list`: who may log in, and with which roles.

use futures_util::future::try_join_all;

use crate::args::NoArgs;
use crate::at_rest;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::Result;
use crate::format::schema::Records;
use crate::operation::Operation;
use crate::record;
use crate::units::escape_word;

record! {
    /// One user.
    pub struct Row {
        /// The user's name.
        name: String,
        /// The roles that the user has.
        roles: Vec<String>,
        /// Whether the user has a password, and needs no certificate; only a file tells.
        has_password: Option<bool>,
    }
}

impl Row {
    fn new(name: &str, roles: &[String], has_password: Option<bool>) -> Self {
        let roles = roles.iter().map(|role| escape_word(role)).collect();
        Row { name: escape_word(name), roles, has_password }
    }
}

/// See [`Operation::CARD`].
pub struct UserList;

impl Operation for UserList {
    const CARD: Card = Card {
        name: "user list",
        summary: "List the users with their roles.",
        details: "A password is never shown, nor what etcd makes of it. There may be users while nobody has to log in.",
        search: &["etcdctl", "auth", "accounts", "rbac"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "List the users", args: &[] },
            Example { about: "List the users that a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let cluster = match ctx.source()? {
            Source::Cluster(cluster) => cluster,
            Source::File(path) => {
                let records = at_rest::read(ctx, "db", path, Records::read).await?;
                let users = records.users.iter();
                return Ok(users.map(|user| Row::new(&user.name, &user.roles, Some(user.has_password))).collect());
            }
        };
        let deadline = cluster.deadline();
        let read = |node: std::sync::Arc<crate::rpc::Node>| async move {
            let users = node.users(deadline).await?;
            let roles = users.iter().map(|user| node.roles_of(user, deadline));
            let roles = try_join_all(roles).await?;
            Ok(users.iter().zip(roles).map(|(user, roles)| Row::new(user, &roles, None)).collect())
        };
        cluster.any(deadline, read).await
    }
}
