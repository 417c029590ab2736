//! `backup list`: the backups in a folder, and which of them is of a time.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::folder::{Flawed, read};
use super::note::Backup;
use super::run::still_to_come;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::format::check::check;
use crate::id::{ClusterId, MemberId, Revision};
use crate::operation::Operation;
use crate::units::{Bytes, Timestamp, escape, escape_word};
use crate::{args, at_rest, record};

args! {
    /// Which ones.
    pub struct Args(
        /// The folder.
        folder: PathBuf,
    ) {
        /// Only the newest one of each cluster that was taken at this time or before.
        at: Option<Timestamp>,
        /// Read the files too, and say of each whether it is still what was written.
        check: bool,
    }
}

record! {
    /// One backup.
    pub struct Row {
        /// The file.
        path: String,
        /// When it was taken.
        time: Option<Timestamp>,
        /// The newest revision in it.
        revision: Option<Revision>,
        /// The index of the last entry of the log that it has.
        raft_index: Option<i64>,
        /// Its size.
        size: Option<Bytes>,
        /// How many keys live in it.
        total_keys: Option<i64>,
        /// Whether it was found sound when it was written.
        verified: bool,
        /// The cluster that it is of, in hex.
        cluster_id: Option<ClusterId>,
        /// The member that it was taken from, in hex.
        member_id: Option<MemberId>,
        /// That member's name.
        member: Option<String>,
        /// That member's etcd.
        etcd: Option<String>,
        /// Which etcd the data is for.
        version: Option<String>,
        /// The SHA-256 of the whole file, in hex, as sha256sum prints it.
        sha256: Option<String>,
        /// The CRC-32C of its content, as etcdutl counts it.
        hash: Option<u32>,
        /// Why it counts for no backup, where it does not: what is known about it is missing, it is not what was written, or its time
        /// is still to come, so that nobody knows what it is the newest of.
        error: Option<String>,
    }
}

/// See [`Operation::CARD`].
pub struct BackupList;

impl Operation for BackupList {
    const CARD: Card = Card {
        name: "backup list",
        summary: "List the backups in a folder, the newest first.",
        details: "What `backup run` wrote beside each is shown; the files themselves are read only with check. With a time, it is the \
                  backup that a restore to that time would take, and its revision the one that the store had then at most. What has a time \
                  that is still to come, by more than a minute, stands behind all others, with its error, and is of no time: a clock was \
                  wrong. What has the name of a backup and is none stands at the end, with its error; no rule ever removes it.",
        search: &["snapshots", "retention", "point in time"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[
            Example { about: "List the backups", args: &[("folder", Sample::Text("/backup/etcd"))] },
            Example {
                about: "Find the one to restore to a time",
                args: &[("folder", Sample::Text("/backup/etcd")), ("at", Sample::Text("2026-11-27T03:00:00Z"))],
            },
            Example {
                about: "See whether a disk has damaged one",
                args: &[("folder", Sample::Text("/backup/etcd")), ("check", Sample::On)],
            },
        ],
    };
    type Args = Args;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, Args { folder, at, check }: Args) -> Result<Vec<Row>> {
        let mut found = read(&folder)?;
        let now = Utc::now();
        let first_past = found.backups.partition_point(|backup| is_to_come(backup, now));
        let mut to_come: Vec<Backup> = found.backups.drain(..first_past).collect();
        if !to_come.is_empty() {
            let they_are = if at.is_some() { "left out" } else { "listed behind all others" };
            ctx.emit(&still_to_come(to_come.len(), they_are));
        }
        if let Some(Timestamp(at)) = at {
            to_come.clear();
            let before = |backup: &Backup| backup.note.time.timestamp_nanos_opt().is_some_and(|time| time <= at);
            let mut seen = std::collections::BTreeSet::new();
            found.backups.retain(|backup| before(backup) && seen.insert(backup.note.cluster_id));
            // They are the answer to no question about a time, and might have been.
            for flawed in std::mem::take(&mut found.flawed) {
                let message = format!("{} was left out: {}", flawed.path.display(), flawed.problem);
                ctx.emit(&Event::Warning { message });
            }
        }
        let mut rows = Vec::with_capacity(found.backups.len() + to_come.len());
        let past = found.backups.iter().map(|backup| (backup, None));
        for (backup, doubt) in past.chain(to_come.iter().map(|backup| (backup, Some(TO_COME)))) {
            let wrong = if check { checked(ctx, backup).await? } else { None };
            rows.push(Row { error: wrong.or(doubt.map(str::to_owned)), ..row(backup) });
        }
        rows.extend(found.flawed.iter().map(flawed));
        Ok(rows)
    }
}

/// What is said of a backup of a clock that was wrong.
const TO_COME: &str = "it has a time that is still to come: a clock was wrong";

/// Says whether a backup has a time that is still to come. Clocks that agree within a minute are right: the newest backup that another
/// machine has made just now is not to be passed over.
fn is_to_come(backup: &Backup, now: DateTime<Utc>) -> bool {
    backup.note.time > now + chrono::Duration::minutes(1)
}

/// Reads a backup, and says what is wrong with it.
async fn checked(ctx: &Context<'_>, Backup { path, note }: &Backup) -> Result<Option<String>> {
    let checked = match at_rest::read(ctx, "folder", path, check).await {
        Err(error) if ctx.cancel().is_cancelled() => return Err(error),
        Err(error) => return Ok(Some(error.in_one_line())),
        Ok(checked) => checked,
    };
    let same = |figures: &crate::format::figures::Figures| {
        (figures.hash, figures.revision, figures.keys) == (note.hash, note.revision.0, note.total_keys)
    };
    let wrong = match &checked.figures {
        _ if !checked.is_sound() => Some("it is damaged; `snapshot verify` says where"),
        Some(figures) if same(figures) => None,
        _ => Some("it is sound, and not the one that its note is about"),
    };
    Ok(wrong.map(str::to_owned))
}

/// Shows a backup.
pub(super) fn row(Backup { path, note }: &Backup) -> Row {
    Row {
        path: path.to_string_lossy().into_owned(),
        time: note.time.timestamp_nanos_opt().map(Timestamp),
        revision: Some(note.revision),
        raft_index: note.raft_index.and_then(|index| index.try_into().ok()),
        size: Some(Bytes(note.size)),
        total_keys: note.total_keys.try_into().ok(),
        verified: note.verified,
        cluster_id: Some(note.cluster_id),
        member_id: Some(note.member_id),
        member: Some(escape_word(&note.member)),
        etcd: Some(escape_word(&note.etcd)),
        version: Some(escape_word(&note.version)),
        sha256: Some(escape_word(&note.sha256)),
        hash: Some(note.hash),
        error: None,
    }
}

/// Shows what is no backup, and should be one.
pub(super) fn flawed(Flawed { path, cluster_id, problem }: &Flawed) -> Row {
    Row {
        path: path.to_string_lossy().into_owned(),
        time: None,
        revision: None,
        raft_index: None,
        size: None,
        total_keys: None,
        verified: false,
        cluster_id: *cluster_id,
        member_id: None,
        member: None,
        etcd: None,
        version: None,
        sha256: None,
        hash: None,
        error: Some(escape(problem)),
    }
}
