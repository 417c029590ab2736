//! Logs, for those who ask. `ETCDSH_LOG` is a level; the log goes to standard error or into the file `ETCDSH_LOG_FILE`. Only
//! our own spans are logged: those of the transport show headers, and a header holds the token.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use tracing_subscriber::EnvFilter;

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// Starts logging if the environment asks for it.
///
/// # Errors
/// The level is none, or the file cannot be written.
pub fn start(var: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let var = |name| var(name).filter(|value| !value.is_empty());
    let (level, file) = match (var("ETCDSH_LOG"), var("ETCDSH_LOG_FILE")) {
        (None, None) => return Ok(()),
        (level, file) => (level.unwrap_or_else(|| "debug".to_owned()), file),
    };
    if !LEVELS.contains(&level.as_str()) {
        return Err(format!("ETCDSH_LOG should be one of {}, not {level:?}", LEVELS.join(", ")));
    }
    let filter = EnvFilter::new(format!("off,etcdsh_core={level},etcdsh={level}"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let done = match file {
        None => logs.with_writer(std::io::stderr).try_init(),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
            let file = file.map_err(|error| format!("cannot write the log {path}: {error}"))?;
            logs.with_writer(std::sync::Mutex::new(file)).try_init()
        }
    };
    done.map_err(|error| format!("cannot start logging: {error}"))
}
