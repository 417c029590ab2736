//! `backup run`: save a snapshot into a folder, check it, and remove what need not be kept any more.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::Utc;

use super::keep::Rules;
use super::list::{Row, row};
use super::note::{self, Backup, Note, backups, note_of};
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{ClusterView, Depth, observe};
use crate::context::Context;
use crate::error::{Fault, Result};
use crate::file::BadFile;
use crate::format::check::check;
use crate::id::Revision;
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
        /// Keep the last one of each of this many days; days and hours are those of UTC.
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
        /// The backups of the cluster that are there, the newest first.
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
                  cluster that have their file of JSON are ever removed, and never the newest one that was found sound.",
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
        let saved = if args.dry_run { None } else { Some(ctx.unless_cancelled(saved(ctx, &view, &args)).await?) };
        if let Some(unsound) = saved.as_ref().filter(|backup| !backup.note.verified) {
            return Err(Unsound { path: unsound.path.clone() }.into());
        }
        let mut all = backups(&args.folder)?;
        all.retain(|backup| backup.note.cluster_id == view.cluster_id);
        let removed: Vec<Backup> = rules.removed(&all).into_iter().cloned().collect();
        all.retain(|backup| !removed.contains(backup));
        if !args.dry_run {
            removed.iter().try_for_each(remove)?;
        }
        Ok(Report {
            saved: saved.as_ref().map(row),
            removed: removed.iter().map(row).collect(),
            kept: all.iter().map(row).collect(),
            took: start.elapsed().into(),
        })
    }
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

/// Saves a snapshot, checks it, and writes down what is known about it.
async fn saved(ctx: &Context<'_>, view: &ClusterView, args: &Args) -> Result<Backup> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&args.folder);
    made.map_err(|source| BadFile::from_io("create", &args.folder, source))?;
    let time = Utc::now();
    let path = args.folder.join(Note::file_name(view.cluster_id, time));
    let saved = save::of_member(ctx, view, &path, args.member.as_ref()).await?;
    let checked = at_rest::read(ctx, "folder", &path, check).await?;
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
    note::write(&path, &note)?;
    Ok(Backup { path, note })
}

/// Removes a backup. Its note goes last: what has a note and no file is removed with nothing lost, and what has a file and no note
/// would be nobody's.
fn remove(backup: &Backup) -> Result<()> {
    let gone = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BadFile::from_io("remove", path, error)),
        _ => Ok(()),
    };
    Ok(gone(&backup.path).and_then(|()| gone(&note_of(&backup.path)))?)
}

#[derive(Debug, thiserror::Error)]
#[error("the snapshot {} is not sound, so nothing was removed", path.display())]
struct Unsound {
    path: PathBuf,
}

impl Fault for Unsound {
    fn code(&self) -> &'static str {
        "backup_unsound"
    }

    fn help(&self) -> Option<String> {
        Some("`snapshot verify` says what is wrong with it; take one of another member, and see with `hash` whether their data differ".to_owned())
    }
}
