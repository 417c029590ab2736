//! What is known about a sandbox between two commands: its folder, the file in it, and the lock that keeps two commands apart.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ca;
use super::error::{SandboxError, cannot};
use super::etcd::Etcd;
use super::files::{read_text, remove, write_private};
use super::process::{Condition, Process};

/// The name of the file.
pub(super) const FILE: &str = "state.json";

/// A sandbox, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) tls: bool,
    pub(super) detached: bool,
    /// The token that the members know their cluster by, so that two sandboxes never take each other for one.
    pub(super) token: String,
    /// More flags of etcd, for every member.
    pub(super) flags: Vec<String>,
    /// The password of root, where clients have to say who they are.
    pub(super) password: Option<String>,
    pub(super) members: Vec<StoredMember>,
}

/// A member, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredMember {
    pub(super) name: String,
    pub(super) etcd: Etcd,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
    /// What it tells clients and peers, where that is not where it listens.
    pub(super) advertise_client: Option<String>,
    pub(super) advertise_peer: Option<String>,
    /// More flags of etcd, for this member only.
    pub(super) flags: Vec<String>,
    pub(super) initial_cluster: String,
    /// Whether it joins a cluster that exists.
    pub(super) joins: bool,
    /// Its process; none when it was stopped on purpose.
    pub(super) process: Option<Process>,
    /// What its last process exited with.
    pub(super) exit_code: Option<i64>,
    /// Where the log of its last process begins.
    pub(super) log_from: u64,
}

impl State {
    /// Reads the state of a sandbox; none when there is no sandbox in the folder.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>, SandboxError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let state = serde_json::from_str(&read_text(&path)?);
        state.map(Some).map_err(|source| SandboxError::Unreadable { path, source })
    }

    /// Keeps it.
    pub(super) fn save(&self, folder: &Path) -> Result<(), SandboxError> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|source| SandboxError::Unreadable { path: path.clone(), source })?;
        write_private(&path, &text)
    }

    /// Returns the URL of a port on this machine.
    pub(super) fn url(&self, port: u16) -> String {
        format!("{}://127.0.0.1:{port}", if self.tls { "https" } else { "http" })
    }

    /// Returns where a member listens for clients.
    pub(super) fn client_url(&self, member: &StoredMember) -> String {
        self.url(member.client_port)
    }

    /// Returns where a member's peers are told to reach it.
    pub(super) fn peer_url(&self, member: &StoredMember) -> String {
        member.advertise_peer.clone().unwrap_or_else(|| self.url(member.peer_port))
    }

    /// Returns the flags that a member is started with.
    pub(super) fn flags(&self, folder: &Path, member: &StoredMember) -> Vec<String> {
        let client_url = self.client_url(member);
        let path = |below: &str| folder.join(below).to_string_lossy().into_owned();
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: &str| flags.push(format!("--{name}={value}"));
        flag("name", &member.name);
        flag("data-dir", &data_dir(folder, &member.name).to_string_lossy());
        flag("listen-client-urls", &client_url);
        flag("advertise-client-urls", member.advertise_client.as_deref().unwrap_or(&client_url));
        flag("listen-peer-urls", &self.url(member.peer_port));
        flag("initial-advertise-peer-urls", &self.peer_url(member));
        flag("initial-cluster", &member.initial_cluster);
        flag("initial-cluster-token", &self.token);
        flag("initial-cluster-state", if member.joins { "existing" } else { "new" });
        if member.etcd.is_minor(&[3, 4]) {
            // From 3.5 on this is the default. The old format has no levels that can be read.
            flag("logger", "zap");
        }
        if self.tls {
            for (prefix, auth) in [("", "client-cert-auth"), ("peer-", "peer-client-cert-auth")] {
                flag(&format!("{prefix}cert-file"), &path(&ca::cert_path(&member.name)));
                flag(&format!("{prefix}key-file"), &path(&ca::key_path(&member.name)));
                flag(&format!("{prefix}trusted-ca-file"), &path(ca::CA_CERT));
                flag(auth, "true");
            }
        }
        flags.extend(self.flags.iter().chain(&member.flags).cloned());
        flags
    }
}

impl StoredMember {
    /// Returns how its process stands; none when it was stopped on purpose.
    pub(super) fn condition(&self) -> Option<Condition> {
        self.process.as_ref().map(|process| match process.condition() {
            // What was learned when it was waited for is not known to the system any more.
            Condition::Ended(None) => Condition::Ended(self.exit_code),
            other => other,
        })
    }

    /// Says whether it has a process that has not ended.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.condition(), Some(Condition::Running | Condition::Paused))
    }

    /// Takes note of the end of its process, if it has ended.
    pub(super) fn note_end(&mut self) {
        if let (Some(Condition::Ended(code)), Some(process)) = (self.condition(), &self.process) {
            process.reap();
            self.exit_code = code;
        }
    }
}

/// Returns the data dir of a member.
pub(super) fn data_dir(folder: &Path, member: &str) -> PathBuf {
    folder.join(format!("{member}.data"))
}

/// Returns the log of a member.
pub(super) fn log_path(folder: &Path, member: &str) -> PathBuf {
    folder.join("logs").join(format!("{member}.log"))
}

/// The right to change a sandbox, held until it is dropped. The file is beside the sandbox's folder, so that it can be held
/// while the folder comes and goes; its name begins with a dot, which no sandbox's does.
pub(super) struct Lock(#[expect(dead_code, reason = "an open file holds its lock")] File);

impl Lock {
    fn path(folder: &Path) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(folder.file_name().unwrap_or_default());
        name.push(".lock");
        folder.with_file_name(name)
    }

    /// Removes the file of a sandbox that is gone, and whose name nobody takes again.
    pub(super) fn forget(folder: &Path) -> Result<(), SandboxError> {
        remove(&Lock::path(folder))
    }

    /// Takes it, unless another command has it.
    pub(super) fn try_take(folder: &Path) -> Result<Option<Lock>, SandboxError> {
        let path = Lock::path(folder);
        let what = || format!("lock {}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(cannot(what()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(cannot(what())(error)),
        }
    }
}
