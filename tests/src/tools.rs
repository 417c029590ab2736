//! Where the real programs are. `cargo xtask setup` puts them there; what is missing ends the test with that command.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The minor versions of etcd that everything is tested on.
pub const MATRIX: &[&str] = &["3.4", "3.5", "3.6", "3.7"];

/// The folder with the programs of one etcd version.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Where they lie.
    pub folder: PathBuf,
    /// Their version, for example 3.6.16.
    pub version: String,
}

impl Tools {
    /// Returns a program of this version.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn cache() -> PathBuf {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = || var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    let cache = var("ETCDSH_CACHE").or_else(|| base().map(|base| base.join("etcdsh")));
    cache.expect("neither ETCDSH_CACHE nor HOME is set")
}

/// Returns the programs of the newest etcd of a minor version, for example `3.6`.
///
/// Debian's 3.4 cannot be had everywhere. Where setup has said so, the answer is none, and the test says on stderr that it did
/// not run; with `CI` set setup has failed before.
pub fn etcd(minor: &str) -> Option<Tools> {
    let folder = cache().join("etcd");
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut found: Vec<(Vec<u32>, String)> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(&format!("{minor}.")) && folder.join(name).join("etcd").exists())
        .map(|name| (name.split('.').filter_map(|part| part.parse().ok()).collect(), name))
        .collect();
    found.sort();
    if let Some((_, version)) = found.pop() {
        return Some(Tools { folder: folder.join(&version), version });
    }
    let missing = |entry: std::fs::DirEntry| {
        entry.file_name().into_string().is_ok_and(|name| name.starts_with(minor) && name.ends_with(".missing"))
    };
    let noted = std::fs::read_dir(&folder).into_iter().flatten().flatten().any(missing);
    assert!(noted && std::env::var("CI").is_err(), "etcd {minor} is missing: run `cargo xtask setup`");
    eprintln!("NOT TESTED: etcd {minor} cannot be had on this machine");
    None
}

/// Returns the real Nushell.
pub fn nu() -> PathBuf {
    let folder = cache().join("nu");
    let nu = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path().join("nu"));
    nu.filter(|path| path.exists()).max().unwrap_or_else(|| panic!("nu is missing: run `cargo xtask setup`"))
}

/// Returns a program of this workspace, which was built into the folder above the test's own.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("a test lies below the target folder");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

/// Returns an etcdctl that is ready to talk to a cluster.
pub fn etcdctl(tools: &Tools) -> Command {
    let mut command = Command::new(tools.program("etcdctl"));
    if tools.version.starts_with("3.4") {
        command.env("ETCDCTL_API", "3");
    }
    command
}
