//! Certificates that are wrong, each in its own way, and one authority that makes right ones.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// Now.
    Now,
    /// Until the end of 2020.
    Before,
    /// From 2090 on.
    Later,
}

impl Good {
    fn set(self, params: &mut CertificateParams) {
        let (from, to) = match self {
            Good::Now => (2020, 2090),
            Good::Before => (2010, 2020),
            Good::Later => (2090, 2095),
        };
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 12, 31));
    }
}

/// A certificate with its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// An authority, and the folder that its files go into.
pub struct Authority {
    folder: PathBuf,
    name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one; `name` is its name and the beginning of the names of its files.
    pub fn new(folder: &Path, name: &str, good: Good) -> Self {
        let mut params = named(name);
        good.set(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Authority { folder: folder.to_owned(), name: name.to_owned(), issuer }
    }

    /// Writes its certificate, and returns where.
    pub fn cacert(&self) -> PathBuf {
        write(&self.folder, &format!("{}-ca.crt", self.name), &self.issuer.pem())
    }

    /// Makes a client's certificate.
    pub fn client(&self, name: &str, good: Good) -> Files {
        self.issue(name, &[], ExtendedKeyUsagePurpose::ClientAuth, good)
    }

    /// Makes a server's certificate for these names.
    pub fn server(&self, name: &str, names: &[&str], good: Good) -> Files {
        self.issue(name, names, ExtendedKeyUsagePurpose::ServerAuth, good)
    }

    fn issue(&self, name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose, good: Good) -> Files {
        let mut params = named(name);
        good.set(&mut params);
        let names = names.iter().map(|name| (*name).to_owned());
        params.subject_alt_names = CertificateParams::new(names.collect::<Vec<_>>()).expect("names").subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let stem = format!("{}-{name}", self.name);
        Files {
            cert: write(&self.folder, &format!("{stem}.crt"), &certificate.pem()),
            key: write(&self.folder, &format!("{stem}.key"), &key.serialize_pem()),
        }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Writes a file, and returns where.
pub fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file in the test's own folder");
    path
}
