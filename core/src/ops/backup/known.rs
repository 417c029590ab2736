//! What a folder of backups tells about the cluster of one of them.

use std::path::{Path, PathBuf};

use super::folder::read;
use super::note::note_of;
use crate::id::{ClusterId, Revision};
use crate::units::Timestamp;

/// What is known of a backup and of those beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The cluster that it is of.
    pub(crate) cluster_id: ClusterId,
    /// When it was taken.
    pub(crate) time: Timestamp,
    /// The backup of that cluster that has the newest revision: its file, its time and its revision.
    pub(crate) newest: (PathBuf, Timestamp, Revision),
}

/// Returns what is known of a backup, where it is one: `backup run` writes a note beside each.
pub(crate) fn known(file: &Path) -> Option<Known> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let all = read(folder).ok()?.backups;
    let own = all.iter().find(|backup| note_of(&backup.path).file_name() == note_of(file).file_name())?;
    let of_it = all.iter().filter(|backup| backup.note.cluster_id == own.note.cluster_id);
    let newest = of_it.max_by_key(|backup| backup.note.revision)?;
    let time = |time: chrono::DateTime<chrono::Utc>| Timestamp(time.timestamp_nanos_opt().unwrap_or_default());
    Some(Known {
        cluster_id: own.note.cluster_id,
        time: time(own.note.time),
        newest: (newest.path.clone(), time(newest.note.time), newest.note.revision),
    })
}
