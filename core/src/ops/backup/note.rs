//! What is known about a backup, in a file of JSON beside it. A backup is what has both: the note is written last.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file::BadFile;
use crate::id::{ClusterId, MemberId, Revision};

/// The form of notes that this version writes.
const FORM: u32 = 1;

/// What is known about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) form: u32,
    /// When the snapshot was asked for.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub(super) time: DateTime<Utc>,
    pub(super) cluster_id: ClusterId,
    pub(super) member_id: MemberId,
    pub(super) member: String,
    /// The version of the etcd that it was taken from.
    pub(super) etcd: String,
    /// Which etcd the data is for.
    pub(super) version: String,
    /// The newest revision in it.
    pub(super) revision: Revision,
    /// The index of the last entry of the log that it has.
    pub(super) raft_index: Option<u64>,
    pub(super) size: i64,
    /// The SHA-256 of the whole file.
    pub(super) sha256: String,
    /// The CRC-32C of its content, as etcdutl counts it.
    pub(super) hash: u32,
    pub(super) total_keys: u64,
    /// Whether it was checked when it was written, and sound.
    pub(super) verified: bool,
}

/// A backup in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    pub(super) path: PathBuf,
    pub(super) note: Note,
}

impl Note {
    pub(super) fn form() -> u32 {
        FORM
    }

    /// Returns the name of the backup's file. It begins with the cluster, so that several can share a folder, and goes on with the time.
    pub(super) fn file_name(cluster_id: ClusterId, time: DateTime<Utc>) -> String {
        format!("{cluster_id}-{}.db", time.format("%Y%m%dT%H%M%SZ"))
    }
}

fn write_time<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%SZ"))
}

fn read_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
    Ok(time.to_utc())
}

/// Returns where the note of a backup lies.
pub(super) fn note_of(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// Writes the note of a backup, whole or not at all.
pub(super) fn write(path: &Path, note: &Note) -> Result<()> {
    let (to, part) = (note_of(path), path.with_extension("json.part"));
    let text = serde_json::to_string_pretty(note).map_err(Error::internal)? + "\n";
    let write = |()| std::fs::write(&part, text);
    let written =
        write(()).and_then(|()| std::fs::File::open(&part)?.sync_all()).and_then(|()| std::fs::rename(&part, &to));
    written.map_err(|source| BadFile::from_io("write", &to, source).into())
}

/// Returns the backups in a folder, the newest first. What has no note, or one that cannot be read, is none.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn backups(folder: &Path) -> Result<Vec<Backup>> {
    let files = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files.map_err(|source| BadFile::from_io("read", folder, source))?,
    };
    let paths = files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "db"));
    let backup = |path: PathBuf| {
        let note = serde_json::from_slice(&std::fs::read(note_of(&path)).ok()?).ok()?;
        Some(Backup { path, note })
    };
    let mut all: Vec<Backup> = paths.filter_map(backup).collect();
    all.sort_by(|a, b| (&b.note.time, &b.path).cmp(&(&a.note.time, &a.path)));
    Ok(all)
}
