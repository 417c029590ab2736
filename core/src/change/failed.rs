//! Why a step failed.

use std::path::PathBuf;

use crate::change::guard::{Code, Refused};
use crate::error::{Error, Fault, Sent};
use crate::id::ClusterId;
use crate::rpc::AlarmKind;

/// An answer was lost, and reading did not tell what came of it.
#[derive(Debug, thiserror::Error)]
#[error("the answer to {step} was lost, and the cluster does not show it")]
pub(crate) struct OutcomeUnknown {
    pub(crate) step: &'static str,
    pub(crate) source: Error,
}

impl OutcomeUnknown {
    pub(crate) const CODE: &str = "outcome_unknown";
}

impl Fault for OutcomeUnknown {
    fn code(&self) -> &'static str {
        Self::CODE
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Maybe)
    }

    fn help(&self) -> Option<String> {
        Some("it may still be applied; look at `member list` before you run this again".to_owned())
    }
}

/// Another cluster stands behind the endpoints than the one that the plan was made for.
#[derive(Debug, thiserror::Error)]
#[error("the plan was made for cluster {planned}, and the endpoints lead to cluster {found} now")]
pub(crate) struct OtherCluster {
    pub(crate) planned: ClusterId,
    pub(crate) found: ClusterId,
}

impl Fault for OtherCluster {
    fn code(&self) -> &'static str {
        "cluster_mismatch"
    }

    fn help(&self) -> Option<String> {
        Some("check the endpoints; nothing was changed on the other cluster".to_owned())
    }
}

/// Somebody else has gone on with the run while the right to do so was waited for.
#[derive(Debug, thiserror::Error)]
#[error("the run {run} was gone on with meanwhile, by the run {by}")]
pub(crate) struct AlreadyResumed {
    pub(crate) run: String,
    pub(crate) by: String,
}

impl Fault for AlreadyResumed {
    fn code(&self) -> &'static str {
        "already_resumed"
    }

    fn help(&self) -> Option<String> {
        Some(format!("`change show {}` says how that went; if something is left to do, resume it", self.by))
    }
}

/// The file for the snapshot is there already, and no run that this one goes on with has written it.
#[derive(Debug, thiserror::Error)]
#[error("{} exists already", path.display())]
pub(crate) struct NotOurs {
    pub(crate) path: PathBuf,
}

impl Fault for NotOurs {
    fn code(&self) -> &'static str {
        "file_exists"
    }

    fn argument(&self) -> Option<&str> {
        Some("snapshot")
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }

    fn help(&self) -> Option<String> {
        Some("choose another name; only a snapshot that is saved now is one to go back to".to_owned())
    }
}

/// What a step has to wait for did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("{waited}")]
pub(crate) struct NotReady {
    pub(crate) waited: Error,
    pub(crate) refused: Refused,
}

impl Fault for NotReady {
    fn code(&self) -> &'static str {
        self.waited.code()
    }

    fn help(&self) -> Option<String> {
        self.refused.help()
    }

    fn retryable(&self) -> bool {
        self.waited.retryable()
    }
}

/// There is nobody who could carry out the step.
#[derive(Debug, thiserror::Error)]
#[error("no healthy voter can be asked")]
pub(crate) struct NobodyToAsk;

impl Fault for NobodyToAsk {
    fn code(&self) -> &'static str {
        "no_quorum"
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }

    fn help(&self) -> Option<String> {
        Some("bring voters back first; `health` names those that are down".to_owned())
    }
}

/// Nobody can start and stop the member.
#[derive(Debug, thiserror::Error)]
#[error("nothing says how {member} is stopped and started")]
pub(crate) struct NoHost {
    pub(crate) member: String,
}

impl Fault for NoHost {
    fn code(&self) -> &'static str {
        "no_host"
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }

    fn help(&self) -> Option<String> {
        Some("say it in the profile, under `hosts`, or give a closure that does it".to_owned())
    }
}

/// A member was to be restarted, and nothing of that was seen.
#[derive(Debug, thiserror::Error)]
#[error("{} has ended, and {member} was not seen to go away", self.what())]
pub(crate) struct NotRestarted {
    pub(crate) member: String,
    /// What drives its host; none, where a closure does.
    pub(crate) host: Option<String>,
    pub(crate) source: Error,
}

impl NotRestarted {
    fn what(&self) -> String {
        self.host.as_ref().map_or_else(|| "the closure".to_owned(), |host| format!("the restart by {host}"))
    }
}

impl Fault for NotRestarted {
    fn code(&self) -> &'static str {
        Code::NotRestarted.word()
    }

    fn member(&self) -> Option<String> {
        Some(self.member.clone())
    }

    fn help(&self) -> Option<String> {
        let help = match self.host {
            Some(_) => "it was another one's process: correct hosts in the profile; `health` shows how the members are",
            None => {
                "see that the closure restarts the member that it is given; give wait the time that a reboot takes to begin; to go \
                 on with members that were not restarted, allow not_restarted"
            }
        };
        Some(help.to_owned())
    }
}

/// A closure was to start a member, and it was not seen to serve.
#[derive(Debug, thiserror::Error)]
#[error("the closure has ended, and {member} was not seen to serve")]
pub(crate) struct NotStarted {
    pub(crate) member: String,
    pub(crate) source: Error,
}

impl Fault for NotStarted {
    fn code(&self) -> &'static str {
        "not_started"
    }

    fn member(&self) -> Option<String> {
        Some(self.member.clone())
    }

    fn help(&self) -> Option<String> {
        let help = "see in its log why; data of an older member, or a process that was not stopped, keep a new one from starting: move \
                    them aside on its host, which a closure is not asked for again, and go on";
        Some(help.to_owned())
    }
}

/// The process of a member that was to come up has ended.
#[derive(Debug, thiserror::Error)]
#[error("{member} ended instead of serving, on {host}{}", self.why())]
pub(crate) struct Ended {
    pub(crate) member: String,
    pub(crate) host: String,
    pub(crate) log: Vec<String>,
}

impl Ended {
    fn why(&self) -> String {
        self.log.last().map_or_else(String::new, |line| format!(": {line}"))
    }
}

impl Fault for Ended {
    fn code(&self) -> &'static str {
        "member_ended"
    }

    fn member(&self) -> Option<String> {
        Some(self.member.clone())
    }

    fn help(&self) -> Option<String> {
        Some("its log says why; mend that, and resume the run".to_owned())
    }
}

/// The members are not known to hold the same data.
#[derive(Debug, thiserror::Error)]
#[error("the members are not known to hold the same data: {told}")]
pub(crate) struct NotEqual {
    pub(crate) told: String,
}

impl Fault for NotEqual {
    fn code(&self) -> &'static str {
        "data_differ"
    }

    fn help(&self) -> Option<String> {
        Some(
            "`hash` shows all of it; replace a member that differs, and bring back one that does not answer".to_owned(),
        )
    }
}

/// Compaction and defragmentation did not make enough room.
#[derive(Debug, thiserror::Error)]
#[error("there is not enough room after compaction and defragmentation")]
pub(crate) struct StillFull {
    pub(crate) source: Error,
}

impl StillFull {
    pub(crate) const CODE: &str = "space_not_free";
}

impl Fault for StillFull {
    fn code(&self) -> &'static str {
        Self::CODE
    }

    fn help(&self) -> Option<String> {
        let help = "what fills it is needed now: delete keys, or raise --quota-backend-bytes on every member; then run this again";
        Some(help.to_owned())
    }
}

/// No snapshot could be taken before the change.
#[derive(Debug, thiserror::Error)]
#[error("no snapshot could be saved first, so nothing was changed")]
pub(crate) struct SnapshotFailed {
    pub(crate) source: Error,
}

impl Fault for SnapshotFailed {
    fn code(&self) -> &'static str {
        "no_snapshot"
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }

    fn help(&self) -> Option<String> {
        let help = self.source.help().map(|help| format!("{help}; ")).unwrap_or_default();
        Some(format!("{help}to do without a snapshot, allow no_snapshot"))
    }
}

/// A member that was to be healthy has an alarm.
#[derive(Debug, thiserror::Error)]
#[error("{member} has the alarm {}", alarm.word().to_uppercase())]
pub(crate) struct Alarmed {
    pub(crate) member: String,
    pub(crate) alarm: AlarmKind,
}

impl Fault for Alarmed {
    fn code(&self) -> &'static str {
        "member_alarmed"
    }

    fn help(&self) -> Option<String> {
        Some(match self.alarm {
            AlarmKind::NoSpace => {
                "its database has outgrown the quota, as after many old values were copied: `space recover` makes room"
                    .to_owned()
            }
            _ => "`hash` shows whose data differ; `member replace` makes a new member of it".to_owned(),
        })
    }
}
