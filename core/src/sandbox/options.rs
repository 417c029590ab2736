//! What a new sandbox is to be like.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;

/// Puts data into a member's data dir before it starts for the first time.
#[derive(Clone)]
pub struct Seed(pub Arc<SeedFn>);

/// What puts them there.
pub type SeedFn = dyn Fn(&Seat) -> Result<()> + Send + Sync;

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

/// A member that is about to start for the first time.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its name.
    pub name: String,
    /// Name and peer URL of every member.
    pub initial_cluster: Vec<(String, String)>,
    /// What makes the ids those of this cluster.
    pub token: String,
    /// Its own peer URL.
    pub peer_url: String,
    /// Its data dir, which is not there yet.
    pub data_dir: PathBuf,
}

/// What a new sandbox is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many members it has, from 1 to 9; they are named `infra1`, `infra2` and so on.
    pub members: usize,
    /// The etcd to run: a path, or a version such as `3.5`. The newest 3.6 that is found, or else the newest, when not given.
    pub etcd: Option<String>,
    /// Whether clients and peers speak TLS, both showing certificates of the sandbox's own authority.
    pub tls: bool,
    /// Whether clients have to say who they are; the profile then speaks for `root`.
    pub auth: bool,
    /// More flags of etcd, for every member.
    pub flags: Vec<String>,
    /// What is different for single members, by name.
    pub only: BTreeMap<String, MemberOptions>,
    /// Whether the processes are cut off from the terminal and the session of whoever starts them. Without this, Ctrl-C on
    /// the terminal ends them, which is right for a test.
    pub detached: bool,
    /// How long the members may take until they serve.
    pub wait: Duration,
    /// What the members have when they start; nothing without it.
    pub seed: Option<Seed>,
}

/// What is different for one member of a new sandbox.
#[derive(Debug, Clone, Default)]
pub struct MemberOptions {
    /// Another etcd than the others'.
    pub etcd: Option<String>,
    /// More flags of etcd.
    pub flags: Vec<String>,
    /// The URL that it tells clients, in place of the one it listens at: for a proxy in between.
    pub advertise_client_url: Option<String>,
    /// The URL that it tells its peers, in place of the one it listens at: for a proxy in between.
    pub advertise_peer_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            members: 3,
            etcd: None,
            tls: true,
            auth: false,
            flags: Vec::new(),
            only: BTreeMap::new(),
            detached: true,
            wait: Duration::from_secs(60),
            seed: None,
        }
    }
}
