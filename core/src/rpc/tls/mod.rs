//! TLS: who is trusted, and who we are.

mod files;
mod refusal;
mod verify;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::ServerName;

pub use files::BadFile;
pub use refusal::{Refusal, Trusted};
use verify::{Judge, Verifier};

use crate::endpoint::Endpoint;
use crate::error::{Fault, Result};
use crate::profile::Tls;

/// Everything about TLS that a profile decides.
pub(super) struct TlsSetup {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    /// Made when the first TLS connection is: reading the system's certificates takes a while, and most clusters have their own.
    config: OnceLock<ClientConfig>,
}

enum Trust {
    File { roots: Arc<RootCertStore>, path: String },
    Pin([u8; 32]),
    System,
}

impl TlsSetup {
    /// Reads and checks the files.
    pub(super) fn new(tls: &Tls) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let now = files::now();
        let pin = match &tls.pin {
            Some(text) => Some(verify::read_pin(text).ok_or(BadSetting::Pin)?),
            None => None,
        };
        // A file is checked even where the pin makes it unnecessary: it was given, so it should be right.
        let file = match &tls.cacert {
            Some(path) => {
                Some(Trust::File { roots: Arc::new(files::authorities(path, now)?), path: path.display().to_string() })
            }
            None => None,
        };
        let trust = pin.map(Trust::Pin).or(file).unwrap_or(Trust::System);
        let identity = files::identity(tls.cert.as_deref(), tls.key.as_deref(), &provider, now)?;
        let server_name = match &tls.server_name {
            Some(name) => Some(read_name(name).ok_or_else(|| BadSetting::ServerName { name: name.clone() })?),
            None => None,
        };
        Ok(TlsSetup { provider, trust, identity, server_name, config: OnceLock::new() })
    }

    /// Returns the name that a server's certificate must carry.
    pub(super) fn server_name(&self, endpoint: &Endpoint) -> Option<ServerName<'static>> {
        self.server_name.clone().or_else(|| read_name(endpoint.host()))
    }

    /// Says whether a client certificate is given.
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Returns the settings of one connection; `asked` tells afterwards whether the server wanted a client certificate.
    pub(super) fn config(&self, asked: &Arc<AtomicBool>) -> Result<ClientConfig, rustls::Error> {
        let mut config = match self.config.get() {
            Some(config) => config.clone(),
            None => {
                let made = self.make()?;
                self.config.get_or_init(|| made).clone()
            }
        };
        let identity = self.identity.clone();
        config.client_auth_cert_resolver = Arc::new(Resolver { identity, asked: Arc::clone(asked) });
        Ok(config)
    }

    fn make(&self) -> Result<ClientConfig, rustls::Error> {
        let judge = match &self.trust {
            Trust::Pin(pin) => Judge::Pin(*pin),
            Trust::File { roots, path } => self.by_authorities(Arc::clone(roots), Trusted::File(path.clone())),
            Trust::System => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                self.by_authorities(Arc::new(roots), Trusted::System)
            }
        };
        let verifier = Verifier { judge, provider: Arc::clone(&self.provider) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session skips what is to be observed here, and connections are kept anyway.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn by_authorities(&self, roots: Arc<RootCertStore>, trusted: Trusted) -> Judge {
        // It refuses an empty store; then nobody is trusted.
        match WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider)).build() {
            Ok(webpki) => Judge::Authorities { webpki, trusted },
            Err(_) => Judge::Nobody,
        }
    }
}

fn read_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// Gives the client's certificate where the server asks for one, and notes that it did.
#[derive(Debug)]
struct Resolver {
    identity: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        // Otherwise rustls would not tell us that the server asked.
        true
    }
}

/// A setting that is not a file and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSetting {
    /// The pin is not a SHA-256.
    #[error("tls_pin is not a SHA-256 in hex")]
    Pin,
    /// The name is none.
    #[error("server_name is {name:?}, which is neither a host name nor an IP address")]
    ServerName {
        /// The name.
        name: String,
    },
    /// Certificates are given for an endpoint that has no use for them.
    #[error("the endpoint {endpoint} is not encrypted, so {settings} would be without effect")]
    PlainEndpoint {
        /// The endpoint.
        endpoint: Endpoint,
        /// What is given.
        settings: String,
    },
    /// A password would cross the network in the clear.
    #[error("the endpoint {endpoint} is not encrypted, so the password of {user:?} is not sent to it")]
    PlaintextCredentials {
        /// The endpoint.
        endpoint: Endpoint,
        /// The user.
        user: String,
    },
}

impl Fault for BadSetting {
    fn code(&self) -> &'static str {
        match self {
            BadSetting::Pin | BadSetting::ServerName { .. } => "invalid_config",
            BadSetting::PlainEndpoint { .. } => "plain_endpoint",
            BadSetting::PlaintextCredentials { .. } => "plaintext_credentials",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some(match self {
            BadSetting::Pin => "tls_pin",
            BadSetting::ServerName { .. } => "server_name",
            BadSetting::PlainEndpoint { .. } | BadSetting::PlaintextCredentials { .. } => "endpoints",
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            BadSetting::Pin => "it is what `openssl x509 -in FILE -noout -fingerprint -sha256` prints".to_owned(),
            BadSetting::ServerName { .. } => "give a name of the server's certificate".to_owned(),
            BadSetting::PlainEndpoint { endpoint, .. } => {
                format!("write https://{}:{}, or leave these settings out", endpoint.host(), endpoint.port())
            }
            BadSetting::PlaintextCredentials { endpoint, .. } => {
                format!(
                    "write https://{}:{}; only to this machine a password goes in the clear",
                    endpoint.host(),
                    endpoint.port()
                )
            }
        })
    }

    fn endpoint(&self) -> Option<String> {
        match self {
            BadSetting::PlainEndpoint { endpoint, .. } | BadSetting::PlaintextCredentials { endpoint, .. } => {
                Some(endpoint.to_string())
            }
            _ => None,
        }
    }
}

/// Refuses an endpoint that the profile's settings must not be used with.
pub(super) fn allow(endpoint: &Endpoint, profile: &crate::profile::Profile) -> Result<(), BadSetting> {
    if endpoint.tls() {
        return Ok(());
    }
    let tls = &profile.tls;
    let given = [
        ("cacert", tls.cacert.is_some()),
        ("cert", tls.cert.is_some()),
        ("key", tls.key.is_some()),
        ("server_name", tls.server_name.is_some()),
        ("tls_pin", tls.pin.is_some()),
    ];
    let given: Vec<_> = given.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
    if !given.is_empty() {
        return Err(BadSetting::PlainEndpoint { endpoint: endpoint.clone(), settings: given.join(", ") });
    }
    match &profile.user {
        Some(user) if !endpoint.is_loopback() => {
            Err(BadSetting::PlaintextCredentials { endpoint: endpoint.clone(), user: user.name.clone() })
        }
        _ => Ok(()),
    }
}
