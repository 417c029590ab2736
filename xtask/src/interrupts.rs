//! Ctrl-C while a cluster runs that has to be stopped: the program that is run gets the signal too and ends, and then this one
//! cleans up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// Whether the caller wants to leave.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts(Arc<AtomicUsize>);

impl Interrupts {
    /// From here on, signals that end a program are only noted down.
    pub(crate) fn hold() -> Result<Self> {
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&last), number)
                .map_err(|error| Error::new(format!("cannot listen for signals: {error}")))?;
        }
        Ok(Self(last))
    }

    /// Fails when a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        match u8::try_from(self.0.load(Ordering::Relaxed)) {
            Ok(0) => Ok(()),
            signal => Err(Error { message: "interrupted".to_owned(), code: 128 + signal.unwrap_or_default() }),
        }
    }
}
