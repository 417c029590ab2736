//! The members of a sandbox: their processes are on this machine, and the sandbox knows all about them.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::Dirs;
use super::runner::Machine;
use super::{Data, LINES, Process, StartConfiguration, data};
use crate::context::Context;
use crate::error::Result;
use crate::file::BadFile;
use crate::places::Places;
use crate::sandbox::{Member, ProcessState, Sandbox};

/// Drives a member of a sandbox. The member need not be known there: one with a new name may join.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    sandbox: Sandbox,
    member: String,
}

impl Driver {
    pub(super) fn new(places: &Places, sandbox: &str, member: &str) -> Result<Self> {
        Ok(Driver { sandbox: Sandbox::open(places, sandbox)?, member: member.to_owned() })
    }

    pub(super) fn describe(&self) -> String {
        format!("the sandbox {}", self.sandbox.name())
    }

    pub(super) fn peer_urls(&self) -> Option<Vec<String>> {
        Some(vec![self.known().ok()??.peer_url().to_owned()])
    }

    pub(super) fn look(&self) -> Result<(Process, Data)> {
        let Some(member) = self.known()? else { return Ok((Process::Stopped, Data::None)) };
        let process = match member.row()?.state {
            // One that is paused has its files and ports all the same.
            ProcessState::Running | ProcessState::Paused => Process::Running,
            ProcessState::Exited | ProcessState::Stopped => Process::Stopped,
        };
        Ok((process, data::read(&member.data_dir(), None)))
    }

    pub(super) fn etcd_version(&self) -> Result<Option<String>> {
        Ok(self.known()?.map(|member| member.row()).transpose()?.map(|row| row.version))
    }

    pub(super) fn process_id(&self) -> Result<Option<String>> {
        let row = self.known()?.map(|member| member.row()).transpose()?;
        Ok(row.and_then(|row| row.pid).map(|pid| pid.to_string()))
    }

    pub(super) async fn stop(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        match self.known()? {
            Some(_) => self.on(ctx).stop_member(&self.member, bound).await,
            None => Ok(()),
        }
    }

    pub(super) async fn start(
        &self,
        ctx: &Context<'_>,
        with: Option<&StartConfiguration>,
        bound: Duration,
    ) -> Result<()> {
        self.on(ctx).start_member(&self.member, with, bound).await
    }

    pub(super) async fn set_aside(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if self.known()?.is_none() {
            return Ok(None);
        }
        let aside = self.on(ctx).member(&self.member)?.wipe().await?;
        Ok(aside.map(|path| path.to_string_lossy().into_owned()))
    }

    pub(super) async fn put(&self, ctx: &Context<'_>, made: &Path) -> Result<()> {
        let data = PathBuf::from(self.data_dir());
        let folder = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data);
        folder.map_err(|source| BadFile::from_io("create", &data, source))?;
        let dirs = Dirs { data: self.data_dir(), wal: None };
        dirs.put(ctx, &Machine::new(ctx.places(), None), made).await
    }

    pub(super) fn data_dir(&self) -> String {
        self.sandbox.data_dir_of(&self.member).to_string_lossy().into_owned()
    }

    pub(super) fn last_log(&self) -> Result<Vec<String>> {
        Ok(self.known()?.map(|member| member.end_of_log(LINES)).transpose()?.unwrap_or_default())
    }

    fn known(&self) -> Result<Option<Member>> {
        let mut members = self.sandbox.members()?.into_iter();
        Ok(members.find(|member| member.name() == self.member))
    }

    /// Returns the sandbox, with waiting that ends on Ctrl-C.
    fn on(&self, ctx: &Context<'_>) -> Sandbox {
        self.sandbox.clone().cancelled_by(ctx.cancel())
    }
}
