//! Why a change ended before its end.

use crate::error::{Error, Fault, Interrupted, Sent};
use crate::value::Value;

/// A change ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("{operation} stopped after {done} of {of} steps")]
pub struct Stopped {
    pub(crate) operation: String,
    pub(crate) done: usize,
    pub(crate) of: usize,
    pub(crate) report: Option<Value>,
    pub(crate) source: Error,
}

impl Fault for Stopped {
    fn code(&self) -> &'static str {
        self.source.code()
    }

    fn help(&self) -> Option<String> {
        match (self.source.help(), self.source.code() == Interrupted.code()) {
            (_, true) => Some("nothing is half-done; run it again to go on from what is there".to_owned()),
            (help, _) => help,
        }
    }

    fn sent(&self) -> Option<Sent> {
        self.source.sent()
    }

    fn retryable(&self) -> bool {
        self.source.retryable()
    }

    fn endpoint(&self) -> Option<String> {
        self.source.endpoint()
    }

    fn member(&self) -> Option<String> {
        self.source.member()
    }

    fn argument(&self) -> Option<&str> {
        self.source.argument()
    }

    fn report(&self) -> Option<Value> {
        self.report.clone()
    }
}

/// An answer was lost, and reading did not tell what came of it.
#[derive(Debug, thiserror::Error)]
#[error("the answer to {step} was lost, and the cluster does not show it")]
pub(crate) struct OutcomeUnknown {
    pub(crate) step: &'static str,
    pub(crate) source: Error,
}

impl Fault for OutcomeUnknown {
    fn code(&self) -> &'static str {
        "outcome_unknown"
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
    pub(crate) planned: crate::id::ClusterId,
    pub(crate) found: crate::id::ClusterId,
}

impl Fault for OtherCluster {
    fn code(&self) -> &'static str {
        "cluster_mismatch"
    }

    fn help(&self) -> Option<String> {
        Some("check the endpoints; nothing was changed on the other cluster".to_owned())
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
}
