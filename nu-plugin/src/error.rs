//! Core's errors as Nushell shows them.

use etcdsh_core::error::Error;
use nu_protocol::{Config, LabeledError, ShellError, Span};

use crate::call::Spans;
use crate::value::to_nu;

/// Turns an error of core's into one of Nushell's, with a label on the argument that it belongs to. An error that was
/// Nushell's to begin with, from a closure or a configuration, comes out as it went in.
pub fn labeled(error: Error, spans: &Spans) -> LabeledError {
    let (native, error) = error.split_native::<ShellError>();
    match native {
        Some(native) => with_report(native, &error, spans),
        None => own(&error, spans),
    }
}

/// Adds to an error of Nushell's what became of the change that it ended.
fn with_report(native: ShellError, error: &Error, spans: &Spans) -> LabeledError {
    let mut labeled = match native {
        ShellError::LabeledError(own) => *own,
        native => native.into(),
    };
    if error.report().is_some() {
        let stopped = own(error, spans);
        let help: Vec<String> = labeled.help.take().into_iter().chain([stopped.msg]).chain(stopped.help).collect();
        labeled.help = Some(help.join("\n"));
        labeled = report(error, spans.head()).into_iter().fold(labeled, LabeledError::with_inner);
    }
    labeled
}

fn own(error: &Error, spans: &Spans) -> LabeledError {
    let (label, span) = match error.argument().and_then(|argument| spans.of(argument)) {
        Some(span) => ("given here", span),
        None => ("in this call", spans.head()),
    };
    let message = error.to_string();
    let mut labeled = LabeledError::new(&message).with_code(format!("etcd::{}", error.code())).with_label(label, span);
    let help: Vec<String> = error.help().into_iter().chain(facts(error, &message)).collect();
    if !help.is_empty() {
        labeled = labeled.with_help(help.join("\n"));
    }
    for cause in error.causes() {
        // Transport errors like to repeat themselves on the way up.
        if !message.contains(&cause) {
            labeled = labeled.with_inner(LabeledError::new(cause));
        }
    }
    report(error, span).into_iter().fold(labeled, LabeledError::with_inner)
}

/// Returns where things stand as data.
fn report(error: &Error, span: Span) -> Option<LabeledError> {
    let report = to_nu(error.report()?, span).to_parsable_string(", ", &Config::default());
    Some(LabeledError::new(report).with_code("etcd::report").with_help("the details as data, for `from nuon`"))
}

/// Returns what the message does not say itself: where it came from, and what became of a change.
fn facts(error: &Error, message: &str) -> Vec<String> {
    let mut facts = Vec::new();
    let mut place = |what: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !message.contains(value.as_str())) {
            facts.push(format!("{what}: {value}"));
        }
    };
    place("member", error.member());
    place("endpoint", error.endpoint());
    facts.extend(error.outcome());
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcdsh_core::args::BadArgument;
    use etcdsh_core::error::{Fault, Interrupted, Sent};

    const HEAD: Span = Span { start: 0, end: 9 };
    const FLAG: Span = Span { start: 10, end: 20 };

    fn spans() -> Spans {
        let mut spans = Spans::new(HEAD);
        spans.add("tls_pin", FLAG);
        spans
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no answer from infra1")]
    struct NoAnswer(#[source] std::io::Error);

    impl Fault for NoAnswer {
        fn code(&self) -> &'static str {
            "unreachable"
        }
        fn help(&self) -> Option<String> {
            Some("start it".to_owned())
        }
        fn member(&self) -> Option<String> {
            Some("infra1".to_owned())
        }
        fn sent(&self) -> Option<Sent> {
            Some(Sent::Maybe)
        }
    }

    #[test]
    fn the_culprit_carries_the_label() {
        let error = BadArgument::invalid("tls_pin", "is too short", "give 64 digits").into();
        let labeled = labeled(error, &spans());
        assert_eq!(labeled.msg, "the argument tls_pin is too short");
        assert_eq!(labeled.code.as_deref(), Some("etcd::invalid_argument"));
        assert_eq!(labeled.help.as_deref(), Some("give 64 digits"));
        assert_eq!(labeled.labels[0].span, FLAG);
    }

    #[test]
    fn an_argument_that_was_not_typed_leaves_the_label_on_the_command() {
        let labeled = labeled(BadArgument::invalid("timeout", "is none", "").into(), &spans());
        assert_eq!(labeled.labels[0].span, HEAD);
    }

    #[test]
    fn causes_and_facts_are_told_once() {
        let source = std::io::Error::other("connection reset");
        let labeled = labeled(Error::from(NoAnswer(source)).at_endpoint("http://a:1").of_a_change(), &spans());
        assert_eq!(labeled.inner.len(), 1);
        assert_eq!(labeled.inner[0].to_string(), "connection reset");
        let help = "start it\nendpoint: http://a:1\nit was sent and no answer came, so it may have been applied";
        assert_eq!(labeled.help.as_deref(), Some(help));
    }

    #[test]
    fn a_read_may_always_be_repeated() {
        let error = Error::from(NoAnswer(std::io::Error::other("connection reset")));
        assert_eq!(labeled(error, &spans()).help.as_deref(), Some("start it"));
    }

    #[test]
    fn nushells_own_errors_pass_through() {
        let own = LabeledError::new("veto").with_code("my::code").with_label("here", FLAG);
        let error = Error::from_hook("veto", ShellError::from(own.clone()));
        assert_eq!(labeled(error, &spans()), own);
    }

    #[test]
    fn an_interruption_is_named() {
        assert_eq!(labeled(Interrupted.into(), &spans()).code.as_deref(), Some("etcd::interrupted"));
    }
}
