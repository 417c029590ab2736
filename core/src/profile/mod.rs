//! Which cluster to talk to, and how. Settings come in layers, the most local first; each is a plain record that a front end
//! has read, so that a flag, an environment variable, Nushell's configuration and the file all obey the same rules.

mod env;
mod error;
mod hosts;
mod layers;
mod user;

use std::path::PathBuf;
use std::time::Duration;

pub use error::BadSettings;
pub use hosts::{DriverKind, HostOf, HostSettings, Hosts, Runs};
pub use layers::{Layers, SANDBOX_PROFILE, names, resolve};

use crate::endpoint::Endpoint;
use crate::units::Elapsed;

crate::args! {
    /// The settings of a connection. Every face offers them on every operation that talks to a cluster.
    pub struct Settings() {
        /// The profile to use: one of config.toml, or a sandbox of that name.
        profile: Option<ProfileName>,
        /// Client URLs to start from; the other members are found through them.
        endpoints: Vec<String>,
        /// The file with the certificates that the servers' certificates are checked against.
        cacert: Option<PathBuf>,
        /// The file with the client's certificate.
        cert: Option<PathBuf>,
        /// The file with the client's private key.
        key: Option<PathBuf>,
        /// The name that the servers' certificates must carry, where it is not the host of the endpoint.
        server_name: Option<String>,
        /// The SHA-256 of the one server certificate to accept, in hex, in place of checking it against certificates.
        tls_pin: Option<String>,
        /// The user, as NAME or NAME:PASSWORD.
        user: Option<String>,
        /// The file with the user's password.
        password_file: Option<PathBuf>,
        /// The id that the cluster must have, in hex.
        cluster_id: Option<crate::id::ClusterId>,
        /// How long an answer may take, everything included; 5s unless something else is set.
        timeout: Option<Elapsed>,
        /// How long connecting may take, the TLS handshake included; 2s unless something else is set.
        connect_timeout: Option<Elapsed>,
    }
}

/// The name of a profile.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename = "$profile")]
pub struct ProfileName(pub String);

impl crate::args::Typed for ProfileName {
    const KIND: crate::args::Kind = crate::args::Kind::Profile;
}

/// A text that is never shown: it has no `Display`, its `Debug` is a mask, and its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Secret(zeroize::Zeroizing::new(text))
    }

    /// Shows the text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Certificates and keys of a connection, as paths; `rpc` reads and checks them before it connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Trusted certificates.
    pub cacert: Option<PathBuf>,
    /// The client's certificate.
    pub cert: Option<PathBuf>,
    /// The client's key.
    pub key: Option<PathBuf>,
    /// The name to expect in the servers' certificates.
    pub server_name: Option<String>,
    /// The SHA-256 of the one certificate to accept, in hex.
    pub pin: Option<String>,
}

impl Tls {
    /// Says whether any of it is set.
    pub fn is_set(&self) -> bool {
        *self != Tls::default()
    }
}

/// The user that a connection speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// Everything that a connection needs, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name it was chosen by, if any.
    pub name: Option<String>,
    /// Where to start.
    pub endpoints: Vec<Endpoint>,
    /// Certificates and keys.
    pub tls: Tls,
    /// The user.
    pub user: Option<User>,
    /// The id that the cluster must have.
    pub cluster_id: Option<crate::id::ClusterId>,
    /// How long an answer may take, everything included.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Whether nothing said where to start, so that this machine is asked.
    pub assumed: bool,
    /// How the members' processes are reached, where that is known.
    pub hosts: Option<Hosts>,
}

/// The bound of a call, where nothing else was said; etcdctl's.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The bound of connecting, where nothing else was said; etcdctl's.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl Profile {
    /// Returns everything that makes two connections the same: all settings, the password's included, and when each file was
    /// last changed, so that a renewed certificate is taken up.
    pub(crate) fn identity(&self) -> String {
        let changed = |path: &Option<PathBuf>| {
            path.as_deref().and_then(|path| std::fs::metadata(path).ok()).and_then(|meta| meta.modified().ok())
        };
        let files = [&self.tls.cacert, &self.tls.cert, &self.tls.key].map(changed);
        let password = self.user.as_ref().map(|user| {
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, user.password.expose().as_bytes()).as_ref().to_vec()
        });
        format!("{self:?} {files:?} {password:?}")
    }
}
