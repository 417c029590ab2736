//! The errors that a server answers with, in one table.

use tonic::{Code, Status};

/// What is known about an error of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// A part of the message that tells it from the others.
    says: &'static str,
    /// The stable word for it.
    pub code: &'static str,
    /// Whether the same call may succeed a moment later.
    pub retryable: bool,
    /// Whether the server may have done what was asked in spite of the error.
    pub maybe_done: bool,
    /// What to do about it.
    pub help: Option<&'static str>,
}

const fn no(says: &'static str, code: &'static str) -> Answer {
    Answer { says, code, retryable: false, maybe_done: false, help: None }
}

impl Answer {
    const fn later(self) -> Self {
        Answer { retryable: true, ..self }
    }

    const fn maybe_done(self) -> Self {
        Answer { maybe_done: true, ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Answer { help: Some(help), ..self }
    }
}

/// The first entry whose text occurs in the message counts, so the longer text goes before the shorter.
static ANSWERS: &[Answer] = &[
    no("permission denied", "permission_denied"),
    no("learner member which is in sync with leader", "learner_not_ready").later(),
    no("request timed out", "timeout").later().maybe_done(),
    no("user name is empty", "unauthenticated").help("give --user"),
];

static OTHER: Answer = no("", "server");

/// Finds what is known about an error of the server.
pub(super) fn find(status: &Status) -> &'static Answer {
    match status.code() {
        Code::PermissionDenied => ANSWERS.first().unwrap_or(&OTHER),
        _ => ANSWERS.iter().find(|answer| status.message().contains(answer.says)).unwrap_or(&OTHER),
    }
}
