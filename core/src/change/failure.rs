//! Why a member did not answer a question, as plain data.

use crate::error::{Error, Fault, Sent};

/// Why a question to a member has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable code of the error.
    pub code: &'static str,
    /// The error with its causes, in one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the question reached the member.
    pub sent: Sent,
}

/// The answer to one question to one member.
pub type Answered<T> = Result<T, Failure>;

impl Failure {
    /// A failure that is known without asking.
    pub(crate) fn unasked(code: &'static str, message: &str) -> Self {
        Failure { code, message: message.to_owned(), help: None, sent: Sent::Never }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let sent = error.sent().unwrap_or(Sent::Answered);
        Failure { code: error.code(), message: error.in_one_line(), help: error.help(), sent }
    }
}

/// The failure of one member may be what is wrong with the whole question.
impl Fault for Failure {
    fn code(&self) -> &'static str {
        self.code
    }

    fn help(&self) -> Option<String> {
        self.help.clone()
    }

    fn sent(&self) -> Option<Sent> {
        Some(self.sent)
    }
}
