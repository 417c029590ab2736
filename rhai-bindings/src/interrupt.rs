//! Ctrl-C. While a script runs, a signal first cancels it; see [`crate::signals`] for what further ones do. Everything that
//! waits waits for the token too, and the engine looks at it between two operations.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use etcdsh_core::context::Cancel;

/// Whether the running evaluation was told to stop.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// Cancelled by the first press, and by the second.
    tokens: Mutex<[Cancel; 2]>,
    running: AtomicBool,
    cancelled: AtomicBool,
    presses: AtomicUsize,
}

impl Interrupt {
    /// Starts a new evaluation, which nobody has interrupted yet. The returned guard ends it.
    pub fn begin(&self) -> Running<'_> {
        *self.lock() = Default::default();
        self.cancelled.store(false, Ordering::Relaxed);
        self.presses.store(0, Ordering::Relaxed);
        self.resume()
    }

    /// Goes on with an evaluation, to read what it left to be read.
    pub fn resume(&self) -> Running<'_> {
        self.running.store(true, Ordering::Relaxed);
        Running(self)
    }

    /// Says whether an evaluation is under way.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Tells the evaluation to stop, and returns how often it was told so by now.
    pub fn press(&self) -> usize {
        self.cancelled.store(true, Ordering::Relaxed);
        let presses = self.presses.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().iter().take(presses).for_each(Cancel::cancel);
        presses
    }

    /// Says whether the evaluation was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Returns the token that is cancelled when this evaluation is to stop.
    pub fn token(&self) -> Cancel {
        let [stop, _] = &*self.lock();
        stop.clone()
    }

    /// Returns the token that is cancelled when this evaluation is not even to wait for what ends in an orderly way.
    pub fn abandoned(&self) -> Cancel {
        let [_, abandoned] = &*self.lock();
        abandoned.clone()
    }

    fn lock(&self) -> MutexGuard<'_, [Cancel; 2]> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An evaluation that is under way.
pub struct Running<'a>(&'a Interrupt);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Relaxed);
    }
}
