//! nu, the shell that runs the plugin in tests and in the tour.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cache::{self, Cache};
use crate::error::{Error, Result};
use crate::process;
use crate::settings::Settings;
use crate::setup::{say, took};
use crate::version::Version;

/// The release that the nu crates of the workspace belong to. A plugin works with any nu of the same minor.
pub(crate) const VERSION: Version = Version::new(0, 115, 1);

/// Where setup leaves nu.
pub(crate) fn program(settings: &Settings) -> PathBuf {
    cache::nu(&settings.cache, VERSION).join("nu")
}

/// Links the nu of `PATH` into the cache, or else gets the npm package, or else builds it.
pub(super) fn get(settings: &Settings, cache: &Cache) -> Result<()> {
    let place = cache::nu(&cache.root, VERSION);
    if let Some((program, version)) = installed(settings) {
        let from = program.display();
        say("nu", &format!("{version} from {from}"));
        return cache.link(&program, &place.join("nu"));
    }
    if cache::holds(&place, &["nu"]) {
        say("nu", &format!("{VERSION} ready"));
        return Ok(());
    }
    let started = Instant::now();
    let stage = cache.stage("nu")?;
    let made = from_npm(settings, &stage).or_else(|reason| from_source(settings, &stage, &reason))?;
    let version = process::version(&made.join("nu"))?;
    if version != VERSION {
        return Err(Error::new(format!("asked for nu {VERSION}, got {version}")));
    }
    cache.publish(&made, &place)?;
    say("nu", &format!("{VERSION} installed in {}", took(started)));
    Ok(())
}

/// The nu on `PATH`, when it is of the right minor.
fn installed(settings: &Settings) -> Option<(PathBuf, Version)> {
    let program = settings.on_path("nu")?;
    let version = process::version(&program).ok()?;
    (version.same_minor(VERSION) && !is_script(&program)).then_some((program, version))
}

/// Whether this is a wrapper, as npm and version managers install. A signal sent to a wrapper does not reach nu, and
/// the tests send some.
fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    let read = fs::File::open(program).and_then(|mut file| file.read_exact(&mut start));
    read.is_err() || &start == b"#!"
}

/// The npm package `nushell` depends on one package per platform, which holds nothing but the program; npm picks it.
fn from_npm(settings: &Settings, stage: &Path) -> Result<PathBuf> {
    let npm = settings.on_path("npm").ok_or_else(|| Error::new("npm is not on PATH"))?;
    say("nu", &format!("{VERSION} from npm, about 25 MB"));
    let options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    process::run(
        Command::new(npm)
            .args(["install", "--prefix"])
            .arg(stage)
            .args(options)
            .arg(format!("nushell@{VERSION}"))
            .stdout(Stdio::null()),
    )?;
    let packages = stage.join("node_modules/@nushell");
    fs::read_dir(&packages)
        .map_err(Error::io("read", &packages))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|package| package.join("bin/nu").is_file())
        .map(|package| alone(&package.join("bin/nu"), stage))
        .unwrap_or_else(|| Err(Error::new("npm has no nu for this platform")))
}

/// Moves a program into a folder of its own.
fn alone(program: &Path, stage: &Path) -> Result<PathBuf> {
    let folder = stage.join("alone");
    fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
    fs::rename(program, folder.join("nu")).map_err(Error::io("move", program))?;
    Ok(folder)
}

fn from_source(settings: &Settings, stage: &Path, reason: &Error) -> Result<PathBuf> {
    say("nu", &format!("{VERSION} with cargo, 10 to 30 minutes ({reason})"));
    let mut install = Command::new(&settings.cargo);
    install
        .args(["install", "nu", "--locked", "--version"])
        .arg(VERSION.to_string())
        .arg("--root")
        .arg(stage)
        // The shared target folder would keep gigabytes that nothing else uses.
        .env("CARGO_TARGET_DIR", stage.join("target"));
    process::run(&mut install).map_err(|error| {
        Error::new(format!(
            "nu {VERSION} is missing ({reason}; {error}): put it on PATH, or install npm and run `cargo xtask setup` again, \
             or see why `cargo install nu --locked --version {VERSION}` fails"
        ))
    })?;
    Ok(stage.join("bin"))
}
