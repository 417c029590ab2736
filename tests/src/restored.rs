//! Members of real etcd that start with data dirs which a test has made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use etcdsh_core::restore::{Alarms, Spec};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{free_port, run};
use crate::look::until;
use crate::tools::{Tools, etcdctl};

/// A member that is to start with a data dir.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its name.
    pub name: String,
    /// Where the others reach it.
    pub peer_url: String,
    /// Where clients reach it.
    pub client_url: String,
    /// Its data dir.
    pub data_dir: PathBuf,
    /// Where its log is, if not in the data dir.
    pub wal_dir: Option<PathBuf>,
}

impl Seat {
    /// Finds a place for each of so many members below a folder. With `wal`, their logs lie beside their data dirs.
    pub fn some(members: usize, below: &Path, wal: bool) -> Vec<Self> {
        let url = || format!("http://127.0.0.1:{}", free_port());
        let seat = |number: usize| Seat {
            name: format!("m{number}"),
            peer_url: url(),
            client_url: url(),
            data_dir: below.join(format!("m{number}.etcd")),
            wal_dir: wal.then(|| below.join(format!("m{number}.wal"))),
        };
        (1..=members).map(seat).collect()
    }

    /// Starts the member, with all that etcd checks of itself.
    fn start(&self, tools: &Tools) -> Child {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = Command::new(tools.program("etcd"));
        command.env_clear().env("ETCD_VERIFY", "all").args(["--name", &self.name, "--logger", "zap"]);
        command.args(["--listen-peer-urls", &self.peer_url, "--initial-advertise-peer-urls", &self.peer_url]);
        command.args(["--listen-client-urls", &self.client_url, "--advertise-client-urls", &self.client_url]);
        command.args(["--initial-cluster", &format!("{}={}", self.name, self.peer_url)]);
        // Half as long as by default, since most of the time is spent waiting for a leader.
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.arg("--data-dir").arg(&self.data_dir);
        if let Some(wal) = &self.wal_dir {
            command.arg("--wal-dir").arg(wal);
        }
        let output = log.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(output).stderr(log).spawn().expect("etcd starts")
    }

    fn log(&self) -> PathBuf {
        self.data_dir.with_extension("log")
    }
}

/// Members that run. They end with it.
pub struct Started {
    seats: Vec<Seat>,
    children: Vec<Child>,
    tools: Tools,
}

impl Started {
    /// Starts members, and waits until they serve.
    ///
    /// # Panics
    /// One of them has ended.
    pub fn all(seats: &[Seat], tools: &Tools) -> Self {
        let children = seats.iter().map(|seat| seat.start(tools)).collect();
        let mut started = Started { seats: seats.to_vec(), children, tools: tools.clone() };
        until("the restored members serve", || {
            for (seat, child) in started.seats.iter().zip(&mut started.children) {
                if let Some(status) = child.try_wait().expect("a child") {
                    let log = std::fs::read_to_string(seat.log()).unwrap_or_default();
                    let last: Vec<&str> = log.lines().rev().take(6).collect();
                    panic!("{} of etcd {} ended, {status}: {last:#?}", seat.name, tools.version);
                }
            }
            run(started.ctl().args(["endpoint", "health"]), "")
        });
        started
    }

    /// Stops the members in good order, and starts them again.
    pub fn again(self) -> Self {
        let (seats, tools) = (self.seats.clone(), self.tools.clone());
        drop(self);
        Started::all(&seats, &tools)
    }

    /// Runs etcdctl of the same version against all members.
    ///
    /// # Errors
    /// What it printed on standard error when it failed.
    pub fn etcdctl(&self, args: &[&str]) -> Result<String, String> {
        run(self.ctl().args(args), "")
    }

    /// The same against the first member alone.
    ///
    /// # Errors
    /// What it printed on standard error when it failed.
    pub fn first(&self, args: &[&str]) -> Result<String, String> {
        let mut command = etcdctl(&self.tools);
        run(command.args(["--endpoints", &self.seats[0].client_url]).args(args), "")
    }

    fn ctl(&self) -> Command {
        let endpoints: Vec<&str> = self.seats.iter().map(|seat| seat.client_url.as_str()).collect();
        let mut command = etcdctl(&self.tools);
        command.args(["--endpoints", &endpoints.join(",")]);
        command
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for child in &self.children {
            // One that has ended cannot be told to.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// Returns what makes the data dir of a cluster of one, with what etcdutl takes where it is told nothing.
pub fn lone(data_dir: &Path, wal_dir: Option<&Path>) -> Spec {
    let url = "http://localhost:2380".to_owned();
    Spec {
        name: "default".to_owned(),
        initial_cluster: vec![("default".to_owned(), url.clone())],
        initial_cluster_token: "etcd-cluster".to_owned(),
        initial_advertise_peer_urls: vec![url],
        data_dir: data_dir.to_owned(),
        wal_dir: wal_dir.map(Path::to_owned),
        bump_revision: None,
        mark_compacted: false,
        target_version: None,
        rewrite: false,
        alarms: Alarms::All,
        without_auth: false,
        skip_hash_check: false,
    }
}
