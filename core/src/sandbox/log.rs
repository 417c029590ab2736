//! The log of a member: its end, and the line in it that says why the member ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value as Json;

/// A stack trace after a panic is long; what came before it lies within this distance from the end.
const TAIL: u64 = 256 * 1024;

/// Returns the lines of a log from a place on, at most the last 256 KiB of them. A log that cannot be read has none.
pub(super) fn lines(path: &Path, from: u64) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default().lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// What etcd logs when it starts, by either of its loggers.
const STARTS: [&str; 2] = ["starting an etcd server", "etcdmain: etcd Version:"];

/// Returns what a reader wants to see of the end: the last lines, each as its message; after a panic, the lines up to the one
/// that says why, without the stack trace.
pub(crate) fn end(lines: &[String], count: usize) -> Vec<String> {
    // A file may hold what earlier processes said, and why one of them ended is not why this one did.
    let start = lines.iter().rposition(|line| STARTS.iter().any(|mark| line.contains(mark))).unwrap_or_default();
    let lines = lines.get(start..).unwrap_or_default();
    // etcd logs why it gives up, and often panics then with less to say; a panic that is a mistake is not logged.
    let logged = lines.iter().rposition(|line| matches!(level(line).as_deref(), Some("fatal" | "panic")));
    let why = logged.or_else(|| lines.iter().rposition(|line| line.starts_with("panic: ")));
    let shown = lines.get(..why.map_or(lines.len(), |place| place + 1)).unwrap_or_default();
    shown.iter().skip(shown.len().saturating_sub(count)).map(|line| message(line)).collect()
}

fn level(line: &str) -> Option<String> {
    let json: Json = serde_json::from_str(line).ok()?;
    json.get("level")?.as_str().map(str::to_owned)
}

/// Returns the message and the error of a line of etcd's log, or the line as it is.
fn message(line: &str) -> String {
    let json: Json = serde_json::from_str(line).unwrap_or_default();
    let text = |field: &str| json.get(field).and_then(Json::as_str);
    match (text("msg"), text("error")) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message.to_owned(),
        (None, _) => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_earlier_process_died_of_is_not_told() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let died = "{\"level\":\"panic\",\"msg\":\"tocommit(9) is out of range\"}";
        let starts = "{\"level\":\"info\",\"msg\":\"starting an etcd server\"}";
        let closed = "{\"level\":\"info\",\"msg\":\"closed etcd server\"}";
        assert_eq!(super::end(&lines(&format!("{starts}\n{died}")), 1), ["tocommit(9) is out of range"]);
        assert_eq!(super::end(&lines(&format!("{starts}\n{died}\n{starts}\n{closed}")), 1), ["closed etcd server"]);
    }

    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["{\"level\":\"info\",\"msg\":\"a\"}", "b"], &["a", "b"])]
    #[case(&["one", "{\"level\":\"fatal\",\"msg\":\"discovery failed\",\"error\":\"no such member\"}", "trailing"],
        &["one", "discovery failed: no such member"])]
    #[case(&["{\"level\":\"panic\",\"msg\":\"x\"}", "panic: y", "goroutine 1 [running]:", "main.main()"], &["x"])]
    #[case(&["one", "panic: nil map", "goroutine 1 [running]:", "main.main()"], &["one", "panic: nil map"])]
    #[case(&[], &[])]
    fn the_end_of_a_log_is_what_says_why(#[case] log: &[&str], #[case] expected: &[&str]) {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(end(&log, 2), expected);
    }

    #[test]
    fn a_log_is_read_from_a_place_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\n\nnew 1\nnew 2\n").unwrap();
        assert_eq!(lines(file.path(), 4), ["new 1", "new 2"]);
        assert_eq!(lines(Path::new("/does/not/exist"), 0), [""; 0]);
    }
}
