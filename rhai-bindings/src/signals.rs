//! Signals. While something runs, the first one cancels it: reads are dropped, changes stop at their next safe point, programs
//! are asked to end. The second one ends programs by force, and says that the next one leaves at once.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::interrupt::Interrupt;

/// Ends the process with an exit code. Only `main` may, so it hands this in.
pub type Leave = fn(i32) -> !;

/// What signals have said so far.
#[derive(Debug, Default)]
pub struct Received {
    last: AtomicI32,
    terminate: AtomicI32,
}

impl Received {
    /// Returns the exit code of a process that the last signal ended.
    pub fn exit_code(&self) -> i32 {
        128 + self.last.load(Ordering::Relaxed)
    }

    /// Returns the exit code if a signal asked the whole process to end, and not only what it does.
    pub fn terminated(&self) -> Option<i32> {
        Some(self.terminate.load(Ordering::Relaxed)).filter(|signal| *signal != 0).map(|signal| 128 + signal)
    }
}

/// Listens for signals on a thread of its own. At a prompt, Ctrl-C between two evaluations means nothing.
///
/// # Errors
/// The system refused.
pub fn listen(interrupt: Arc<Interrupt>, at_prompt: bool, leave: Leave) -> io::Result<Arc<Received>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let received = Arc::new(Received { last: AtomicI32::new(SIGINT), terminate: AtomicI32::new(0) });
    let shared = Arc::clone(&received);
    let hear = move || {
        for signal in signals.forever() {
            shared.last.store(signal, Ordering::Relaxed);
            if signal != SIGINT {
                shared.terminate.store(signal, Ordering::Relaxed);
            }
            if !interrupt.is_running() {
                if at_prompt && signal == SIGINT {
                    continue;
                }
                let _ = crossterm::terminal::disable_raw_mode();
                leave(128 + signal);
            }
            match interrupt.press() {
                1 => {}
                2 => tell(
                    "still stopping in an orderly way; once more leaves at once, and what is under way stays unknown",
                ),
                _ => {
                    let _ = crossterm::terminal::disable_raw_mode();
                    leave(128 + signal);
                }
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(hear)?;
    Ok(received)
}

fn tell(text: &str) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "\n{text}");
}
