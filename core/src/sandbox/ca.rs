//! The throwaway certificates of a sandbox: one authority, a certificate for each member that serves clients and peers alike,
//! and one for clients.

use std::path::Path;

use chrono::{Datelike, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::error::SandboxError;
use super::files::{read_text, write_private};

/// The authority's certificate, below the sandbox's folder.
pub(super) const CA_CERT: &str = "ca/ca.crt";
const CA_KEY: &str = "ca/ca.key";
/// The client's name.
pub(super) const CLIENT: &str = "client";

/// Returns where the certificate of a member or of the client lies, below the sandbox's folder.
pub(super) fn cert_path(name: &str) -> String {
    format!("certs/{name}.crt")
}

/// Returns where the key of a member or of the client lies, below the sandbox's folder.
pub(super) fn key_path(name: &str) -> String {
    format!("certs/{name}.key")
}

/// Makes the authority of a sandbox.
pub(super) fn create(folder: &Path) -> Result<(), SandboxError> {
    let key = KeyPair::generate()?;
    let certificate = authority().self_signed(&key)?;
    write_private(&folder.join(CA_CERT), certificate.pem().as_bytes())?;
    write_private(&folder.join(CA_KEY), key.serialize_pem().as_bytes())
}

/// Makes a certificate that is good for a member's clients and peers, under each of the names it may be called by.
pub(super) fn issue_server(folder: &Path, member: &str) -> Result<(), SandboxError> {
    let params = CertificateParams::new(["127.0.0.1", "::1", "localhost", member].map(str::to_owned))?;
    issue(folder, member, params, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
}

/// Makes the certificate that clients show.
pub(super) fn issue_client(folder: &Path) -> Result<(), SandboxError> {
    issue(folder, CLIENT, CertificateParams::default(), &[ExtendedKeyUsagePurpose::ClientAuth])
}

fn issue(
    folder: &Path,
    name: &str,
    params: CertificateParams,
    usages: &[ExtendedKeyUsagePurpose],
) -> Result<(), SandboxError> {
    // The authority is put together again from its key, so that a member can join long after the start.
    let issuer = Issuer::new(authority(), KeyPair::from_pem(&read_text(&folder.join(CA_KEY))?)?);
    let mut params = valid_for_a_year(params);
    params.distinguished_name = named(name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    write_private(&folder.join(cert_path(name)), certificate.pem().as_bytes())?;
    write_private(&folder.join(key_path(name)), key.serialize_pem().as_bytes())
}

fn authority() -> CertificateParams {
    let mut params = valid_for_a_year(CertificateParams::default());
    params.distinguished_name = named("etcdsh sandbox");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut distinguished = rcgen::DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday on, because clocks differ.
fn valid_for_a_year(mut params: CertificateParams) -> CertificateParams {
    let day = |days: i64| {
        let date = Utc::now().date_naive() + chrono::TimeDelta::days(days);
        let part = |number: u32| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year(), part(date.month()), part(date.day()))
    };
    params.not_before = day(-1);
    params.not_after = day(365);
    params
}
