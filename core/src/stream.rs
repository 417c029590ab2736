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
    pub(crate) fn into_stream(mut self) -> Stream {
        let pages = std::iter::from_fn(move || {
            // The closure has to own all of it: a closure that names only some fields leaves the rest behind, and the guard
            // among them would end the producer here.
            let this = &mut self;
            let message = match this.first.take() {
                Some(first) => Some(first),
                // A face reads on the thread that may stand inside the runtime, for example in a hook.
                None => tokio::task::block_in_place(|| this.messages.blocking_recv()),
            };
            match message {
                Some(Message::Page(rows)) => {
                    Some(rows.iter().map(|row| to_value(row).map_err(Error::internal)).collect::<Result<Vec<_>>>())
                }
                Some(Message::End(Ok(()))) => None,
                Some(Message::End(Err(error))) => Some(Err(error)),
                None => Some(Err(no_end())),
            }
        });
        Stream { pages: Box::new(pages), ready: Vec::new().into_iter(), done: false }
    }
}

/// Values that arrive while they are read; it ends after an error.
pub struct Stream {
    pages: Box<dyn Iterator<Item = Result<Vec<Value>>> + Send>,
    ready: std::vec::IntoIter<Value>,
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
        loop {
            if let Some(value) = self.ready.next() {
                return Some(Ok(value));
            }
            if self.done {
                return None;
            }
            match self.pages.next() {
                Some(Ok(page)) => self.ready = page.into_iter(),
                Some(Err(error)) => {
                    self.done = true;
                    return Some(Err(error));
                }
                None => self.done = true,
            }
        }
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
