//! Ports that do not answer, each in its own way.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::background::{Background, listen};

/// A port that accepts connections.
pub struct Port {
    /// Its number.
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    _work: Background,
}

impl Port {
    /// Accepts, and never says a word: a frozen process, as the network sees it.
    pub fn silent() -> Self {
        Port::accepting(|mut stream| async move {
            let mut bytes = [0; 1024];
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        })
    }

    /// Answers whatever it is told with the same text, and closes: some other server.
    pub fn saying(text: &'static str) -> Self {
        Port::accepting(move |mut stream| async move {
            let mut bytes = [0; 1024];
            let heard = stream.read(&mut bytes).await.is_ok_and(|read| read > 0);
            if heard && stream.write_all(text.as_bytes()).await.is_ok() {
                // Whoever closes with bytes unread sends a reset, which may overtake the text.
                let _ = stream.shutdown().await;
                while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            }
        })
    }

    fn accepting<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, port) = listen(128);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let work = Background::run(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Port { port, accepted, _work: work }
    }

    /// Returns how many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A port whose connections are never made: its queue is full, so that the system drops every further attempt, as a firewall
/// does.
pub struct BlackHole {
    /// Its number.
    pub port: u16,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Fills the queue of a port that nobody accepts from.
    pub fn new() -> Self {
        let (listener, port) = listen(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut queued = Vec::new();
        // On loopback a connection is made at once, or never.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue of port {port} does not fill up");
        }
        BlackHole { port, _listener: listener, _queued: queued }
    }
}

impl Default for BlackHole {
    fn default() -> Self {
        BlackHole::new()
    }
}
