//! Getting from an endpoint to a connection that the server has answered on, within one bound. Nothing is asked of the server
//! before, so whatever fails here leaves the call unsent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::{Failure, RpcError};
use super::link::{Connection, start};
use super::probe::{self, is_settings, tls_error};
use super::tls::{Refusal, TlsSetup};
use super::wire::Wire;
use crate::endpoint::Endpoint;

/// How connections are made.
pub(super) struct Dialer {
    bound: Duration,
    tls: TlsSetup,
}

impl Dialer {
    pub(super) fn new(bound: Duration, tls: TlsSetup) -> Self {
        Dialer { bound, tls }
    }

    /// Connects.
    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, RpcError> {
        let attempt = Attempt { dialer: self, endpoint, until: Instant::now() + self.bound };
        let done = attempt.run().await;
        match &done {
            Ok(_) => tracing::debug!(%endpoint, "connected"),
            Err(failure) => tracing::debug!(%endpoint, %failure, "not connected"),
        }
        done.map_err(|failure| RpcError::never_sent(endpoint, failure))
    }
}

/// One attempt to connect.
struct Attempt<'a> {
    dialer: &'a Dialer,
    endpoint: &'a Endpoint,
    until: Instant,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Connection, Failure> {
        let stream = self.tcp(&self.resolve().await?).await?;
        let wire = Arc::new(Wire::default());
        if self.endpoint.tls() { self.https(stream, wire).await } else { self.http(stream, wire).await }
    }

    /// Waits for the server to say something.
    async fn bounded<T>(&self, waiting_for: &'static str, work: impl Future<Output = T>) -> Result<T, Failure> {
        let late = |_| Failure::HandshakeTimeout { waiting_for, bound: self.dialer.bound };
        timeout_at(self.until, work).await.map_err(late)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let waiting_for = "the address of the host";
        let late = |_| Failure::ConnectTimeout { waiting_for, bound: self.dialer.bound };
        let found = timeout_at(self.until, tokio::net::lookup_host((host, port))).await.map_err(late)?;
        let found = found.map(Iterator::collect).and_then(|addresses: Vec<_>| match addresses.is_empty() {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(addresses),
        });
        found.map_err(|source| Failure::Dns { host: host.to_owned(), source: source.into() })
    }

    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let mut failure = Failure::ConnectTimeout { waiting_for: "the connection", bound: self.dialer.bound };
        for (tried, address) in addresses.iter().enumerate() {
            // One address that leads nowhere must not use up the time of the others.
            let now = Instant::now();
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = now + self.until.saturating_duration_since(now) / left;
            match timeout_at(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Requests are small and want to leave at once; where this cannot be set they leave a little later.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => failure = Failure::Unreachable { source: source.into() },
                Err(_) => {}
            }
        }
        Err(failure)
    }

    async fn http(&self, stream: TcpStream, wire: Arc<Wire>) -> Result<Connection, Failure> {
        let (connection, head) = self.http2(stream, wire).await?;
        match head {
            Ok(head) if is_settings(&head) => Ok(connection),
            // A TLS alert, and what Go's HTTPS server says to plain HTTP.
            Ok(head) if head.starts_with(&[0x15, 3]) || contains(&head, b"HTTPS server") => {
                Err(Failure::PlainToTlsPort)
            }
            Ok(head) => Err(not_etcd(&head)),
            Err(_) if probe::speaks_tls(self.endpoint, self.until).await => Err(Failure::PlainToTlsPort),
            Err(source) => Err(Failure::Lost { during: "before HTTP/2 began", source }),
        }
    }

    async fn https(&self, stream: TcpStream, wire: Arc<Wire>) -> Result<Connection, Failure> {
        let setup = &self.dialer.tls;
        let asked = Arc::new(AtomicBool::new(false));
        let handshake = |why: String| Failure::Tls(Refusal::Handshake { why });
        let config = setup.config(&asked).map_err(|error| handshake(error.to_string()))?;
        let name = setup.server_name(self.endpoint);
        let name = name.ok_or_else(|| handshake(format!("{:?} is not a host name", self.endpoint.host())))?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = match self.bounded("the TLS handshake", connecting).await? {
            Ok(stream) => stream,
            Err(error) => return Err(self.refused(error.into(), &asked, "during the TLS handshake").await),
        };
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Failure::NotEtcd { answered: "TLS without HTTP/2".to_owned() });
        }
        // With TLS 1.3 the server judges the client's certificate when the handshake is already over on our side.
        let (connection, head) = self.http2(stream, wire).await?;
        match head {
            Ok(head) if is_settings(&head) => Ok(connection),
            Ok(head) => Err(not_etcd(&head)),
            Err(end) => Err(self.refused(end, &asked, "before HTTP/2 began").await),
        }
    }

    /// Finds out why the server would not have us.
    async fn refused(&self, end: Arc<io::Error>, asked: &AtomicBool, during: &'static str) -> Failure {
        let (asked, given) = (asked.load(Ordering::Relaxed), self.dialer.tls.has_identity());
        match tls_error(&end) {
            Some(rustls::Error::InvalidMessage(_)) => Failure::TlsToPlainPort,
            Some(error) => Failure::Tls(Refusal::read(error, asked, given)),
            None if asked && given => Failure::Tls(Refusal::ClientCertificateRejected { said: None }),
            None if asked => Failure::Tls(Refusal::ClientCertificateRequired),
            None if probe::speaks_plain(self.endpoint, self.until).await => Failure::TlsToPlainPort,
            None => Failure::Lost { during, source: end },
        }
    }

    /// Begins HTTP/2, and returns the first bytes of the server, or how the connection ended before there were any.
    async fn http2<S>(
        &self,
        stream: S,
        wire: Arc<Wire>,
    ) -> Result<(Connection, Result<Vec<u8>, Arc<io::Error>>), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = start(stream, Arc::clone(&wire)).await.map_err(|error| {
            let source = wire.end().unwrap_or_else(|| io::Error::other(error.to_string()).into());
            Failure::Lost { during: "before HTTP/2 began", source }
        })?;
        let head = self.bounded("HTTP/2 to begin", wire.first_bytes()).await?;
        Ok((connection, head))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn not_etcd(head: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(head);
    Failure::NotEtcd { answered: text.lines().next().unwrap_or_default().to_owned() }
}
