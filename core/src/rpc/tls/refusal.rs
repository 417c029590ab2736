//! Why a TLS connection did not come about.

use std::fmt;

use rustls::{AlertDescription, CertificateError};

/// A refusal, by us or by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The server's certificate does not lead to one that is trusted.
    UnknownAuthority {
        /// Who signed it, in its own words.
        issuer: String,
        /// What is trusted.
        trusted: Trusted,
    },
    /// The server's certificate is not signed with the key of the authority that it names.
    OtherAuthority {
        /// Who signed it, in its own words.
        issuer: String,
        /// What is trusted.
        trusted: Trusted,
    },
    /// The server's certificate is out of date.
    Expired {
        /// When it ended.
        on: String,
        /// Our clock.
        now: String,
    },
    /// The server's certificate is for later.
    NotYetValid {
        /// When it begins.
        from: String,
        /// Our clock.
        now: String,
    },
    /// The server's certificate is for other names.
    Name {
        /// The name that it should carry.
        wanted: String,
        /// The names that it carries.
        names: Vec<String>,
    },
    /// The server's certificate is not the pinned one.
    Pin {
        /// Its SHA-256.
        found: String,
    },
    /// The server's certificate cannot be used for another reason.
    Certificate {
        /// The reason.
        why: String,
        /// Its SHA-256.
        found: String,
    },
    /// The server wants a client certificate, and none is given.
    ClientCertificateRequired,
    /// The server does not want this client certificate.
    ClientCertificateRejected {
        /// What the server said about it.
        said: Option<String>,
    },
    /// The handshake failed for another reason.
    Handshake {
        /// The reason.
        why: String,
    },
}

/// What a server's certificate is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// The certificates of a file.
    File(String),
    /// The system's, because no file is given.
    System,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownAuthority { issuer, trusted: Trusted::File(path) } => {
                write!(f, "the server's certificate was issued by {issuer:?}, which is not in {path}")
            }
            Refusal::UnknownAuthority { issuer, trusted: Trusted::System } => {
                write!(f, "the server's certificate was issued by {issuer:?}, which this system does not trust")
            }
            Refusal::OtherAuthority { issuer, trusted } => {
                let place = match trusted {
                    Trusted::File(path) => path,
                    Trusted::System => "this system's store",
                };
                write!(
                    f,
                    "the server's certificate was issued by {issuer:?}, but not by the one of that name in {place}"
                )
            }
            Refusal::Expired { on, now } => {
                write!(f, "the server's certificate expired on {on} (your clock says {now})")
            }
            Refusal::NotYetValid { from, now } => {
                write!(f, "the server's certificate is valid from {from} on (your clock says {now})")
            }
            Refusal::Name { wanted, names } if names.is_empty() => {
                write!(f, "the server's certificate is not for {wanted}: it names no host at all")
            }
            Refusal::Name { wanted, names } => {
                write!(f, "the server's certificate is not for {wanted}, but for {}", names.join(", "))
            }
            Refusal::Pin { found } => {
                write!(f, "the server's certificate is not the pinned one; its SHA-256 is {found}")
            }
            Refusal::Certificate { why, .. } => write!(f, "the server's certificate cannot be used: {why}"),
            Refusal::ClientCertificateRequired => f.write_str("the server requires a client certificate"),
            Refusal::ClientCertificateRejected { said: None } => {
                f.write_str("the server closed the connection when it got the client certificate")
            }
            Refusal::ClientCertificateRejected { said: Some(said) } => {
                write!(f, "the server rejected the client certificate: {said}")
            }
            Refusal::Handshake { why } => write!(f, "the TLS handshake failed: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Returns the stable word for it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownAuthority { .. } | Refusal::OtherAuthority { .. } => "tls_unknown_authority",
            Refusal::Expired { .. } | Refusal::NotYetValid { .. } => "tls_expired",
            Refusal::Name { .. } => "tls_name",
            Refusal::Pin { .. } => "tls_pin",
            Refusal::Certificate { .. } => "tls_certificate",
            Refusal::ClientCertificateRequired => "tls_client_certificate_required",
            Refusal::ClientCertificateRejected { .. } => "tls_client_certificate_rejected",
            Refusal::Handshake { .. } => "tls",
        }
    }

    /// Returns what to do about it.
    pub(crate) fn help(&self) -> Option<String> {
        let help = match self {
            Refusal::UnknownAuthority { trusted: Trusted::System, .. } => {
                "give the certificate of the cluster's authority as cacert"
            }
            Refusal::UnknownAuthority { .. } => "give the certificate of that authority as cacert",
            Refusal::OtherAuthority { .. } => "the authority was made anew; give its new certificate as cacert",
            Refusal::Expired { .. } => "renew it on the server, or set this machine's clock right",
            Refusal::NotYetValid { .. } => "set the clocks right",
            Refusal::Name { .. } => "use one of its names in the endpoint, or give the expected one as server_name",
            Refusal::Pin { .. } => "make sure that this is the right server before you change tls_pin",
            Refusal::Certificate { found, .. } => {
                return Some(format!(
                    "compare its SHA-256 with the server's own file, and if it is the same give tls_pin {found}"
                ));
            }
            Refusal::ClientCertificateRequired => "give cert and key",
            Refusal::ClientCertificateRejected { .. } => {
                "give a cert that the servers' --trusted-ca-file has issued for client use"
            }
            Refusal::Handshake { .. } => return None,
        };
        Some(help.to_owned())
    }

    /// Reads what rustls failed with. `asked` says whether the server wanted a client certificate, `given` whether it got one.
    pub(in crate::rpc) fn read(error: &rustls::Error, asked: bool, given: bool) -> Refusal {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<Refusal>() {
                    Some(refusal) => refusal.clone(),
                    None => Refusal::Handshake { why: error.to_string() },
                }
            }
            rustls::Error::AlertReceived(alert) if asked => match alert {
                AlertDescription::CertificateRequired => Refusal::ClientCertificateRequired,
                AlertDescription::BadCertificate if !given => Refusal::ClientCertificateRequired,
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError => Refusal::ClientCertificateRejected { said: Some(words(*alert)) },
                _ => Refusal::Handshake { why: error.to_string() },
            },
            _ => Refusal::Handshake { why: error.to_string() },
        }
    }
}

fn words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::BadCertificate => "it is bad or for another use".to_owned(),
        AlertDescription::CertificateExpired => "it has expired".to_owned(),
        AlertDescription::CertificateRevoked => "it is revoked".to_owned(),
        AlertDescription::UnknownCA => "its authority is unknown there".to_owned(),
        other => format!("{other:?}"),
    }
}
