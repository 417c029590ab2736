//! The Nushell face of etcdsh. It is one adapter over the catalogue: no operation has a line of its own here.
//!
//! A call goes through [`call`] (Nushell's arguments become core's), [`settings`] (which cluster is meant), [`command`] (core
//! runs it), [`answer`] (core's answer becomes Nushell's) and, when it fails, [`error`]. [`signature`] describes the commands to
//! Nushell, and [`complete`] suggests arguments while they are typed.

pub mod answer;
pub mod call;
pub mod command;
pub mod complete;
pub mod error;
pub mod log;
pub mod notices;
pub mod parent;
pub mod settings;
pub mod signature;
pub mod syntax;
pub mod value;

#[cfg(test)]
mod contract;

use std::sync::OnceLock;
use std::time::Duration;

use etcdsh_core::blocking::Driver;
use etcdsh_core::context::Cancel;
use etcdsh_core::error::Result;
use etcdsh_core::operation::Entry;
use nu_plugin::{MsgPackSerializer, Plugin, PluginCommand, serve_plugin};

use crate::command::OpCommand;
use crate::complete::MemberCache;
use crate::parent::HelpCommand;

/// Serves Nushell with these operations until it needs them no more. `--version` is for a person, and answered at once.
pub fn serve(catalogue: &'static [Entry]) {
    if std::env::args().nth(1).is_some_and(|argument| argument == "--version") {
        println!("nu_plugin_etcd {}", env!("CARGO_PKG_VERSION"));
        return;
    }
    log::start();
    let plugin = EtcdPlugin::of(catalogue);
    watch_the_shell(&plugin.orphaned);
    serve_plugin(&plugin, MsgPackSerializer);
}

/// How often it is looked whether Nushell is still there.
const LOOK: Duration = Duration::from_millis(250);

/// Cancels what is under way when Nushell has died: nobody would see how it ends, nor could anybody stop it.
fn watch_the_shell(orphaned: &Cancel) {
    let (orphaned, shell) = (orphaned.clone(), rustix::process::getppid());
    std::thread::spawn(move || {
        while rustix::process::getppid() == shell {
            std::thread::park_timeout(LOOK);
        }
        orphaned.cancel();
    });
}

/// The plugin. Nushell starts it twice to begin with, and may stop it whenever it is idle; so nothing is done before it is
/// needed, and nothing is kept that cannot be had again.
pub struct EtcdPlugin {
    catalogue: &'static [Entry],
    driver: OnceLock<Driver>,
    members: MemberCache,
    /// Cancelled when Nushell has died.
    orphaned: Cancel,
}

impl EtcdPlugin {
    fn of(catalogue: &'static [Entry]) -> Self {
        let (driver, members, orphaned) = (OnceLock::new(), MemberCache::default(), Cancel::new());
        EtcdPlugin { catalogue, driver, members, orphaned }
    }

    pub(crate) fn driver(&self) -> Result<&Driver> {
        if let Some(driver) = self.driver.get() {
            return Ok(driver);
        }
        let driver = Driver::new()?;
        Ok(self.driver.get_or_init(|| driver))
    }

    pub(crate) fn members(&self) -> &MemberCache {
        &self.members
    }
}

impl Plugin for EtcdPlugin {
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn commands(&self) -> Vec<Box<dyn PluginCommand<Plugin = Self>>> {
        let parents = signature::parents(self.catalogue.iter().map(|entry| entry.card.name));
        let names: Vec<String> = self.catalogue.iter().map(|entry| format!("etcd {}", entry.card.name)).collect();
        let parent = |name| Box::new(HelpCommand::new(name, names.iter().map(String::as_str))) as Box<_>;
        let parents = parents.into_iter().map(parent);
        let operations = self.catalogue.iter().map(|entry| Box::new(OpCommand::new(entry)) as Box<_>);
        parents.chain(operations).collect()
    }
}
