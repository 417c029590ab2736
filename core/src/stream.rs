//! Answers that may be long. A producer sends pages into a small bounded channel, so memory stays constant; a face reads them
//! as a plain iterator. The end is an explicit mark: a channel that closes without one is an error, never a short answer.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Interrupted, Result};
use crate::report::Row;
use crate::value::{Value, to_value};

/// How many pages wait between producer and reader: one being read, one ready.
const PAGES_AHEAD: usize = 2;

enum Message<T> {
    Page(Vec<T>),
    End(Result<()>),
}

/// Rows that arrive while they are read. Dropping it ends its producer.
pub struct Rows<T> {
    first: Option<Message<T>>,
    messages: mpsc::Receiver<Message<T>>,
    _stop: DropGuard,
}

/// Where a producer sends its pages.
pub struct Pages<T>(mpsc::Sender<Message<T>>);

impl<T> Pages<T> {
    /// Sends a page, and waits while the reader is behind.
    ///
    /// # Errors
    /// The reader has gone; the producer should return.
    pub async fn send(&self, page: Vec<T>) -> Result<()> {
        self.0.send(Message::Page(page)).await.map_err(|_| Interrupted.into())
    }

    /// Sends a page from a thread that may wait, and says whether the reader is still there.
    pub fn send_blocking(&self, page: Vec<T>) -> bool {
        self.0.blocking_send(Message::Page(page)).is_ok()
    }
}

impl<T: Send + 'static> Rows<T> {
    /// Runs a producer beside the caller, and returns when its first page is there, so that what fails at once is an ordinary
    /// error.
    pub(crate) async fn produce<P, F>(cancel: &CancellationToken, produce: P) -> Result<Self>
    where
        P: FnOnce(Pages<T>) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, mut messages) = mpsc::channel(PAGES_AHEAD);
        let cancel = cancel.child_token();
        let stop = cancel.clone().drop_guard();
        let work = produce(Pages(sender.clone()));
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Interrupted.into()),
                end = AssertUnwindSafe(work).catch_unwind() => end.unwrap_or_else(|panic| Err(panicked(&*panic))),
            };
            // The reader may have gone; then nobody is left to be told.
            let _ = sender.send(Message::End(end)).await;
        });
        match messages.recv().await {
            Some(Message::End(Err(error))) => Err(error),
            None => Err(no_end()),
            first => Ok(Rows { first, messages, _stop: stop }),
        }
    }
}

impl<T: Row + Send + 'static> Rows<T> {
    /// Forgets the type of the rows.
    pub(crate) fn into_stream(self) -> Stream {
        let mut whole = self;
        let pages = std::iter::from_fn(move || {
            // The closure takes all of it: were it to name the fields alone, the rest, which ends the producer when it is
            // dropped, would be dropped right here.
            let rows = &mut whole;
            let message = match rows.first.take() {
                Some(first) => Some(first),
                // A face reads on the thread that may stand inside the runtime, for example in a hook.
                None => tokio::task::block_in_place(|| rows.messages.blocking_recv()),
            };
            match message {
                Some(Message::Page(rows)) => Some(Ok(values(rows))),
                Some(Message::End(Ok(()))) => None,
                Some(Message::End(Err(error))) => Some(Err(error)),
                None => Some(Err(no_end())),
            }
        });
        Stream { pages: Box::new(pages), ready: Box::new(std::iter::empty()), done: false }
    }
}

/// The rows of one page. Each becomes a value only when it is taken, because a row in a tree of values needs many times its
/// room.
type Page = Box<dyn ExactSizeIterator<Item = Result<Value>> + Send>;

fn values<T: Row + Send + 'static>(rows: Vec<T>) -> Page {
    Box::new(rows.into_iter().map(|row| to_value(&row).map_err(Error::internal)))
}

/// Values that arrive while they are read; it ends after an error.
pub struct Stream {
    pages: Box<dyn Iterator<Item = Result<Page>> + Send>,
    ready: Page,
    done: bool,
}

impl Stream {
    /// Returns how many rows can be taken without waiting.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }
}

impl Iterator for Stream {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Result<Value>> {
        while !self.done {
            let row = match self.ready.next() {
                Some(row) => Some(row),
                None => match self.pages.next() {
                    Some(Ok(page)) => {
                        self.ready = page;
                        continue;
                    }
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                },
            };
            self.done = !matches!(row, Some(Ok(_)));
            return row;
        }
        None
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

fn no_end() -> Error {
    Error::internal("a stream stopped without its end mark")
}

/// Turns a caught panic into an error, because a panic in one call must not end the others.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    Error::internal(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::Driver;

    #[derive(serde::Serialize)]
    struct Numbered {
        number: i64,
    }

    impl Row for Numbered {
        const COLUMNS: &'static [crate::report::Column] = &[];
    }

    /// Produces pages of one row each, and then what is given.
    fn stream(driver: &Driver, pages: i64, end: Result<()>) -> Stream {
        let cancel = CancellationToken::new();
        let rows = Rows::produce(&cancel, move |to| async move {
            for number in 1..=pages {
                to.send(vec![Numbered { number }]).await?;
            }
            end
        });
        driver.block_on(rows).unwrap().into_stream()
    }

    #[test]
    fn more_pages_than_wait_arrive_in_order() {
        let driver = Driver::new().unwrap();
        let rows = stream(&driver, 50, Ok(())).collect::<Result<Vec<_>>>().unwrap();
        let numbers: Vec<_> = rows.iter().filter_map(|row| row.as_record()?.get("number").cloned()).collect();
        assert_eq!(numbers, (1..=50).map(Value::Int).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_is_the_last_item() {
        let driver = Driver::new().unwrap();
        let mut rows: Vec<_> = stream(&driver, 50, Err(Error::internal("torn"))).collect();
        assert_eq!(rows.len(), 51);
        assert_eq!(rows.pop().unwrap().unwrap_err().code(), "internal");
    }

    #[test]
    fn a_reader_that_leaves_ends_the_producer() {
        let driver = Driver::new().unwrap();
        let (sender, gone) = std::sync::mpsc::channel();
        let cancel = CancellationToken::new();
        let rows = Rows::produce(&cancel, move |to| async move {
            // Dropped with the producer, however it ends.
            let _sender = sender;
            to.send(vec![Numbered { number: 1 }]).await?;
            std::future::pending().await
        });
        let mut rows = driver.block_on(rows).unwrap().into_stream();
        assert!(rows.next().unwrap().is_ok());
        drop(rows);
        let end: std::result::Result<(), _> = gone.recv_timeout(std::time::Duration::from_secs(10));
        assert_eq!(end, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
