//! Building the workspace with the cargo that runs this task.

use std::path::PathBuf;
use std::process::Command;

use crate::cache;
use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;

/// How the programs are built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    /// Quick to build.
    Debug,
    /// Quick to run.
    Release,
}

/// The programs of the workspace.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The folder that holds them.
    pub(crate) folder: PathBuf,
    /// The Rhai face.
    pub(crate) etcdsh: PathBuf,
    /// The nu face.
    pub(crate) plugin: PathBuf,
}

/// A cargo command that finds what setup brought.
pub(crate) fn cargo(settings: &Settings, args: &[&str]) -> Command {
    let protoc = cache::protoc(&settings.cache).join("bin/protoc");
    let mut cargo = Command::new(&settings.cargo);
    cargo
        .args(args)
        .current_dir(&settings.root)
        .env("PROTOC", settings.protoc.as_ref().unwrap_or(&protoc))
        .env("ETCDSH_CACHE", &settings.cache);
    cargo
}

/// Builds the programs, with cargo's own progress.
pub(crate) fn build(settings: &Settings, build: Build) -> Result<Programs> {
    let (profile, name) = match build {
        Build::Debug => ("dev", "debug"),
        Build::Release => ("release", "release"),
    };
    // The whole workspace, because a build of some of its packages only would build dependencies with other features.
    process::run(&mut cargo(settings, &["build", "--workspace", "--bins", "--profile", profile]))?;
    let own = std::env::current_exe().map_err(|error| Error::new(format!("cannot find this program: {error}")))?;
    // Cargo has built this program too, so its folder is that one or beside it.
    let target = own.ancestors().nth(2).ok_or_else(|| Error::new("this program is not in a target folder"))?;
    let folder = target.join(name);
    let found = |name| {
        let program = folder.join(name);
        let missing = || Error::new(format!("the build left no {}", program.display()));
        if program.is_file() { Ok(program) } else { Err(missing()) }
    };
    Ok(Programs { etcdsh: found("etcdsh")?, plugin: found("nu_plugin_etcd")?, folder })
}
