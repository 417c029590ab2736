//! After a connection failed without a word: what does that port speak?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Endpoint;

/// Only a better message is at stake.
const BOUND: Duration = Duration::from_secs(1);

/// The client's side of the beginning of HTTP/2, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Says whether the port answers a TLS handshake.
pub(super) async fn speaks_tls(endpoint: &Endpoint, until: Instant) -> bool {
    let handshake = async {
        let stream = connect(endpoint).await.ok()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // It trusts nobody, so it gets as far as the server's certificate, and no byte of ours is ever sent under it.
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(endpoint.host().to_owned()).ok()?;
        let error = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.err()?;
        tls_error(&error).map(|error| !matches!(error, rustls::Error::InvalidMessage(_)))
    };
    bounded(until, handshake).await.flatten().unwrap_or(false)
}

/// Says whether the port answers HTTP without TLS.
pub(super) async fn speaks_plain(endpoint: &Endpoint, until: Instant) -> bool {
    let greeting = async {
        let mut stream = connect(endpoint).await?;
        stream.write_all(PREFACE).await?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(is_settings(&answer) || answer.starts_with(b"HTTP/"))
    };
    matches!(bounded(until, greeting).await, Some(Ok(true)))
}

/// Says whether this is the beginning of a SETTINGS frame, with which every HTTP/2 server begins.
pub(super) fn is_settings(head: &[u8]) -> bool {
    // Three bytes of length, which stays small, and the type.
    matches!(head, [0, _, _, 4, ..])
}

/// Returns what rustls found wrong, where an I/O error is one of its own.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    TcpStream::connect((endpoint.host(), endpoint.port())).await
}

async fn bounded<T>(until: Instant, work: impl Future<Output = T>) -> Option<T> {
    timeout_at(until.min(Instant::now() + BOUND), work).await.ok()
}
