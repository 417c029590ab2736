//! The cluster that is to be replaced: what is seen of it, and what speaks against replacing it.

use super::answers;
use super::error::Refusal;
use super::hosts::Seat;
use super::plan::{Args, Doubt};
use crate::change::{ClusterView, Depth, observe};
use crate::context::Context;
use crate::error::{Error, Interrupted, Result};
use crate::ops::snapshot::drill;
use crate::units::escape_word;
use crate::version::Release;

/// Looks at the cluster that is to be replaced, where that is asked for. It may be gone; then it is said why nothing is seen of it.
pub(super) async fn look(ctx: &Context<'_>, args: &Args) -> Result<(Option<ClusterView>, Option<Error>)> {
    if !args.live && !args.hosts {
        return Ok((None, None));
    }
    let seen = ctx.unless_cancelled(observe(ctx.cluster()?, Depth::Reads)).await;
    match seen {
        Ok(view) => {
            // With a token it may be the new cluster, which is gone on with.
            if args.hosts && args.initial_cluster_token.is_none() {
                may_go(&view, args)?;
            }
            Ok((Some(view), None))
        }
        Err(error) if args.live || error.code() == Interrupted::CODE => Err(error),
        Err(error) => Ok((None, Some(error))),
    }
}

/// Holds that the cluster may be replaced: it has lost its quorum, or its user wants it.
pub(super) fn may_go(old: &ClusterView, args: &Args) -> Result<(), Refusal> {
    let serves = old.healthy_voters() >= old.quorum();
    if serves && !args.allow.contains(&Doubt::ClusterServes) {
        return Err(Refusal::Serves { cluster_id: old.cluster_id });
    }
    Ok(())
}

/// Holds that the members' etcd starts with the data, as far as members tell their version.
pub(super) fn starts_with(old: &ClusterView, data: &str, target: Option<Release>) -> Result<(), Refusal> {
    let mut versions = old.members.iter().filter_map(|m| Some((m.member.label(), &m.known()?.version)));
    let too_new = versions.find_map(|(member, etcd)| Some((member, etcd, drill::target(etcd, data)?)));
    match (too_new, target) {
        (Some((member, etcd, target)), None) => {
            Err(Refusal::TooNew { member, etcd: escape_word(etcd), data: escape_word(data), target })
        }
        _ => Ok(()),
    }
}

/// Holds that no member of the old cluster would run on: one that has no place in the new one.
pub(super) async fn nobody_is_left(old: &ClusterView, seats: &[Seat]) -> Result<()> {
    let ours: Vec<&String> = seats.iter().flat_map(|seat| &seat.peer_urls).collect();
    let urls = old.members.iter().flat_map(|member| &member.member.peer_urls).filter(|url| !ours.contains(url));
    match answers(urls.cloned()).await {
        Some(url) => Err(Refusal::Left { url }.into()),
        None => Ok(()),
    }
}
