//! What a person who waits sees on a terminal: the lines that stay, and below them one line that is rewritten as things go on,
//! and is gone at the end. This is text only; a face writes it where it belongs.

use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthChar;

use crate::event::Event;
use crate::units::Bytes;

/// Erases the line that the cursor is on.
const ERASE: &str = "\r\x1b[2K";
/// How many columns stay free: a terminal shows `^C` where the cursor is, and whatever reaches the last column may wrap.
const ECHO: usize = 3;
/// How many columns a bar has, and how many have to be left beside it.
const BAR: usize = 20;
const BESIDE_BAR: usize = 60;
/// For how long bytes have to have moved before it is said how fast.
const STEADY: Duration = Duration::from_millis(500);

/// The lines of one terminal.
#[derive(Debug)]
pub struct Progress {
    /// Whether the terminal can erase a line again.
    erasable: bool,
    /// Whether a line stands there that has to be erased before anything else is written.
    standing: bool,
    /// What moves.
    meter: Option<Meter>,
}

/// Since when bytes of something are told of, and how many there were then.
#[derive(Debug)]
struct Meter {
    what: String,
    from: i64,
    since: Instant,
}

impl Meter {
    /// Returns how many bytes a second it is, once that can be said.
    fn rate(&self, done: i64, now: Instant) -> Option<Bytes> {
        let span = now.saturating_duration_since(self.since);
        let moved = u128::try_from(done.saturating_sub(self.from)).ok().filter(|moved| *moved > 0)?;
        let rate = (moved * 1000).checked_div(span.as_millis()).filter(|_| span >= STEADY)?;
        Some(Bytes(i64::try_from(rate).unwrap_or(i64::MAX)))
    }
}

impl Progress {
    /// Starts with nothing. On a terminal that cannot erase a line, only lines that stay are shown.
    pub fn new(erasable: bool) -> Self {
        Progress { erasable, standing: false, meter: None }
    }

    /// Returns what is to be written when something happened, on a terminal of this width. A longer line would wrap, and a
    /// wrapped line cannot be taken back.
    pub fn tell(&mut self, event: &Event, width: usize) -> String {
        self.tell_at(event, width, Instant::now())
    }

    fn tell_at(&mut self, event: &Event, width: usize, now: Instant) -> String {
        if event.stays() {
            return format!("{}{}\n", self.clear(), event.line());
        }
        if !self.erasable {
            return String::new();
        }
        self.standing = true;
        let mut line = event.line();
        if let Event::Progress { what, done, total } = event {
            let share = total.filter(|total| total.0 > 0).map(|total| bar(*done, total));
            if let Some(bar) = share.filter(|_| width >= BAR + BESIDE_BAR) {
                line = format!("{bar} {line}");
            }
            if let Some(rate) = self.rate(what, done.0, now) {
                line = format!("{line}, {rate}/s");
            }
        }
        format!("{ERASE}{}", cut(&line, width.saturating_sub(ECHO)))
    }

    /// Says how fast something moves. What begins anew is measured anew.
    fn rate(&mut self, what: &str, done: i64, now: Instant) -> Option<Bytes> {
        match &self.meter {
            Some(meter) if meter.what == what && meter.from <= done => meter.rate(done, now),
            _ => {
                self.meter = Some(Meter { what: what.to_owned(), from: done, since: now });
                None
            }
        }
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

/// Draws how much of it there is already.
fn bar(done: Bytes, total: Bytes) -> String {
    let filled = u128::try_from(done.0).unwrap_or(0) * BAR as u128 / u128::try_from(total.0).unwrap_or(1).max(1);
    let filled = usize::try_from(filled).unwrap_or(BAR).min(BAR);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled))
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
    fn what_moves_has_a_bar_and_a_rate() {
        let mut progress = Progress::new(true);
        let begun = Instant::now();
        let mut told = |what: &str, done: i64, total: Option<i64>, ms: u64, width: usize| {
            let event = Event::Progress {
                what: what.to_owned(),
                done: Bytes(done * 1_000_000),
                total: total.map(|t| Bytes(t * 1_000_000)),
            };
            let line = progress.tell_at(&event, width, begun + Duration::from_millis(ms));
            format!("{}\n", line.trim_start_matches(ERASE))
        };
        let lines = [
            told("reading a.db", 0, Some(600), 0, 100),
            told("reading a.db", 100, Some(600), 100, 100),
            told("reading a.db", 300, Some(600), 1500, 100),
            told("reading a.db", 300, Some(600), 1500, 79),
            told("reading a.db", 900, Some(600), 3000, 100),
            // Another one, one that begins anew, and one whose end is not known.
            told("reading b.db", 1, Some(600), 3100, 100),
            told("reading b.db", 0, Some(600), 9000, 100),
            told("snapshot", 10, None, 9100, 100),
            told("snapshot", 20, None, 10_100, 100),
            told("nothing", 0, Some(0), 10_100, 100),
        ];
        insta::assert_snapshot!(lines.concat(), @"
        [--------------------] reading a.db: 0 of 600 MB
        [###-----------------] reading a.db: 100 of 600 MB
        [##########----------] reading a.db: 300 of 600 MB, 200.0 MB/s
        reading a.db: 300 of 600 MB, 200.0 MB/s
        [####################] reading a.db: 900 of 600 MB, 300.0 MB/s
        [--------------------] reading b.db: 1 of 600 MB
        [--------------------] reading b.db: 0 of 600 MB
        snapshot: 10 MB
        snapshot: 20 MB, 10.0 MB/s
        nothing: 0 of 0 MB
        ");
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
