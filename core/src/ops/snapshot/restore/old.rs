//! The cluster that is to be replaced: what is seen of it, and what speaks against replacing it.

use super::answers;
use super::error::Refusal;
use super::hosts::Seat;
use super::plan::{Args, Doubt};
use crate::change::{ClusterView, Depth, observe};
use crate::context::Context;
use crate::error::{Error, Interrupted, Result};
use crate::format::schema::Records;

/// Looks at the cluster that is to be replaced, where that is asked for. It may be gone; then it is said why nothing is seen of it.
pub(super) async fn look(ctx: &Context<'_>, args: &Args) -> Result<(Option<ClusterView>, Option<Error>)> {
    if !args.live && !args.hosts {
        return Ok((None, None));
    }
    let cluster = ctx.cluster()?;
    // Members would wait with a token of a cluster that was here before.
    cluster.log_out();
    let seen = ctx.unless_cancelled(observe(cluster, Depth::Reads)).await;
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

/// Holds that somebody can log in to the new cluster, which asks for a user if the old one did: else nobody would see whether it serves.
pub(super) fn may_log_in(ctx: &Context<'_>, records: &Records) -> Result<()> {
    let profile = ctx.cluster()?.profile();
    if records.auth_enabled == Some(true) && profile.user.is_none() && profile.tls.cert.is_none() {
        return Err(Refusal::NoUser.into());
    }
    Ok(())
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
