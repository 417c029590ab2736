//! A real cluster behind a proxy.

use std::collections::BTreeMap;

use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_tests::Running;
use etcdsh_tests::proxy::Proxy;

use crate::failing::profile;

/// A cluster of one member that clients reach only through a proxy.
pub(crate) struct Proxied {
    pub(crate) cluster: Running,
    pub(crate) proxy: Proxy,
}

impl Proxied {
    pub(crate) fn start(tls: bool) -> Self {
        Self::of("3.6", tls).unwrap()
    }

    /// Starts one of a version, if that is installed.
    pub(crate) fn of(version: &str, tls: bool) -> Option<Self> {
        let proxy = Proxy::new();
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port);
        let only = MemberOptions { advertise_client_url: Some(url), ..MemberOptions::default() };
        let only = BTreeMap::from([("infra1".to_owned(), only)]);
        let cluster = Running::start(version, Options { members: 1, tls, only, ..Options::default() })?;
        let direct = cluster.profile().endpoints[0].port();
        proxy.lead_to(direct);
        Some(Proxied { cluster, proxy })
    }

    /// Returns the settings of a user who knows the proxy only.
    pub(crate) fn profile(&self) -> Profile {
        let scheme = if self.cluster.profile().tls.is_set() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", self.proxy.port);
        Profile { tls: self.cluster.profile().tls, ..profile(&self.cluster.caller, &url, &[]) }
    }

    /// Makes the database larger than what a connection holds on its way.
    pub(crate) fn fill(&self, megabytes: usize) {
        let value = "x".repeat(1 << 20);
        for number in 0..megabytes {
            self.cluster.etcdctl_reading(&["put", &format!("big/{number}")], &value).unwrap();
        }
    }
}
