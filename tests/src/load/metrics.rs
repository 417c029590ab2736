//! Reading a member's metrics, in the plainest HTTP that there is: one question for each connection.

use std::path::Path;
use std::sync::Arc;

use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::profile::Profile;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The gauge that says how many defragmentations are under way on a member. Releases before 3.4.23 may lack it.
const INFLIGHT: &str = "etcd_disk_defrag_inflight ";

/// How metrics are asked for.
#[derive(Clone)]
pub(super) struct Metrics(Option<TlsConnector>);

impl Metrics {
    pub(super) fn of(profile: &Profile) -> Self {
        Metrics(profile.tls.is_set().then(|| TlsConnector::from(Arc::new(tls(profile)))))
    }

    /// Says whether a defragmentation is under way on a member; nothing where the member does not tell.
    pub(super) async fn defragments(&self, url: &str) -> std::io::Result<Option<bool>> {
        let endpoint = Endpoint::parse(url, false).expect("a member's own URL");
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        let text = match &self.0 {
            Some(connector) => {
                let name = ServerName::try_from(endpoint.host().to_owned()).expect("a host is a name");
                get(connector.connect(name, stream).await?, endpoint.host()).await?
            }
            None => get(stream, endpoint.host()).await?,
        };
        let value = text.lines().find_map(|line| line.strip_prefix(INFLIGHT));
        Ok(value.map(|value| value.trim() != "0"))
    }
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> std::io::Result<String> {
    // A server that speaks to a client of 1.0 sends no chunks, and closes at the end.
    let question = format!("GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") { Ok(text) } else { Err(std::io::Error::other(status.to_owned())) }
}

fn tls(profile: &Profile) -> ClientConfig {
    let certificates = |path: &Path| -> Vec<CertificateDer<'static>> {
        let read = CertificateDer::pem_file_iter(path).expect("certificates");
        read.collect::<Result<_, _>>().expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    for certificate in profile.tls.cacert.iter().flat_map(|path| certificates(path)) {
        roots.add(certificate).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots);
    match (&profile.tls.cert, &profile.tls.key) {
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).expect("a key");
            builder.with_client_auth_cert(certificates(cert), key).expect("a client's certificate")
        }
        _ => builder.with_no_client_auth(),
    }
}
