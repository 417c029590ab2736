//! Asking several endpoints in order until one gives a good answer.

use std::fmt::Write;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::error::{Error, Fault, Sent};

/// Asks the next one when the one before has failed, or has not answered for `step`. `enough` tells an error that every other
/// endpoint would give too.
pub(super) async fn hedge<N, T, E, F>(
    nodes: impl Iterator<Item = Result<N, E>>,
    step: Duration,
    ask: impl Fn(N) -> F,
    enough: impl Fn(&E) -> bool,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut nodes = nodes.peekable();
    let mut asked = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        match nodes.next() {
            Some(Ok(node)) => asked.push(ask(node)),
            Some(Err(error)) => {
                failed.push(error);
                continue;
            }
            None if asked.is_empty() => return Err(failed),
            None => {}
        }
        let answer = match nodes.peek() {
            Some(_) => tokio::time::timeout(step, asked.next()).await.unwrap_or_default(),
            None => asked.next().await,
        };
        match answer {
            None => {}
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) if enough(&error) => return Err(vec![error]),
            Some(Err(error)) => failed.push(error),
        }
    }
}

/// Says whether an error depends on who asks, and not on who is asked.
pub(super) fn same_everywhere(code: &str) -> bool {
    matches!(code, "unauthenticated" | "permission_denied")
}

/// What says most about what is wrong, first. What is not named here comes before the last line, which any dead machine causes.
const TELLING: &[&str] = &[
    "cluster_mismatch",
    "unauthenticated",
    "permission_denied",
    "plaintext_credentials",
    "plain_endpoint",
    "plain_to_tls_port",
    "tls_to_plain_port",
    "not_etcd",
];
const TELLING_LITTLE: &[&str] =
    &["no_leader", "timeout", "handshake_timeout", "connect_timeout", "connection_lost", "unreachable", "dns"];

/// Returns how much an error says: the less, the more.
pub(super) fn rank(code: &str) -> usize {
    let place = |list: &[&str]| list.iter().position(|known| *known == code);
    let unnamed = TELLING.len();
    place(TELLING).or_else(|| place(TELLING_LITTLE).map(|place| unnamed + 1 + place)).unwrap_or(unnamed)
}

/// No endpoint gave a good answer.
#[derive(Debug, thiserror::Error)]
#[error("none of the {} endpoints answered: {}", .0.len(), reasons(.0))]
pub struct AllFailed(Vec<Error>);

impl AllFailed {
    /// Makes one error of many; the one that says most goes first.
    pub(super) fn of(mut failed: Vec<Error>) -> Error {
        failed.sort_by_key(|error| rank(error.code()));
        match failed.len() {
            0 => Error::internal("no endpoint was given"),
            1 => failed.remove(0),
            _ => AllFailed(failed).into(),
        }
    }

    fn telling(&self) -> Option<&Error> {
        self.0.first()
    }
}

fn reasons(failed: &[Error]) -> String {
    failed.iter().fold(String::new(), |mut text, error| {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { "; " }, error.in_one_line());
        text
    })
}

impl Fault for AllFailed {
    fn code(&self) -> &'static str {
        self.telling().map_or("unreachable", Error::code)
    }

    fn help(&self) -> Option<String> {
        self.telling().and_then(Error::help)
    }

    fn sent(&self) -> Option<Sent> {
        let sent = |which| self.0.iter().any(|error| error.sent() == Some(which));
        Some(match (sent(Sent::Answered), sent(Sent::Maybe)) {
            (true, _) => Sent::Answered,
            (false, true) => Sent::Maybe,
            (false, false) => Sent::Never,
        })
    }

    fn retryable(&self) -> bool {
        self.0.iter().any(Error::retryable)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Instant;

    /// Endpoints that answer after some time, or never.
    async fn ask(
        answers: &[(Option<u64>, Result<u32, &'static str>)],
        asked: &Mutex<Vec<usize>>,
    ) -> Result<u32, Vec<&'static str>> {
        let one = |index: usize| async move {
            asked.lock().unwrap().push(index);
            let (after, answer) = &answers[index];
            match after {
                Some(after) => crate::wait::sleep(Duration::from_millis(*after)).await,
                None => std::future::pending().await,
            }
            *answer
        };
        hedge((0..answers.len()).map(Ok), Duration::from_millis(30), one, |error| *error == "enough").await
    }

    #[tokio::test]
    async fn the_first_good_answer_wins_and_nobody_else_is_asked() {
        let asked = Mutex::default();
        assert_eq!(ask(&[(Some(0), Ok(1)), (Some(0), Ok(2))], &asked).await, Ok(1));
        assert_eq!(*asked.lock().unwrap(), [0]);
    }

    #[tokio::test]
    async fn a_failure_asks_the_next_at_once_and_a_frozen_one_after_the_step() {
        let asked = Mutex::default();
        let start = Instant::now();
        assert_eq!(ask(&[(None, Ok(1)), (Some(0), Err("dead")), (Some(0), Ok(3))], &asked).await, Ok(3));
        assert_eq!(*asked.lock().unwrap(), [0, 1, 2]);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn a_slow_answer_still_counts() {
        let asked = Mutex::default();
        assert_eq!(ask(&[(Some(60), Ok(1)), (None, Ok(2))], &asked).await, Ok(1));
    }

    #[tokio::test]
    async fn all_failures_are_kept_and_one_that_is_the_same_everywhere_ends_it() {
        let asked = Mutex::default();
        assert_eq!(ask(&[(Some(0), Err("a")), (Some(0), Err("b"))], &asked).await, Err(vec!["a", "b"]));
        assert_eq!(ask(&[(Some(0), Err("enough")), (Some(0), Ok(2))], &asked).await, Err(vec!["enough"]));
        assert_eq!(ask(&[], &asked).await, Err(vec![]));
    }

    #[test]
    fn what_says_more_ranks_first() {
        let mut codes = ["dns", "timeout", "tls_expired", "unauthenticated", "unreachable"];
        codes.sort_by_key(|code| rank(code));
        assert_eq!(codes, ["unauthenticated", "tls_expired", "timeout", "unreachable", "dns"]);
    }
}
