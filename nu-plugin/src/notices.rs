//! What a person who waits is told, on the terminal that Nushell runs on. Standard output belongs to Nushell. Where there is no
//! terminal nobody waits, and a log gets the warnings.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use etcdsh_core::event::Event;
use etcdsh_core::progress::Progress;

use crate::log::variable;

/// The width of a terminal that does not tell its own.
const WIDTH: usize = 80;

/// Shows the events of one call. What stands at its end is taken away.
pub struct Notices(Option<Mutex<Progress>>);

impl Notices {
    /// Looks where standard error leads.
    pub fn new() -> Self {
        let erasable = variable("TERM").is_none_or(|term| term != "dumb");
        Notices(std::io::stderr().is_terminal().then(|| Mutex::new(Progress::new(erasable))))
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        match self.progress() {
            Some(mut progress) => write(&progress.tell(event, width())),
            None if matches!(event, Event::Warning { .. }) => write(&format!("{}\n", event.line())),
            None => {}
        }
    }

    /// Makes room for somebody else's output.
    pub fn clear(&self) {
        if let Some(mut progress) = self.progress() {
            write(progress.clear());
        }
    }

    fn progress(&self) -> Option<MutexGuard<'_, Progress>> {
        self.0.as_ref().map(|progress| progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Notices {
    fn default() -> Self {
        Notices::new()
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.clear();
    }
}

fn write(text: &str) {
    // A terminal that cannot be written to is no reason to fail.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|width| *width > 0).unwrap_or(WIDTH)
}
