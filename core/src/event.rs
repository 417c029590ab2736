//! What happens while an operation runs. Events are for people who wait; everything in them that matters afterwards is in the
//! report too.

use std::fmt;

use serde::Serialize;

use crate::change::report::Outcome;
use crate::units::{Bytes, Elapsed};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step of a change begins.
    Step {
        /// Its place, counted from one.
        number: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        step: String,
    },
    /// What a step is about to do is on disk in the journal; nothing was sent yet.
    Intent {
        /// The step's place.
        number: usize,
        /// What it does.
        step: String,
    },
    /// A step has done what it was to do; whether it came true is looked at next.
    Acted {
        /// The step's place.
        number: usize,
        /// What it does.
        step: String,
    },
    /// A step is over, and the journal says so.
    Outcome {
        /// The step's place.
        number: usize,
        /// What it did.
        step: String,
        /// What came of it.
        outcome: Outcome,
        /// More about it.
        detail: String,
    },
    /// Something is awaited.
    Waiting {
        /// What.
        what: String,
        /// How it stood at the last look.
        status: String,
        /// For how long already.
        elapsed: Elapsed,
    },
    /// Bytes are moving.
    Progress {
        /// What they belong to.
        what: String,
        /// How many have moved.
        done: Bytes,
        /// How many there are, where that is known.
        total: Option<Bytes>,
    },
    /// Something that its reader should know, although the operation goes on.
    Warning {
        /// What.
        message: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Step { number, of, step } => write!(f, "step {number} of {of}: {step}"),
            Event::Intent { number, step } => write!(f, "step {number}: {step} begins"),
            Event::Acted { number, step } => write!(f, "step {number}: {step} was sent"),
            Event::Outcome { number, step, outcome, detail } => {
                let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
                write!(f, "step {number}: {step}: {outcome}{detail}")
            }
            Event::Waiting { what, status, elapsed } => {
                write!(f, "waiting until {what} ({status}, {} s)", elapsed.duration().as_secs())
            }
            Event::Progress { what, done, total: Some(total) } => {
                write!(f, "{what}: {} of {} MB", done.0 / 1_000_000, total.0 / 1_000_000)
            }
            Event::Progress { what, done, total: None } => write!(f, "{what}: {} MB", done.0 / 1_000_000),
            Event::Warning { message } => write!(f, "warning: {message}"),
        }
    }
}
