//! Getting from an endpoint to a connection that the server has answered on, within one bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::error::{Failure, RpcError};
use super::link::{Connection, start};
use super::wire::Wire;
use crate::endpoint::Endpoint;

/// How connections are made.
#[derive(Clone)]
pub(super) struct Dialer {
    bound: Duration,
}

impl Dialer {
    pub(super) fn new(bound: Duration) -> Self {
        Dialer { bound }
    }

    /// Connects.
    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, RpcError> {
        let never = |failure| RpcError::never_sent(endpoint, failure);
        let until = Instant::now() + self.bound;
        let late = |waiting_for| never(Failure::ConnectTimeout { waiting_for, bound: self.bound });
        let found = timeout_at(until, tokio::net::lookup_host((endpoint.host(), endpoint.port()))).await;
        let addresses: Vec<_> = match found.map_err(|_| late("the name to be resolved"))? {
            Ok(found) => found.collect(),
            Err(source) => return Err(never(Failure::Dns { host: endpoint.host().to_owned(), source: source.into() })),
        };
        let stream = self.tcp(endpoint, &addresses, until).await?;
        let wire = Arc::new(Wire::default());
        self.http2(endpoint, stream, wire, until).await
    }

    async fn tcp(
        &self,
        endpoint: &Endpoint,
        addresses: &[std::net::SocketAddr],
        until: Instant,
    ) -> Result<TcpStream, RpcError> {
        let mut failure = None;
        for (tried, address) in addresses.iter().enumerate() {
            // One address that leads nowhere must not use up the time of the others.
            let now = Instant::now();
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = now + until.saturating_duration_since(now) / left;
            match timeout_at(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is small and wants to leave at once.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => failure = Some(Failure::Unreachable { source: source.into() }),
                Err(_) => {
                    let late = Failure::ConnectTimeout { waiting_for: "the connection", bound: self.bound };
                    failure.get_or_insert(late);
                }
            }
        }
        let no_address = || Failure::Dns {
            host: endpoint.host().to_owned(),
            source: io::Error::from(io::ErrorKind::NotFound).into(),
        };
        Err(RpcError::never_sent(endpoint, failure.unwrap_or_else(no_address)))
    }

    async fn http2<S>(
        &self,
        endpoint: &Endpoint,
        stream: S,
        wire: Arc<Wire>,
        until: Instant,
    ) -> Result<Connection, RpcError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let never = |failure| RpcError::never_sent(endpoint, failure);
        let lost = |source: Arc<io::Error>| never(Failure::Lost { source });
        let connection = start(stream, Arc::clone(&wire))
            .await
            .map_err(|error| lost(wire.end().unwrap_or_else(|| io::Error::other(error.to_string()).into())))?;
        match timeout_at(until, wire.first_bytes()).await {
            Err(_) => Err(never(Failure::ConnectTimeout { waiting_for: "HTTP/2 to begin", bound: self.bound })),
            Ok(Err(end)) => Err(lost(end)),
            Ok(Ok(head)) => match head.get(3) {
                // An HTTP/2 server begins with a SETTINGS frame, whose type is the fourth byte.
                Some(4) => Ok(connection),
                _ => Err(never(Failure::NotEtcd { answered: String::from_utf8_lossy(&head).into_owned() })),
            },
        }
    }
}
