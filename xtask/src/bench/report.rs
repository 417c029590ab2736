//! What a bench found, as one table.

use std::fmt::Write;
use std::time::Duration;

use super::measure::Pair;

/// One thing that was measured.
#[derive(Debug, Default)]
struct Row {
    what: String,
    ours: String,
    theirs: String,
    ratio: String,
    bound: String,
    met: Option<bool>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Row>);

impl Report {
    /// A time beside etcdctl's, whose share of it has a bound.
    pub(super) fn pair(&mut self, what: String, pair: Pair, bound: Option<f64>) {
        self.add(Row {
            what,
            ours: time(pair.ours),
            theirs: time(pair.theirs),
            ratio: format!("{:.2}", pair.ratio),
            bound: bound.map_or_else(String::new, |bound| format!("{bound:.2}")),
            met: bound.map(|bound| pair.ratio <= bound),
        });
    }

    /// A time that has a bound of its own.
    pub(super) fn time(&mut self, what: String, ours: Duration, bound: Duration) {
        self.add(Row { what, ours: time(ours), bound: time(bound), met: Some(ours <= bound), ..Row::default() });
    }

    /// A time that has no bound.
    pub(super) fn only(&mut self, what: String, ours: Duration) {
        self.add(Row { what, ours: time(ours), ..Row::default() });
    }

    /// Memory, where the system tells how much it was, beside etcdctl's.
    pub(super) fn memory(&mut self, what: String, ours: Option<u64>, theirs: Option<u64>, bound: u64) {
        let ratio = ours.zip(theirs).map(|(ours, theirs)| f64_of(ours) / f64_of(theirs));
        self.add(Row {
            what,
            ours: memory(ours),
            theirs: memory(theirs),
            ratio: ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            bound: memory(Some(bound)),
            met: ours.map(|ours| ours < bound),
        });
    }

    fn add(&mut self, row: Row) {
        eprintln!("  {}: {} {}", row.what, row.ours, verdict(row.met));
        self.0.push(row);
    }

    /// How many bounds were missed.
    pub(super) fn missed(&self) -> usize {
        self.0.iter().filter(|row| row.met == Some(false)).count()
    }

    /// The table.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let head = ["what", "ours", "theirs", "ratio", "bound", ""].map(str::to_owned);
        let rows = self.0.iter().map(|row| {
            let verdict = verdict(row.met).to_owned();
            [&row.what, &row.ours, &row.theirs, &row.ratio, &row.bound, &verdict].map(Clone::clone)
        });
        for [what, ours, theirs, ratio, bound, verdict] in std::iter::once(head).chain(rows) {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{what:<48} {ours:>10} {theirs:>10} {ratio:>6} {bound:>8}  {verdict}");
        }
        text
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "ok",
        Some(false) => "MISSED",
        None => "",
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 { format!("{:.2} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

fn memory(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "not known".to_owned(), |bytes| format!("{:.1} MB", f64_of(bytes) / 1e6))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53, and are shown with one decimal")]
fn f64_of(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bound_is_told_and_what_has_none_is_not_judged() {
        let mut report = Report::default();
        let ms = Duration::from_millis;
        report.pair("even".to_owned(), Pair { ours: ms(10), theirs: ms(10), ratio: 1.0 }, Some(1.0));
        report.pair("slow".to_owned(), Pair { ours: ms(1200), theirs: ms(1000), ratio: 1.2 }, Some(1.1));
        report.pair("free".to_owned(), Pair { ours: ms(9), theirs: ms(1), ratio: 9.0 }, None);
        report.memory("much".to_owned(), Some(64_000_000), Some(128_000_000), 64_000_000);
        report.memory("unknown".to_owned(), None, None, 1);
        report.time("soon".to_owned(), ms(3), ms(3));
        assert_eq!(report.missed(), 2);
        let table = report.table();
        let words = |line: usize| table.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(1), "even 10.00 ms 10.00 ms 1.00 1.00 ok");
        assert_eq!(words(2), "slow 1.20 s 1.00 s 1.20 1.10 MISSED");
        assert_eq!(words(3), "free 9.00 ms 1.00 ms 9.00");
        assert_eq!(words(4), "much 64.0 MB 128.0 MB 0.50 64.0 MB MISSED");
        assert_eq!(words(5), "unknown not known not known 0.0 MB");
        assert_eq!(words(6), "soon 3.00 ms 3.00 ms ok");
    }
}
