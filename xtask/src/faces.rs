//! Running the two faces that were built, apart from the caller's own settings: whoever has exported the endpoints of a real
//! cluster must not see a tour break a member of that one.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::setup;
use crate::workspace::Programs;

/// The faces, and what they are run with.
#[derive(Debug)]
pub(crate) struct Faces {
    nu: PathBuf,
    programs: Programs,
    set: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
}

impl Faces {
    /// Takes the faces; their configuration, nu's plugins and its history are in `home`, not in the caller's folders.
    pub(crate) fn new(settings: &Settings, programs: Programs, home: &Path) -> Result<Self> {
        let join = |folders: Vec<PathBuf>| env::join_paths(folders).map_err(|error| Error::new(error.to_string()));
        let path = std::iter::once(programs.folder.clone()).chain(settings.path.iter().cloned());
        let set: [(&str, OsString); 5] = [
            ("PATH", join(path.collect())?),
            ("ETCDSH_CACHE", settings.cache.clone().into()),
            ("ETCDSH_ETCD_DIR", join(settings.etcd_dirs.clone())?),
            ("XDG_CONFIG_HOME", home.join("config").into()),
            ("XDG_DATA_HOME", home.join("data").into()),
        ];
        Ok(Self {
            nu: setup::nu::program(settings),
            programs,
            set: set.map(|(name, value)| (name.into(), value)).into(),
            removed: settings.chosen.clone(),
        })
    }

    /// Sets one more variable for all that is run.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.set.push((name.into(), value.into()));
    }

    /// Any program, in these surroundings.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command
    }

    /// nu with the plugin.
    pub(crate) fn nu(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.command(&self.nu);
        let plugins = format!("[{:?}]", self.programs.plugin);
        command.args(["--no-config-file", "--plugins", &plugins]).args(args);
        command
    }

    /// etcdsh.
    pub(crate) fn etcdsh(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.command(&self.programs.etcdsh);
        command.args(args);
        command
    }
}
