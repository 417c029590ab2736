//! A home of its own for a test, and the shells that live there.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use etcdsh_core::places::Places;
use tempfile::TempDir;

use crate::leftover::ends_with_us;
use crate::tools::{nu, program};

/// The folders that stand for a user's. Programs that are started from here see nothing of the machine's configuration.
pub struct Home(TempDir);

impl Default for Home {
    fn default() -> Self {
        Home::new()
    }
}

impl Home {
    /// Makes an empty one.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("etcdsh-").tempdir().expect("a temporary folder");
        ends_with_us(folder.path());
        Home(folder)
    }

    /// Returns its folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the folders as core sees them.
    pub fn places(&self) -> Places {
        let home = self.path();
        let text = |path: PathBuf| Some(path.to_string_lossy().into_owned());
        let mut places = Places::from_env(home.to_owned(), |name| match name {
            "HOME" => text(home.to_owned()),
            "XDG_STATE_HOME" => text(home.join("state")),
            "XDG_CONFIG_HOME" => text(home.join("config")),
            _ => None,
        });
        places.programs.insert(0, self.bin());
        places
    }

    /// Returns the folder for programs that stand in for the system's; it comes first wherever programs are looked for.
    pub fn bin(&self) -> PathBuf {
        self.path().join("bin")
    }

    /// Writes a file of this home, for example `config/etcdsh/config.toml`.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Returns a program that lives here.
    pub fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("ETCD") || name.starts_with("XDG_") || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        let home = self.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.bin()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).expect("folders of PATH"));
        command.env("HOME", home).env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.current_dir(home).stdin(Stdio::null());
        command
    }

    /// Returns the real Nushell with a plugin of this workspace, about to run a script.
    pub fn nu_with(&self, plugin: &str, script: &str) -> Command {
        let mut command = self.command(nu());
        let plugin = format!("[{}]", program(plugin).display());
        command.args([
            "--no-config-file",
            "--no-std-lib",
            "--error-style",
            "plain",
            "--plugins",
            &plugin,
            "--commands",
            script,
        ]);
        command
    }

    /// Runs a script in the real Nushell with the plugin under test.
    pub fn nu(&self, script: &str) -> Said {
        Said::by(&mut self.nu_with("nu_plugin_etcd", script))
    }

    /// Runs a script that must fail, and returns what it threw.
    pub fn caught(&self, script: &str) -> Caught {
        Caught::by(self, "nu_plugin_etcd", script)
    }

    /// Runs a script in the real Nushell with the plugin that probes the adapter.
    pub fn probe(&self, script: &str) -> Said {
        Said::by(&mut self.nu_with("nu_plugin_probe", script))
    }
}

/// What the `catch` of a script saw.
#[derive(Debug)]
pub struct Caught {
    /// The error's code.
    pub code: String,
    /// The text under its label.
    pub culprit: String,
    /// Everything that Nushell knows of it.
    pub details: serde_json::Value,
}

impl Caught {
    /// Runs a script that must fail.
    pub fn by(home: &Home, plugin: &str, script: &str) -> Self {
        let whole = format!("try {{ {script}; null }} catch {{|e| $e.details | to json --raw }}");
        let details = Said::by(&mut home.nu_with(plugin, &whole)).json();
        let place = &details["labels"][0]["location"];
        let at = |end: &str| place[end].as_u64().and_then(|at| usize::try_from(at).ok());
        let culprit = at("start").zip(at("end")).and_then(|(start, end)| whole.get(start..end)).unwrap_or_default();
        let code = details["code"].as_str().unwrap_or_default();
        Caught { code: code.to_owned(), culprit: culprit.to_owned(), details }
    }
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Said {
    /// Runs a program to its end.
    pub fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { status: output.status, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Waits for a program that was started with its output caught; one that is not done within the bound is killed, and ends
    /// the test.
    pub fn within(mut child: Child, bound: Duration) -> Self {
        let (sender, receiver) = mpsc::channel();
        let pid = rustix::process::Pid::from_child(&child);
        std::thread::spawn(move || {
            let text = |mut pipe: Box<dyn Read>| {
                let mut text = String::new();
                pipe.read_to_string(&mut text).map(|_| text).expect("output is text")
            };
            let err = child.stderr.take().map(|pipe| std::thread::spawn(move || text(Box::new(pipe))));
            let out = child.stdout.take().map(|pipe| text(Box::new(pipe))).unwrap_or_default();
            let err = err.map(|reader| reader.join().expect("a reader")).unwrap_or_default();
            let status = child.wait().expect("a child ends");
            let _ = sender.send(Said { status, out, err });
        });
        match receiver.recv_timeout(bound) {
            Ok(said) => said,
            Err(_) => {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                panic!("it was not done within {bound:?}");
            }
        }
    }

    /// Returns what it printed as JSON.
    pub fn json(&self) -> serde_json::Value {
        assert!(self.status.success(), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A server that takes connections and never says a word, like a frozen member. It tells when somebody has connected.
pub struct Silent {
    /// Where it listens.
    pub endpoint: String,
    connected: mpsc::Receiver<()>,
}

impl Default for Silent {
    fn default() -> Self {
        Silent::new()
    }
}

impl Silent {
    /// Listens on a free port.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, connected) = mpsc::channel();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for connection in listener.incoming() {
                held.push(connection);
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
        Silent { endpoint, connected }
    }

    /// Waits until somebody connects.
    pub fn wait(&self) {
        self.connected.recv_timeout(Duration::from_secs(20)).expect("somebody connects");
    }
}
