//! The driver of one member, as a test uses it.

use std::ops::Deref;
use std::time::Duration;

use etcdsh_core::context::{Cancel, Context};
use etcdsh_core::error::Result;
use etcdsh_core::host::{Host, HostView, StartConfiguration};
use etcdsh_core::places::Places;
use etcdsh_core::profile::Profile;
use etcdsh_tests::driver;

/// How long anything may take. Two cores run many clusters at once.
const BOUND: Duration = Duration::from_secs(60);

/// The driver of one member.
pub(crate) struct Driven {
    host: Host,
    places: Places,
}

impl Driven {
    /// Finds it; none where the profile does not say how the member is reached.
    pub(crate) fn new(profile: &Profile, places: &Places, member: &str) -> Option<Self> {
        let host = Host::of(profile, places, member).unwrap_or_else(|error| panic!("{error:?}"))?;
        Some(Driven { host, places: places.clone() })
    }

    fn run<T>(&self, work: impl AsyncFnOnce(&Context<'_>) -> Result<T>) -> Result<T> {
        let ctx = Context::without_cluster(&self.places, &|_| {}, &Cancel::new());
        driver().block_on(work(&ctx))
    }

    pub(crate) fn look(&self) -> Result<HostView> {
        self.run(async |ctx| self.host.look(ctx).await)
    }

    pub(crate) fn preflight(&self, with: Option<&StartConfiguration>) -> Result<()> {
        self.run(async |ctx| self.host.preflight(ctx, with).await)
    }

    pub(crate) fn stop(&self) -> Result<()> {
        self.run(async |ctx| self.host.stop(ctx, BOUND).await)
    }

    pub(crate) fn start(&self, with: Option<&StartConfiguration>) -> Result<()> {
        self.run(async |ctx| self.host.start(ctx, with, BOUND).await)
    }

    pub(crate) fn restart(&self) -> Result<()> {
        self.run(async |ctx| self.host.restart(ctx, BOUND).await)
    }

    pub(crate) fn set_aside(&self) -> Result<Option<String>> {
        self.run(async |ctx| self.host.set_aside(ctx).await)
    }

    pub(crate) fn last_log(&self) -> Result<Vec<String>> {
        self.run(async |ctx| self.host.last_log(ctx).await)
    }
}

impl Deref for Driven {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}
