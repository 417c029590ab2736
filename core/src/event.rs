//! What happens while an operation runs. Events are for people who wait; everything in them that matters afterwards is in the
//! report too.

use std::fmt;

use serde::Serialize;

use crate::change::report::Outcome;
use crate::units::{Bytes, Elapsed, Timestamp, escape, escape_json, rfc3339};

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

impl Event {
    /// Returns it as one line in which nothing drives a terminal.
    pub fn line(&self) -> String {
        escape(&self.to_string()).replace(['\n', '\t'], " ")
    }

    /// Says whether its line is worth keeping when other things have happened since.
    pub fn stays(&self) -> bool {
        match self {
            Event::Step { .. } | Event::Warning { .. } => true,
            Event::Intent { .. } | Event::Acted { .. } | Event::Outcome { .. } => false,
            Event::Waiting { .. } | Event::Progress { .. } => false,
        }
    }

    /// Returns it as one line of JSON, with the time at which it happened, for programs. Spans are in nanoseconds, as everywhere.
    pub fn json(&self, at: Timestamp) -> String {
        #[derive(Serialize)]
        struct Told<'e> {
            time: String,
            #[serde(flatten)]
            event: &'e Event,
        }
        let told = Told { time: rfc3339(at.0), event: self };
        // An event is made of texts and numbers, all of which JSON has.
        escape_json(&serde_json::to_string(&told).unwrap_or_default())
    }
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
                write!(f, "waiting until {what}, for {} s: {status}", elapsed.duration().as_secs())
            }
            Event::Progress { what, done, total: Some(total) } => {
                write!(f, "{what}: {} of {} MB", done.0 / 1_000_000, total.0 / 1_000_000)
            }
            Event::Progress { what, done, total: None } => write!(f, "{what}: {} MB", done.0 / 1_000_000),
            Event::Warning { message } => write!(f, "warning: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_its_intent_to_its_outcome() {
        let step = || "defragment".to_owned();
        let over =
            |outcome, detail: &str| Event::Outcome { number: 3, step: step(), outcome, detail: detail.to_owned() };
        let told = [
            Event::Intent { number: 3, step: step() },
            Event::Acted { number: 3, step: step() },
            over(Outcome::Done, "12 MB freed"),
            over(Outcome::Already, ""),
        ];
        let lines: Vec<String> =
            told.iter().map(|event| format!("{} {}", event.line(), event.json(Timestamp(0)))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        step 3: defragment begins {"time":"1970-01-01T00:00:00Z","event":"intent","number":3,"step":"defragment"}
        step 3: defragment was sent {"time":"1970-01-01T00:00:00Z","event":"acted","number":3,"step":"defragment"}
        step 3: defragment: done (12 MB freed) {"time":"1970-01-01T00:00:00Z","event":"outcome","number":3,"step":"defragment","outcome":"done","detail":"12 MB freed"}
        step 3: defragment: already {"time":"1970-01-01T00:00:00Z","event":"outcome","number":3,"step":"defragment","outcome":"already","detail":""}
        "#);
    }

    /// One of each kind, as long and as hostile as they come.
    fn events() -> Vec<Event> {
        let (size, total) = (Bytes(8_388_608), Some(Bytes(20_971_552)));
        let elapsed = std::time::Duration::from_millis(12_400).into();
        let text = |text: &str| text.to_owned();
        vec![
            Event::Step { number: 2, of: 6, step: text("promote_member infra2\n\u{1b}[2J\u{202e}") },
            Event::Waiting {
                what: text("infra2 served"),
                status: text("1 of 3 members up;\tinfra2: \u{9b}2J"),
                elapsed,
            },
            Event::Progress { what: text("snapshot"), done: size, total },
            Event::Progress { what: text("snapshot"), done: size, total: None },
            Event::Warning { message: text("the disk is \"slow\"\u{7f}") },
        ]
    }

    #[test]
    fn what_people_see() {
        let lines: String = events()
            .iter()
            .map(|event| format!("{}{}\n", if event.stays() { "" } else { "… " }, event.line()))
            .collect();
        insta::assert_snapshot!(lines, @r#"
        step 2 of 6: promote_member infra2 \u{1b}[2J\u{202e}
        … waiting until infra2 served, for 12 s: 1 of 3 members up; infra2: \u{9b}2J
        … snapshot: 8 of 20 MB
        … snapshot: 8 MB
        warning: the disk is "slow"\u{7f}
        "#);
    }

    #[test]
    fn what_programs_read() {
        let at = Timestamp(1_790_000_000_123_000_000);
        let lines: Vec<String> = events().iter().map(|event| event.json(at)).collect();
        for (line, event) in lines.iter().zip(events()) {
            let told: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = serde_json::to_value(event).unwrap();
            assert!(fields.as_object().unwrap().iter().all(|(name, value)| told[name] == *value), "{line}");
        }
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"time":"2026-09-21T14:13:20.123Z","event":"step","number":2,"of":6,"step":"promote_member infra2\n\u001b[2J\u202e"}
        {"time":"2026-09-21T14:13:20.123Z","event":"waiting","what":"infra2 served","status":"1 of 3 members up;\tinfra2: \u009b2J","elapsed":12400000000}
        {"time":"2026-09-21T14:13:20.123Z","event":"progress","what":"snapshot","done":8388608,"total":20971552}
        {"time":"2026-09-21T14:13:20.123Z","event":"progress","what":"snapshot","done":8388608,"total":null}
        {"time":"2026-09-21T14:13:20.123Z","event":"warning","message":"the disk is \"slow\"\u007f"}
        "#);
    }
}
