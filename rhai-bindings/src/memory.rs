//! How much memory a script may take. Rhai's own limits on sizes are all off: with any one of them it measures a value as a
//! whole after every change, so that growing a list item by item would take quadratic time.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::session::Session;

/// How often the process is looked at. What a script takes in between is bounded by how fast memory can be filled.
const EVERY: Duration = Duration::from_millis(20);

/// The part of the free memory that a script may take. One that doubles what it holds takes three times as much for a moment,
/// and members of the cluster may run beside it.
const PART: u64 = 4;

/// The most that it may take on a large machine, so that a runaway script does not fill it for minutes.
const MOST: u64 = 4 << 30;

/// Keeps an eye on the memory until what is returned is dropped. Where the system does not tell, nothing is watched.
pub fn watch(session: &Arc<Session>) -> Option<Sender<()>> {
    let (running, ended) = channel();
    let session = Arc::clone(session);
    let evaluation = session.new_evaluation();
    let observe = move || {
        // Most scripts have ended by then.
        let mut limit = None;
        while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let Some(held) = field("/proc/self/status", "VmRSS:") else { return };
            let limit =
                *limit.get_or_insert_with(|| held.saturating_add(session.setup.memory.unwrap_or_else(allowance)));
            if held > limit {
                return session.exhausted(evaluation);
            }
        }
    };
    std::thread::Builder::new().name("memory".to_owned()).spawn(observe).ok().map(|_| running)
}

fn allowance() -> u64 {
    field("/proc/meminfo", "MemAvailable:").map_or(MOST, |free| MOST.min(free / PART))
}

/// Reads a field in kilobytes from a file of the kernel's, as bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
