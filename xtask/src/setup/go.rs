//! etcd from its own Go modules: one small module per minor, in `xtask/etcd`, which pins the three programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;
use crate::version::Version;

/// Builds etcd, etcdctl and etcdutl into `folder` from the module in `module`.
pub(super) fn build(
    settings: &Settings,
    module: &Path,
    version: Version,
    folder: &Path,
) -> Result<()> {
    let Some(go) = settings.on_path("go") else {
        let command = if cfg!(target_os = "macos") {
            "brew install go"
        } else {
            "sudo snap install go --classic"
        };
        return Err(Error::new(format!(
            "Go is not on PATH, and builds etcd {version}: install it with `{command}`, or let ETCDSH_ETCD_DIR \
             name folders with the programs of this version"
        )));
    };
    let mut install = Command::new(&go);
    install
        .args(["install", "-trimpath", "-ldflags=-s -w", "tool"])
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOBIN", folder)
        // A workspace file in a folder above would replace the pinned versions.
        .env("GOWORK", "off");
    process::run(&mut install).map_err(|error| {
        let own = process::read(Command::new(&go).arg("version")).unwrap_or_default();
        Error::new(format!(
            "etcd {version} did not build: {error}; this is {}, and a Go older than {}/go.mod asks for needs \
             `go env -w GOTOOLCHAIN=auto`",
            own.trim(),
            module.display()
        ))
    })?;
    let server = folder.join("server");
    fs::rename(&server, folder.join("etcd")).map_err(Error::io("rename", &server))
}
