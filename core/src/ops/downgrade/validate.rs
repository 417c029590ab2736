//! `downgrade validate`: whether the cluster would accept a downgrade.

use std::sync::Arc;

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::guard::Refusal;
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::ops::downgrade::objection;
use crate::rpc::Node;
use crate::units::escape_word;
use crate::version::{Release, Version};
use crate::{args, record};

args! {
    /// Where to.
    pub struct Args(
        /// The version to go back to, such as 3.5; a release of it is taken for its whole line.
        version: Release,
    ) {}
}

record! {
    /// Whether a downgrade would be accepted.
    pub struct Validated {
        /// Whether it would be.
        accepted: bool,
        /// The version of the cluster; null where it did not accept.
        from: Option<String>,
        /// The version to go back to.
        to: String,
        /// Why it would not be, in the server's words where it was asked.
        reason: Option<String>,
        /// What to do about it.
        remedy: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct DowngradeValidate;

impl Operation for DowngradeValidate {
    const CARD: Card = Card {
        name: "downgrade validate",
        summary: "Ask the cluster whether it could go back to an older version; nothing is changed.",
        details: "etcd goes back by one minor version, from 3.6 on. Enabling the downgrade asks the same question first.",
        search: &["etcdctl", "rollback", "version", "older"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[Example {
            about: "Ask whether 3.5 can be gone back to",
            args: &[("version", Sample::Text("3.5"))],
        }],
    };
    type Args = Args;
    type Report = Validated;

    async fn run(ctx: &Context<'_>, Args { version }: Args) -> Result<Validated> {
        let cluster = ctx.cluster()?;
        let view = observe(cluster, Depth::Status).await?;
        let to = version.line();
        if let Some(target) = view.downgrade() {
            return Ok(under_way(target, to));
        }
        if let Some(Refusal { message, remedy, .. }) = objection(&view) {
            return Ok(Validated {
                accepted: false,
                from: None,
                to: line(to),
                reason: Some(message),
                remedy: Some(remedy),
            });
        }
        let voters: Vec<_> = view.voters().filter_map(|m| m.known().and(m.endpoint.clone())).collect();
        let (deadline, target) = (cluster.deadline(), to.to_string());
        let ask = |node: Arc<Node>| {
            let target = target.clone();
            async move { said(node.downgrade_validate(&target, deadline).await) }
        };
        let answer = cluster.first(&voters, deadline, ask).await?;
        Ok(validated(answer, to))
    }
}

/// What the server decides is an answer, and no failure.
fn said(answer: Result<String>) -> Result<Result<String, Error>> {
    match answer {
        Err(error) if matches!(error.code(), "bad_downgrade_target" | "downgrade_in_progress") => Ok(Err(error)),
        answer => answer.map(Ok),
    }
}

fn validated(answer: Result<String, Error>, to: Version) -> Validated {
    let to = line(to);
    match answer {
        Ok(from) => Validated { accepted: true, from: Some(escape_word(&from)), to, reason: None, remedy: None },
        Err(error) => {
            Validated { accepted: false, from: None, to, reason: Some(error.to_string()), remedy: error.help() }
        }
    }
}

/// Writes a version as etcd writes that of a cluster in its answer.
fn line(version: Version) -> String {
    format!("{}.{}", version.major, version.minor)
}

fn under_way(target: &str, to: Version) -> Validated {
    let reason = format!("a downgrade to {} is under way", escape_word(target));
    let remedy = "`downgrade status` says what is left to do, and `downgrade cancel` takes it back";
    Validated { accepted: false, from: None, to: line(to), reason: Some(reason), remedy: Some(remedy.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_go_back() {
        let told = under_way("3.5", Version::new(3, 5, 0));
        insta::assert_snapshot!(format!("{}\n{}", told.reason.unwrap(), told.remedy.unwrap()), @"
        a downgrade to 3.5 is under way
        `downgrade status` says what is left to do, and `downgrade cancel` takes it back
        ");
    }
}
