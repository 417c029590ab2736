//! Why a change ended before its end.

use crate::change::guard::Code;
use crate::error::{Error, Fault, Interrupted, Sent};
use crate::value::{Record, Value};

/// A change ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("{operation} stopped after {done} of {of} steps")]
pub struct Stopped {
    pub(crate) operation: String,
    pub(crate) done: usize,
    pub(crate) of: usize,
    /// Whether a closure does what is done on hosts.
    pub(crate) by_closure: bool,
    /// The profile by which the cluster was named.
    pub(crate) profile: Option<String>,
    pub(crate) report: Option<Value>,
    pub(crate) source: Error,
}

impl Stopped {
    /// Returns the name of the run, by which it can be gone on with.
    fn run(&self) -> Option<String> {
        let journal = self.report.as_ref()?.as_record()?.get("journal")?.as_text()?;
        Some(std::path::Path::new(journal).file_stem()?.to_string_lossy().into_owned())
    }
}

impl Fault for Stopped {
    fn code(&self) -> &'static str {
        self.source.code()
    }

    fn help(&self) -> Option<String> {
        let help = match (self.source.help(), self.source.code() == Interrupted::CODE) {
            (_, true) => Some("run it again to go on from what is there".to_owned()),
            (help, _) => help,
        };
        // What was found too full has to be compacted anew when keys were deleted.
        let full = self.source.code() == Code::SpaceNotFree.word();
        let on = self.run().filter(|_| (self.of > 1 || help.is_none()) && !full);
        let closure = if self.by_closure { ", with the same closure behind it" } else { "" };
        let profile =
            self.profile.as_ref().map(|name| format!(" with the profile {}", crate::units::escape_word(name)));
        let profile = profile.unwrap_or_default();
        let on = on.map(|run| format!("to go on where it stopped: `change resume {run}`{profile}{closure}"));
        let both: Vec<String> = help.into_iter().chain(on).collect();
        (!both.is_empty()).then(|| both.join("; "))
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
struct DoneAlready {
    operation: &'static str,
    report: Value,
}

/// Says that Ctrl-C came when an operation had done everything. A dry run has done nothing.
pub(crate) fn too_late(operation: &'static str, report: Value) -> Error {
    let rehearsed = matches!(&report, Value::Record(report) if report.get("executed") == Some(&Value::Bool(false)));
    if rehearsed { Interrupted.into() } else { DoneAlready { operation, report }.into() }
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
            let space = if target.is_empty() { "" } else { " " };
            Some(format!("{what}{space}{target}: {outcome}{detail}"))
        }
        _ => None,
    };
    let journal = Some(text(report, "journal")).filter(|path| !path.is_empty());
    let lines: Vec<_> = steps.iter().filter_map(step).chain(journal.map(|path| format!("journal: {path}"))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::failed::NobodyToAsk;

    fn record<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
        Value::Record(fields.into_iter().collect())
    }

    fn step(outcome: &str, detail: &str) -> Value {
        let text = |text: &str| Value::from(text);
        let (what, target) = (text("remove_member"), text("infra2 (b)"));
        record([("step", what), ("target", target), ("outcome", text(outcome)), ("detail", text(detail))])
    }

    #[test]
    fn what_was_done_already_is_told_with_its_facts() {
        let steps = Value::List(vec![step("done", "2 of 2 voters healthy"), step("skipped", "")]);
        let report =
            record([("executed", Value::Bool(true)), ("steps", steps), ("journal", Value::from("/changes/a.jsonl"))]);
        let error = too_late("member remove", report.clone());
        assert_eq!(error.to_string(), "interrupted, but member remove was done already");
        let told = "remove_member infra2 (b): done (2 of 2 voters healthy)\nremove_member infra2 (b): skipped\n\
                    journal: /changes/a.jsonl";
        assert_eq!((error.code(), error.outcome().as_deref()), ("interrupted", Some(told)));
        assert_eq!(error.report(), Some(report));
    }

    #[test]
    fn what_stopped_half_way_can_be_gone_on_with() {
        let stopped = |of: usize| {
            let report = record([("journal", Value::from("/changes/20261126T031500Z-defrag-87b8.jsonl"))]);
            let source = NobodyToAsk.into();
            Error::from(Stopped {
                operation: "defrag".to_owned(),
                done: 1,
                of,
                by_closure: of == 3,
                profile: Some("prod".to_owned()).filter(|_| of == 3),
                report: Some(report),
                source,
            })
        };
        let said = [stopped(3).help(), stopped(1).help()].map(Option::unwrap_or_default).join("\n");
        insta::assert_snapshot!(said, @"
        bring voters back first; `health` names those that are down; to go on where it stopped: `change resume 20261126T031500Z-defrag-87b8` with the profile prod, with the same closure behind it
        bring voters back first; `health` names those that are down
        ");
    }

    #[test]
    fn a_dry_run_has_done_nothing() {
        let error = too_late("member remove", record([("executed", Value::Bool(false)), ("journal", Value::Null)]));
        assert_eq!((error.to_string().as_str(), error.outcome()), ("interrupted", None));
    }

    #[test]
    fn what_is_no_change_of_a_cluster_has_no_steps() {
        let rows = Value::List(vec![record([("name", Value::from("infra1"))])]);
        let error = too_late("sandbox start", rows);
        assert_eq!(error.to_string(), "interrupted, but sandbox start was done already");
        assert_eq!(error.outcome(), None);
    }
}
