//! What the tests of the wire share: certificates made on the spot, and tiny servers on 127.0.0.1.

mod answering;
mod connecting;
mod files;
mod messages;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Cluster, Status};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::profile::{Profile, Tls};

/// A connection of a test is made at once or never.
const CONNECT: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(600);

/// An authority that signs certificates for the tests.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key.
struct Certificate {
    pem: String,
    key: KeyPair,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        Authority::with(params(name, &[]))
    }

    fn with(mut params: CertificateParams) -> Self {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Authority { issuer: Issuer::new(params, key), pem, der }
    }

    fn sign(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate { pem: certificate.pem(), der: certificate.der().clone(), key }
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    params
}

fn early(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2222, 1, 1);
    params.not_after = rcgen::date_time_ymd(2223, 1, 1);
    params
}

fn write(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn profile(endpoint: &str, tls: Tls) -> Profile {
    Profile {
        name: None,
        endpoints: vec![Endpoint::parse(endpoint, false).unwrap()],
        tls,
        user: None,
        cluster_id: None,
        timeout: TIMEOUT,
        connect_timeout: CONNECT,
        assumed: false,
        hosts: None,
    }
}

/// Asks for the status of a server at a port.
async fn status(scheme: &str, port: u16, tls: Tls) -> Result<Status> {
    let cluster = Cluster::new(profile(&format!("{scheme}://127.0.0.1:{port}"), tls))?;
    let node = cluster.node(&cluster.seeds()[0])?;
    node.status(Instant::now() + TIMEOUT).await
}

/// Starts a server that does something with each connection, and returns its port.
async fn serve<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    port
}

/// Begins HTTP/2 as a server does, and says no more.
async fn settings(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
    let _ = stream.flush().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Starts a TLS server that begins HTTP/2. With an authority for clients it demands their certificates.
async fn serve_tls(certificate: &Certificate, clients: Option<&Authority>) -> u16 {
    let key = PrivateKeyDer::try_from(certificate.key.serialize_der()).unwrap();
    serve_tls_with(certificate.der.clone(), key, clients).await
}

async fn serve_tls_with(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    clients: Option<&Authority>,
) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
        None => builder.unwrap().with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let accepting = acceptor.accept(stream);
        async move {
            if let Ok(stream) = accepting.await {
                settings(stream).await;
            }
        }
    })
    .await
}

/// Replaces the folder of a test, which differs from run to run.
fn tidy(text: &str, folder: &TempDir) -> String {
    text.replace(&folder.path().display().to_string(), "DIR")
}
