//! How a member's process is stopped and started, and its data dir moved aside. A cluster cannot do that by itself, so a profile
//! says under `hosts` how it is done for each member.
//!
//! Nothing here decides whether it may be done: that is the business of `change`. A driver only does it, and returns when it
//! has been seen to be done. No driver ever deletes data.

mod data;
pub(crate) mod death;
mod environment;
mod error;
mod files;
mod flags;
mod manifest;
mod put;
mod runner;
mod sandbox;
mod start;
mod static_pod;
mod systemd;

use std::path::Path;
use std::time::Duration;

pub use error::HostError;
pub use start::StartConfiguration;

use crate::context::Context;
use crate::error::Result;
use crate::id::{ClusterId, MemberId};
use crate::places::Places;
use crate::profile::{Hosts, Profile, Runs};
use files::Dirs;
use runner::Machine;

/// How many lines of a log are shown to whoever wants to know why a process ended.
const LINES: usize = 20;
/// How many lines of it are read to find that one: a stack trace may follow it.
const TAIL: &str = "400";

/// Whether a member's process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It is, or may come by itself at any time; it need not answer.
    Running,
    /// It is not.
    Stopped,
    /// That could not be found out.
    Unknown,
}

/// Whose data lie in a member's data dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// There are none: the member would start as a new one.
    None,
    /// Those of a member, by its id and that of its cluster. The id need not be in the cluster any more.
    Of {
        /// The member.
        member: MemberId,
        /// Its cluster.
        cluster: ClusterId,
    },
    /// That could not be found out; this is why.
    Unknown(String),
}

/// What is seen of a member on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// The member's name, as the profile has it.
    pub name: String,
    /// Whether its process is there.
    pub process: Process,
    /// Whose data it has.
    pub data: Data,
    /// What the process calls itself, where the data do not tell whose they are.
    pub called: Option<String>,
}

/// The driver of one member.
#[derive(Debug, Clone)]
pub struct Host {
    member: String,
    /// What the profile says they are.
    peer_urls: Option<Vec<String>>,
    driver: Driver,
}

#[derive(Debug, Clone)]
enum Driver {
    Sandbox(sandbox::Driver),
    Systemd(systemd::Driver),
    StaticPod(static_pod::Driver),
}

impl Host {
    /// Finds the driver of a member by name; none when the profile says nothing about this member.
    ///
    /// # Errors
    /// The profile names a sandbox that does not exist.
    pub fn of(profile: &Profile, places: &Places, member: &str) -> Result<Option<Host>> {
        let member = member.to_owned();
        let host = match &profile.hosts {
            None => return Ok(None),
            Some(Hosts::Sandbox { name }) => {
                let driver = Driver::Sandbox(sandbox::Driver::new(places, name, &member)?);
                return Ok(Some(Host { member, peer_urls: None, driver }));
            }
            Some(Hosts::Members(members)) => members.get(&member),
        };
        let Some(host) = host.cloned() else { return Ok(None) };
        let machine = Machine::new(places, host.host.as_deref());
        let (log, dirs) = (host.log, Dirs { data: host.data_dir, wal: host.wal_dir });
        let driver = match host.runs {
            Runs::Unit { unit, env_file, drop_ins } => {
                let member = member.clone();
                Driver::Systemd(systemd::Driver { member, machine, unit, env_file, drop_ins, log, dirs })
            }
            Runs::Manifest { path: manifest, file_check } => {
                let member = member.clone();
                Driver::StaticPod(static_pod::Driver { member, machine, manifest, file_check, log, dirs })
            }
        };
        Ok(Some(Host { member, peer_urls: host.peer_urls, driver }))
    }

    /// Returns the member's name.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// Says whether there is such a member on the host, as far as that is known: a sandbox may be given a new one.
    pub fn is_known(&self) -> bool {
        match &self.driver {
            Driver::Sandbox(driver) => driver.peer_urls().is_some(),
            _ => true,
        }
    }

    /// Returns the peer URLs that the host itself knows for the member, where it does: they are needed when the member is not
    /// in the membership list any more.
    pub fn peer_urls(&self) -> Option<Vec<String>> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.peer_urls(),
            _ => self.peer_urls.clone(),
        }
    }

    /// Says in words what drives the member.
    pub fn describe(&self) -> String {
        match &self.driver {
            Driver::Sandbox(driver) => driver.describe(),
            Driver::Systemd(driver) => driver.describe(),
            Driver::StaticPod(driver) => driver.describe(),
        }
    }

    /// Looks at the member's process and data dir.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn look(&self, ctx: &Context<'_>) -> Result<HostView> {
        let (process, data) = match &self.driver {
            Driver::Sandbox(driver) => driver.look()?,
            Driver::Systemd(driver) => driver.look(ctx).await?,
            Driver::StaticPod(driver) => driver.look(ctx).await?,
        };
        let called = match &self.driver {
            _ if matches!(data, Data::Of { .. }) => None,
            Driver::Sandbox(_) => Some(self.member.clone()),
            Driver::Systemd(driver) => driver.called(ctx).await?,
            Driver::StaticPod(driver) => driver.called(ctx).await?,
        };
        Ok(HostView { name: self.member.clone(), process, data, called })
    }

    /// Returns the id of the member's process; none while there is none.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn process_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.process_id(),
            Driver::Systemd(driver) => driver.process_id(ctx).await,
            Driver::StaticPod(driver) => driver.process_id(ctx).await,
        }
    }

    /// Returns the version of the member's etcd, where the host tells it without starting anything.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn etcd_version(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.etcd_version(),
            Driver::Systemd(driver) => driver.etcd_version(ctx).await,
            Driver::StaticPod(driver) => driver.etcd_version(ctx).await,
        }
    }

    /// Holds that a start configuration will reach the member, as far as that can be seen before anything is stopped. The
    /// configuration need not be known yet.
    ///
    /// # Errors
    /// It will not, because something on the host wins over it; or the host cannot be asked.
    pub async fn preflight(&self, ctx: &Context<'_>, with: Option<&StartConfiguration>) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(_) => Ok(()),
            Driver::Systemd(driver) => driver.preflight(ctx, with).await,
            Driver::StaticPod(driver) => driver.preflight(ctx).await,
        }
    }

    /// Holds that what the profile says of the data dir is what the process has: by it a process is found, and its data.
    ///
    /// # Errors
    /// It is another one; or the host cannot be asked.
    pub async fn fits(&self, ctx: &Context<'_>) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(_) => Ok(()),
            Driver::Systemd(driver) => driver.fits(ctx).await,
            Driver::StaticPod(driver) => driver.fits(ctx).await,
        }
    }

    /// Stops the member's process, and returns when it has been seen to end. One that is not there is stopped already.
    ///
    /// # Errors
    /// The host cannot be asked, or the process is still there when the bound passes.
    pub async fn stop(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.stop(ctx, bound).await,
            Driver::Systemd(driver) => driver.stop(ctx, bound).await,
            Driver::StaticPod(driver) => driver.stop(ctx, bound).await,
        }
    }

    /// Starts the member's process, and returns when it runs; it need not serve yet. With a start configuration the member is
    /// given that first. One that runs already is left alone, unless there is a configuration that would not reach it.
    ///
    /// # Errors
    /// The host cannot be asked; the process ended at once, with the end of its log; it runs already, and there is a start
    /// configuration.
    pub async fn start(&self, ctx: &Context<'_>, with: Option<&StartConfiguration>, bound: Duration) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.start(ctx, with, bound).await,
            Driver::Systemd(driver) => driver.start(ctx, with, bound).await,
            Driver::StaticPod(driver) => driver.start(ctx, with, bound).await,
        }
    }

    /// Stops the member's process if it is there, and starts it as it was started before.
    ///
    /// # Errors
    /// As of [`Host::stop`] and [`Host::start`].
    pub async fn restart(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        self.stop(ctx, bound).await?;
        self.start(ctx, None, bound).await
    }

    /// Moves the member's data dir and WAL dir aside, and returns where they lie now; none when there was nothing. Nothing is
    /// deleted.
    ///
    /// # Errors
    /// The process is there, or may be; or the host cannot be asked.
    pub async fn set_aside(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.set_aside(ctx).await,
            Driver::Systemd(driver) => driver.set_aside(ctx).await,
            Driver::StaticPod(driver) => driver.set_aside(ctx).await,
        }
    }

    /// Holds that a data dir could be put in the member's place.
    ///
    /// # Errors
    /// There is no data dir whose owner it could get, or the host cannot be asked.
    pub async fn takes(&self, ctx: &Context<'_>) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(_) => Ok(()),
            Driver::Systemd(driver) => driver.dirs.owner(ctx, &driver.machine).await.map(drop),
            Driver::StaticPod(driver) => driver.dirs.owner(ctx, &driver.machine).await.map(drop),
        }
    }

    /// Puts a data dir that was made on this machine in the member's place. Its log goes to where the member has its own; the owner is that of
    /// the data dir.
    ///
    /// # Errors
    /// There are data already, or the host cannot be asked. What was put there in part is in nobody's way.
    pub async fn put(&self, ctx: &Context<'_>, made: &Path) -> Result<()> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.put(ctx, made).await,
            Driver::Systemd(driver) => driver.dirs.put(ctx, &driver.machine, made).await,
            Driver::StaticPod(driver) => driver.dirs.put(ctx, &driver.machine, made).await,
        }
    }

    /// Returns the member's data dir on its machine.
    pub fn data_dir(&self) -> String {
        match &self.driver {
            Driver::Sandbox(driver) => driver.data_dir(),
            Driver::Systemd(driver) => driver.dirs.data.clone(),
            Driver::StaticPod(driver) => driver.dirs.data.clone(),
        }
    }

    /// Returns the last lines of the member's log, up to the one that says why it ended.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn last_log(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        match &self.driver {
            Driver::Sandbox(driver) => driver.last_log(),
            Driver::Systemd(driver) => driver.last_log(ctx).await,
            Driver::StaticPod(driver) => driver.last_log(ctx).await,
        }
    }
}
