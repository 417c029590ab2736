//! The project's own tools, run as `cargo xtask …`. They build without protoc and without any other crate of the
//! workspace, because `setup` is what brings those needs.

mod bench;
mod cache;
mod error;
mod faces;
mod interrupts;
mod process;
mod settings;
mod setup;
mod test;
mod tour;
mod version;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use error::{Error, Result};
use settings::Settings;
use setup::Need;

const USAGE: &str = "\
cargo xtask setup [--for try|test]   get protoc, nu and the etcd servers into the cache (default: all that `test` needs)
cargo xtask try                      setup, build, then a tour of a cluster of three, and on a terminal a shell on it
cargo xtask test [ARGS]              setup, formatting, lints, build, then `cargo test --workspace ARGS`
cargo xtask bench [--quick] [--check]
                                     setup, release build, then times and memory beside etcdctl's, and the bounds;
                                     with --check a missed bound is an error

environment:
  ETCDSH_CACHE      the cache folder; else $XDG_CACHE_HOME/etcdsh, else ~/.cache/etcdsh
  ETCDSH_ETCD_DIR   folders with etcd, etcdctl and etcdutl, or with one such folder per version, separated by colons
  CI=true           an etcd version that cannot be had is a failure";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.code)
        }
    }
}

fn dispatch(args: &[OsString]) -> Result<()> {
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        ["help" | "--help" | "-h"] | ["setup" | "try" | "test" | "bench", "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["setup"] | ["setup", "--for", "test"] => setup::run(&Settings::read()?, Need::Test),
        ["setup", "--for", "try"] => setup::run(&Settings::read()?, Need::Try),
        ["try"] => tour::run(&Settings::read()?),
        ["bench", options @ ..] => bench::run(&Settings::read()?, options),
        ["test", ..] => test::run(&Settings::read()?, args.get(1..).unwrap_or_default()),
        [] => Err(Error::usage(&format!("name a task\n\n{USAGE}"))),
        _ => Err(Error::usage(&format!("`{}` is not a task\n\n{USAGE}", words.join(" ")))),
    }
}
