//! `cargo xtask setup`: brings everything that a build, a try or a test needs into the cache.

mod debian;
pub(crate) mod etcd;
mod go;
pub(crate) mod nu;
mod protoc;

use std::time::Instant;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// How much a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// protoc, nu and any one etcd.
    Try,
    /// protoc, nu and every etcd version of the matrix.
    Test,
}

/// Gets what is missing. Goes on after a failure, so that one run names everything that is missing.
pub(crate) fn run(settings: &Settings, need: Need) -> Result<()> {
    let started = Instant::now();
    let cache = Cache::open(&settings.cache)?;
    let steps = [
        protoc::get(settings, &cache),
        nu::get(settings, &cache),
        match need {
            Need::Try => etcd::get_one(settings, &cache),
            Need::Test => etcd::get_matrix(settings, &cache),
        },
        match need {
            Need::Try => Ok(()),
            Need::Test => tracer(settings),
        },
    ];
    cache.clear()?;
    all(steps)?;
    let place = settings.cache.display();
    say("setup", &format!("done in {}: {place}", took(started)));
    Ok(())
}

/// Sees that there is a strace, which makes disks slow for the tests; only Linux has it.
fn tracer(settings: &Settings) -> Result<()> {
    if cfg!(not(target_os = "linux")) || settings.on_path("strace").is_some() {
        return Ok(());
    }
    Err(Error::new(
        "strace is not on PATH, and the tests make disks slow with it: install it with `sudo apt install strace`",
    ))
}

/// One error out of all that went wrong.
fn all(steps: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let problems: Vec<String> = steps.into_iter().filter_map(|step| step.err().map(|error| error.message)).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::new(problems.join("\nerror: ")))
}

/// Prints one line of progress about one piece.
pub(crate) fn say(piece: &str, what: &str) {
    eprintln!("{piece:<12} {what}");
}

/// The time since `started`, for people.
pub(crate) fn took(started: Instant) -> String {
    format!("{:.1} s", started.elapsed().as_secs_f64())
}
