//! `snapshot drill`: whether a cluster comes out of a snapshot, found out by making one.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::args::BadArgument;
use crate::at_rest::{self, Stopping};
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::{Error, Fault, Result};
use crate::event::Event;
use crate::format::bolt::Image;
use crate::format::figures::figures;
use crate::id::Revision;
use crate::operation::Operation;
use crate::ops::sandbox::on;
use crate::restore::{Alarms, Spec, restore};
use crate::sandbox::{Fleeting, Options, Sandbox, Seat, Seed};
use crate::units::{Bytes, Elapsed};
use crate::version::Version;
use crate::wait::{EVERY, TimedOut, sleep};
use crate::{args, record};

mod compare;

pub(crate) use compare::same;

args! {
    /// What to rehearse with.
    pub struct Args(
        /// The snapshot, or the data dir of a member that is stopped.
        file: PathBuf,
    ) {
        /// The etcd to run: a version such as 3.5 or 3.5.35, or a path with a slash in it; without it, the line that the snapshot is of.
        etcd: Option<String>,
        /// How many members the cluster has, from 1 to 9; each has a copy of the data.
        members: i64 = 1,
        /// How long the members may take until they serve.
        wait: Elapsed = "120s",
    }
}

record! {
    /// One thing that was compared.
    pub struct Check {
        /// What: for a drill healthy, hash (or contents, where members have no hash), keys, users, roles, leases and write.
        check: String,
        /// Whether it is as it should be; null where it could not be compared.
        ok: Option<bool>,
        /// What there should be, by the snapshot.
        expected: String,
        /// What there is.
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
        /// The SHA-256 of its data, in hex, which was checked; null where it has none, so that `snapshot restore` takes it with
        /// skip_hash_check only.
        sha256: Option<String>,
        /// Its revision.
        revision: Revision,
        /// The etcd that ran.
        etcd: String,
        /// What the data had to be made for, because that etcd is older than they are: `snapshot restore` needs the same target_version.
        target_version: Option<String>,
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
                  stays; what a drill that was killed has left is taken away by the next one. It takes room for a copy of the data for \
                  each member, in the folder of the sandboxes. In the copies nobody has to log in, since the passwords are not known, and \
                  there are no alarms.",
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
        // Who named an etcd that is not here, or too many members, learns it before a large file is read.
        check_members(args.members)?;
        check_wait(args.wait)?;
        let named = args.etcd.as_deref().map(|etcd| Sandbox::version_of(ctx.places(), Some(etcd))).transpose()?;
        let (figures, records) = at_rest::read(ctx, "file", &args.file, figures).await?;
        let etcd = args.etcd.clone().or_else(|| line(records.applied.written_by()));
        let version = match named {
            Some(version) => version,
            None => Sandbox::version_of(ctx.places(), etcd.as_deref())?,
        };
        let target = target(&version, records.applied.written_by());
        let stopping = Stopping::default();
        let image = Arc::new(Image::open_with(&at_rest::database(&args.file)?, stopping.control())?);
        let sha256 = image.trailer().map(|_| figures.sha256.clone());
        if sha256.is_none() {
            ctx.emit(&without_sum(&args.file));
        }
        let seeding = Seeding::new(&image, target);
        let options = Options {
            members: usize::try_from(args.members).unwrap_or(usize::MAX),
            etcd,
            wait: args.wait.duration(),
            seed: Some(seeding.seed()),
            ..Options::default()
        };
        let (fleeting, swept) = Fleeting::new(ctx.places()).await?;
        for name in swept {
            let message = format!("the sandbox {name} was removed: a drill that was killed had left it");
            ctx.emit(&Event::Warning { message });
        }
        let drilled = on(ctx, fleeting.name(), async |sandbox| {
            let begun = Instant::now();
            let launched = seeding.told(ctx, figures.size, sandbox.launch(&options)).await;
            let recovery = begun.elapsed();
            launched.map_err(|error| NotRecovered::explain(&version, error))?;
            let file = compare::File { image: &image, figures: &figures, records: &records };
            let members = args.members.unsigned_abs();
            let checks = ctx.unless_cancelled(compare::compare(ctx, &sandbox, file, members, begun)).await?;
            Ok((checks, recovery))
        })
        .await;
        // A copy that is still under way would go on below a folder that is gone.
        drop((options, seeding));
        stopping.control().stop();
        while Arc::strong_count(&image) > 1 {
            sleep(EVERY).await;
        }
        let name = fleeting.name().to_owned();
        if let Err(error) = fleeting.end().await {
            ctx.emit(&still_there(&name, &error));
            if drilled.is_ok() {
                return Err(error);
            }
        }
        let (checks, recovery) = drilled?;
        Ok(Drilled {
            ok: checks.iter().all(|check| check.ok == Some(true)),
            path: args.file.to_string_lossy().into_owned(),
            size: Bytes::new(figures.size),
            sha256,
            revision: Revision(figures.revision),
            etcd: version,
            target_version: target.map(|target| target.to_string()),
            members: args.members,
            checks,
            recovery: recovery.into(),
            took: start.elapsed().into(),
        })
    }
}

/// Says that what is rehearsed is more than a restore takes by itself.
fn without_sum(file: &std::path::Path) -> Event {
    let message =
        format!("{} has no SHA-256, so `snapshot restore` takes it with skip_hash_check only", file.display());
    Event::Warning { message }
}

/// Says that something of the drill was left.
fn still_there(name: &str, error: &Error) -> Event {
    let message = format!("the sandbox {name} is still there: {}; `sandbox stop` removes it", error.in_one_line());
    Event::Warning { message }
}

/// How the members of a cluster are counted.
fn check_members(members: i64) -> Result<(), BadArgument> {
    if (1..=9).contains(&members) {
        return Ok(());
    }
    Err(BadArgument::invalid("members", "should be from 1 to 9", "3 is the usual number"))
}

/// A sandbox that is not waited for is one; a rehearsal that does not wait has nothing to look at.
fn check_wait(wait: Elapsed) -> Result<(), BadArgument> {
    if !wait.duration().is_zero() {
        return Ok(());
    }
    let help = "leave it out for 120sec, or give as long as a recovery may take";
    Err(BadArgument::invalid("wait", "is 0, and no member serves at once", help))
}

/// Returns the line of a version, such as 3.6.
fn line(version: &str) -> Option<String> {
    Version::parse(version).map(|version| format!("{}.{}", version.major, version.minor))
}

/// Returns what the data have to be made for, where the etcd that is to run is older than they are.
pub(crate) fn target(etcd: &str, data: &str) -> Option<Version> {
    let line = |text: &str| Version::parse(text).map(|version| Version::new(version.major, version.minor, 0));
    // 3.4 has no form of its own.
    let etcd = line(etcd)?.max(Version::new(3, 5, 0));
    (etcd < line(data)?).then_some(etcd)
}

/// The making of the data dirs.
struct Seeding {
    image: Arc<Image>,
    target: Option<Version>,
    /// How many are being made.
    running: Arc<AtomicUsize>,
}

impl Seeding {
    fn new(image: &Arc<Image>, target: Option<Version>) -> Self {
        Seeding { image: Arc::clone(image), target, running: Arc::default() }
    }

    /// Makes a data dir.
    fn seed(&self) -> Seed {
        let (image, target, running) = (Arc::clone(&self.image), self.target, Arc::clone(&self.running));
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
                target_version: target,
                rewrite: false,
                alarms: Alarms::None,
                without_auth: true,
                skip_hash_check: image.trailer().is_none(),
            };
            running.fetch_add(1, Ordering::Relaxed);
            let made = restore(&image, &spec);
            running.fetch_sub(1, Ordering::Relaxed);
            made.map(drop).map_err(|error| error.with_argument_named("data_dir", "file"))
        }))
    }

    /// Tells the caller how far it is while something else waits for it.
    async fn told<T>(&self, ctx: &Context<'_>, size: u64, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(at_rest::TELL_EVERY) => {
                    if self.running.load(Ordering::Relaxed) > 0 {
                        let (what, done) = ("making the data dirs".to_owned(), self.image.control().done().min(size));
                        ctx.emit(&Event::Progress { what, done: Bytes::new(done), total: Some(Bytes::new(size)) });
                    }
                }
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no cluster of etcd {etcd} came out of the snapshot")]
struct NotRecovered {
    etcd: String,
    source: Error,
}

impl NotRecovered {
    /// Says so where etcd ran. What kept it from running stays as it is.
    fn explain(etcd: &str, source: Error) -> Error {
        match source.code() {
            "sandbox_member_ended" | TimedOut::CODE => NotRecovered { etcd: etcd.to_owned(), source }.into(),
            _ => source,
        }
    }
}

impl Fault for NotRecovered {
    fn code(&self) -> &'static str {
        "drill_failed"
    }

    fn argument(&self) -> Option<&str> {
        Some("file")
    }

    fn help(&self) -> Option<String> {
        let help = "a restore would fail like this, of which nothing was left; `snapshot verify` checks the file, another etcd may take it, and a slow machine needs more wait";
        Some(help.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;

    #[test]
    fn data_are_made_for_an_older_etcd() {
        let told = |etcd, data| target(etcd, data).map(|version| version.to_string());
        assert_eq!(told("3.6.16", "3.7.0").as_deref(), Some("3.6.0"));
        assert_eq!(told("3.4.45", "3.7.0").as_deref(), Some("3.5.0"));
        assert_eq!(
            [told("3.4.45", "3.5"), told("3.6.16", "3.6.0"), told("3.7.3", "3.4"), told("new", "3.4")],
            [const { None }; 4]
        );
    }

    #[test]
    fn what_a_user_sees() {
        let ended = || crate::sandbox::SandboxError::Ended {
            member: "infra1".to_owned(),
            exit_code: Some(1),
            lines: vec!["fatal".to_owned()],
            log: "/s/infra1.log".into(),
        };
        let kept = crate::sandbox::SandboxError::EtcdNotFound { wanted: Some("3.4".to_owned()), found: vec![] };
        let told = still_there("drill-1", &ended().into()).line();
        let expected = "warning: the sandbox drill-1 is still there: infra1 ended with exit code 1; the end of its log /s/infra1.log: fatal; \
                        `sandbox stop` removes it";
        assert_eq!(told, expected);
        insta::assert_snapshot!(without_sum("/d/infra1".as_ref()).line(), @"warning: /d/infra1 has no SHA-256, so `snapshot restore` takes it with skip_hash_check only");
        let errors = [
            check_members(0).unwrap_err().into(),
            check_members(-1).unwrap_err().into(),
            check_wait(std::time::Duration::ZERO.into()).unwrap_err().into(),
            NotRecovered::explain("3.6.16", ended().into()),
            NotRecovered::explain("3.6.16", kept.into()),
        ];
        insta::assert_snapshot!(shown(errors), @r"
        invalid_argument (members): the argument members should be from 1 to 9
          help: 3 is the usual number
        invalid_argument (members): the argument members should be from 1 to 9
          help: 3 is the usual number
        invalid_argument (wait): the argument wait is 0, and no member serves at once
          help: leave it out for 120sec, or give as long as a recovery may take
        drill_failed (file): no cluster of etcd 3.6.16 came out of the snapshot
          because: infra1 ended with exit code 1; the end of its log /s/infra1.log:
        fatal
          help: a restore would fail like this, of which nothing was left; `snapshot verify` checks the file, another etcd may take it, and a slow machine needs more wait
        etcd_not_found (etcd): no etcd 3.4 was found
          help: `cargo xtask setup` builds it, or name folders that hold it in ETCDSH_ETCD_DIR
        ");
    }
}
