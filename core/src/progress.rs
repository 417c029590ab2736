//! What a person who waits sees on a terminal: the lines that stay, and below them one line that is rewritten as things go on,
//! and is gone at the end. This is text only; a face writes it where it belongs.

use unicode_width::UnicodeWidthChar;

use crate::event::Event;

/// Erases the line that the cursor is on.
const ERASE: &str = "\r\x1b[2K";
/// How many columns stay free: a terminal shows `^C` where the cursor is, and whatever reaches the last column may wrap.
const ECHO: usize = 3;

/// The lines of one terminal.
#[derive(Debug)]
pub struct Progress {
    /// Whether the terminal can erase a line again.
    erasable: bool,
    /// Whether a line stands there that has to be erased before anything else is written.
    standing: bool,
}

impl Progress {
    /// Starts with nothing. On a terminal that cannot erase a line, only lines that stay are shown.
    pub fn new(erasable: bool) -> Self {
        Progress { erasable, standing: false }
    }

    /// Returns what is to be written when something happened, on a terminal of this width. A longer line would wrap, and a
    /// wrapped line cannot be taken back.
    pub fn tell(&mut self, event: &Event, width: usize) -> String {
        if event.stays() {
            return format!("{}{}\n", self.clear(), event.line());
        }
        if !self.erasable {
            return String::new();
        }
        self.standing = true;
        format!("{ERASE}{}", cut(&event.line(), width.saturating_sub(ECHO)))
    }

    /// Takes note that something else has begun the line, which has to go before the next one.
    pub fn begun(&mut self) {
        self.standing = self.erasable;
    }

    /// Returns what is to be written before anything else is, and at the end.
    pub fn clear(&mut self) -> &'static str {
        if std::mem::take(&mut self.standing) { ERASE } else { "" }
    }
}

/// Cuts a line to so many columns; some characters take two.
fn cut(line: &str, width: usize) -> &str {
    let mut columns = 0;
    let end = line.char_indices().find(|(_, character)| {
        columns += character.width().unwrap_or(0);
        columns > width
    });
    end.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, Elapsed};

    fn waiting(status: &str) -> Event {
        let (what, status) = ("infra2 has caught up".to_owned(), status.to_owned());
        Event::Waiting { what, status, elapsed: Elapsed(3_000_000_000) }
    }

    #[test]
    fn one_line_is_rewritten_below_those_that_stay() {
        let step = Event::Step { number: 1, of: 2, step: format!("add \x1b[2J\n{}", "x".repeat(50)) };
        let sent = Event::Progress { what: "snapshot".to_owned(), done: Bytes(8_000_000), total: None };
        let warning = Event::Warning { message: "y".repeat(50) };
        let mut progress = Progress::new(true);
        let mut written: Vec<String> = [&sent, &step, &waiting("500 behind"), &waiting("5 behind"), &warning, &sent]
            .map(|e| progress.tell(e, 40))
            .into();
        written.extend([progress.clear(), progress.clear()].map(str::to_owned));
        progress.begun();
        written.push(progress.clear().to_owned());
        let written: Vec<_> = written.iter().map(|text| format!("{text:?}")).collect();
        insta::assert_snapshot!(written.join("\n"), @r#"
        "\r\u{1b}[2Ksnapshot: 8 MB"
        "\r\u{1b}[2Kstep 1 of 2: add \\u{1b}[2J xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
        "\r\u{1b}[2Kwaiting until infra2 has caught up, f"
        "\r\u{1b}[2Kwaiting until infra2 has caught up, f"
        "\r\u{1b}[2Kwarning: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n"
        "\r\u{1b}[2Ksnapshot: 8 MB"
        "\r\u{1b}[2K"
        ""
        "\r\u{1b}[2K"
        "#);
    }

    #[test]
    fn a_terminal_that_cannot_erase_shows_what_stays() {
        let mut progress = Progress::new(false);
        let step = Event::Step { number: 1, of: 2, step: "add infra4".to_owned() };
        assert_eq!(
            [&waiting("x"), &step, &waiting("x")].map(|e| progress.tell(e, 80)),
            ["", "step 1 of 2: add infra4\n", ""]
        );
        progress.begun();
        assert_eq!(progress.clear(), "");
    }

    #[test]
    fn a_line_never_wraps() {
        assert_eq!(
            [cut("abcd", 3), cut("abc", 3), cut("日本語", 5), cut("日本語", 6), cut("e\u{301}e", 1)],
            ["abc", "abc", "日本", "日本語", "e\u{301}"]
        );
        assert_eq!(cut("abc", 0), "");
    }
}
