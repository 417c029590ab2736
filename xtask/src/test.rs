//! `cargo xtask test`: setup, then every check that a change must pass, cheapest first.

use std::ffi::OsString;
use std::time::Instant;

use crate::error::Result;
use crate::process;
use crate::settings::Settings;
use crate::setup::{self, Need, took};
use crate::workspace::cargo;

/// The arguments of cargo for each stage. The programs are built before the tests, which start them, and together with the
/// tests, because a build of the programs alone would build many dependencies with other features, and then again.
const STAGES: [&[&str]; 4] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &["build", "--workspace", "--all-targets"],
    &["test", "--workspace"],
];

/// Runs every stage, up to the first that fails. The last one, the tests themselves, gets `args`.
pub(crate) fn run(settings: &Settings, args: &[OsString]) -> Result<()> {
    let started = Instant::now();
    eprintln!("==> setup");
    setup::run(settings, Need::Test)?;
    for stage in STAGES {
        let mut cargo = cargo(settings, stage);
        cargo.args(args.iter().filter(|_| stage.first() == Some(&"test")));
        let line = process::line(&cargo);
        eprintln!("\n==> {line}");
        let started = Instant::now();
        let ended = process::run(&mut cargo);
        eprintln!("<== {line}: {}", took(started));
        ended?;
    }
    eprintln!("\nall passed in {}", took(started));
    // The line that setup prints is far above by now.
    setup::etcd::repeat_not_tested(settings);
    Ok(())
}
