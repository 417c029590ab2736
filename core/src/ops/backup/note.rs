//! What is known about a backup, in a file of JSON beside it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{ClusterId, MemberId, Revision};

/// The form of notes that this version writes.
const FORM: u32 = 1;
/// A note has some hundred bytes; what is longer than this is none, and is not read into memory.
const LONGEST: u64 = 1 << 16;

/// What is known about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) form: u32,
    /// When the snapshot was asked for, in whole seconds.
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

/// Why nothing is known about a backup that has a note.
#[derive(Debug)]
pub(super) enum Unread {
    /// There is none.
    Missing,
    /// It is not one of ours, or it is damaged.
    Unclear(String),
    /// A later version of this program wrote it.
    Newer(u32),
}

impl Note {
    pub(super) fn form() -> u32 {
        FORM
    }

    /// Returns the note of a backup that is still to be made.
    pub(super) fn of_nothing(cluster_id: ClusterId, time: DateTime<Utc>) -> Self {
        Note {
            form: FORM,
            time,
            cluster_id,
            member_id: MemberId(0),
            member: String::new(),
            etcd: String::new(),
            version: String::new(),
            revision: Revision(0),
            raft_index: None,
            size: 0,
            sha256: String::new(),
            hash: 0,
            total_keys: 0,
            verified: true,
        }
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

/// Returns where a note lies while it is written.
pub(super) fn part_of(path: &Path) -> PathBuf {
    path.with_extension("json.part")
}

/// Writes the note of a backup, whole or not at all.
pub(super) fn write(path: &Path, note: &Note) -> io::Result<()> {
    let part = part_of(path);
    let text = serde_json::to_string_pretty(note)? + "\n";
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, note_of(path))
}

/// Reads the note of a backup.
pub(super) fn read(path: &Path) -> Result<Note, Unread> {
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }
    let unclear = |error: &dyn std::fmt::Display| Unread::Unclear(error.to_string());
    let mut text = Vec::new();
    let file = match File::open(note_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
        file => file.map_err(|error| unclear(&error))?,
    };
    file.take(LONGEST).read_to_end(&mut text).map_err(|error| unclear(&error))?;
    match serde_json::from_slice::<Form>(&text) {
        Ok(Form { form }) if form > FORM => Err(Unread::Newer(form)),
        Ok(_) => serde_json::from_slice(&text).map_err(|error| unclear(&error)),
        Err(error) => Err(unclear(&error)),
    }
}
