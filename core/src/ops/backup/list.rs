//! `backup list`: the backups in a folder, and which of them is of a time.

use std::path::PathBuf;

use super::note::{Backup, backups};
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::id::{ClusterId, MemberId, Revision};
use crate::operation::Operation;
use crate::units::{Bytes, Timestamp, escape_word};
use crate::{args, record};

args! {
    /// Which ones.
    pub struct Args(
        /// The folder.
        folder: PathBuf,
    ) {
        /// Only the newest one of each cluster that was taken at this time or before.
        at: Option<Timestamp>,
    }
}

record! {
    /// One backup.
    pub struct Row {
        /// The file.
        path: String,
        /// When it was taken.
        time: Timestamp,
        /// The newest revision in it.
        revision: Revision,
        /// The index of the last entry of the log that it has.
        raft_index: Option<i64>,
        /// Its size.
        size: Bytes,
        /// How many keys live in it.
        total_keys: i64,
        /// Whether it was found sound when it was written.
        verified: bool,
        /// The cluster that it is of, in hex.
        cluster_id: ClusterId,
        /// The member that it was taken from, in hex.
        member_id: MemberId,
        /// That member's name.
        member: String,
        /// That member's etcd.
        etcd: String,
        /// Which etcd the data is for.
        version: String,
        /// The SHA-256 of the whole file, in hex.
        sha256: String,
        /// The CRC-32C of its content, as etcdutl counts it.
        hash: u32,
    }
}

/// See [`Operation::CARD`].
pub struct BackupList;

impl Operation for BackupList {
    const CARD: Card = Card {
        name: "backup list",
        summary: "List the backups in a folder, the newest first.",
        details: "What `backup run` wrote beside each is shown; the files themselves are not read. With a time, it is the backup that a \
                  restore to that time would take, and its revision the one that the store had then at most.",
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
        ],
    };
    type Args = Args;
    type Report = Vec<Row>;

    async fn run(_: &Context<'_>, Args { folder, at }: Args) -> Result<Vec<Row>> {
        let mut all = backups(&folder)?;
        if let Some(Timestamp(at)) = at {
            all.retain(|backup| backup.note.time.timestamp_nanos_opt().is_some_and(|time| time <= at));
            let mut seen = std::collections::BTreeSet::new();
            all.retain(|backup| seen.insert(backup.note.cluster_id));
        }
        Ok(all.iter().map(row).collect())
    }
}

/// Shows a backup.
pub(super) fn row(Backup { path, note }: &Backup) -> Row {
    Row {
        path: path.to_string_lossy().into_owned(),
        time: Timestamp(note.time.timestamp_nanos_opt().unwrap_or_default()),
        revision: note.revision,
        raft_index: note.raft_index.and_then(|index| index.try_into().ok()),
        size: Bytes(note.size),
        total_keys: note.total_keys.try_into().unwrap_or(i64::MAX),
        verified: note.verified,
        cluster_id: note.cluster_id,
        member_id: note.member_id,
        member: escape_word(&note.member),
        etcd: escape_word(&note.etcd),
        version: escape_word(&note.version),
        sha256: note.sha256.clone(),
        hash: note.hash,
    }
}
