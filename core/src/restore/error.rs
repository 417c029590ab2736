//! Why a data dir is not made, where neither an argument by itself nor the file that is read is to blame.

use std::path::PathBuf;

use crate::error::Fault;

/// Why a data dir is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is something in the data dir.
    #[error("{} is not empty: there is {holds}", path.display())]
    NotEmpty {
        /// The data dir.
        path: PathBuf,
        /// What is there.
        holds: String,
    },
    /// Another restore makes a data dir there.
    #[error("another restore is making {}", path.display())]
    Busy {
        /// The data dir.
        path: PathBuf,
    },
    /// The WAL dir is there already.
    #[error("{} exists already", path.display())]
    WalExists {
        /// The WAL dir.
        path: PathBuf,
    },
    /// The WAL dir is to be where the data dir has something else.
    #[error("the WAL dir can lie in {} only beside its folder member", path.display())]
    WalWithin {
        /// The data dir.
        path: PathBuf,
    },
    /// The revision would be higher than any.
    #[error("revision {revision} cannot be raised by {bump}: a store that begins so high has no room left")]
    BumpTooHigh {
        /// The revision.
        revision: i64,
        /// By how much it was to be raised.
        bump: u64,
    },
}

impl Fault for RestoreError {
    fn code(&self) -> &'static str {
        match self {
            RestoreError::NotEmpty { .. } | RestoreError::WalExists { .. } => "file_exists",
            RestoreError::Busy { .. } => "restore_in_progress",
            RestoreError::WalWithin { .. } | RestoreError::BumpTooHigh { .. } => "invalid_argument",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some(match self {
            RestoreError::NotEmpty { .. } | RestoreError::Busy { .. } => "data_dir",
            RestoreError::WalExists { .. } | RestoreError::WalWithin { .. } => "wal_dir",
            RestoreError::BumpTooHigh { .. } => "bump_revision",
        })
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            RestoreError::NotEmpty { .. } => {
                "name a folder that is empty or not there; move the data of an old member aside first"
            }
            RestoreError::Busy { .. } => "wait until it ends, or choose another folder",
            RestoreError::WalExists { .. } => {
                "name a folder that is not there; move the log of an old member aside first"
            }
            RestoreError::WalWithin { .. } => "leave wal_dir out to have the log in the data dir",
            RestoreError::BumpTooHigh { .. } => "a bump of 1000000000 is enough for every cluster that is in use",
        };
        Some(help.to_owned())
    }
}
