//! Making the data dirs of a whole cluster, and putting them where its members run.
//!
//! In order: all data dirs are made on this machine; all members are stopped; nobody answers at their URLs any more; the old data are moved
//! aside and the new ones put in their place; all are started, and compared. Nothing is stopped before everything is made. What breaks off
//! leaves each member with its old data (here or aside), or with the new ones: who is called again with the same token sees in the data
//! whose they are, and does what is left.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::error::{Halfway, Refusal};
use super::plan::nobody_answers;
use super::staged::Staged;
use crate::at_rest;
use crate::change::failed::Ended;
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::file::BadFile;
use crate::host::{Data, Host, HostView, Process};
use crate::id::{ClusterId, MemberId, Revision};
use crate::ops::hash::{Consistency, compare};
use crate::ops::snapshot::drill::{self, Check, same};
use crate::restore::{Spec, has_room, restore};
use crate::rpc::Cluster;
use crate::units::escape_word;
use crate::wait::{Look, sleep, until};

/// How long a process has to be the same one: those that end and are started again and again serve nobody.
const STEADY: Duration = Duration::from_secs(3);

/// A member of the new cluster.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) member: MemberId,
    pub(super) cluster: ClusterId,
    pub(super) peer_urls: Vec<String>,
    pub(super) host: Option<Host>,
    pub(super) spec: Spec,
    pub(super) outcome: Option<&'static str>,
    /// Where its old data lie.
    pub(super) aside: Option<String>,
}

impl Seat {
    /// Returns the data dir that it has in the end.
    pub(super) fn data_dir(&self) -> String {
        let hosts = self.host.as_ref().map(Host::data_dir);
        hosts.unwrap_or_else(|| self.spec.data_dir.to_string_lossy().into_owned())
    }

    fn host(&self) -> Result<&Host> {
        self.host
            .as_ref()
            .filter(|host| host.is_known())
            .ok_or_else(|| Refusal::Hostless { member: self.spec.name.clone() }.into())
    }

    /// Says whether these are the data that are to be made.
    fn has(&self, data: &Data) -> bool {
        *data == Data::Of { member: self.member, cluster: self.cluster }
    }
}

/// Makes the data dirs of all members in one folder, which gets its name when all of them are whole.
pub(super) async fn make(
    ctx: &Context<'_>,
    file: &Path,
    seats: &mut [Seat],
    folder: &Path,
    size: u64,
    dry_run: bool,
) -> Result<()> {
    let taken = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || (folder.symlink_metadata().is_ok() && !folder.is_dir()) {
        return Err(Refusal::Taken { path: folder.to_owned() }.into());
    }
    let staged = Staged::beside(folder).map_err(|error| error.for_argument("data_dirs"))?;
    has_room(staged.path(), seats.len(), size).map_err(|error| error.for_argument("data_dirs"))?;
    if dry_run {
        return Ok(());
    }
    made(ctx, file, seats.iter().map(|seat| &seat.spec), staged.path()).await?;
    let failed = |source| Error::from(BadFile::from_io("rename", folder, source)).for_argument("data_dirs");
    std::fs::rename(staged.path(), folder).map_err(failed)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    for seat in seats {
        seat.outcome = Some("made");
    }
    Ok(())
}

fn in_folder(folder: &Path, spec: &Spec) -> PathBuf {
    folder.join(spec.data_dir.file_name().unwrap_or_default())
}

/// Makes data dirs side by side, each under its own name.
async fn made(ctx: &Context<'_>, file: &Path, specs: impl Iterator<Item = &Spec>, folder: &Path) -> Result<()> {
    let make = async |spec: &Spec| {
        let spec = Spec { data_dir: in_folder(folder, spec), ..spec.clone() };
        at_rest::make(ctx, "file", file, move |image| restore(image, &spec).map(drop)).await
    };
    each(specs, make).await.map(drop)
}

/// Replaces the cluster of the profile on its hosts, and returns what was compared in the end.
pub(super) async fn carry_out(
    ctx: &Context<'_>,
    file: &Path,
    seats: &mut [Seat],
    revision: Revision,
    how: How<'_>,
) -> Result<Vec<Check>> {
    let How { patience, answers_allowed, unseen, data, size, dry_run, note } = how;
    let _turn = turn(ctx)?;
    let before = looked(ctx, seats).await?;
    if let Some(source) = unseen {
        let running = steady(ctx, seats).await?;
        if running > seats.len() / 2 {
            return Err(Refusal::MayServe { running, members: seats.len(), source }.into());
        }
    }
    let fresh: Vec<bool> = seats.iter().zip(&before).map(|(seat, view)| !seat.has(&view.data)).collect();
    let left = || seats.iter().zip(&fresh).filter(|(_, fresh)| **fresh).map(|(seat, _)| seat);
    each(left(), async |seat| fits(ctx, seat, data).await).await?;
    let staged = Staged::beside(&ctx.places().state.join("restore"))?;
    has_room(staged.path(), left().count(), size)?;
    if dry_run {
        return Ok(Vec::new());
    }
    tell(ctx, 1, "make the data dirs");
    made(ctx, file, left().map(|seat| &seat.spec), staged.path()).await?;
    ctx.check_cancel()?;
    note()?;
    let token = seats.first().map(|seat| seat.spec.initial_cluster_token.clone()).unwrap_or_default();
    let halfway = |source: Error| -> Error { Halfway { token: token.clone(), source }.into() };
    let asides = replaced(ctx, seats, &fresh, staged.path(), patience, answers_allowed).await.map_err(halfway)?;
    for ((seat, fresh), aside) in seats.iter_mut().zip(&fresh).zip(asides) {
        seat.aside = aside;
        seat.outcome = Some(if *fresh { "restored" } else { "already" });
    }
    drop(staged);
    ctx.check_cancel().map_err(halfway)?;
    tell(ctx, 4, "start the members");
    let started = each(seats.iter(), async |seat| seat.host()?.start(ctx, None, patience).await).await;
    started.map_err(halfway)?;
    tell(ctx, 5, "compare them");
    compared(ctx, seats, revision, patience).await.map_err(halfway)
}

/// How hosts are dealt with.
pub(super) struct How<'h> {
    /// How long each step may take.
    pub(super) patience: Duration,
    /// Whether somebody may answer where the new members are to be reached.
    pub(super) answers_allowed: bool,
    /// Why nothing was seen of the old cluster, where that is a reason to leave it alone.
    pub(super) unseen: Option<Error>,
    /// Of which etcd the data are, where they are not made for another one.
    pub(super) data: Option<&'h str>,
    /// The size of the database in bytes.
    pub(super) size: u64,
    /// Whether everything is only looked at.
    pub(super) dry_run: bool,
    /// Writes down what is made, when it is and before it serves anybody.
    pub(super) note: &'h dyn Fn() -> Result<()>,
}

/// Returns how many members have a process that stays: such a one may serve, also somebody whom this machine does not reach.
async fn steady(ctx: &Context<'_>, seats: &[Seat]) -> Result<usize> {
    let look = async || each(seats.iter(), async |seat| seat.host()?.process_id(ctx).await).await;
    let before = look().await?;
    ctx.unless_cancelled(async {
        sleep(STEADY).await;
        Ok(())
    })
    .await?;
    let after = look().await?;
    Ok(before.iter().zip(&after).filter(|(before, after)| before.is_some() && before == after).count())
}

/// Takes the right to put data on hosts, which one call has at a time on this machine; others are kept out by nothing.
fn turn(ctx: &Context<'_>) -> Result<File> {
    let path = ctx.places().state.join("restore.lock");
    let opened = || {
        std::fs::create_dir_all(&ctx.places().state)?;
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path)
    };
    let file = opened().map_err(|source| BadFile::from_io("open", &path, source))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Refusal::Busy.into()),
        // A file system without locks has nobody who holds one.
        _ => Ok(file),
    }
}

/// Looks at all hosts, before anything is done.
async fn looked(ctx: &Context<'_>, seats: &[Seat]) -> Result<Vec<HostView>> {
    for seat in seats {
        let known = seat.host()?.peer_urls().filter(|urls| !are_same(urls, &seat.peer_urls));
        if let Some(known) = known {
            let (member, given) = (seat.spec.name.clone(), seat.peer_urls.join(", "));
            return Err(Refusal::OtherUrls { member, given, known: known.join(", ") }.into());
        }
    }
    each(seats.iter(), async |seat| seat.host()?.look(ctx).await).await
}

/// Says what is done next.
fn tell(ctx: &Context<'_>, number: usize, step: &str) {
    ctx.emit(&Event::Step { number, of: 5, step: step.to_owned() });
}

/// Does something for each of them side by side. All are waited for: nothing is left half-done because another one failed.
async fn each<S, T>(seats: impl Iterator<Item = S>, work: impl AsyncFn(S) -> Result<T>) -> Result<Vec<T>> {
    join_all(seats.map(|seat| work(seat))).await.into_iter().collect()
}

fn are_same(one: &[String], other: &[String]) -> bool {
    let sorted = |urls: &[String]| {
        let mut urls: Vec<_> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        urls.sort();
        urls
    };
    sorted(one) == sorted(other)
}

/// Holds that a member can be given the data, and that its etcd starts with them as far as that is known.
async fn fits(ctx: &Context<'_>, seat: &Seat, data: Option<&str>) -> Result<()> {
    let host = seat.host()?;
    host.fits(ctx).await?;
    host.preflight(ctx, None).await?;
    host.takes(ctx).await?;
    let (Some(data), Some(etcd)) = (data, host.etcd_version(ctx).await?) else { return Ok(()) };
    match drill::target(&etcd, data) {
        Some(target) => {
            let (member, etcd, data) = (seat.spec.name.clone(), escape_word(&etcd), escape_word(data));
            Err(Refusal::TooNew { member, etcd, data, target }.into())
        }
        None => Ok(()),
    }
}

/// Stops all members that have not the new data, and puts these in the place of the old ones. Returns where those lie now.
async fn replaced(
    ctx: &Context<'_>,
    seats: &[Seat],
    fresh: &[bool],
    staged: &Path,
    patience: Duration,
    answers_allowed: bool,
) -> Result<Vec<Option<String>>> {
    let left = || seats.iter().zip(fresh).filter(|(_, fresh)| **fresh).map(|(seat, _)| seat);
    tell(ctx, 2, "stop the members");
    each(left(), async |seat| seat.host()?.stop(ctx, patience).await).await?;
    if fresh.iter().all(|fresh| *fresh) && !answers_allowed {
        nobody_answers(seats).await?;
    }
    tell(ctx, 3, "move the old data aside, and put the new ones in place");
    each(seats.iter().zip(fresh), async |(seat, fresh)| {
        if !fresh {
            return Ok(None);
        }
        ctx.check_cancel()?;
        let host = seat.host()?;
        let aside = host.set_aside(ctx).await?;
        host.put(ctx, &in_folder(staged, &seat.spec)).await?;
        Ok(aside)
    })
    .await
}

/// Waits until all members of the new cluster serve, and compares them.
async fn compared(ctx: &Context<'_>, seats: &[Seat], revision: Revision, patience: Duration) -> Result<Vec<Check>> {
    let id = seats.first().map_or(ClusterId(0), |seat| seat.cluster);
    // What was known of the old cluster does not hold any more, for those who call later too.
    ctx.cluster()?.log_out();
    let cluster = Arc::new(Cluster::new(ctx.cluster()?.profile().clone())?);
    let all = seats.len();
    let look = async || {
        for seat in seats {
            let host = seat.host()?;
            if host.look(ctx).await?.process == Process::Stopped {
                let log = host.last_log(ctx).await.unwrap_or_default();
                return Err(Ended { member: seat.spec.name.clone(), host: host.describe(), log }.into());
            }
        }
        Ok(match observe(&cluster, Depth::Reads).await {
            Ok(view) if view.cluster_id == id && view.healthy_voters() == all => Look::Ready(view),
            Ok(view) => Look::NotYet(format!("{} of {all} serve, cluster {}", view.healthy_voters(), view.cluster_id)),
            // To wait makes no other user of this one.
            Err(error) if ["unauthenticated", "permission_denied"].contains(&error.code()) => return Err(error),
            Err(error) => Look::NotYet(error.in_one_line()),
        })
    };
    let view = until(ctx, "all members of the new cluster serve", patience, look).await?;
    let mut checks = vec![
        same("cluster_id", id, view.cluster_id),
        same("members", all, view.members.len()),
        Check {
            check: "revision".to_owned(),
            ok: Some(view.revision() >= Some(revision)),
            expected: format!("{revision} or newer"),
            found: view.revision().map_or_else(|| "unknown".to_owned(), |revision| revision.to_string()),
        },
    ];
    let alarms: Vec<_> = view.alarms.iter().map(|alarm| format!("{} of {}", alarm.kind, alarm.member_id)).collect();
    checks.push(Check {
        check: "alarms".to_owned(),
        ok: Some(alarms.is_empty()),
        expected: "none".to_owned(),
        found: if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") },
    });
    let report = compare(ctx, &cluster, &view, None, patience).await?;
    checks.push(Check {
        check: "hash".to_owned(),
        // A server of 3.4 has no hash of a revision that it is compacted to, which a store is whose revision was raised.
        ok: (report.verdict != Consistency::NotComparable).then_some(report.verdict == Consistency::Consistent),
        expected: Consistency::Consistent.to_string(),
        found: format!("{}: {}", report.verdict, report.reason),
    });
    Ok(checks)
}
