//! What a cluster that was made of a file is compared with: the file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Check;
use crate::change::{ClusterView, Depth, observe};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::format::bolt::Image;
use crate::format::diff::{Asked, Counts};
use crate::format::figures::Figures;
use crate::format::hashkv::hashkv;
use crate::format::leases::leases;
use crate::format::schema::Records;
use crate::format::view::rows_of;
use crate::id::{LeaseId, Revision};
use crate::ops::hash::{self, Consistency};
use crate::ops::keys::query_below;
use crate::ops::keys::read::reader;
use crate::ops::snapshot::diff::{Unlisted, with_cluster};
use crate::rpc::{self, Cluster, Node, RangeQuery};
use crate::sandbox::Sandbox;

/// How long the members may take to hash their stores, and for each of the other answers.
const PATIENCE: Duration = Duration::from_secs(300);
/// The key that is written, which is gone with the cluster.
const KEY: &str = "etcdsh/drill";

/// What the cluster was made of.
#[derive(Clone, Copy)]
pub(super) struct File<'f> {
    pub(super) image: &'f Arc<Image>,
    pub(super) figures: &'f Figures,
    pub(super) records: &'f Records,
}

impl File<'_> {
    /// Returns the revision that the store had; an empty one has 1. Leases may be over since, and their keys deleted.
    fn revision(&self) -> i64 {
        self.figures.revision.max(1)
    }
}

/// Compares what the cluster has with what the file has. Its members were started when the drill began.
pub(super) async fn compare(
    ctx: &Context<'_>,
    sandbox: &Sandbox,
    file: File<'_>,
    members: u64,
    begun: Instant,
) -> Result<Vec<Check>> {
    let cluster = Arc::new(Cluster::new(sandbox.profile()?)?);
    let view = observe(&cluster, Depth::Reads).await?;
    let mut checks = vec![same("healthy", members, view.healthy_voters() as u64)];
    checks.push(match hash(ctx, &cluster, &view, file).await? {
        Some(check) => check,
        None => contents(&cluster, file).await?,
    });
    let node = reader(&cluster, rpc::Consistency::Linearizable).await?;
    let deadline = || Instant::now() + PATIENCE;
    checks.push(keys(&node, file).await?);
    checks.push(same("users", file.records.users.len(), node.users(deadline()).await?.len()));
    checks.push(same("roles", file.records.roles.len(), node.roles(deadline()).await?.len()));
    checks.push(bound(node.leases(deadline()).await?, file, begun).await?);
    let written = sandbox.write_one(KEY, deadline()).await;
    let told = written.as_ref().map_or_else(|error| error.in_one_line(), |()| "accepted".to_owned());
    checks.push(Check {
        check: "write".to_owned(),
        ok: Some(written.is_ok()),
        expected: "accepted".to_owned(),
        found: told,
    });
    Ok(checks)
}

/// Compares the hash of every member with that of the file, both as compacted as the members are. Of a store that is compacted to its
/// newest revision not every version has one that can be compared.
async fn hash(ctx: &Context<'_>, cluster: &Arc<Cluster>, view: &ClusterView, file: File<'_>) -> Result<Option<Check>> {
    let revision = file.revision();
    let report = match hash::compare(ctx, cluster, view, Some(Revision(revision)), PATIENCE).await {
        Err(error) if error.code() == "compacted" => return Ok(None),
        report => report?,
    };
    let of_members: Vec<_> = report.members.iter().filter_map(|row| Some((row.hash?, row.compact_revision))).collect();
    let compacted = of_members.iter().find_map(|(_, compacted)| compacted.map(|revision| revision.0));
    if report.verdict == Consistency::NotComparable || compacted.is_some_and(|compacted| compacted >= revision) {
        return Ok(None);
    }
    let image = Arc::clone(file.image);
    let own = tokio::task::spawn_blocking(move || hashkv(&image, Some(revision), compacted));
    let own = own.await.map_err(Error::internal)??;
    let found = of_members.iter().map(|(hash, _)| format!("{hash:08x}")).collect::<Vec<_>>().join(", ");
    let ok = of_members.len() == view.voters().count() && of_members.iter().all(|(hash, _)| *hash == own.hash);
    let expected = format!("{:08x} at revision {revision}", own.hash);
    Ok(Some(Check { check: "hash".to_owned(), ok: Some(ok), expected, found }))
}

/// Compares all keys, with their values and revisions.
async fn contents(cluster: &Arc<Cluster>, file: File<'_>) -> Result<Check> {
    let asked = Asked { revision_b: Some(file.revision()), ..Asked::default() };
    let compared = with_cluster(Arc::clone(cluster), file.image.path(), asked, Unlisted).await;
    let (diffed, _) = compared.map_err(|error| error.with_argument_named("a", "file"))?;
    let Counts { added, removed, changed, touched, .. } = diffed.summary.total;
    Ok(same("contents", "0 keys differ".to_owned(), format!("{} keys differ", added + removed + changed + touched)))
}

/// Counts the keys. That which a bump of the revision has made is none that a request can name.
async fn keys(node: &Node, file: File<'_>) -> Result<Check> {
    let query = RangeQuery { count_only: true, ..query_below(&[], file.revision()) };
    let found = node.range(&query, Instant::now() + PATIENCE).await?.count.unsigned_abs();
    let all = file.figures.keys;
    if found + 1 != all {
        return Ok(same("keys", all, found));
    }
    let image = Arc::clone(file.image);
    let has_bump = tokio::task::spawn_blocking(move || {
        let mut has_bump = false;
        rows_of(&image, b"", |_, _| {
            has_bump = true;
            false
        })?;
        Ok::<_, Error>(has_bump)
    });
    let has_bump = has_bump.await.map_err(Error::internal)??;
    Ok(same("keys", all - u64::from(has_bump), found))
}

/// Compares the leases. One whose time is over by now is missing rightly.
async fn bound(live: Vec<LeaseId>, file: File<'_>, begun: Instant) -> Result<Check> {
    let (all, found) = (file.records.leases, live.len() as u64);
    if found == all {
        return Ok(same("leases", all, found));
    }
    let passed = begun.elapsed().as_secs_f64();
    let image = Arc::clone(file.image);
    let of_file = tokio::task::spawn_blocking(move || {
        let mut lives = BTreeMap::new();
        leases(&image, |part| {
            let life =
                |lease: &crate::format::schema::Lease| if lease.remaining > 0 { lease.remaining } else { lease.ttl };
            lives.extend(part.iter().map(|bound| (bound.lease.id, life(&bound.lease))));
            true
        })?;
        Ok::<_, Error>(lives)
    });
    let mut of_file = of_file.await.map_err(Error::internal)??;
    let strange = live.iter().filter(|id| of_file.remove(id).is_none()).count();
    let over = of_file.values().filter(|life| over(**life, passed)).count();
    let ok = strange == 0 && over == of_file.len();
    let found = if over > 0 { format!("{found}, and {over} that are over by now") } else { found.to_string() };
    Ok(Check { check: "leases".to_owned(), ok: Some(ok), expected: all.to_string(), found })
}

/// Says whether a lease that lives so many seconds may be over after a time.
fn over(life: i64, passed: f64) -> bool {
    u32::try_from(life).is_ok_and(|life| f64::from(life) <= passed)
}

pub(crate) fn same<T: PartialEq + Display>(check: &str, expected: T, found: T) -> Check {
    let ok = expected == found;
    Check { check: check.to_owned(), ok: Some(ok), expected: expected.to_string(), found: found.to_string() }
}
