//! Why a change ended before its end.

use crate::error::{Error, Fault, Interrupted, Sent};
use crate::value::{Record, Value};

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
        match (self.source.help(), self.source.code() == Interrupted::CODE) {
            (_, true) => Some("nothing is half-done; run it again to go on from what is there".to_owned()),
            (help, _) => help,
        }
    }

    fn outcome(&self) -> Option<String> {
        self.report.as_ref().and_then(in_words)
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

/// Ctrl-C was pressed, and came too late. A shell that was interrupted shows no answer any more, so this carries it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted, but {operation} was done already")]
pub(crate) struct DoneAlready {
    pub(crate) operation: &'static str,
    pub(crate) report: Value,
}

impl Fault for DoneAlready {
    fn code(&self) -> &'static str {
        Interrupted::CODE
    }

    fn outcome(&self) -> Option<String> {
        in_words(&self.report)
    }

    fn report(&self) -> Option<Value> {
        Some(self.report.clone())
    }
}

/// Tells what became of a change, from its report: a line for each step, and where all of it is written down.
fn in_words(report: &Value) -> Option<String> {
    let Value::Record(report) = report else { return None };
    let text = |record: &Record, name: &str| record.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
    let steps = match report.get("steps") {
        Some(Value::List(steps)) => steps.as_slice(),
        _ => &[],
    };
    let step = |step: &Value| match step {
        Value::Record(step) => {
            let [what, target, outcome, detail] = ["step", "target", "outcome", "detail"].map(|name| text(step, name));
            let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
            Some(format!("{what} {target}: {outcome}{detail}"))
        }
        _ => None,
    };
    let journal = Some(text(report, "journal")).filter(|path| !path.is_empty());
    let lines: Vec<_> = steps.iter().filter_map(step).chain(journal.map(|path| format!("journal: {path}"))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

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

    fn help(&self) -> Option<String> {
        Some("bring voters back first; `health` names those that are down".to_owned())
    }
}
