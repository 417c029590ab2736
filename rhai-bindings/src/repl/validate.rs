//! Whether what was typed is whole, or goes on in the next line.

use std::sync::Arc;

use reedline::{ValidationResult, Validator};
use rhai::{LexError, ParseError, ParseErrorType};

use super::scan::{Kind, scan};
use crate::engine::Interpreter;

/// Decides with the engine's own parser.
pub(super) struct Whole(pub(super) Arc<Interpreter>);

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        if is_whole(&self.0, text) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// Says whether a text is to be run. What is wrong before its end is whole: it will not get better by going on.
pub(super) fn is_whole(interpreter: &Interpreter, text: &str) -> bool {
    // Two empty lines ask for it to be run as it is.
    if text.ends_with("\n\n") || super::is_command(text) {
        return true;
    }
    // The parser takes a comment without an end for one that ends with the text.
    if scan(text).last().is_some_and(|piece| piece.open && piece.kind == Kind::Comment) {
        return false;
    }
    interpreter.engine.compile(text).err().is_none_or(|error| !at_end(text, &error))
}

fn at_end(text: &str, error: &ParseError) -> bool {
    match error.err_type() {
        ParseErrorType::UnexpectedEOF => return true,
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            return scan(text).last().is_some_and(|piece| {
                piece.open && text.get(piece.range.clone()).is_some_and(|quoted| quoted.starts_with('`'))
            });
        }
        _ => {}
    }
    let place = error.position();
    let (Some(line), column) = (place.line(), place.position().unwrap_or(1)) else { return true };
    let mut lines = text.lines().skip(line.saturating_sub(1));
    let rest_of_line: String = lines.next().unwrap_or_default().chars().skip(column.saturating_sub(1)).collect();
    scan(&rest_of_line).iter().all(|piece| piece.kind == Kind::Comment) && lines.all(|line| line.trim().is_empty())
}
