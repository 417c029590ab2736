//! One attempt at a time. Whoever waited while another attempt ran shares its outcome, so that ten calls on a dead member cost
//! one connect timeout and not ten, and a wrong password is tried once.

use std::time::Instant;

use tokio::sync::Mutex;

/// Lets one caller at a time make something that all want.
pub(super) struct Single<E>(Mutex<Option<(Instant, E)>>);

impl<E> Default for Single<E> {
    fn default() -> Self {
        Single(Mutex::new(None))
    }
}

impl<E: Clone> Single<E> {
    /// Returns what `ready` finds, and otherwise what `make` makes.
    pub(super) async fn get_or_make<T>(
        &self,
        ready: impl Fn() -> Option<T>,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Some(found) = ready() {
            return Ok(found);
        }
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(found) = ready() {
            return Ok(found);
        }
        match &*last {
            Some((failed, error)) if *failed > asked => return Err(error.clone()),
            _ => {}
        }
        let made = make.await;
        if let Err(error) = &made {
            *last = Some((Instant::now(), error.clone()));
        }
        made
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn those_who_wait_share_the_failure_and_those_who_come_later_try_again() {
        let single = Single::<u32>::default();
        let attempts = AtomicU32::new(0);
        let attempt = || {
            single.get_or_make(|| None::<()>, async {
                tokio::task::yield_now().await;
                Err(attempts.fetch_add(1, Ordering::Relaxed))
            })
        };
        let together = tokio::join!(attempt(), attempt(), attempt());
        assert_eq!(together, (Err(0), Err(0), Err(0)));
        assert_eq!(attempt().await, Err(1));
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_leaves_the_way_free() {
        let single = Single::<()>::default();
        let given_up = single.get_or_make(|| None::<()>, std::future::pending());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), given_up).await.is_err());
        assert_eq!(single.get_or_make(|| None, async { Ok(1) }).await, Ok(1));
    }
}
