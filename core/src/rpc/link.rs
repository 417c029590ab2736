//! One HTTP/2 connection to one endpoint, made when it is first needed and made again when it is gone.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tower::{BoxError, Service};

use super::body::{Clean, clean};
use super::dial::Dialer;
use super::error::RpcError;
use super::single::Single;
use super::token::Tokens;
use super::wire::{Watched, Wire};
use crate::endpoint::Endpoint;

/// etcd drops a connection whose client pings more often than every 5 s, in the middle of a long call such as a defragmentation.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_ANSWERED_WITHIN: Duration = Duration::from_secs(6);
/// What may be under way unread, so that a large answer is not slowed down by waiting for permission.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection that the server has answered on.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Body>,
    pub(super) wire: Arc<Wire>,
}

/// The way to one endpoint.
pub(super) struct Link {
    endpoint: Endpoint,
    origin: Uri,
    dialer: Arc<Dialer>,
    tokens: Arc<Tokens>,
    current: Mutex<Option<Connection>>,
    connecting: Single<RpcError>,
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, dialer: Arc<Dialer>, tokens: Arc<Tokens>) -> Result<Self, RpcError> {
        let origin = endpoint.to_string().parse().map_err(|_| RpcError::protocol(&endpoint, "is not a URL"))?;
        Ok(Link { endpoint, origin, dialer, tokens, current: Mutex::default(), connecting: Single::default() })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the connection that is open.
    pub(super) fn current(&self) -> Option<Connection> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|connection| !connection.requests.is_closed())
    }

    /// Returns the open connection, or makes one. It is open when the server has sent its first HTTP/2 frame, so a port that
    /// is silent or speaks something else is found out before anything is asked of it.
    pub(super) async fn connection(&self) -> Result<Connection, RpcError> {
        // The future of a TLS handshake is large, and every call would carry room for it, many times over in a change: too much
        // for the stack of a plugin's thread.
        let make = Box::pin(async {
            let connection = self.dialer.connect(&self.endpoint).await?;
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
            Ok(connection)
        });
        self.connecting.get_or_make(|| self.current(), make).await
    }

    /// Gives up a connection on which nothing comes any more; calls on it may go on, new ones get another.
    pub(super) fn retire(&self, connection: &Connection) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.wire, &connection.wire)) {
            *current = None;
        }
    }
}

/// Starts HTTP/2 on a stream.
pub(super) async fn start<S>(stream: S, wire: Arc<Wire>) -> Result<Connection, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWERED_WITHIN)
        .keep_alive_while_idle(false)
        .handshake(TokioIo::new(Watched::new(stream, Arc::clone(&wire))))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    Ok(Connection { requests, wire })
}

/// Sends requests over a [`Link`]: what etcd-client and our own calls stand on.
#[derive(Clone)]
pub(super) struct Sender(pub(super) Arc<Link>);

impl Service<http::Request<Body>> for Sender {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let link = Arc::clone(&self.0);
        Box::pin(async move {
            let path = request.uri().path_and_query().cloned();
            let authenticates = path.as_ref().is_some_and(|path| path == "/etcdserverpb.Auth/Authenticate");
            let mut uri = link.origin.clone().into_parts();
            uri.path_and_query = path;
            *request.uri_mut() = Uri::from_parts(uri)?;
            let headers = request.headers_mut();
            headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("etcdsh/", env!("CARGO_PKG_VERSION"))));
            let token = link.tokens.header();
            if let Some(token) = token.filter(|_| !authenticates) {
                headers.insert("token", token);
            }
            let mut connection = link.connection().await?;
            let mut response = connection.requests.send_request(request).await?;
            clean(response.headers_mut());
            Ok(response.map(|body| Body::new(Clean(body))))
        })
    }
}
