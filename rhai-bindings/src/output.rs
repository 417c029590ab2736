//! Where output goes: results and `print` to standard output; `debug`, errors and progress to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcdsh_core::event::Event;
use etcdsh_core::progress::Progress;
use etcdsh_core::units::{Timestamp, escape_json, rfc3339};
use serde_json::{Map, Value as Json};

use crate::report::Report;
use crate::session::{Events, Print};
use crate::table::Canvas;

/// The streams of the process.
#[derive(Debug)]
pub struct Output {
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// Whether `NO_COLOR` or a dumb terminal forbid colour.
    plain: bool,
    /// Whether a program reads what happens, in place of a person.
    json_events: bool,
    /// What a person who waits sees on standard error.
    progress: Mutex<Progress>,
}

impl Output {
    /// Looks at the streams.
    pub fn new(no_color: bool, dumb: bool, json_events: bool) -> Arc<Self> {
        let stderr_terminal = io::stderr().is_terminal();
        Arc::new(Output {
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal,
            plain: no_color || dumb,
            json_events,
            progress: Mutex::new(Progress::new(stderr_terminal && !dumb)),
        })
    }

    /// Returns what tables are drawn on.
    pub fn canvas(&self, rows: usize) -> Canvas {
        Canvas {
            width: self.stdout_terminal.then(|| width().max(20)),
            rows,
            colour: self.stdout_terminal && !self.plain,
        }
    }

    /// Says whether errors are coloured.
    pub fn colour_errors(&self) -> bool {
        self.stderr_terminal && !self.plain && !self.json_events
    }

    /// Returns where a script's `print` goes.
    pub fn printer(self: &Arc<Self>) -> Print {
        let out = Arc::clone(self);
        Box::new(move |text| {
            out.erase_progress();
            writeln!(io::stdout().lock(), "{text}")
        })
    }

    /// Returns where a script's `debug` goes.
    pub fn debugger(self: &Arc<Self>) -> Print {
        let out = Arc::clone(self);
        Box::new(move |text| {
            if !out.json_events {
                return out.line(text);
            }
            out.object("debug", [("message".to_owned(), text.into())].into_iter().collect())
        })
    }

    /// Returns who is told what happens: a program of everything, a person who waits of everything too, and a log of warnings.
    pub fn events(self: &Arc<Self>) -> Events {
        let out = Arc::clone(self);
        Box::new(move |event| {
            // Nobody is left to be told that standard error is closed.
            let _ = match event {
                _ if out.json_events => out.line(&event.json(Timestamp::now())),
                _ if out.stderr_terminal => write_error(&out.progress().tell(event, width().into())),
                Event::Warning { .. } => out.line(&event.line()),
                _ => Ok(()),
            };
        })
    }

    /// Writes a line to standard error.
    ///
    /// # Errors
    /// It is closed.
    pub fn error(&self, text: &str) -> io::Result<()> {
        self.line(text)
    }

    /// Says why it failed: in the words that a person is shown or, for a program, as an object with its fields.
    ///
    /// # Errors
    /// Standard error is closed.
    pub fn failed(&self, report: &Report, shown: &str) -> io::Result<()> {
        if self.json_events { self.object("failed", report.fields()) } else { self.line(shown) }
    }

    /// Says why it failed, where that has nothing to do with a script.
    pub fn problem(&self, problem: &str) {
        // Nobody is left to be told that standard error is closed.
        let _ = self.failed(&Report::of(problem), &format!("error: {problem}"));
    }

    /// Writes what is no event of core's as an object like the others.
    fn object(&self, event: &str, mut fields: Map<String, Json>) -> io::Result<()> {
        fields.insert("time".to_owned(), rfc3339(Timestamp::now().0).into());
        fields.insert("event".to_owned(), event.into());
        self.line(&escape_json(&Json::Object(fields).to_string()))
    }

    fn line(&self, line: &str) -> io::Result<()> {
        self.erase_progress();
        writeln!(io::stderr().lock(), "{line}")
    }

    /// Takes note that the terminal has echoed the key that stopped the work, so that the next line does not begin with it.
    pub fn key_was_echoed(&self) {
        self.progress().begun();
    }

    /// Erases the line of progress, if there is one.
    pub fn erase_progress(&self) {
        let _ = write_error(self.progress().clear());
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_error(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

/// Returns the width of the terminal; 80 where it does not tell its own.
fn width() -> u16 {
    let size = crossterm::terminal::size().ok().filter(|(width, _)| *width > 0);
    size.map_or(80, |(width, _)| width)
}
