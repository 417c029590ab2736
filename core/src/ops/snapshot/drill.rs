//! `snapshot drill`: whether a cluster comes out of a snapshot, found out by making one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::at_rest::{self, Stopping};
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::format::bolt::Image;
use crate::format::diff::{Asked, Counts};
use crate::format::figures::{Figures, figures};
use crate::format::hashkv::hashkv;
use crate::format::schema::Records;
use crate::id::Revision;
use crate::operation::Operation;
use crate::ops::hash::{Consistency, compare};
use crate::ops::keys::query_below;
use crate::ops::keys::read::reader;
use crate::ops::sandbox::on;
use crate::ops::snapshot::diff::{Unlisted, with_cluster};
use crate::restore::{Alarms, Spec, restore};
use crate::rpc::{self, Cluster, RangeQuery};
use crate::sandbox::{Options, Sandbox, Seat, Seed};
use crate::units::{Bytes, Elapsed};
use crate::version::Version;
use crate::wait::{EVERY, sleep};
use crate::{args, record};

args! {
    /// What to rehearse with.
    pub struct Args(
        /// The snapshot.
        file: PathBuf,
    ) {
        /// The etcd to run: a version such as 3.5 or 3.5.35, or a path with a slash in it; without it, the line that the snapshot is of.
        etcd: Option<String>,
        /// How many members the cluster has, from 1 to 9; each has a copy of the data.
        members: u32 = 1,
        /// How long the members may take until they serve.
        wait: Elapsed = "120s",
    }
}

record! {
    /// One thing that was compared.
    pub struct Check {
        /// What: healthy, hash (or contents, where members have no hash), keys, users, roles, leases or write.
        check: String,
        /// Whether it is as it should be.
        ok: bool,
        /// What the snapshot has.
        expected: String,
        /// What the cluster has.
        found: String,
    }
}

record! {
    /// What came of a rehearsal.
    pub struct Drilled {
        /// Whether a cluster came out of the snapshot that holds what the snapshot holds.
        ok: bool,
        /// The snapshot.
        path: String,
        /// The size of its data.
        size: Bytes,
        /// Its revision.
        revision: Revision,
        /// The etcd that ran.
        etcd: String,
        /// How many members the cluster had.
        members: i64,
        /// What was compared.
        checks: Vec<Check>,
        /// How long it took to make the data dirs and start the members, until all of them served: the time to recover.
        recovery: Elapsed,
        /// How long all of it took.
        took: Elapsed,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotDrill;

impl Operation for SnapshotDrill {
    const CARD: Card = Card {
        name: "snapshot drill",
        summary: "Rehearse a restore: start a throwaway cluster from a snapshot, and compare what it holds.",
        details: "Real etcd processes are started on this machine, on free ports of 127.0.0.1, and compared with the file: the hash of the \
                  store at the snapshot's revision on every member, the keys, users, roles and leases; then a key is written. Nothing of it \
                  stays. It takes room for a copy of the data for each member, in the folder of the sandboxes. In the copies nobody has to \
                  log in, since the passwords are not known.",
        search: &["test", "rehearse", "backup", "recover", "rto", "exercise"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[
            Example { about: "Rehearse the restore of a snapshot", args: &[("file", Sample::Text("backup.db"))] },
            Example {
                about: "Rehearse it with three members of another etcd",
                args: &[
                    ("file", Sample::Text("backup.db")),
                    ("members", Sample::Int(3)),
                    ("etcd", Sample::Text("3.7")),
                ],
            },
        ],
    };
    type Args = Args;
    type Report = Drilled;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Drilled> {
        let start = Instant::now();
        let (figures, records) = at_rest::read(ctx, "file", &args.file, figures).await?;
        let stopping = Stopping::default();
        let image = Arc::new(Image::open_with(&at_rest::database(&args.file)?, stopping.control())?);
        let etcd = args.etcd.clone().or_else(|| line(records.applied.written_by()));
        let options = Options {
            members: usize::try_from(args.members).unwrap_or(usize::MAX),
            etcd,
            wait: args.wait.duration(),
            seed: Some(seed(&image)),
            ..Options::default()
        };
        let name = format!("drill-{:08x}", crate::change::random() & 0xffff_ffff);
        let drilled = on(ctx, &name, async |sandbox| {
            let begun = Instant::now();
            let launched = sandbox.launch(&options).await;
            let recovery = begun.elapsed();
            let compared = match launched {
                Ok(()) => ctx.unless_cancelled(compared(ctx, &sandbox, &image, &figures, &records)).await,
                Err(error) => Err(error),
            };
            // A copy that is still under way would go on below a folder that is gone.
            drop(options);
            stopping.control().stop();
            while Arc::strong_count(&image) > 1 {
                sleep(EVERY).await;
            }
            let versions = sandbox.rows().unwrap_or_default().into_iter().map(|row| row.version);
            let version = versions.last().unwrap_or_default();
            let removed = sandbox.stop(false).await;
            let checks = compared?;
            removed?;
            Ok((checks, version, recovery))
        })
        .await;
        let (checks, etcd, recovery) = drilled?;
        Ok(Drilled {
            ok: checks.iter().all(|check| check.ok),
            path: args.file.to_string_lossy().into_owned(),
            size: Bytes::new(figures.size),
            revision: Revision(figures.revision),
            etcd,
            members: i64::from(args.members),
            checks,
            recovery: recovery.into(),
            took: start.elapsed().into(),
        })
    }
}

/// Returns the line of a version, such as 3.6.
fn line(version: &str) -> Option<String> {
    Version::parse(version).map(|version| format!("{}.{}", version.major, version.minor))
}

/// Makes the data dirs.
fn seed(image: &Arc<Image>) -> Seed {
    let image = Arc::clone(image);
    Seed(Arc::new(move |seat: &Seat| {
        let spec = Spec {
            name: seat.name.clone(),
            initial_cluster: seat.initial_cluster.clone(),
            initial_cluster_token: seat.token.clone(),
            initial_advertise_peer_urls: vec![seat.peer_url.clone()],
            data_dir: seat.data_dir.clone(),
            wal_dir: None,
            bump_revision: None,
            mark_compacted: false,
            target_version: None,
            rewrite: false,
            alarms: Alarms::None,
            without_auth: true,
            skip_hash_check: image.trailer().is_none(),
        };
        restore(&image, &spec).map(drop)
    }))
}

/// How long the members may take to hash their stores.
const PATIENCE: Duration = Duration::from_secs(300);

/// Compares what the cluster has with what the file has.
async fn compared(
    ctx: &Context<'_>,
    sandbox: &Sandbox,
    image: &Arc<Image>,
    figures: &Figures,
    records: &Records,
) -> Result<Vec<Check>> {
    let cluster = Arc::new(Cluster::new(sandbox.profile()?)?);
    let view = observe(&cluster, Depth::Reads).await?;
    let voters = view.voters().count();
    let mut checks = vec![same("healthy", voters, view.healthy_voters())];
    checks.push(match hash(ctx, &cluster, &view, image, figures).await? {
        Some(check) => check,
        None => contents(&cluster, image).await?,
    });
    let node = reader(&cluster, rpc::Consistency::Linearizable).await?;
    let deadline = || Instant::now() + PATIENCE;
    let count = RangeQuery { count_only: true, ..query_below(&[], 0) };
    let keys = node.range(&count, deadline()).await?.count;
    checks.push(same("keys", named(image, figures)?, keys.unsigned_abs()));
    checks.push(same("users", records.users.len(), node.users(deadline()).await?.len()));
    checks.push(same("roles", records.roles.len(), node.roles(deadline()).await?.len()));
    checks.push(same("leases", records.leases, node.leases(deadline()).await?.len() as u64));
    let written = node.scratch().put("etcdsh/drill", "1", deadline()).await;
    let told = written.as_ref().map_or_else(|error| error.in_one_line(), |()| "accepted".to_owned());
    checks.push(Check { check: "write".to_owned(), ok: written.is_ok(), expected: "accepted".to_owned(), found: told });
    Ok(checks)
}

/// How many keys live that a request can name: all but that of a bump of the revision.
fn named(image: &Image, figures: &Figures) -> Result<u64> {
    let mut has_bump = false;
    crate::format::view::rows_of(image, b"", |_, _| {
        has_bump = true;
        false
    })?;
    Ok(figures.keys.saturating_sub(u64::from(has_bump)))
}

/// Compares the hash of every member with that of the file, both as compacted as the members are. Of a store that is compacted to its
/// newest revision some versions have none.
async fn hash(
    ctx: &Context<'_>,
    cluster: &Arc<Cluster>,
    view: &crate::change::ClusterView,
    image: &Arc<Image>,
    figures: &Figures,
) -> Result<Option<Check>> {
    let report = compare(ctx, cluster, view, None, PATIENCE).await?;
    if report.verdict == Consistency::NotComparable {
        return Ok(None);
    }
    let revision = report.revision.map_or(figures.revision, |revision| revision.0);
    let of_members: Vec<_> = report.members.iter().filter_map(|row| Some((row.hash?, row.compact_revision))).collect();
    let compacted = of_members.iter().find_map(|(_, compacted)| compacted.map(|revision| revision.0));
    let image = Arc::clone(image);
    let own = tokio::task::spawn_blocking(move || hashkv(&image, Some(revision), compacted));
    let own = own.await.map_err(crate::Error::internal)??;
    let found = of_members.iter().map(|(hash, _)| format!("{hash:08x}")).collect::<Vec<_>>().join(", ");
    let ok = of_members.len() == view.voters().count() && of_members.iter().all(|(hash, _)| *hash == own.hash);
    let expected = format!("{:08x} at revision {revision}", own.hash);
    Ok(Some(Check { check: "hash".to_owned(), ok, expected, found }))
}

/// Compares all keys, with their values and revisions.
async fn contents(cluster: &Arc<Cluster>, image: &Image) -> Result<Check> {
    let (diffed, _) = with_cluster(Arc::clone(cluster), image.path(), Asked::default(), Unlisted).await?;
    let Counts { added, removed, changed, touched, .. } = diffed.summary.total;
    Ok(same("contents", "0 keys differ".to_owned(), format!("{} keys differ", added + removed + changed + touched)))
}

fn same<T: PartialEq + std::fmt::Display>(check: &str, expected: T, found: T) -> Check {
    let ok = expected == found;
    Check { check: check.to_owned(), ok, expected: expected.to_string(), found: found.to_string() }
}
