//! Diagnostics, off by default: `ETCDSH_LOG=debug` writes to standard error, `ETCDSH_LOG_FILE` names a file in its place.
//! Both are read from the environment in which Nushell started the plugin; `plugin stop etcd` makes a change take hold.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

/// Starts writing, if the environment asks for it.
pub fn start() {
    let Some(level) = variable("ETCDSH_LOG") else { return };
    let Ok(level) = level.parse::<LevelFilter>() else {
        complain("ETCDSH_LOG should be error, warn, info, debug or trace; nothing is logged");
        return;
    };
    let writer = match variable("ETCDSH_LOG_FILE") {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => BoxMakeWriter::new(Mutex::new(file)),
            Err(error) => {
                complain(&format!("cannot write to {path}: {error}; nothing is logged"));
                return;
            }
        },
    };
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    tracing_subscriber::registry().with(layer.with_filter(ours(level))).init();
}

/// Lets only our own lines through: the libraries below print headers at their finer levels, and the token is a header.
fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target("etcdsh_core", level).with_target("nu_plugin_etcd", level)
}

fn complain(problem: &str) {
    let _ = writeln!(std::io::stderr(), "nu_plugin_etcd: {problem}");
}

#[expect(clippy::disallowed_methods, reason = "the process's own environment is what its log and its terminal obey")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn no_library_is_let_through() {
        let filter = ours(LevelFilter::TRACE);
        assert!(filter.would_enable("etcdsh_core::rpc", &Level::TRACE));
        for library in ["h2::codec", "hyper", "tonic", "etcd_client", "rustls"] {
            assert!(!filter.would_enable(library, &Level::ERROR), "{library}");
        }
    }
}
