//! From layers of settings to one profile.

use std::path::{Path, PathBuf};

use super::{BadSettings, DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Profile, Settings, Tls, env, hosts, user};
use crate::args::{Args, BadArgument, complete};
use crate::endpoint::Endpoint;
use crate::error::{Error, Fault, Result, suggest};
use crate::places::Places;
use crate::units::Elapsed;
use crate::value::{Record, Value};

/// The layers of settings of one caller.
pub struct Layers<'a> {
    /// What the call itself says.
    pub flags: Record,
    /// Reads a variable of the caller's environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What the shell's own configuration says, with `profiles` in it.
    pub shell: Option<Record>,
}

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
    let path = places.config.join("config.toml");
    let file = read_file(&path)?;
    let shell = layers.shell.unwrap_or_default();
    for layer in [Layer::Flags, Layer::Environment, Layer::Shell, Layer::File(&path)] {
        let settings = match layer {
            Layer::Flags => layers.flags.clone(),
            Layer::Environment => env::read(layers.env)?,
            Layer::Shell => without_profiles(&shell),
            _ => without_profiles(&file),
        };
        let settings = checked(settings, layer, places)?;
        let chosen = settings.get("profile").and_then(Value::as_text).map(str::to_owned);
        found.push(settings);
        if let Some(chosen) = chosen {
            found.push(checked(profile(&chosen, &shell, &file, places)?, Layer::Profile(&chosen), places)?);
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
enum Layer<'a> {
    Flags,
    Environment,
    Shell,
    File(&'a Path),
    Profile(&'a str),
}

impl Layer<'_> {
    /// Says where a setting stands; a flag stands in the call itself.
    fn place(self, setting: Option<&str>) -> Option<String> {
        Some(match self {
            Layer::Flags => return None,
            Layer::Environment => format!("the variable {}", env::variable(setting).unwrap_or("ETCDCTL_*")),
            Layer::Shell => "$env.config.plugins.etcd".to_owned(),
            Layer::File(path) => path.display().to_string(),
            Layer::Profile(name) => format!("the profile {name:?}"),
        })
    }
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
fn checked(mut layer: Record, which: Layer<'_>, places: &Places) -> Result<Record> {
    let password = layer.remove("password");
    let hosts = layer.remove("hosts").filter(|hosts| *hosts != Value::Null);
    let given: Vec<String> =
        layer.iter().filter(|(_, v)| **v != Value::Null).map(|(name, _)| name.to_owned()).collect();
    let whole = complete(&[Settings::PARAMS], layer, &|path| places.absolute(path)).map_err(|e| e.in_layer(which))?;
    let settings = Settings::read(whole.clone()).map_err(|error| error.in_layer(which))?;
    check(&settings).map_err(|error| error.in_layer(which))?;
    let mut kept: Record = whole.into_iter().filter(|(name, _)| given.iter().any(|g| g == name)).collect();
    match password {
        None | Some(Value::Null) => {}
        Some(Value::Text(text)) => kept.insert("password", Value::Text(text)),
        Some(_) => return Err(BadArgument::invalid("password", "should be text", "give it as text").in_layer(which)),
    }
    if let Some(hosts) = hosts {
        // Whose name stands in for a sandbox's is known only when all layers are joined.
        hosts::read(&hosts, Some("")).map_err(|(part, error)| error.in_part(&part, which))?;
        kept.insert("hosts", hosts);
    }
    Ok(kept)
}

/// Checks what the type of a setting does not say.
fn check(settings: &Settings) -> Result<(), BadArgument> {
    for text in settings.endpoints.iter().flat_map(|entry| entry.split(',')) {
        Endpoint::parse(text, false)?;
    }
    for (span, name) in [(settings.timeout, "timeout"), (settings.connect_timeout, "connect_timeout")] {
        if span.is_some_and(|Elapsed(nanoseconds)| nanoseconds <= 0) {
            return Err(BadArgument::invalid(name, "must be more than nothing", "give a duration such as \"5s\""));
        }
    }
    Ok(())
}

trait InLayer {
    fn in_layer(self, layer: Layer<'_>) -> Error;

    /// The same for a part of a setting that is a tree.
    fn in_part(self, part: &str, layer: Layer<'_>) -> Error;
}

impl InLayer for BadArgument {
    fn in_layer(self, layer: Layer<'_>) -> Error {
        // A flag is an argument of the call, and its error points at the flag itself.
        let Some(place) = layer.place(self.argument()) else { return self.into() };
        BadSettings::Layer { place, source: self }.into()
    }

    fn in_part(self, part: &str, layer: Layer<'_>) -> Error {
        let place = layer.place(self.argument()).map_or_else(|| part.to_owned(), |place| format!("{part} in {place}"));
        BadSettings::Layer { place, source: self }.into()
    }
}

fn build(mut merged: Record, name: Option<String>) -> Result<Profile> {
    let password = merged.remove("password");
    let hosts = merged.remove("hosts");
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
    let hosts = hosts.map(|hosts| hosts::read(&hosts, name.as_deref())).transpose();
    let hosts = hosts.map_err(|(part, error)| error.in_part(&part, Layer::Flags))?;
    let assumed = parsed.is_empty();
    if assumed {
        parsed.push(Endpoint::parse("127.0.0.1:2379", tls.is_set())?);
    }
    let span = |span: Option<Elapsed>, default| span.map_or(default, Elapsed::duration);
    Ok(Profile {
        name,
        endpoints: parsed,
        user: user::read(user, password, password_file.as_deref())?,
        tls,
        cluster_id,
        timeout: span(settings.timeout, DEFAULT_TIMEOUT),
        connect_timeout: span(settings.connect_timeout, DEFAULT_CONNECT_TIMEOUT),
        assumed,
        hosts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new(config: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(home.path().join(".config/etcdsh")).unwrap();
            std::fs::write(home.path().join(".config/etcdsh/config.toml"), config).unwrap();
            Home(home)
        }

        fn resolve(
            &self,
            flags: &[(&'static str, &str)],
            env: &[(&str, &str)],
            shell: Option<Record>,
        ) -> Result<Profile> {
            let home = self.0.path().to_string_lossy().into_owned();
            let places = Places::from_env(PathBuf::from("/here"), |name| (name == "HOME").then(|| home.clone()));
            let flags = flags.iter().map(|(name, value)| (*name, Value::from(*value))).collect();
            let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            resolve(Layers { flags, env: &env, shell }, &places)
        }
    }

    fn endpoints(profile: &Profile) -> Vec<String> {
        profile.endpoints.iter().map(ToString::to_string).collect()
    }

    fn shell(endpoint: &str) -> Record {
        [("endpoints", Value::from(endpoint))].into_iter().collect()
    }

    #[test]
    fn the_most_local_layer_wins_setting_by_setting() {
        let home = Home::new("endpoints = [\"file:1\"]\ntimeout = \"9s\"\n");
        assert_eq!(endpoints(&home.resolve(&[], &[], None).unwrap()), ["http://file:1"]);
        assert_eq!(endpoints(&home.resolve(&[], &[], Some(shell("shell:1"))).unwrap()), ["http://shell:1"]);
        let env = [("ETCDCTL_ENDPOINTS", "env:1,env:2")];
        assert_eq!(
            endpoints(&home.resolve(&[], &env, Some(shell("shell:1"))).unwrap()),
            ["http://env:1", "http://env:2"]
        );
        let profile = home.resolve(&[("endpoints", "flag:1")], &env, Some(shell("shell:1"))).unwrap();
        assert_eq!((endpoints(&profile), profile.timeout.as_secs()), (vec!["http://flag:1".to_owned()], 9));
    }

    #[test]
    fn a_profile_that_is_named_stands_in_place_of_every_less_local_layer() {
        let home = Home::new("user = \"root:file\"\n[profiles.dev]\nendpoints = \"dev:1\"\n");
        let env = [("ETCDCTL_ENDPOINTS", "prod:1"), ("ETCDCTL_USER", "root:prod")];
        let profile = home.resolve(&[("profile", "dev")], &env, Some(shell("shell:1"))).unwrap();
        assert_eq!((endpoints(&profile), profile.user), (vec!["http://dev:1".to_owned()], None));
        let unread = [("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true"), ("ETCDCTL_ENDPOINTS", "what?")];
        assert!(home.resolve(&[("profile", "dev")], &unread, None).is_ok());
        let env = [("ETCDCTL_ENDPOINTS", "prod:1"), ("ETCDSH_PROFILE", "dev")];
        let profile = home.resolve(&[], &env, Some(shell("shell:1"))).unwrap();
        assert_eq!((endpoints(&profile), profile.user), (vec!["http://dev:1".to_owned()], None));
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_its_layer() {
        let home = Home::new("endpoint = \"typo:1\"\n");
        let error = home.resolve(&[], &[], None).unwrap_err();
        assert_eq!(error.code(), "invalid_config");
        let message = error.in_one_line();
        assert!(message.ends_with("config.toml cannot be used: there is no argument named endpoint"), "{message}");
        assert_eq!(error.help().as_deref(), Some("did you mean endpoints?"));
        let home = Home::new("[profiles.prod]\nendpoints = \"a:1\"\n");
        let error = home.resolve(&[("profile", "prd")], &[], None).unwrap_err();
        assert_eq!(
            (error.to_string(), error.help()),
            ("there is no profile named \"prd\"".to_owned(), Some("did you mean prod?".to_owned()))
        );
        let error = home.resolve(&[], &[("ETCDCTL_COMMAND_TIMEOUT", "soon")], None).unwrap_err();
        assert!(error.to_string().contains("the variable ETCDCTL_COMMAND_TIMEOUT cannot be used"), "{error:?}");
        let error = home.resolve(&[], &[("ETCDCTL_ENDPOINTS", "a:1,")], None).unwrap_err().in_one_line();
        assert_eq!(error, "the variable ETCDCTL_ENDPOINTS cannot be used: the argument endpoints has an empty entry");
        let home = Home::new("[profiles.prod]\ntimeout = \"0s\"\n");
        let error = home.resolve(&[("profile", "prod")], &[], None).unwrap_err().in_one_line();
        assert_eq!(error, "the profile \"prod\" cannot be used: the argument timeout must be more than nothing");
        let error = home.resolve(&[], &[("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true")], None).unwrap_err();
        assert!(error.help().unwrap().contains("tls_pin"));
        assert_eq!(home.resolve(&[("timeout", "0s")], &[], None).unwrap_err().argument(), Some("timeout"));
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_by_its_line_and_never_quoted() {
        let home = Home::new("endpoints = \"a:1\"\npassword = \"hunter2\n");
        let error = home.resolve(&[], &[], None).unwrap_err().in_one_line();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn paths_in_the_file_start_at_the_file_and_paths_of_a_flag_where_the_caller_is() {
        let home = Home::new("cacert = \"ca.pem\"\n");
        let profile = home.resolve(&[("cert", "client.pem"), ("key", "~/client.key")], &[], None).unwrap();
        assert_eq!(profile.tls.cacert, Some(home.0.path().join(".config/etcdsh/ca.pem")));
        assert_eq!(profile.tls.cert, Some(PathBuf::from("/here/client.pem")));
        assert_eq!(profile.tls.key, Some(home.0.path().join("client.key")));
        assert_eq!(endpoints(&profile), ["https://127.0.0.1:2379"]);
    }

    #[test]
    fn the_password_comes_with_the_user_from_a_file_or_from_the_environment_and_is_not_shown() {
        let home = Home::new("");
        let file = home.0.path().join("password");
        std::fs::write(&file, "s3cret:with:colons\n").unwrap();
        let path = file.to_string_lossy().into_owned();
        let user = home.resolve(&[("user", "root"), ("password_file", &path)], &[], None).unwrap().user.unwrap();
        assert_eq!((user.name.as_str(), user.password.expose()), ("root", "s3cret:with:colons"));
        let env = [("ETCDCTL_USER", "root"), ("ETCDCTL_PASSWORD", "hunter2")];
        let profile = home.resolve(&[], &env, None).unwrap();
        assert_eq!(profile.user.as_ref().unwrap().password.expose(), "hunter2");
        assert!(!format!("{profile:?}").contains("hunter2"));
        assert_eq!(home.resolve(&[("user", "root")], &[], None).unwrap_err().argument(), Some("user"));
    }
}
