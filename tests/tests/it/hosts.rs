//! How members' processes are stopped and started, and their data moved aside, for real.

use std::time::Duration;

use etcdsh_core::context::{Cancel, Context};
use etcdsh_core::host::{Data, Host, HostView, Process, StartConfiguration};
use etcdsh_core::places::Places;
use etcdsh_core::profile::Profile;
use etcdsh_tests::{Running, driver, until};
use rstest::rstest;
use serde_json::{Value, json};

mod driven;

use driven::Driven;

#[rstest]
fn a_member_of_a_sandbox_is_replaced_by_hand(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let host = Driven::of(&cluster.profile(), &cluster.places, "infra2");
    assert_eq!(host.describe(), "the sandbox sandbox");
    assert_eq!(host.peer_urls().unwrap(), [cluster.member("infra2").peer_url()]);
    replaced(&cluster, &host);
    assert_eq!(host.peer_urls().unwrap(), [cluster.member("infra2").peer_url()]);
}
