//! Which cluster to talk to, and how. Settings come in layers, the most local first; each is a plain record that a front end
//! has read, so that a flag, an environment variable, Nushell's configuration and the file all obey the same rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::{Args, BadArgument, complete};
use crate::endpoint::Endpoint;
use crate::error::{Error, Fault, Result, suggest};
use crate::places::Places;
use crate::units::Elapsed;
use crate::value::{Record, Value};

crate::args! {
    /// The settings of a connection. Every face offers them on every operation that talks to a cluster.
    pub struct Settings() {
        /// The profile to use, from Nushell's configuration, from config.toml, or a sandbox of that name.
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
        /// How long an answer may take, everything included.
        timeout: Option<Elapsed>,
        /// How long connecting may take, the TLS handshake included.
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

/// The layers of settings of one caller.
pub struct Layers<'a> {
    /// What the call itself says.
    pub flags: Record,
    /// Reads a variable of the caller's environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What the shell's own configuration says, with `profiles` in it.
    pub shell: Option<Record>,
}

/// The variables that are read, each with the setting it stands for.
const VARIABLES: &[(&str, &str)] = &[
    ("ETCDSH_PROFILE", "profile"),
    ("ETCDCTL_ENDPOINTS", "endpoints"),
    ("ETCDCTL_CACERT", "cacert"),
    ("ETCDCTL_CERT", "cert"),
    ("ETCDCTL_KEY", "key"),
    ("ETCDCTL_USER", "user"),
    ("ETCDCTL_PASSWORD", "password"),
    ("ETCDCTL_COMMAND_TIMEOUT", "timeout"),
    ("ETCDCTL_DIAL_TIMEOUT", "connect_timeout"),
];

/// Variables of etcdctl that would change whom we talk to in a way that we do not offer. To pass over them would be worse than
/// to say so.
const REFUSED: &[(&str, &str)] = &[
    ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "pin the server's certificate with tls_pin in place of not checking it"),
    ("ETCDCTL_DISCOVERY_SRV", "give the endpoints themselves"),
];

/// Decides which cluster is meant.
///
/// The layers are asked in order: the call's own flags, the caller's environment, the shell's configuration, `config.toml`.
/// The first layer that names a profile ends the walk with that profile: who says `--profile sandbox` must never reach the
/// production cluster that an exported variable names.
///
/// # Errors
/// A setting that is unknown or does not fit, with the layer it stands in; a profile that does not exist.
pub fn resolve(layers: Layers<'_>, places: &Places) -> Result<Profile> {
    let mut found: Vec<Record> = Vec::new();
    let mut name = None;
    let file = read_file(&places.config.join("config.toml"))?;
    let shell = layers.shell.unwrap_or_default();
    for (layer, settings) in [
        (Layer::Flags, layers.flags),
        (Layer::Environment, from_env(layers.env)?),
        (Layer::Shell, without_profiles(&shell)),
        (Layer::File, without_profiles(&file)),
    ] {
        let settings = absolute_paths(settings, layer, places)?;
        let chosen = settings.get("profile").and_then(Value::as_text).map(str::to_owned);
        found.push(settings);
        if let Some(chosen) = chosen {
            found.push(absolute_paths(profile(&chosen, &shell, &file, places)?, Layer::Profile, places)?);
            name = Some(chosen);
            break;
        }
    }
    let mut merged = Record::new();
    for (key, value) in found.into_iter().flatten() {
        if merged.get(&key).is_none() && value != Value::Null {
            merged.insert(key, value);
        }
    }
    build(merged, name)
}

/// Returns the names of all profiles that can be chosen.
///
/// # Errors
/// The file of profiles cannot be read.
pub fn names(shell: Option<&Record>, places: &Places) -> Result<Vec<String>> {
    let file = read_file(&places.config.join("config.toml"))?;
    let mut names: Vec<String> = Vec::new();
    for layer in [shell.unwrap_or(&Record::new()), &file] {
        if let Some(Value::Record(profiles)) = layer.get("profiles") {
            names.extend(profiles.iter().map(|(name, _)| name.to_owned()));
        }
    }
    if let Ok(folders) = std::fs::read_dir(places.sandboxes()) {
        let with_profile = folders.flatten().filter(|folder| folder.path().join(SANDBOX_PROFILE).is_file());
        names.extend(with_profile.map(|folder| folder.file_name().to_string_lossy().into_owned()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The file in a sandbox's folder that holds its profile.
pub const SANDBOX_PROFILE: &str = "profile.toml";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Flags,
    Environment,
    Shell,
    File,
    Profile,
}

fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Record> {
    for (variable, instead) in REFUSED {
        if env(variable).is_some_and(|value| !matches!(value.as_str(), "" | "false" | "0")) {
            return Err(BadSettings::Variable { variable, instead }.into());
        }
    }
    let set = VARIABLES.iter().filter_map(|(variable, setting)| {
        env(variable).filter(|value| !value.is_empty()).map(|value| (*setting, Value::Text(value)))
    });
    Ok(set.collect())
}

fn without_profiles(layer: &Record) -> Record {
    layer.iter().filter(|(name, _)| *name != "profiles").map(|(n, v)| (n.to_owned(), v.clone())).collect()
}

/// Finds a profile by name.
fn profile(name: &str, shell: &Record, file: &Record, places: &Places) -> Result<Record> {
    for layer in [shell, file] {
        let profiles = layer.get("profiles").and_then(Value::as_record);
        match profiles.and_then(|profiles| profiles.get(name)) {
            Some(Value::Record(profile)) => return Ok(profile.clone()),
            Some(other) => return Err(BadSettings::NotARecord { name: name.to_owned(), found: other.kind() }.into()),
            None => {}
        }
    }
    // A sandbox's name becomes part of a path, so it must be one plain word.
    if crate::sandbox::is_name(name) {
        let path = places.sandboxes().join(name).join(SANDBOX_PROFILE);
        if path.is_file() {
            return read_file(&path);
        }
    }
    let known = names(Some(shell), places)?;
    let suggestion = suggest(name, &known.iter().map(String::as_str).collect::<Vec<_>>());
    Err(BadSettings::NoProfile { name: name.to_owned(), suggestion, known: known.join(", ") }.into())
}

fn read_file(path: &Path) -> Result<Record> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Record::new()),
        Err(source) => return Err(BadSettings::Unreadable { path: path.to_owned(), source }.into()),
    };
    // A message of the parser quotes the line, which may hold a password; only its place is passed on.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
        Error::from(BadSettings::NotToml { path: path.to_owned(), line, problem: error.message().to_owned() })
    })?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok(table.into_iter().map(|(name, value)| (name.clone(), from_toml(&name, value, folder))).collect())
}

/// A path in a file is relative to that file.
fn from_toml(name: &str, value: toml::Value, folder: &Path) -> Value {
    let is_path = Settings::PARAMS.iter().any(|param| param.name == name && param.kind == crate::args::Kind::Path);
    match value {
        toml::Value::String(text) if is_path && !text.starts_with('~') => {
            Value::Text(folder.join(text).to_string_lossy().into_owned())
        }
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(number) => Value::Int(number),
        toml::Value::Float(number) => Value::Float(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::Text(time.to_string()),
        toml::Value::Array(items) => Value::List(items.into_iter().map(|item| from_toml(name, item, folder)).collect()),
        toml::Value::Table(fields) => {
            Value::Record(fields.into_iter().map(|(name, v)| (name.clone(), from_toml(&name, v, folder))).collect())
        }
    }
}

/// Checks one layer, so that an error names the layer, and makes its paths absolute.
fn absolute_paths(mut layer: Record, which: Layer, places: &Places) -> Result<Record> {
    let password = layer.remove("password");
    let given: Vec<String> =
        layer.iter().filter(|(_, v)| **v != Value::Null).map(|(name, _)| name.to_owned()).collect();
    let whole = complete(&[Settings::PARAMS], layer, &|path| places.absolute(path)).map_err(|e| e.in_layer(which))?;
    Settings::read(whole.clone()).map_err(|error| error.in_layer(which))?;
    let mut kept: Record = whole.into_iter().filter(|(name, _)| given.iter().any(|g| g == name)).collect();
    match password {
        None | Some(Value::Null) => {}
        Some(Value::Text(text)) => kept.insert("password", Value::Text(text)),
        Some(_) => return Err(BadArgument::invalid("password", "should be text", "give it as text").in_layer(which)),
    }
    Ok(kept)
}

trait InLayer {
    fn in_layer(self, layer: Layer) -> Error;
}

impl InLayer for BadArgument {
    fn in_layer(self, layer: Layer) -> Error {
        let place = match layer {
            // A flag is an argument of the call, and its error points at the flag itself.
            Layer::Flags => return self.into(),
            Layer::Environment => "the environment (ETCDCTL_* variables)",
            Layer::Shell => "the shell's configuration",
            Layer::File => "config.toml",
            Layer::Profile => "the chosen profile",
        };
        BadSettings::Layer { place, source: self }.into()
    }
}

fn build(mut merged: Record, name: Option<String>) -> Result<Profile> {
    let password = merged.remove("password");
    let whole = complete(&[Settings::PARAMS], merged, &|path| PathBuf::from(path))?;
    let settings = Settings::read(whole)?;
    let Settings { endpoints, cacert, cert, key, server_name, tls_pin, user, password_file, cluster_id, .. } = settings;
    let tls = Tls { cacert, cert, key, server_name, pin: tls_pin };
    let mut parsed = Vec::new();
    for text in endpoints.iter().flat_map(|entry| entry.split(',')) {
        let endpoint = Endpoint::parse(text, tls.is_set())?;
        if !parsed.contains(&endpoint) {
            parsed.push(endpoint);
        }
    }
    if parsed.is_empty() {
        parsed.push(Endpoint::parse("127.0.0.1:2379", tls.is_set())?);
    }
    let span = |span: Option<Elapsed>, name: &str, default| match span {
        Some(Elapsed(nanoseconds)) if nanoseconds <= 0 => {
            Err(BadArgument::invalid(name, "must be more than nothing", "give a duration such as \"5s\""))
        }
        Some(span) => Ok(span.duration()),
        None => Ok(default),
    };
    Ok(Profile {
        name,
        endpoints: parsed,
        user: read_user(user, password, password_file.as_deref())?,
        tls,
        cluster_id,
        timeout: span(settings.timeout, "timeout", DEFAULT_TIMEOUT)?,
        connect_timeout: span(settings.connect_timeout, "connect_timeout", DEFAULT_CONNECT_TIMEOUT)?,
    })
}

fn read_user(user: Option<String>, password: Option<Value>, file: Option<&Path>) -> Result<Option<User>> {
    let Some(user) = user else {
        return match (password, file) {
            (None, None) => Ok(None),
            _ => {
                Err(BadArgument::invalid("user", "is missing, although a password is given", "give the user too")
                    .into())
            }
        };
    };
    let (name, inline) = match user.split_once(':') {
        Some((name, password)) => (name.to_owned(), Some(password.to_owned())),
        None => (user, None),
    };
    if name.is_empty() {
        return Err(BadArgument::invalid("user", "has no name", "give NAME or NAME:PASSWORD").into());
    }
    let password = match (inline, file, password) {
        (Some(password), _, _) => password,
        (None, Some(file), _) => {
            let text = std::fs::read_to_string(file)
                .map_err(|source| BadSettings::Unreadable { path: file.to_owned(), source })?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, None, Some(Value::Text(password))) => password,
        (None, None, _) => {
            let help = "give NAME:PASSWORD, password_file, or ETCDCTL_PASSWORD";
            return Err(BadArgument::invalid("user", "has no password", help).into());
        }
    };
    Ok(Some(User { name, password: Secret::new(password) }))
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// There is no such profile.
    #[error("there is no profile named {name:?}")]
    NoProfile {
        /// The name that was asked for.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// All names.
        known: String,
    },
    /// A profile is not a record of settings.
    #[error("the profile {name:?} should be a record of settings, not {found}")]
    NotARecord {
        /// The profile.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// A layer holds what does not fit.
    #[error("a setting in {place} cannot be used")]
    Layer {
        /// The layer.
        place: &'static str,
        /// What is wrong.
        source: BadArgument,
    },
    /// A variable asks for what is not offered.
    #[error("the variable {variable} is set, and what it asks for is not offered here")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{} is not valid TOML: line {line}: {problem}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser said.
        problem: String,
    },
}

impl Fault for BadSettings {
    fn code(&self) -> &'static str {
        "invalid_config"
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadSettings::NoProfile { .. } | BadSettings::NotARecord { .. } => Some("profile"),
            BadSettings::Layer { source, .. } => source.argument(),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BadSettings::NoProfile { suggestion: Some(near), .. } => Some(format!("did you mean {near}?")),
            BadSettings::NoProfile { known, .. } if known.is_empty() => Some(
                "there are no profiles yet; `sandbox start` makes one, or write [profiles.NAME] into config.toml"
                    .to_owned(),
            ),
            BadSettings::NoProfile { known, .. } => Some(format!("the profiles are {known}")),
            BadSettings::Layer { source, .. } => source.help(),
            BadSettings::Variable { instead, .. } => Some((*instead).to_owned()),
            _ => None,
        }
    }
}
