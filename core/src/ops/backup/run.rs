//! `backup run`: save a snapshot into a folder, check it, and remove what need not be kept any more.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{Timelike, Utc};

use super::error::BadFolder;
use super::folder::{Found, Turn, read};
use super::keep::Rules;
use super::list::{Row, flawed, row};
use super::note::{Backup, Note};
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{ClusterView, Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::format::check::check;
use crate::id::{ClusterId, Revision};
use crate::member::MemberRef;
use crate::operation::Operation;
use crate::ops::snapshot::save;
use crate::units::{Elapsed, escape_word};
use crate::{args, at_rest, record};

args! {
    /// Where to, and how long backups are kept.
    pub struct Args(
        /// The folder; it is made if it is not there.
        folder: PathBuf,
    ) {
        /// The member to take it from; without it, the newest healthy one that does not lead.
        member: Option<MemberRef>,
        /// Keep this many of the last ones. Without any rule nothing is removed.
        keep_last: Option<i64>,
        /// Keep the last one of each of this many hours.
        keep_hourly: Option<i64>,
        /// Keep the last one of each of this many days.
        keep_daily: Option<i64>,
        /// Keep the last one of each of this many weeks.
        keep_weekly: Option<i64>,
        /// Keep the last one of each of this many months.
        keep_monthly: Option<i64>,
        /// Only show what would be removed; nothing is saved.
        dry_run: bool,
    }
}

record! {
    /// What came of a backup.
    pub struct Report {
        /// The backup that was made; null for a dry run.
        saved: Option<Row>,
        /// The backups that were removed, or would be.
        removed: Vec<Row>,
        /// The backups of the cluster that are there then, the newest first.
        kept: Vec<Row>,
        /// How long it took.
        took: Elapsed,
    }
}

/// See [`Operation::CARD`].
pub struct BackupRun;

impl Operation for BackupRun {
    const CARD: Card = Card {
        name: "backup run",
        summary: "Save a snapshot into a folder, check it, and remove the backups that need not be kept any more.",
        details: "The file is named by cluster and time, and has a file of JSON beside it with time, revision, raft index, member, versions \
                  and hashes. It is checked as `snapshot verify` does; only when it is sound are older ones removed. Only backups of this \
                  cluster that have their file of JSON are ever removed, and never the newest one that was found sound. Hours, days, \
                  weeks (from Monday on) and months are those of UTC; only those count that have a backup, and of each the last one is \
                  kept. One run at a time writes a cluster's backups into a folder, and removes what a run that was killed has left.",
        search: &["snapshot", "retention", "prune", "rotate", "schedule", "cron"],
        effect: Effect::Changes,
        capability: Capability::Snapshot,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Save a backup, and keep those of a week",
                args: &[
                    ("folder", Sample::Text("/backup/etcd")),
                    ("keep_last", Sample::Int(3)),
                    ("keep_daily", Sample::Int(7)),
                ],
            },
            Example {
                about: "Show what would be removed",
                args: &[
                    ("folder", Sample::Text("/backup/etcd")),
                    ("keep_last", Sample::Int(3)),
                    ("dry_run", Sample::On),
                ],
            },
        ],
    };
    type Args = Args;
    type Report = Report;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Report> {
        let start = Instant::now();
        let rules = rules(&args)?;
        let view = ctx.unless_cancelled(observe(ctx.cluster()?, Depth::Reads)).await?.admitted()?;
        let (saved, removed, kept) = if args.dry_run {
            let (removed, kept) = sorted(ctx, &args.folder, view.cluster_id, rules, None)?;
            (None, removed, kept)
        } else {
            let turn = turn(ctx, &args.folder, view.cluster_id)?;
            let saved = ctx.unless_cancelled(saved(ctx, &view, &turn, args.member.as_ref())).await?;
            let (removed, kept) = sorted(ctx, &args.folder, view.cluster_id, rules, Some(&saved))?;
            removed.iter().try_for_each(|backup| turn.remove(backup))?;
            (Some(saved), removed, kept)
        };
        Ok(Report {
            saved: saved.as_ref().map(row),
            removed: removed.iter().map(row).collect(),
            kept,
            took: start.elapsed().into(),
        })
    }
}

/// Takes the right to write into the folder, and takes away what others left there that were killed.
fn turn<'f>(ctx: &Context<'_>, folder: &'f Path, cluster_id: ClusterId) -> Result<Turn<'f>> {
    let turn = Turn::take(folder, cluster_id)?;
    let warn = |message: String| ctx.emit(&Event::Warning { message });
    if !turn.is_locked() {
        warn(format!("{} cannot be locked, so nothing keeps another run out meanwhile", folder.display()));
    }
    for name in turn.sweep()? {
        warn(format!("{name} was removed: a run that was killed had left it"));
    }
    Ok(turn)
}

/// Returns the backups of the cluster that the rules remove, and all others as rows. What was saved just now is none of the former,
/// whatever the clock says; where nothing was, because the run is a dry one, the backup that would be made counts too.
fn sorted(
    ctx: &Context<'_>,
    folder: &Path,
    cluster_id: ClusterId,
    rules: Rules,
    saved: Option<&Backup>,
) -> Result<(Vec<Backup>, Vec<Row>)> {
    BadFolder::check(folder)?;
    let found = if saved.is_none() && !folder.exists() { Found::default() } else { read(folder)? };
    let now = Utc::now();
    let mut all: Vec<_> = found.backups.into_iter().filter(|backup| backup.note.cluster_id == cluster_id).collect();
    let planned = saved.is_none().then(|| Backup { path: PathBuf::new(), note: Note::of_nothing(cluster_id, now) });
    let first_past = all.partition_point(|backup| backup.note.time > now);
    if first_past > 0 {
        ctx.emit(&still_to_come(first_past, "kept and count for no rule"));
    }
    if let Some(planned) = &planned {
        all.insert(first_past, planned.clone());
    }
    let removed = rules.removed(&all, now).into_iter().filter(|backup| Some(*backup) != saved);
    let removed: Vec<Backup> = removed.cloned().collect();
    let kept = all.iter().filter(|backup| !removed.contains(backup) && planned.as_ref() != Some(backup)).map(row);
    let flawed = found.flawed.iter().filter(|flawed| flawed.cluster_id == Some(cluster_id)).map(flawed);
    let rows = kept.chain(flawed).collect();
    Ok((removed, rows))
}

/// Says that a clock was wrong, and what is made of its backups.
pub(super) fn still_to_come(count: usize, they_are: &str) -> Event {
    let message = format!("backups with a time that is still to come: {count}; a clock was wrong, they are {they_are}");
    Event::Warning { message }
}

fn rules(args: &Args) -> Result<Rules, BadArgument> {
    let count = |given: Option<i64>, name: &str| {
        usize::try_from(given.unwrap_or(0)).map_err(|_| BadArgument::invalid(name, "is negative", "give 0 or more"))
    };
    Ok(Rules {
        last: count(args.keep_last, "keep_last")?,
        hourly: count(args.keep_hourly, "keep_hourly")?,
        daily: count(args.keep_daily, "keep_daily")?,
        weekly: count(args.keep_weekly, "keep_weekly")?,
        monthly: count(args.keep_monthly, "keep_monthly")?,
    })
}

/// Saves a snapshot, checks it, writes down what is known about it, and makes a backup of it.
async fn saved(ctx: &Context<'_>, view: &ClusterView, turn: &Turn<'_>, member: Option<&MemberRef>) -> Result<Backup> {
    let now = Utc::now();
    let time = now.with_nanosecond(0).unwrap_or(now);
    let draft = turn.begin(time)?;
    let saved = save::of_member(ctx, view, draft.snapshot(), member).await;
    let saved = saved.map_err(|error| error.with_argument_named("path", "folder"))?;
    let checked = at_rest::read(ctx, "folder", draft.snapshot(), check).await?;
    let etcd = view.get(saved.member_id).and_then(|member| member.known()).map(|status| status.version.clone());
    let (revision, hash, total_keys) = match &checked.figures {
        Some(figures) => (Revision(figures.revision), figures.hash, figures.keys),
        None => (saved.revision, 0, 0),
    };
    let note = Note {
        form: Note::form(),
        time,
        cluster_id: view.cluster_id,
        member_id: saved.member_id,
        member: saved.member,
        etcd: escape_word(&etcd.unwrap_or_default()),
        version: escape_word(checked.records.applied.written_by()),
        revision,
        raft_index: checked.records.applied.consistent_index,
        size: saved.size.0,
        sha256: saved.sha256,
        hash,
        total_keys,
        verified: checked.is_sound() && checked.figures.is_some(),
    };
    let backup = draft.finish(turn, note)?;
    if !backup.note.verified {
        return Err(BadFolder::Unsound { path: backup.path }.into());
    }
    Ok(backup)
}
