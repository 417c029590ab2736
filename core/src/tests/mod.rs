//! What users are told when something goes wrong, all of it side by side, to be read as they read it. The test `messages` of
//! the workspace holds that no message is missing from the tests.

mod arguments;
mod changes;
mod hosts;
mod mistakes;
mod objections;
mod procedures;
mod sandboxes;

use std::fmt::Write;

use crate::error::Error;

/// Shows everything that a user can see of errors.
pub(crate) fn shown(errors: impl IntoIterator<Item = Error>) -> String {
    errors.into_iter().fold(String::new(), |mut text, error| {
        let argument = error.argument().map_or_else(String::new, |argument| format!(" ({argument})"));
        let _ = writeln!(text, "{}{argument}: {error}", error.code());
        for cause in error.causes() {
            let _ = writeln!(text, "  because: {cause}");
        }
        if let Some(help) = error.help() {
            let _ = writeln!(text, "  help: {help}");
        }
        text
    })
}
