//! The clusters that are measured: sandboxes with a state folder of their own, so that nobody's sandbox is in the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::error::{Error, Result};
use crate::faces::Faces;
use crate::process;
use crate::settings::Settings;
use crate::version::Version;

const NAME: &str = "bench";

/// A cluster that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    faces: &'a Faces,
    etcdctl: PathBuf,
    folder: PathBuf,
    urls: Vec<String>,
}

impl<'a> Cluster<'a> {
    /// Starts one. What an interrupted run left is stopped first.
    pub(super) fn start(
        settings: &Settings,
        faces: &'a Faces,
        state: &Path,
        version: Version,
        members: usize,
    ) -> Result<Self> {
        stop(faces)?;
        let mut cluster = Self {
            faces,
            etcdctl: cache::etcd(&settings.cache, version).join("etcdctl"),
            folder: state.join("etcdsh/sandbox").join(NAME),
            urls: Vec::new(),
        };
        let options = format!("#{{name: {NAME:?}, members: {members}, etcd: \"{version}\"}}");
        let script = format!("etcd.sandbox_start({options}).map(|member| member.client_url)");
        let urls = process::read(&mut cluster.eval(&script))?;
        cluster.urls = urls.lines().map(|url| url.trim_matches('"').to_owned()).collect();
        Ok(cluster)
    }

    /// `etcdsh eval`, with rows as they come.
    pub(super) fn eval(&self, script: &str) -> Command {
        self.faces.etcdsh(["--profile", NAME, "eval", "--output", "jsonl", script])
    }

    /// nu with the plugin.
    pub(super) fn nu(&self, commands: &str) -> Command {
        let mut nu = self.faces.nu(["--no-std-lib", "-c", commands]);
        nu.env("ETCDSH_PROFILE", NAME);
        nu
    }

    /// The etcdctl of the same version.
    pub(super) fn etcdctl(&self, args: &[&str]) -> Command {
        let mut etcdctl = self.faces.command(&self.etcdctl);
        etcdctl
            // Its usual five seconds are less than it takes to read a million keys, and `get` does not heed the variable.
            .arg("--command-timeout=10m")
            .args(args)
            .env("ETCDCTL_ENDPOINTS", self.urls.join(","))
            .env("ETCDCTL_CACERT", self.folder.join("ca/ca.crt"))
            .env("ETCDCTL_CERT", self.folder.join("certs/client.crt"))
            .env("ETCDCTL_KEY", self.folder.join("certs/client.key"));
        etcdctl
    }

    /// Fills it with keys.
    pub(super) fn load(&self, loader: &Path, keys: usize, size: usize) -> Result<()> {
        let url = self.urls.first().ok_or_else(|| Error::new("the cluster has no member"))?;
        let mut load = Command::new(loader);
        load.args(["-endpoint", url, "-keys", &keys.to_string(), "-size", &size.to_string()])
            .arg("-cacert")
            .arg(self.folder.join("ca/ca.crt"))
            .arg("-cert")
            .arg(self.folder.join("certs/client.crt"))
            .arg("-key")
            .arg(self.folder.join("certs/client.key"));
        process::run(&mut load)
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        if let Err(error) = stop(self.faces) {
            eprintln!("warning: the members may still run: {error}");
        }
    }
}

fn stop(faces: &Faces) -> Result<()> {
    let script = format!("etcd.sandbox_stop(#{{name: {NAME:?}}})");
    process::read(&mut faces.etcdsh(["eval", &script])).map(drop)
}

/// Builds the program that fills a cluster, beside the etcd of the same module.
pub(super) fn build_loader(settings: &Settings, home: &Path) -> Result<PathBuf> {
    let go = settings.on_path("go").ok_or_else(|| Error::new("the loader needs Go, and it is not on PATH"))?;
    fs::create_dir_all(home).map_err(Error::io("create", home))?;
    let loader = home.join("load");
    let mut build = Command::new(go);
    build
        .args(["build", "-trimpath", "-o"])
        .arg(&loader)
        .arg("./load")
        .current_dir(settings.root.join("xtask/etcd/3.6"))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off");
    process::run(&mut build)?;
    Ok(loader)
}
