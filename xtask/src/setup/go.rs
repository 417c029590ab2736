//! etcd from its own Go modules: one small module per minor, in `xtask/etcd`, which pins the three programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;
use crate::version::Version;

/// The Go of `PATH`; without one, an error that names the versions it is wanted for.
pub(super) fn find(settings: &Settings, versions: &[Version]) -> Result<PathBuf> {
    settings.on_path("go").ok_or_else(|| {
        let command = if cfg!(target_os = "macos") { "brew install go" } else { "sudo snap install go --classic" };
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        let versions = versions.join(", ");
        Error::new(format!(
            "cannot build etcd {versions}: Go is not on PATH: install it with `{command}`, or let \
             ETCDSH_ETCD_DIR name folders with these programs"
        ))
    })
}

/// Builds etcd, etcdctl and etcdutl into `folder` from the module in `module`.
pub(super) fn build(go: &Path, module: &Path, version: Version, folder: &Path) -> Result<()> {
    let mut install = Command::new(go);
    install
        .args(["install", "-trimpath", "-ldflags=-s -w", "tool"])
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOBIN", folder)
        // A workspace file in a folder above would replace the pinned versions.
        .env("GOWORK", "off");
    process::run(&mut install).map_err(|error| {
        let own = process::read(Command::new(go).arg("version")).unwrap_or_default();
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
