//! The files of a profile, read and checked before anything is contacted. What rustls would report later as "unknown issuer"
//! or not at all gets its own message here, with the file's name.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::error::Fault;

/// No certificate or key comes near this; a file that does is something else.
const LARGEST_FILE: u64 = 1 << 20;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the {setting} file {} {problem}", path.display())]
pub struct BadFile {
    setting: &'static str,
    path: PathBuf,
    problem: Problem,
    source: Option<std::io::Error>,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Unreadable,
    TooLarge,
    NotPem,
    Der,
    NoCertificate,
    BadCertificate { number: usize },
    NoKey,
    EncryptedKey,
    UnusableKey { why: String },
    OtherKey { cert: PathBuf },
    Expired { on: String },
    NotYetValid { from: String, now: String },
    MissingPartner { setting: &'static str },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable => f.write_str("cannot be read"),
            Problem::TooLarge => f.write_str("is larger than 1 MiB, so it is not what it should be"),
            Problem::NotPem => f.write_str("is not PEM"),
            Problem::Der => f.write_str("is not PEM but DER"),
            Problem::NoCertificate => f.write_str("holds no certificate"),
            Problem::BadCertificate { number } => write!(f, "holds a certificate that is damaged: number {number}"),
            Problem::NoKey => f.write_str("holds no private key"),
            Problem::EncryptedKey => f.write_str("holds a key that is encrypted"),
            Problem::UnusableKey { why } => write!(f, "holds a key that cannot be used: {why}"),
            Problem::OtherKey { cert } => write!(f, "holds the key of another certificate than {}", cert.display()),
            Problem::Expired { on } => write!(f, "holds a certificate that expired on {on}"),
            Problem::NotYetValid { from, now } => {
                write!(f, "holds a certificate that is valid from {from} on; your clock says {now}")
            }
            Problem::MissingPartner { setting } => write!(f, "is of no use without the setting {setting}"),
        }
    }
}

impl Fault for BadFile {
    fn code(&self) -> &'static str {
        match self.problem {
            Problem::Expired { .. } | Problem::NotYetValid { .. } => "tls_file_expired",
            Problem::OtherKey { .. } => "tls_key_mismatch",
            Problem::EncryptedKey => "tls_key_encrypted",
            _ => "tls_bad_file",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some(self.setting)
    }

    fn help(&self) -> Option<String> {
        let path = self.path.display();
        Some(match &self.problem {
            Problem::Unreadable => "give the path of a file that you may read".to_owned(),
            Problem::Der => format!("convert it with `openssl x509 -inform der -in {path}`"),
            Problem::EncryptedKey => format!("decrypt it with `openssl pkey -in {path}`"),
            Problem::OtherKey { .. } => "give the key that the certificate was made with".to_owned(),
            Problem::MissingPartner { setting } => format!("give {setting} too"),
            Problem::Expired { .. } => "renew it".to_owned(),
            Problem::NotYetValid { .. } => "set the clocks right".to_owned(),
            _ if self.setting == "key" => "give a PEM file with the private key in it".to_owned(),
            _ => "give a PEM file with the certificate in it".to_owned(),
        })
    }
}

/// One file of the profile, for messages about it.
struct File<'a> {
    setting: &'static str,
    path: &'a Path,
}

impl File<'_> {
    fn bad(&self, problem: Problem) -> BadFile {
        BadFile { setting: self.setting, path: self.path.to_owned(), problem, source: None }
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, BadFile> {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = std::fs::File::open(self.path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length <= LARGEST_FILE) => Ok(bytes),
            Ok(_) => Err(self.bad(Problem::TooLarge)),
            Err(source) => Err(BadFile { source: Some(source), ..self.bad(Problem::Unreadable) }),
        }
    }

    /// Reads all certificates; each of them must be one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        let bytes = self.read()?;
        // A DER file begins with a sequence whose length takes two bytes.
        if bytes.starts_with(&[0x30, 0x82]) {
            return Err(self.bad(Problem::Der));
        }
        let mut found = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = certificate.map_err(|_| self.bad(Problem::NotPem))?;
            let number = found.len() + 1;
            match X509Certificate::from_der(&certificate) {
                Ok(([], _)) => found.push(certificate),
                _ => return Err(self.bad(Problem::BadCertificate { number })),
            }
        }
        match found.is_empty() {
            true if !bytes.windows(11).any(|part| part == b"-----BEGIN ") => Err(self.bad(Problem::NotPem)),
            true => Err(self.bad(Problem::NoCertificate)),
            false => Ok(found),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, BadFile> {
        let bytes = self.read()?;
        let says = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        if says(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || says(b"Proc-Type: 4,ENCRYPTED") {
            return Err(self.bad(Problem::EncryptedKey));
        }
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            rustls_pki_types::pem::Error::NoItemsFound if says(b"-----BEGIN ") => self.bad(Problem::NoKey),
            _ => self.bad(Problem::NotPem),
        })
    }

    /// Checks the dates of a certificate against a clock in seconds since 1970.
    fn dates(&self, certificate: &CertificateDer<'_>, now: i64) -> Result<(), BadFile> {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Ok(()) };
        let (from, on) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if now > on {
            return Err(self.bad(Problem::Expired { on: date(on) }));
        }
        if now < from {
            return Err(self.bad(Problem::NotYetValid { from: date(from), now: date(now) }));
        }
        Ok(())
    }
}

/// Reads the certificates that the servers' are checked against.
pub(super) fn authorities(path: &Path, now: i64) -> Result<RootCertStore, BadFile> {
    let file = File { setting: "cacert", path };
    let certificates = file.certificates()?;
    // A bundle may carry an old authority beside the new one; it is of no use when all are old. rustls does not look.
    let dates: Vec<_> = certificates.iter().map(|certificate| file.dates(certificate, now)).collect();
    if dates.iter().all(Result::is_err) {
        dates.into_iter().collect::<Result<(), _>>()?;
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|_| file.bad(Problem::BadCertificate { number: index + 1 }))?;
    }
    Ok(roots)
}

/// Reads the client's certificate and its key.
pub(super) fn identity(
    cert: Option<&Path>,
    key: Option<&Path>,
    provider: &CryptoProvider,
    now: i64,
) -> Result<Option<Arc<CertifiedKey>>, BadFile> {
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(path), None) => {
            return Err(File { setting: "cert", path }.bad(Problem::MissingPartner { setting: "key" }));
        }
        (None, Some(path)) => {
            return Err(File { setting: "key", path }.bad(Problem::MissingPartner { setting: "cert" }));
        }
        (Some(cert), Some(key)) => (File { setting: "cert", path: cert }, File { setting: "key", path: key }),
    };
    let chain = cert.certificates()?;
    let signer = provider
        .key_provider
        .load_private_key(key.key()?)
        .map_err(|error| key.bad(Problem::UnusableKey { why: error.to_string() }))?;
    if let Some(leaf) = chain.first() {
        cert.dates(leaf, now)?;
    }
    let identity = CertifiedKey::new(chain, signer);
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(key.bad(Problem::OtherKey { cert: cert.path.to_owned() }))
        }
        // Some keys cannot tell their public half; the server will.
        _ => Ok(Some(Arc::new(identity))),
    }
}

/// Returns the time in seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Writes a time in seconds since 1970 as a date.
pub(super) fn date(seconds: i64) -> String {
    crate::units::rfc3339(seconds.saturating_mul(1_000_000_000))
}
