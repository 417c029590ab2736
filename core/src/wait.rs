//! Waiting for something to come true, with a bound. The only file that sleeps.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Fault, Interrupted, Result};
use crate::event::Event;
use crate::units::Elapsed;

/// How often an awaited condition is looked at.
pub const EVERY: Duration = Duration::from_millis(100);

/// What a look at an awaited condition found.
#[derive(Debug)]
pub enum Look<T> {
    /// It is true.
    Ready(T),
    /// It is not true yet; this is how it stands.
    NotYet(String),
}

/// Looks at a condition until it is true, tells the caller about it once a second, and gives up at the bound with the last
/// status.
///
/// # Errors
/// The bound passed; Ctrl-C; or the look itself failed, which ends the waiting at once.
pub async fn until<T>(
    ctx: &Context<'_>,
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut told = Duration::ZERO;
    loop {
        let status = match look().await? {
            Look::Ready(found) => return Ok(found),
            Look::NotYet(status) => status,
        };
        let elapsed = start.elapsed();
        if elapsed >= bound {
            return Err(TimedOut { what: what.to_owned(), bound: bound.into(), last: status }.into());
        }
        if elapsed - told >= Duration::from_secs(1) {
            told = elapsed;
            ctx.emit(&Event::Waiting { what: what.to_owned(), status, elapsed: elapsed.into() });
        }
        pause(ctx, EVERY.min(bound - elapsed)).await?;
    }
}

/// Waits for a span of time, or until Ctrl-C.
///
/// # Errors
/// The call was interrupted.
pub async fn pause(ctx: &Context<'_>, span: Duration) -> Result<()> {
    tokio::select! {
        () = ctx.cancel().cancelled() => Err(Interrupted.into()),
        () = sleep(span) => Ok(()),
    }
}

/// Waits for a span of time, where there is no call to interrupt.
#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
pub(crate) async fn sleep(span: Duration) {
    tokio::time::sleep(span).await;
}

/// An awaited condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {bound} until {what}, and it did not come true; last seen: {last}")]
pub struct TimedOut {
    what: String,
    bound: Elapsed,
    last: String,
}

impl Fault for TimedOut {
    fn code(&self) -> &'static str {
        "wait_timeout"
    }

    fn retryable(&self) -> bool {
        true
    }
}
