//! A real cluster for one test, and the ways to use it: through core, as a Nushell user, as an `etcdsh` user, with etcdctl.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use etcdsh_core::blocking::{Call, Driver};
use etcdsh_core::error::Result;
use etcdsh_core::places::Places;
use etcdsh_core::profile::{Layers, Profile, resolve};
use etcdsh_core::report::Answer;
use etcdsh_core::sandbox::{Options, Sandbox, SandboxGuard};
use etcdsh_core::value::{Record, Value};
use tempfile::TempDir;

use crate::tools::{Tools, etcd, etcdctl};

/// A running cluster with folders of its own, so that tests do not see each other. Its processes end with it.
pub struct Running {
    /// The cluster.
    pub sandbox: SandboxGuard,
    /// The folders that stand for a user's.
    pub places: Places,
    /// The etcd that runs.
    pub tools: Tools,
    home: TempDir,
}

impl Running {
    /// Starts three members of a minor version with TLS; none where this version cannot be had here.
    pub fn three(minor: &str) -> Option<Self> {
        Self::start(minor, Options::default())
    }

    /// Starts a cluster of a minor version.
    pub fn start(minor: &str, options: Options) -> Option<Self> {
        let tools = etcd(minor)?;
        let home = tempfile::Builder::new().prefix("etcdsh-").tempdir().expect("a temporary folder");
        let places = places(&home);
        let etcd = Some(tools.program("etcd").to_string_lossy().into_owned());
        let options = Options { etcd, detached: false, ..options };
        let started = driver().block_on(Sandbox::start(&places, "sandbox", options));
        let sandbox = started.unwrap_or_else(|error| panic!("the sandbox did not start: {error:?}")).guard();
        Some(Running { sandbox, places, tools, home })
    }

    /// Returns the settings of `--profile sandbox`.
    pub fn profile(&self) -> Profile {
        let flags = [("profile", Value::from("sandbox"))].into_iter().collect();
        resolve(Layers { flags, env: &|_| None, shell: None }, &self.places).expect("the sandbox's profile")
    }

    /// Runs an operation through core with these arguments, and returns its answer as JSON; a stream is read to its end.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call(&self, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        self.call_with(&self.profile(), name, args)
    }

    /// Runs an operation with other settings than the sandbox's own.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call_with(&self, profile: &Profile, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        let entry = etcdsh_core::catalogue::find(name).unwrap_or_else(|| panic!("there is no operation {name:?}"));
        let Value::Record(args) = value(args) else { panic!("arguments are a JSON object") };
        let answer = driver().call(Call {
            entry,
            args,
            profile: Some(profile.clone()),
            places: &self.places,
            hooks: &[],
            events: &|_| {},
            cancel: etcdsh_core::context::Cancel::new(),
        })?;
        match answer {
            Answer::Value(value) => Ok(json(&value)),
            Answer::Stream(stream) => Ok(json(&Value::List(stream.collect::<Result<Vec<_>>>()?))),
        }
    }

    /// Returns a program that sees this cluster's folders and nothing of the machine's configuration.
    pub fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("ETCD") || name.starts_with("XDG_") || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        let home = self.home.path();
        command.env("HOME", home).env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.current_dir(home);
        command
    }

    /// Returns a folder that is this test's own.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Runs etcdctl of the same version on the cluster, and returns what it printed.
    pub fn etcdctl(&self, args: &[&str]) -> String {
        let profile = self.profile();
        let mut command = etcdctl(&self.tools);
        let endpoints: Vec<String> = profile.endpoints.iter().map(ToString::to_string).collect();
        command.arg("--endpoints").arg(endpoints.join(","));
        for (flag, file) in
            [("--cacert", &profile.tls.cacert), ("--cert", &profile.tls.cert), ("--key", &profile.tls.key)]
        {
            if let Some(file) = file {
                command.arg(flag).arg(file);
            }
        }
        let output = command.args(args).output().expect("etcdctl runs");
        assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Returns the driver that all tests of a process share, as all calls of a plugin do.
pub fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver::new().expect("threads"))
}

fn places(home: &TempDir) -> Places {
    let home = home.path().to_owned();
    let vars = |name: &str| match name {
        "HOME" => Some(home.to_string_lossy().into_owned()),
        "XDG_STATE_HOME" => Some(home.join("state").to_string_lossy().into_owned()),
        "XDG_CONFIG_HOME" => Some(home.join("config").to_string_lossy().into_owned()),
        _ => None,
    };
    Places::from_env(home.clone(), vars)
}

/// Turns an answer into JSON.
pub fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).expect("a value is JSON")
}

fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Int(number.as_i64().expect("a whole number")),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value).collect()),
        serde_json::Value::Object(fields) => {
            Value::Record(fields.into_iter().map(|(name, field)| (name, value(field))).collect::<Record>())
        }
    }
}
