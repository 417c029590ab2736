//! What the caller's shell says: variables, folder, configuration. All of it is read anew for each call, because `cd`,
//! `with-env` and a changed configuration hold from the next call on, while the plugin's own process knows nothing of them.

use std::path::PathBuf;

use etcdsh_core::error::{Error, Fault, Result};
use etcdsh_core::places::Places;
use etcdsh_core::profile::{self, Layers, Profile};
use etcdsh_core::subject::Subject;
use etcdsh_core::value::{Record, Value};
use nu_plugin::EngineInterface;
use nu_protocol::{ShellError, Value as NuValue};

use crate::value::Reader;

/// The caller's shell.
pub struct Shell<'a> {
    engine: &'a EngineInterface,
    /// The caller's folders.
    pub places: Places,
}

impl<'a> Shell<'a> {
    /// Asks the shell for the caller's folders.
    ///
    /// # Errors
    /// The shell has no current folder.
    pub fn new(engine: &'a EngineInterface) -> Result<Self> {
        let cwd = engine.get_current_dir().map_err(native)?;
        Ok(Shell { engine, places: Places::from_env(PathBuf::from(cwd), |name| variable(engine, name)) })
    }

    /// Decides which cluster is meant.
    ///
    /// # Errors
    /// A setting that cannot be used, with the place it stands in.
    pub fn profile(&self, flags: Record) -> Result<Profile> {
        let env = |name: &str| variable(self.engine, name);
        profile::resolve(Layers { flags, env: &env, shell: self.config()? }, &self.places)
    }

    /// Decides which cluster or file is meant.
    ///
    /// # Errors
    /// A setting that cannot be used, with the place it stands in.
    pub fn subject(&self, flags: Record) -> Result<Subject> {
        let env = |name: &str| variable(self.engine, name);
        Subject::resolve(Layers { flags, env: &env, shell: self.config()? }, &self.places)
    }

    /// Returns `$env.config.plugins.etcd`.
    ///
    /// # Errors
    /// It is not a record, or the closure that should make it failed.
    pub fn config(&self) -> Result<Option<Record>> {
        let Some(value) = self.engine.get_plugin_config().map_err(native)? else { return Ok(None) };
        match Reader::default().read(value)? {
            Value::Record(record) => Ok(Some(record)),
            Value::Null => Ok(None),
            other => Err(NoRecord(other.kind()).into()),
        }
    }
}

/// Reads a variable of the caller's environment, as the text that a program would see.
fn variable(engine: &EngineInterface, name: &str) -> Option<String> {
    // The engine fails here only when the shell is gone, and then the call's own answer fails too.
    text(&engine.get_env_var(name).ok()??, if name == "PATH" { ":" } else { "," })
}

fn text(value: &NuValue, separator: &str) -> Option<String> {
    Some(match value {
        NuValue::Nothing { .. } => return None,
        NuValue::List { vals, .. } => {
            vals.iter().filter_map(|item| text(item, separator)).collect::<Vec<_>>().join(separator)
        }
        NuValue::Duration { val, .. } => format!("{val}ns"),
        NuValue::Bool { val, .. } => val.to_string(),
        other => other.coerce_string().ok()?,
    })
}

/// Carries an error of Nushell's own.
pub(crate) fn native(error: ShellError) -> Error {
    Error::from_hook(error.to_string(), error)
}

#[derive(Debug, thiserror::Error)]
#[error("$env.config.plugins.etcd should be a record, not {0}")]
struct NoRecord(&'static str);

impl Fault for NoRecord {
    fn code(&self) -> &'static str {
        "invalid_config"
    }

    fn help(&self) -> Option<String> {
        Some(
            "for example {endpoints: [\"10.0.0.1:2379\"], profiles: {prod: {endpoints: [\"10.1.0.1:2379\"]}}}"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(NuValue::test_string("a"), ",", Some("a"))]
    #[case(NuValue::test_int(5), ",", Some("5"))]
    #[case(NuValue::test_bool(true), ",", Some("true"))]
    #[case(NuValue::test_duration(5_000_000_000), ",", Some("5000000000ns"))]
    #[case(NuValue::test_list(vec![NuValue::test_string("/bin"), NuValue::test_string("/usr/bin")]), ":", Some("/bin:/usr/bin"))]
    #[case(NuValue::test_nothing(), ",", None)]
    fn variables_become_text(#[case] value: NuValue, #[case] separator: &str, #[case] expected: Option<&str>) {
        assert_eq!(text(&value, separator).as_deref(), expected);
    }
}
