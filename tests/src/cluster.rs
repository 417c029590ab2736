//! A real cluster for one test, and the ways to use it: through core, from the shells of its home, with etcdctl.

use std::io::{Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Deref;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use etcdsh_core::blocking::Driver;
use etcdsh_core::change::view::MemberView;
use etcdsh_core::change::{ClusterView, Depth, observe};
use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::error::Result;
use etcdsh_core::places::Places;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{Member, Options, Sandbox, SandboxGuard};
use etcdsh_core::value::{Record, Value};

use crate::caller::Caller;
use crate::home::Home;
use crate::look::until;
use crate::tools::{Tools, etcd, etcdctl};

/// A running cluster with folders of its own, so that tests do not see each other. Its processes end with it.
pub struct Running {
    /// The cluster.
    pub sandbox: SandboxGuard,
    /// The folders that stand for a user's.
    pub places: Places,
    /// The etcd that runs.
    pub tools: Tools,
    /// Who uses it.
    pub caller: Caller,
}

impl Running {
    /// Starts three members of a minor version with TLS; none where this version cannot be had here.
    pub fn three(minor: &str) -> Option<Self> {
        Self::start(minor, Options::default())
    }

    /// Starts a cluster of a minor version.
    pub fn start(minor: &str, options: Options) -> Option<Self> {
        let tools = etcd(minor)?;
        let caller = Caller::new();
        let places = caller.places.clone();
        let etcd = Some(tools.program("etcd").to_string_lossy().into_owned());
        let options = Options { etcd, detached: false, ..options };
        let started = driver().block_on(Sandbox::start(&places, "sandbox", options));
        let sandbox = started.unwrap_or_else(|error| panic!("the sandbox did not start: {error:?}")).guard();
        Some(Running { sandbox, places, tools, caller })
    }

    /// Returns the settings of `--profile sandbox`.
    pub fn profile(&self) -> Profile {
        self.caller.profile(&[("profile", "sandbox")]).expect("the sandbox's profile")
    }

    /// Runs an operation through core with these arguments, and returns its answer as JSON; a stream is read to its end.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call(&self, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        self.call_with(&self.profile(), name, args)
    }

    /// Runs an operation with other settings than the sandbox's own.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call_with(&self, profile: &Profile, name: &str, args: serde_json::Value) -> Result<serde_json::Value> {
        self.caller.call(profile, name, args)
    }

    /// Runs an operation and returns its answer as core has it: columns are in their order, and bytes are bytes.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn answer(&self, profile: &Profile, name: &str, args: Record) -> Result<Value> {
        self.caller.answer(profile, name, args)
    }

    /// Returns the sandbox's settings with only these members as endpoints, in this order.
    pub fn seeded(&self, members: &[&str]) -> Profile {
        let url = |name: &&str| Endpoint::parse(self.member(name).client_url(), false).expect("a URL");
        Profile { endpoints: members.iter().map(url).collect(), ..self.profile() }
    }

    /// Returns a member of the sandbox.
    pub fn member(&self, name: &str) -> Member {
        self.sandbox.member(name).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Kills members, as a power cut would.
    pub fn kill(&self, members: &[&str]) {
        for name in members {
            driver().block_on(self.member(name).kill()).unwrap_or_else(|error| panic!("{error:?}"));
        }
    }

    /// Freezes a member.
    pub fn pause(&self, name: &str) {
        driver().block_on(self.member(name).pause()).unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Lets a frozen member go on.
    pub fn resume(&self, name: &str) {
        driver().block_on(self.member(name).resume()).unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Looks at the cluster as the operations do.
    ///
    /// # Errors
    /// No endpoint answered.
    pub fn view(&self) -> Result<ClusterView> {
        self.view_with(&self.profile())
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// No endpoint answered.
    pub fn view_with(&self, profile: &Profile) -> Result<ClusterView> {
        let cluster = driver().cluster(profile.clone())?;
        driver().block_on(observe(&cluster, Depth::Reads))
    }

    /// Waits until the members have agreed on the version of their data. They serve some seconds before that; from 3.6 on they
    /// tell it, and mark snapshots with it.
    pub fn settled(&self) {
        self.settled_on(self.tools.version.rsplit_once('.').expect("a version has three numbers").0);
    }

    /// The same for a version that the members were brought to.
    pub fn settled_on(&self, minor: &str) {
        let agreed = (!matches!(minor, "3.4" | "3.5")).then(|| format!("{minor}.0"));
        until("the version of the data is settled", || {
            let view = self.view().map_err(|error| format!("{error:?}"))?;
            let of = |m: &MemberView| m.known().map(|status| status.storage_version.clone());
            let versions: Vec<_> = view.members.iter().map(of).collect();
            let good = versions.iter().all(|version| version.as_ref() == Some(&agreed));
            if good { Ok(()) } else { Err(format!("{versions:?}")) }
        });
    }

    /// Returns the name of the leader, once there is one.
    pub fn leader(&self) -> String {
        until("there is a leader", || {
            let view = self.view().map_err(|error| format!("{error:?}"))?;
            view.leader().map(|leader| leader.member.name.clone()).ok_or_else(|| "nobody leads".to_owned())
        })
    }

    /// Returns the names of the members that follow.
    pub fn followers(&self) -> Vec<String> {
        let leader = self.leader();
        let names = self.sandbox.members().unwrap_or_else(|error| panic!("{error:?}"));
        names.iter().map(|member| member.name().to_owned()).filter(|name| *name != leader).collect()
    }

    /// Returns a folder that is this test's own.
    pub fn home(&self) -> &std::path::Path {
        self.caller.home()
    }

    /// Returns a peer URL for a new member: nobody listens there.
    pub fn free_peer_url(&self) -> String {
        let scheme = if self.profile().tls.is_set() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", free_port())
    }

    /// Runs etcdctl of the same version on the cluster, and returns what it printed.
    pub fn etcdctl(&self, args: &[&str]) -> String {
        self.etcdctl_reading(args, "").unwrap_or_else(|error| panic!("etcdctl {args:?}: {error}"))
    }

    /// The same with something to read on standard input.
    ///
    /// # Errors
    /// What it printed on standard error when it failed.
    pub fn etcdctl_reading(&self, args: &[&str], input: &str) -> Result<String, String> {
        run(self.ctl(&self.profile()).args(args), input)
    }

    /// Writes a hundred keys in one transaction. Small values go to pages of their own: a large one is written anew with every key
    /// that comes into its page.
    pub fn put_hundred(&self, value: &str) {
        let puts: String = (0..100).map(|number| format!("put hundred/{number} {value}\n")).collect();
        self.etcdctl_reading(&["txn"], &format!("\n{puts}\n\n")).unwrap_or_else(|error| panic!("etcdctl txn: {error}"));
    }

    /// Returns etcdctl of the same version, set up to talk to the cluster as a profile says.
    pub fn ctl(&self, profile: &Profile) -> Command {
        let mut command = etcdctl(&self.tools);
        let endpoints: Vec<String> = profile.endpoints.iter().map(ToString::to_string).collect();
        command.arg("--endpoints").arg(endpoints.join(","));
        for (flag, file) in
            [("--cacert", &profile.tls.cacert), ("--cert", &profile.tls.cert), ("--key", &profile.tls.key)]
        {
            if let Some(file) = file {
                command.arg(flag).arg(file);
            }
        }
        if let Some(user) = &profile.user {
            command.arg("--user").arg(format!("{}:{}", user.name, user.password.expose()));
        }
        command
    }
}

/// Runs a program to its end, and returns what it printed.
///
/// # Errors
/// What it printed on standard error when it failed.
pub fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut input_file = tempfile::tempfile().expect("a temporary file");
    input_file.write_all(input.as_bytes()).and_then(|()| input_file.rewind()).expect("a temporary file is written");
    let output = command.stdin(input_file).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Deref for Running {
    type Target = Home;

    fn deref(&self) -> &Home {
        self.caller.shells()
    }
}

/// Returns the driver that all tests of a process share, as all calls of a plugin do.
pub fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver::new().expect("threads"))
}

/// Returns a port that nobody listens at, from below those that sandboxes take and those that the system gives to outgoing
/// connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = (0..4_000).map(|_| NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id()) % 4_000);
    let mut ports = free.filter_map(|offset| u16::try_from(10_000 + offset).ok());
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// Turns an answer into JSON.
pub fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).expect("a value is JSON")
}
