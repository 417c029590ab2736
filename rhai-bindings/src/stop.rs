//! Why an evaluation stops without having failed. It travels as the token of a termination, which no script can catch.

use rhai::{Dynamic, EvalAltResult, Map, Position};

/// Why an evaluation stops.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The script called `exit`.
    Exit(u8),
    /// The user pressed Ctrl-C; with where the work that was under way now stands.
    Interrupted(Option<Map>),
    /// Nobody reads the output any more.
    NoReader,
    /// The output cannot be written, for this reason.
    Unwritable(String),
    /// It holds too much memory.
    Exhausted,
}

impl Stop {
    /// Makes the error that ends the evaluation.
    pub fn raise(self) -> Box<EvalAltResult> {
        Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(self), Position::NONE))
    }

    /// Finds out whether an error is a stop.
    pub fn of(error: &EvalAltResult) -> Option<Stop> {
        match error.unwrap_inner() {
            EvalAltResult::ErrorTerminated(token, _) => token.clone().try_cast::<Stop>(),
            _ => None,
        }
    }
}
