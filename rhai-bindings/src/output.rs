//! Where output goes: results and `print` to standard output; `debug`, errors and progress to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use etcdsh_core::event::Event;
use etcdsh_core::units::escape;

use crate::session::{Events, Print};
use crate::table::Canvas;

/// Erases the line that the cursor is on.
const ERASE: &str = "\r\x1b[2K";

/// The streams of the process.
#[derive(Debug)]
pub struct Output {
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// Whether `NO_COLOR` or a dumb terminal forbid colour.
    plain: bool,
    /// Whether a line on standard error can be erased again.
    erasable: bool,
    /// Whether a line of progress stands on the terminal and has to be erased first.
    progress: AtomicBool,
}

impl Output {
    /// Looks at the streams.
    pub fn new(no_color: bool, dumb: bool) -> Arc<Self> {
        let stderr_terminal = io::stderr().is_terminal();
        Arc::new(Output {
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal,
            plain: no_color || dumb,
            erasable: stderr_terminal && !dumb,
            progress: AtomicBool::new(false),
        })
    }

    /// Returns what tables are drawn on.
    pub fn canvas(&self, rows: usize) -> Canvas {
        let width = || crossterm::terminal::size().map_or(80, |(width, _)| width.max(20));
        Canvas { width: self.stdout_terminal.then(width), rows, colour: self.stdout_terminal && !self.plain }
    }

    /// Says whether errors are coloured.
    pub fn colour_errors(&self) -> bool {
        self.stderr_terminal && !self.plain
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
        Box::new(move |text| out.error(text))
    }

    /// Returns who is told what happens. Progress is for people only; a warning is for logs too.
    pub fn events(self: &Arc<Self>) -> Events {
        let out = Arc::clone(self);
        Box::new(move |event| {
            let text = escape(&event.to_string());
            // Nobody is left to be told that standard error is closed.
            let _ = match event {
                Event::Warning { .. } => out.error(&text),
                _ if out.erasable => out.progress(&text.replace('\n', " ")),
                _ => Ok(()),
            };
        })
    }

    /// Writes a line to standard error.
    ///
    /// # Errors
    /// It is closed.
    pub fn error(&self, text: &str) -> io::Result<()> {
        self.erase_progress();
        writeln!(io::stderr().lock(), "{text}")
    }

    /// Takes note that the terminal has echoed the key that stopped the work, so that the next line does not begin with it.
    pub fn key_was_echoed(&self) {
        self.progress.store(self.erasable, Ordering::Relaxed);
    }

    /// Erases the line of progress, if there is one.
    pub fn erase_progress(&self) {
        if self.progress.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr().lock(), "{ERASE}");
        }
    }

    fn progress(&self, text: &str) -> io::Result<()> {
        let width = crossterm::terminal::size().map_or(80, |(width, _)| usize::from(width));
        let line: String = text.chars().take(width.saturating_sub(1)).collect();
        self.progress.store(true, Ordering::Relaxed);
        let mut stderr = io::stderr().lock();
        write!(stderr, "{ERASE}{line}")?;
        stderr.flush()
    }
}
