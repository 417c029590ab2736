//! Why there is no backup, where neither the cluster nor the snapshot's own file is to blame.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Fault;
use crate::file::code_of;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFolder {
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} {problem}, and no folder", path.display())]
    NotAFolder { path: PathBuf, problem: &'static str },
    #[error("another run is making a backup of this cluster in {}", path.display())]
    Busy { path: PathBuf },
    #[error("the snapshot {} is not sound, so nothing was removed", path.display())]
    Unsound { path: PathBuf },
}

impl BadFolder {
    pub(super) fn of(doing: &'static str, path: &Path, source: io::Error) -> Self {
        BadFolder::Io { doing, path: path.to_owned(), source }
    }

    /// Checks that there is a folder of that name, or nothing yet.
    pub(super) fn check(path: &Path) -> Result<(), Self> {
        let wrong = |problem| Err(BadFolder::NotAFolder { path: path.to_owned(), problem });
        match (path.metadata(), path.symlink_metadata()) {
            (Ok(meta), _) if !meta.is_dir() => wrong("is a file"),
            // What cannot be looked at for another reason says so when it is used.
            (Err(error), Ok(_)) if error.kind() == io::ErrorKind::NotFound => wrong("is a link to what is not there"),
            _ => Ok(()),
        }
    }
}

impl Fault for BadFolder {
    fn code(&self) -> &'static str {
        match self {
            BadFolder::Io { source, .. } => code_of(source),
            BadFolder::NotAFolder { .. } => "not_a_folder",
            BadFolder::Busy { .. } => "backup_in_progress",
            BadFolder::Unsound { .. } => "backup_unsound",
        }
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadFolder::Io { .. } | BadFolder::NotAFolder { .. } | BadFolder::Busy { .. } => Some("folder"),
            BadFolder::Unsound { .. } => None,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            BadFolder::Io { source, .. } if code_of(source) == "disk_full" => {
                "make room for one more: the new one is saved and checked before older ones are removed"
            }
            BadFolder::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "name the folder that `backup run` writes to"
            }
            BadFolder::Io { .. } => "name a folder that you may read and write",
            BadFolder::NotAFolder { .. } => "name a folder; `backup run` makes it where nothing has its name",
            BadFolder::Busy { .. } => "wait until it is done",
            BadFolder::Unsound { .. } => {
                "`snapshot verify` says what is wrong with it; take one of another member, and see with `hash` whether their data differ"
            }
        };
        Some(help.to_owned())
    }

    fn retryable(&self) -> bool {
        matches!(self, BadFolder::Busy { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;

    #[test]
    fn what_a_user_sees() {
        let path = || PathBuf::from("/backup/etcd");
        let io = |kind: io::ErrorKind| BadFolder::of("read", &path(), kind.into());
        let errors = [
            io(io::ErrorKind::NotFound),
            io(io::ErrorKind::PermissionDenied),
            io(io::ErrorKind::StorageFull),
            BadFolder::Busy { path: path() },
            BadFolder::Unsound { path: path().join("a.db") },
        ];
        insta::assert_snapshot!(shown(errors.map(Into::into)), @r"
        file_failed (folder): cannot read /backup/etcd
          because: entity not found
          help: name the folder that `backup run` writes to
        file_failed (folder): cannot read /backup/etcd
          because: permission denied
          help: name a folder that you may read and write
        disk_full (folder): cannot read /backup/etcd
          because: no storage space
          help: make room for one more: the new one is saved and checked before older ones are removed
        backup_in_progress (folder): another run is making a backup of this cluster in /backup/etcd
          help: wait until it is done
        backup_unsound: the snapshot /backup/etcd/a.db is not sound, so nothing was removed
          help: `snapshot verify` says what is wrong with it; take one of another member, and see with `hash` whether their data differ
        ");
    }
}
