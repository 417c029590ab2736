//! The bytes of a connection, watched: how it failed is seen here first-hand, while the layers above only say that it did.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How many of the first bytes are kept, to tell who speaks.
const HEAD: usize = 256;

/// What is known about a connection.
#[derive(Default)]
pub(super) struct Wire {
    received: AtomicU64,
    head: Mutex<Vec<u8>>,
    end: Mutex<Option<Arc<io::Error>>>,
    changed: Notify,
}

impl Wire {
    /// Returns how many bytes came in so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns why the connection ended; an orderly end is an `UnexpectedEof`.
    pub(super) fn end(&self) -> Option<Arc<io::Error>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first bytes of the server, or for the end.
    pub(super) async fn first_bytes(&self) -> Result<Vec<u8>, Arc<io::Error>> {
        loop {
            let changed = self.changed.notified();
            let head = self.head.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if !head.is_empty() {
                return Ok(head);
            }
            if let Some(end) = self.end() {
                return Err(end);
            }
            changed.await;
        }
    }

    fn read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.ended(io::ErrorKind::UnexpectedEof.into());
        }
        let before = self.received.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if before == 0 {
            let head = bytes.get(..HEAD).unwrap_or(bytes).to_vec();
            *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
            self.changed.notify_waiters();
        }
    }

    fn ended(&self, error: io::Error) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Arc::new(error));
        self.changed.notify_waiters();
    }
}

/// A stream whose reads and failures are noted in a [`Wire`].
pub(super) struct Watched<S> {
    stream: S,
    wire: Arc<Wire>,
    /// Why writing failed, until it is told.
    failed: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    pub(super) fn new(stream: S, wire: Arc<Wire>) -> Self {
        Watched { stream, wire, failed: None }
    }

    fn noted<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match done {
            Poll::Ready(Err(error)) => {
                self.failed = Some(error);
                self.last_words(cx).map(Err)
            }
            other => other,
        }
    }

    /// Waits for the last that was sent to us before writing failed. A TLS server that refuses the client's certificate says so
    /// in an alert, and closes. We may notice the closed connection while writing, with the alert still unread; it is worth more
    /// than "broken pipe". A connection that cannot be written to has an end to be read, so this waits for no more than that.
    fn last_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut scratch = [0; HEAD];
        let said = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut scratch)));
        let failed = self.failed.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        let error = said.err().unwrap_or(failed);
        let copy = io::Error::new(error.kind(), error.to_string());
        self.wire.ended(error);
        Poll::Ready(copy)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            // Nothing can be read into nothing, and that is no end of the stream.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                self.wire.read(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.wire.ended(error);
                Poll::Ready(Err(copy))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return self.last_words(cx).map(Err);
        }
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return self.last_words(cx).map(Err);
        }
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.noted(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return self.last_words(cx).map(Err);
        }
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.noted(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
