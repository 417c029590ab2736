//! Whether two stores have one history: the hash of both at one revision, taken as if both were compacted alike.

use std::path::Path;

use super::{Finding, Severity, finding};
use crate::at_rest;
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::format::figures::figures;
use crate::format::hashkv::hashkv;
use crate::format::mvcc::{Rev, Span};
use crate::format::schema::Records;
use crate::id::{MemberId, Revision};
use crate::ops::hash::{BOUND, compare};

/// What is compared: how far a store goes, and from where on.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) newest: i64,
    pub(super) compacted: Option<i64>,
}

impl From<&Span> for Reach {
    fn from(span: &Span) -> Self {
        Reach { newest: span.newest(), compacted: span.compacted() }
    }
}

impl Reach {
    /// Returns the revision at which both can be hashed, and the compaction that both are to be taken for.
    pub(super) fn common(self, other: Reach) -> (i64, Option<i64>) {
        (self.newest.min(other.newest), self.compacted.max(other.compacted))
    }
}

/// The codes of what says nothing about the file itself.
pub(super) const OTHER_CLUSTER: &str = "other_cluster";
pub(super) const OTHER_HISTORY: &str = "other_history";

/// What is known of the file that is compared.
#[derive(Clone, Copy)]
pub(super) struct Own<'f> {
    pub(super) span: &'f Span,
    pub(super) records: &'f Records,
}

impl Own<'_> {
    /// Says whether none of these members is or was one of the file's cluster. Where one of both has none, nobody knows.
    pub(super) fn is_strange(self, others: impl IntoIterator<Item = MemberId>) -> bool {
        let own: Vec<_> = self.records.members.iter().map(|member| member.id).collect();
        let others: Vec<_> = others.into_iter().collect();
        let known = |id: &MemberId| own.contains(id) || self.records.removed.contains(id);
        !own.is_empty() && !others.is_empty() && !others.iter().any(known)
    }
}

/// Compares a file with another.
pub(super) async fn with_file(ctx: &Context<'_>, file: &Path, own: Own<'_>, other: &Path) -> Result<Finding> {
    let (theirs, records) = at_rest::read(ctx, "against", other, |image| {
        let (figures, records) = figures(image)?;
        let last = Some(Rev { main: figures.revision, sub: 0 });
        Ok((Span { last, ..records.applied.compactions() }, records))
    })
    .await?;
    let strange = own.is_strange(records.members.iter().map(|member| member.id));
    let (ours, theirs) = (Reach::from(own.span), Reach::from(&theirs));
    let (revision, compacted) = ours.common(theirs);
    let name = other.display().to_string();
    if compacted.is_some_and(|compacted| compacted > revision) {
        return Ok(apart(&name, revision, compacted));
    }
    let hash = move |image: &crate::format::bolt::Image| hashkv(image, Some(revision), compacted);
    let (own, other) =
        (at_rest::read(ctx, "file", file, hash).await?, at_rest::read(ctx, "against", other, hash).await?);
    Ok(if own.hash == other.hash { alike(&name, ours, theirs, revision) } else { unlike(&name, revision, strange) })
}

/// Compares a file with the cluster.
pub(super) async fn with_cluster(ctx: &Context<'_>, file: &Path, own: Own<'_>) -> Result<Finding> {
    let cluster = ctx.cluster()?;
    let view = observe(cluster, Depth::Status).await?;
    let newest = view.common_revision().map_or(0, |revision| revision.0);
    let strange = own.is_strange(view.members.iter().map(|member| member.member.id));
    let ours = Reach::from(own.span);
    let revision = ours.newest.min(newest);
    let name = "the cluster";
    if revision <= 0 {
        return Ok(unknown(name, "no member told its revision"));
    }
    let report = match compare(ctx, cluster, &view, Some(Revision(revision)), BOUND).await {
        Err(error) if error.code() == "compacted" => return Ok(apart(name, revision, None)),
        report => report?,
    };
    let mut told =
        report.members.iter().filter_map(|row| Some((row.hash?, row.compact_revision.map(|revision| revision.0))));
    let Some((hash, compacted)) = told.next() else { return Ok(unknown(name, &report.reason)) };
    let theirs = Reach { newest, compacted };
    match compacted {
        // What a member tells for its compacted revision itself goes by the compaction before, which nobody knows any more.
        Some(compacted) if compacted >= revision => return Ok(apart(name, revision, Some(compacted))),
        // Right after a compaction to the newest revision members tell the compaction before: of the file nothing of that is left.
        _ if ours.compacted.is_some_and(|own| own >= revision) => return Ok(apart(name, revision, ours.compacted)),
        _ if ours.compacted > compacted => {
            return Ok(unknown(name, "the file is compacted further than the cluster"));
        }
        _ => {}
    }
    let own = at_rest::read(ctx, "file", file, move |image| hashkv(image, Some(revision), compacted)).await?;
    Ok(if own.hash == hash { alike(name, ours, theirs, revision) } else { unlike(name, revision, strange) })
}

/// Says of a file in which something is lost or wrong that it was not compared.
pub(super) fn left_out(name: &str) -> Finding {
    let message = format!("it was not compared with {name}: what is damaged differs from anything");
    finding(Severity::Info, "not_compared", message, "")
}

/// Says of a file that it does not hold what it was compared with.
pub(super) fn unlike(name: &str, revision: i64, strange: bool) -> Finding {
    let (code, why) = match strange {
        true => (OTHER_CLUSTER, "no member of the one is a member of the other, so it is another cluster's"),
        false => (OTHER_HISTORY, "it is another cluster's, or their histories parted"),
    };
    let remedy = "do not restore it over that cluster; `snapshot diff` shows what differs";
    finding(Severity::Error, code, format!("at revision {revision} it differs from {name}: {why}"), remedy)
}

/// Says how far the histories of both go.
pub(super) fn alike(name: &str, ours: Reach, theirs: Reach, revision: i64) -> Finding {
    let (behind, ahead) = (theirs.newest - ours.newest, ours.newest - theirs.newest);
    let history = format!("it has the history of {name} up to revision {revision}");
    match (behind, ahead) {
        (1.., _) => {
            let message = format!("{history}, and is {behind} revisions behind");
            finding(Severity::Info, "behind", message, "")
        }
        (_, 1..) => {
            let message = format!("{history}, and is {ahead} revisions ahead");
            finding(
                Severity::Warning,
                "ahead",
                message,
                "the other one lacks changes that were made: find out why before you restore it",
            )
        }
        _ => finding(Severity::Info, "same_history", format!("{history}, which is the newest of both"), ""),
    }
}

pub(super) fn apart(name: &str, revision: i64, compacted: Option<i64>) -> Finding {
    let to = compacted.map_or_else(String::new, |compacted| format!(" to revision {compacted}"));
    let message =
        format!("it cannot be compared with {name}: they have revision {revision} in common, and one is compacted{to}");
    finding(Severity::Info, "not_comparable", message, "a newer snapshot can be compared")
}

pub(super) fn unknown(name: &str, why: &str) -> Finding {
    finding(
        Severity::Warning,
        "not_comparable",
        format!("it cannot be compared with {name}: {why}"),
        "`health` shows how its members are",
    )
}
