//! What ends a task: a message for the person at the terminal, and the exit code.

use std::fmt;
use std::io;
use std::path::Path;

/// The result of every step of a task.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a task ended early.
#[derive(Debug)]
pub(crate) struct Error {
    /// The whole message, which may span several lines.
    pub(crate) message: String,
    /// The exit code of the process, never 0.
    pub(crate) code: u8,
}

impl Error {
    /// A failure of the task itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// A command line that was not understood.
    pub(crate) fn usage(message: &str) -> Self {
        Self { message: message.to_owned(), code: 2 }
    }

    /// A file operation that failed, for use in `map_err`.
    pub(crate) fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(format!("cannot {verb} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}
