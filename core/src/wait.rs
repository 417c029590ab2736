//! Waiting for something to come true, with a bound. The only file that sleeps.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::{Fault, Interrupted, Result};
use crate::event::Event;
use crate::units::Elapsed;

/// How often an awaited condition is looked at, once it has not been true for a while.
pub const EVERY: Duration = Duration::from_millis(100);
/// How soon it is looked at for the second time. The pauses grow from here, so that what comes true at once is seen at once.
const FIRST: Duration = Duration::from_millis(5);
/// How often the caller is told about it.
const TELL_EVERY: Duration = Duration::from_secs(1);

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
    look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    until_cancelled(ctx.cancel(), &|event| ctx.emit(event), what, bound, look).await
}

/// The same for work that goes on without a call, such as a test's.
///
/// # Errors
/// The bound passed; the token was cancelled; or the look itself failed, which ends the waiting at once.
pub(crate) async fn until_cancelled<T>(
    cancel: &CancellationToken,
    tell: &dyn Fn(&Event),
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut told = Duration::ZERO;
    let mut span = FIRST;
    let mut status = "nothing was seen yet".to_owned();
    loop {
        let mut looking = std::pin::pin!(look());
        let found = loop {
            // A look at a member that does not answer takes its time too, and whoever waits should not wonder.
            tokio::select! {
                biased;
                found = &mut looking => break found?,
                () = sleep((told + TELL_EVERY).saturating_sub(start.elapsed())) => {
                    told = start.elapsed();
                    tell(&Event::Waiting { what: what.to_owned(), status: status.clone(), elapsed: told.into() });
                }
            }
        };
        status = match found {
            Look::Ready(found) => return Ok(found),
            Look::NotYet(status) => status,
        };
        let elapsed = start.elapsed();
        if elapsed >= bound {
            return Err(TimedOut { what: what.to_owned(), bound: bound.into(), last: status }.into());
        }
        if elapsed - told >= TELL_EVERY {
            told = elapsed;
            tell(&Event::Waiting { what: what.to_owned(), status: status.clone(), elapsed: told.into() });
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(Interrupted.into()),
            () = sleep(span.min(bound - elapsed)) => {}
        }
        span = EVERY.min(span * 2);
    }
}

/// Waits for an answer, and tells the caller about it once a second; how it stands cannot be looked at.
pub(crate) async fn answered<T>(ctx: &Context<'_>, what: &str, status: &str, answer: impl Future<Output = T>) -> T {
    let (start, mut answer) = (Instant::now(), std::pin::pin!(answer));
    loop {
        tokio::select! {
            biased;
            answered = &mut answer => return answered,
            () = sleep(TELL_EVERY) => {
                let (what, status) = (what.to_owned(), status.to_owned());
                ctx.emit(&Event::Waiting { what, status, elapsed: start.elapsed().into() });
            }
        }
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

impl TimedOut {
    /// Its code, for whoever goes another way when it was waited in vain.
    pub(crate) const CODE: &str = "wait_timeout";
}

impl Fault for TimedOut {
    fn code(&self) -> &'static str {
        Self::CODE
    }

    fn retryable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
    async fn a_look_that_takes_its_time_is_told_about() {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |event: &Event| told.lock().unwrap().push(event.line());
        let mut looks = 0;
        let look = async || {
            looks += 1;
            if looks == 1 {
                return Ok(Look::NotYet("infra2 is down".to_owned()));
            }
            sleep(Duration::from_millis(2_500)).await;
            Ok(Look::Ready(looks))
        };
        let bound = Duration::from_secs(60);
        let found = until_cancelled(&CancellationToken::new(), &tell, "all serve", bound, look).await.unwrap();
        let told = told.into_inner().unwrap();
        assert_eq!((found, told.len()), (2, 2), "{told:?}");
        assert_eq!(told[0], "waiting until all serve, for 1 s: infra2 is down");
    }

    #[test]
    fn what_was_awaited_in_vain_is_told_with_what_was_seen_last() {
        let (what, last) = ("the learner has caught up".to_owned(), "it is 500 log entries behind".to_owned());
        let error = TimedOut { what, bound: Duration::from_secs(60).into(), last };
        insta::assert_snapshot!(crate::tests::shown([error.into()]), @r"wait_timeout: waited 60s until the learner has caught up, and it did not come true; last seen: it is 500 log entries behind");
    }
}
