//! What can go wrong with a member's host.

use crate::error::{Fault, Interrupted};
use crate::units::Elapsed;
use crate::wait::TimedOut;

/// A host cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// ssh did not get through.
    #[error("{host} cannot be reached: {said}")]
    Unreachable {
        /// Whom ssh was to call.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// A program that is needed on this machine is not there.
    #[error("the program {program} is not in a folder of PATH")]
    NoProgram {
        /// Its name.
        program: String,
    },
    /// A command failed.
    #[error("on {place}, `{command}` ended with exit code {code}: {said}")]
    Failed {
        /// The machine.
        place: String,
        /// The command.
        command: String,
        /// What it exited with.
        code: i32,
        /// What it said.
        said: String,
    },
    /// A command did not end.
    #[error("on {place}, `{command}` did not end within {bound}")]
    TooSlow {
        /// The machine.
        place: String,
        /// The command.
        command: String,
        /// How long it was waited for.
        bound: Elapsed,
    },
    /// A command said more than can be right.
    #[error("on {place}, `{command}` answered with more than {limit} bytes")]
    TooLong {
        /// The machine.
        place: String,
        /// The command.
        command: String,
        /// The most that is read.
        limit: usize,
    },
    /// A program could not be started or talked to.
    #[error("cannot run {program}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The host does not have what the profile names.
    #[error("{what} is not there on {place}")]
    Missing {
        /// What the profile names.
        what: String,
        /// The machine.
        place: String,
    },
    /// The process is there.
    #[error("the process of {member} is there ({by}), {consequence}")]
    Runs {
        /// The member.
        member: String,
        /// What runs it.
        by: String,
        /// What follows.
        consequence: &'static str,
    },
    /// A start configuration would not reach etcd.
    #[error("{by} cannot be given a start configuration for {member}: {why}")]
    Deaf {
        /// The member.
        member: String,
        /// What runs it.
        by: String,
        /// Why.
        why: String,
        /// What to do.
        help: String,
    },
    /// The profile has another data dir than the process.
    #[error("{by} has the {setting} {dir}, and the profile says {profile} for {member}")]
    Dir {
        /// The member.
        member: String,
        /// What runs it.
        by: String,
        /// Which folder, as the profile calls it: `data_dir` or `wal_dir`.
        setting: &'static str,
        /// That of the process.
        dir: String,
        /// That of the profile.
        profile: String,
    },
    /// A WAL dir holds more than etcd puts there.
    #[error("{path} on {place} holds {name}, which is none of a WAL's files")]
    NotOnlyWal {
        /// The folder.
        path: String,
        /// The machine.
        place: String,
        /// What else is there.
        name: String,
    },
    /// Data that cannot be moved aside by a new name for their folder.
    #[error("{path} on {place} {why}, so it cannot be moved aside")]
    Unmovable {
        /// The folder.
        path: String,
        /// The machine.
        place: String,
        /// Why.
        why: &'static str,
    },
    /// Something lies where data are to be put.
    #[error("{path} is there on {place}, where new data are to be put")]
    Occupied {
        /// What is there.
        path: String,
        /// The machine.
        place: String,
    },
    /// The process ended when it should have gone on.
    #[error("{member} ended at once ({by}){}", after(lines))]
    Ended {
        /// The member.
        member: String,
        /// What runs it.
        by: String,
        /// The end of its log.
        lines: Vec<String>,
    },
    /// Data did not go where they were moved.
    #[error("{path} on {place} was to be moved, and is still there{}", why(said))]
    NotMoved {
        /// What was to be moved.
        path: String,
        /// The machine.
        place: String,
        /// What was said of it.
        said: String,
    },
    /// What was ordered did not come true in time, and may come true later.
    #[error("{left}, and may do so later")]
    Late {
        /// What was ordered.
        left: String,
        /// How long it was waited for.
        source: crate::Error,
    },
    /// Ctrl-C was pressed.
    #[error("interrupted")]
    Interrupted {
        /// What was left behind.
        left: String,
    },
}

fn after(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; the end of its log:\n{}", lines.join("\n")) }
}

/// Says what an interruption leaves behind, or a bound that passes.
pub(super) fn cut(left: impl FnOnce() -> String) -> impl FnOnce(crate::Error) -> crate::Error {
    move |error| match error.code() {
        Interrupted::CODE if error.outcome().is_none() => HostError::Interrupted { left: left() }.into(),
        TimedOut::CODE => HostError::Late { left: left(), source: error }.into(),
        _ => error,
    }
}

impl Fault for HostError {
    fn code(&self) -> &'static str {
        match self {
            HostError::Unreachable { .. } => "host_unreachable",
            HostError::NoProgram { .. } => "program_not_found",
            HostError::Failed { .. }
            | HostError::TooSlow { .. }
            | HostError::TooLong { .. }
            | HostError::Io { .. }
            | HostError::NotMoved { .. } => "host_failed",
            HostError::Missing { .. } => "host_not_found",
            HostError::Runs { .. } => "host_state",
            HostError::Deaf { .. } => "host_start_configuration",
            HostError::Dir { .. }
            | HostError::NotOnlyWal { .. }
            | HostError::Unmovable { .. }
            | HostError::Occupied { .. } => "host_data_dir",
            HostError::Ended { .. } => "host_member_ended",
            HostError::Late { .. } => TimedOut::CODE,
            HostError::Interrupted { .. } => Interrupted::CODE,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            HostError::Unreachable { host, .. } => {
                format!("see that `ssh {host} true` works without asking anything, or correct host in the profile")
            }
            HostError::NoProgram { .. } => "install it, or add its folder to PATH".to_owned(),
            HostError::Failed { said, .. } if is_forbidden(said) => {
                "see that the user may do that there, for example as root".to_owned()
            }
            HostError::Failed { .. } => "see on that machine why; when that is mended, go on, or run this again".to_owned(),
            HostError::TooSlow { .. } => "see what keeps that machine busy, and run this again".to_owned(),
            HostError::Missing { .. } => "correct hosts in the profile".to_owned(),
            HostError::Runs { .. } => "stop it first".to_owned(),
            HostError::Deaf { help, .. } => help.clone(),
            HostError::Dir { setting, .. } => {
                format!("correct {setting} in the profile, or the host, if another member runs there")
            }
            HostError::NotOnlyWal { .. } => {
                "correct wal_dir in the profile: it is moved aside as a whole, so it has to be one member's alone".to_owned()
            }
            HostError::Unmovable { .. } => {
                "etcd's folders are moved aside under another name in their place: let the profile and etcd name the folder itself, in one \
                 that its user may write to, on a disk that works; or give `host` a closure that does it"
                    .to_owned()
            }
            HostError::Occupied { .. } => "move it aside by hand, and see who put it there".to_owned(),
            HostError::NotMoved { .. } => "move it aside by hand; delete nothing".to_owned(),
            HostError::Late { .. } => {
                "see with `health` what became of it; a member that is down then is brought back when this is gone on with".to_owned()
            }
            _ => return None,
        })
    }

    fn member(&self) -> Option<String> {
        match self {
            HostError::Runs { member, .. }
            | HostError::Deaf { member, .. }
            | HostError::Dir { member, .. }
            | HostError::Ended { member, .. } => Some(member.clone()),
            _ => None,
        }
    }

    fn outcome(&self) -> Option<String> {
        match self {
            HostError::Interrupted { left } => Some(left.clone()),
            _ => None,
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, HostError::Unreachable { .. } | HostError::TooSlow { .. } | HostError::Late { .. })
    }
}

/// Says whether a command failed because its user may not do that.
fn is_forbidden(said: &str) -> bool {
    ["denied", "not permitted", "authentication", "authorized"].iter().any(|word| said.contains(word))
}

fn why(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
