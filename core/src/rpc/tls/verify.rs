//! Checking the server's certificate, so that a refusal says what was presented.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::files::date;
use super::refusal::{Refusal, Trusted};

/// How a server's certificate is judged.
#[derive(Debug)]
pub(super) enum Judge {
    /// By the authorities that signed it.
    Authorities {
        /// The judge.
        webpki: Arc<WebPkiServerVerifier>,
        /// What it trusts.
        trusted: Trusted,
    },
    /// By being the one that is expected.
    Pin([u8; 32]),
    /// Not at all, because nothing is trusted: the system has no certificates.
    Nobody,
}

/// Checks certificates by a [`Judge`], and always the signature that proves that the server holds the key.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) judge: Judge,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refusal = match &self.judge {
            Judge::Authorities { webpki, trusted } => {
                match webpki.verify_server_cert(leaf, intermediates, name, ocsp, now) {
                    Ok(verified) => return Ok(verified),
                    Err(error) => explain(error, leaf, intermediates, name, now, trusted),
                }
            }
            Judge::Pin(pin) if sha256(leaf) == *pin => return Ok(ServerCertVerified::assertion()),
            Judge::Pin(_) => Refusal::Pin { found: hex(&sha256(leaf)) },
            Judge::Nobody => unknown(leaf, intermediates, &Trusted::System),
        };
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn explain(
    error: Error,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
    trusted: &Trusted,
) -> Refusal {
    let Error::InvalidCertificate(error) = error else {
        return Refusal::Certificate { why: error.to_string(), found: hex(&sha256(leaf)) };
    };
    let dates = || out_of_date(std::iter::once(leaf).chain(intermediates), now);
    match error {
        CertificateError::UnknownIssuer => unknown(leaf, intermediates, trusted),
        // An authority that was made anew often has the old one's name.
        CertificateError::BadSignature => {
            Refusal::OtherAuthority { issuer: issuer(leaf, intermediates), trusted: trusted.clone() }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Refusal::Name { wanted: name.to_str().into_owned(), names: names(leaf) }
        }
        other => dates().unwrap_or_else(|| Refusal::Certificate { why: reason(&other), found: hex(&sha256(leaf)) }),
    }
}

/// Returns the refusal for the first certificate that is out of date, with its date.
fn out_of_date<'a>(mut chain: impl Iterator<Item = &'a CertificateDer<'a>>, now: UnixTime) -> Option<Refusal> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    chain.find_map(|certificate| {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let (from, on) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if now > on {
            Some(Refusal::Expired { on: date(on), now: date(now) })
        } else if now < from {
            Some(Refusal::NotYetValid { from: date(from), now: date(now) })
        } else {
            None
        }
    })
}

fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => {
            "it is marked as an authority's, as --auto-tls makes it".to_owned()
        }
        CertificateError::Other(other) => other.0.to_string(),
        other => other.to_string(),
    }
}

fn unknown(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], trusted: &Trusted) -> Refusal {
    Refusal::UnknownAuthority { issuer: issuer(leaf, intermediates), trusted: trusted.clone() }
}

/// Returns the authority that would have to be known: the issuer of the last certificate of the chain.
fn issuer(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    let last = intermediates.last().unwrap_or(leaf);
    X509Certificate::from_der(last).map(|(_, parsed)| parsed.issuer().to_string()).unwrap_or_default()
}

/// Returns the names that a certificate is for.
fn names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else { return Vec::new() };
    let Ok(Some(found)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => Some(std::net::Ipv4Addr::from(four).to_string()),
            (_, Ok(sixteen)) => Some(std::net::Ipv6Addr::from(sixteen).to_string()),
            _ => None,
        },
        _ => None,
    };
    found.value.general_names.iter().filter_map(name).collect()
}

fn sha256(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a SHA-256 in hex, with or without colons, as openssl prints it.
pub(super) fn read_pin(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut pin = [0; 32];
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != pin.len() {
        return None;
    }
    for (byte, pair) in pin.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_openssl_and_sha256sum_write_it() {
        let plain = "00ff".repeat(16);
        let colons = "00:FF:".repeat(16);
        assert_eq!(read_pin(&plain), read_pin(colons.trim_end_matches(':')));
        assert_eq!(read_pin(&plain).map(|pin| hex(&pin)), Some(plain));
        for bad in ["", "00ff", &"zz".repeat(32), &"+1".repeat(32), &"0".repeat(65)] {
            assert_eq!(read_pin(bad), None, "{bad}");
        }
    }
}
