//! What can go wrong with a sandbox.

use std::path::PathBuf;

use super::ready::Shortage;
use crate::error::{Error, Fault, Interrupted};
use crate::wait::TimedOut;

/// A sandbox cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is one of that name.
    #[error("there is a sandbox named {name:?} already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no sandbox named {name:?}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// There is no such member in it.
    #[error("no member of the sandbox {sandbox:?} is named {member:?}; the members are {known}")]
    NoMember {
        /// The sandbox.
        sandbox: String,
        /// The name that was asked for.
        member: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// All names.
        known: String,
    },
    /// No etcd was found.
    #[error("no etcd{} was found{}", wanted.as_ref().map(|w| format!(" {w}")).unwrap_or_default(), found_instead(found))]
    EtcdNotFound {
        /// The version that was asked for.
        wanted: Option<String>,
        /// The versions that were found.
        found: Vec<String>,
    },
    /// The etcd that was asked for has no name.
    #[error("the argument etcd is empty")]
    EtcdUnnamed,
    /// A binary does not say that it is etcd.
    #[error("{} cannot be used as etcd: {problem}", path.display())]
    EtcdUnusable {
        /// The binary.
        path: PathBuf,
        /// What it did.
        problem: String,
    },
    /// A member's process ended when it should have gone on.
    #[error("{member} ended{}; the end of its log {}:\n{}", with(*exit_code), log.display(), lines.join("\n"))]
    Ended {
        /// The member.
        member: String,
        /// What it exited with, where that is known.
        exit_code: Option<i64>,
        /// The end of its log.
        lines: Vec<String>,
        /// Its log.
        log: PathBuf,
    },
    /// A member's process went on when it should have ended.
    #[error("{member} kept running for {seconds} s although {how}")]
    Survived {
        /// The member.
        member: String,
        /// What was done to it.
        how: &'static str,
        /// How long it was watched.
        seconds: u64,
    },
    /// A member is not in a state in which that can be done.
    #[error("{member} is {state}")]
    State {
        /// The member.
        member: String,
        /// Its state.
        state: &'static str,
        /// What to do first.
        help: &'static str,
    },
    /// A member that joins has data already.
    #[error("{member} has a data dir already: {}", path.display())]
    HasData {
        /// The member.
        member: String,
        /// Its data dir.
        path: PathBuf,
    },
    /// The others would be too few.
    #[error("without {member}, {healthy} of {voters} voters would be healthy; quorum needs {quorum}")]
    NoQuorum {
        /// The member.
        member: String,
        /// How many others are healthy.
        healthy: usize,
        /// How many voters there are.
        voters: usize,
        /// How many have to be healthy.
        quorum: usize,
    },
    /// They cannot serve, because too few members are up for a quorum.
    #[error("{members} did not serve: {shortage}")]
    NotServing {
        /// The members that were waited for.
        members: String,
        /// What is missing.
        shortage: Shortage,
        /// How they stood at the last look.
        source: Error,
    },
    /// Ctrl-C was pressed.
    #[error("interrupted")]
    Interrupted {
        /// What was left behind.
        left: String,
    },
    /// Another command works on it.
    #[error("another command works on the sandbox {name:?}")]
    Busy {
        /// The sandbox.
        name: String,
    },
    /// Files or processes could not be handled.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate {
        /// Why.
        source: rcgen::Error,
    },
    /// The state that was kept cannot be read.
    #[error("{} does not hold the state of a sandbox", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

fn with(exit_code: Option<i64>) -> String {
    exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default()
}

fn found_instead(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!("; there are {}", found.join(", ")) }
}

/// Says what was tried when a file or a process could not be handled.
pub(super) fn cannot(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SandboxError {
    let what = what.into();
    move |source| SandboxError::Io { what, source }
}

/// Says what an interruption leaves behind.
pub(super) fn cut(left: impl FnOnce() -> String) -> impl FnOnce(Error) -> Error {
    move |error| {
        let plain = error.code() == Interrupted::CODE && error.outcome().is_none();
        if plain { SandboxError::Interrupted { left: left() }.into() } else { error }
    }
}

/// Names members as the subject of a sentence.
pub(super) fn were(members: &[String]) -> String {
    format!("{} {}", members.join(", "), if members.len() == 1 { "was" } else { "were" })
}

impl From<rcgen::Error> for SandboxError {
    fn from(source: rcgen::Error) -> Self {
        SandboxError::Certificate { source }
    }
}

impl Fault for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            SandboxError::Exists { .. } => "sandbox_exists",
            SandboxError::Unknown { .. } => "sandbox_not_found",
            SandboxError::NoMember { .. } => "member_not_found",
            SandboxError::EtcdNotFound { .. } => "etcd_not_found",
            SandboxError::EtcdUnnamed => "invalid_argument",
            SandboxError::EtcdUnusable { .. } => "etcd_unusable",
            SandboxError::Ended { .. } => "sandbox_member_ended",
            SandboxError::Survived { .. } => "sandbox_member_survived",
            SandboxError::State { .. } | SandboxError::HasData { .. } => "sandbox_state",
            SandboxError::NoQuorum { .. } => "no_quorum",
            SandboxError::NotServing { .. } => TimedOut::CODE,
            SandboxError::Interrupted { .. } => Interrupted::CODE,
            SandboxError::Busy { .. } => "sandbox_busy",
            SandboxError::Io { .. } | SandboxError::Certificate { .. } | SandboxError::Unreadable { .. } => {
                "sandbox_failed"
            }
        }
    }

    fn argument(&self) -> Option<&str> {
        match self {
            SandboxError::Exists { .. } | SandboxError::Unknown { .. } | SandboxError::Busy { .. } => Some("name"),
            SandboxError::EtcdNotFound { .. } | SandboxError::EtcdUnnamed | SandboxError::EtcdUnusable { .. } => {
                Some("etcd")
            }
            SandboxError::NoMember { .. }
            | SandboxError::State { .. }
            | SandboxError::HasData { .. }
            | SandboxError::NoQuorum { .. } => Some("member"),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            SandboxError::Exists { .. } => {
                "`sandbox list` shows it, `sandbox restart` starts one that was kept, and `sandbox stop` removes it"
                    .to_owned()
            }
            SandboxError::Unknown { known, .. } if known.is_empty() => "`sandbox start` makes one".to_owned(),
            SandboxError::Unknown { known, .. } => format!("the sandboxes are {known}"),
            SandboxError::NoMember { suggestion: Some(near), .. } => format!("did you mean {near}?"),
            SandboxError::EtcdNotFound { .. } => {
                "`cargo xtask setup` builds it, or name folders that hold it in ETCDSH_ETCD_DIR".to_owned()
            }
            SandboxError::EtcdUnnamed => {
                "leave it out for the usual one, or give a version such as 3.6, or the path of an etcd".to_owned()
            }
            SandboxError::EtcdUnusable { .. } => "give a version such as 3.6, or the path of an etcd".to_owned(),
            SandboxError::Ended { .. } => {
                "if its data are lost, it comes back as a new member: `member remove`, `member add`, `sandbox wipe`, \
                 `sandbox join`, `member promote`"
                    .to_owned()
            }
            SandboxError::State { help, .. } => (*help).to_owned(),
            SandboxError::HasData { .. } => "`sandbox wipe` moves it aside, so that the member starts empty".to_owned(),
            SandboxError::NoQuorum { .. } => "start the other members, or make a sandbox with more of them".to_owned(),
            SandboxError::NotServing { shortage, .. } => shortage.remedy(),
            SandboxError::Busy { .. } => "wait until it is done".to_owned(),
            SandboxError::Unreadable { .. } => "end its processes by hand, and remove its folder".to_owned(),
            _ => return None,
        })
    }

    fn member(&self) -> Option<String> {
        match self {
            SandboxError::NoMember { member, .. }
            | SandboxError::Ended { member, .. }
            | SandboxError::Survived { member, .. }
            | SandboxError::State { member, .. }
            | SandboxError::HasData { member, .. }
            | SandboxError::NoQuorum { member, .. } => Some(member.clone()),
            _ => None,
        }
    }

    fn outcome(&self) -> Option<String> {
        match self {
            SandboxError::Interrupted { left } => Some(left.clone()),
            _ => None,
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, SandboxError::Busy { .. } | SandboxError::NotServing { .. })
    }
}
