//! Waiting for what a test needs, and finding it in an answer.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// How long a test waits for anything. Two cores run many clusters at once, so this is far more than is needed.
const BOUND: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until a look finds what the test needs.
///
/// # Panics
/// It took longer than any test should wait; the message is what the last look said.
pub fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    until_within(BOUND, what, look)
}

/// The same with a bound of the test's own.
///
/// # Panics
/// The bound has passed; the message is what the last look said.
pub fn until_within<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) => assert!(start.elapsed() < bound, "waited {bound:?} until {what}; last seen: {last}"),
        }
        std::thread::sleep(EVERY);
    }
}

/// Returns the row of a table in which the column `name` is this.
///
/// # Panics
/// There is no such row.
pub fn row<'t>(table: &'t Json, name: &str) -> &'t Json {
    let mut rows = table.as_array().into_iter().flatten();
    rows.find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row is named {name:?}: {table}"))
}

/// Returns one column of a table.
pub fn column<'t>(table: &'t Json, name: &str) -> Vec<&'t Json> {
    table.as_array().into_iter().flatten().map(|row| &row[name]).collect()
}
