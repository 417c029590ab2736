//! What a person who waits is told: one line on the terminal, rewritten as things go on, and gone at the end.

use std::cell::Cell;
use std::io::{IsTerminal, Write};

use etcdsh_core::event::Event;
use etcdsh_core::units::escape;

/// A longer line would wrap, and a wrapped line cannot be taken back.
const WIDTH: usize = 79;

/// Shows events on a terminal, and nothing anywhere else. Standard output belongs to Nushell.
#[derive(Default)]
pub struct Notices {
    shown: Cell<bool>,
}

impl Notices {
    /// Shows an event.
    pub fn show(&self, event: &Event) {
        let mut terminal = std::io::stderr();
        if terminal.is_terminal() {
            let lasting = matches!(event, Event::Warning { .. });
            // A terminal that cannot be written to is no reason to fail.
            let _ = terminal.write_all(format!("\r\x1b[K{}", line(event)).as_bytes());
            self.shown.set(!lasting);
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        if self.shown.get() {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// Writes an event as one line; a warning stays, with the line's end.
fn line(event: &Event) -> String {
    let text = escape(&event.to_string()).replace('\n', " ");
    match event {
        Event::Warning { .. } => text + "\n",
        _ => text.chars().take(WIDTH).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line_that_drives_no_terminal() {
        let event = Event::Step { number: 1, of: 2, step: format!("add \x1b[2J\n{}", "x".repeat(100)) };
        let line = line(&event);
        assert_eq!(line.chars().count(), WIDTH);
        assert!(line.starts_with("step 1 of 2: add \\u{1b}[2J x"), "{line}");
    }

    #[test]
    fn a_warning_is_whole_and_stays() {
        let event = Event::Warning { message: "y".repeat(100) };
        assert_eq!(line(&event), format!("warning: {}\n", "y".repeat(100)));
    }
}
