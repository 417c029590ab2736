//! A unit that runs a real etcd, and stand-ins for the programs of systemd: process 1 of a test machine need not be systemd.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcdsh_core::places::Places;
use etcdsh_core::profile::Profile;
use etcdsh_tests::Running;

use super::Driven;

/// The stand-ins. They find their state beside themselves.
const SYSTEMCTL: &str = include_str!("../../../standins/systemctl");
const JOURNALCTL: &str = include_str!("../../../standins/journalctl");
/// The stand-in for ssh, beside which the other machine's programs lie.
pub(crate) const SSH: &str = include_str!("../../../standins/ssh");

/// The one unit of a machine.
pub(crate) struct Unit<'c> {
    cluster: &'c Running,
    endpoint: String,
    home: PathBuf,
    /// The folders of a user who finds the stand-ins.
    pub(crate) places: Places,
    /// Where its etcd is to listen.
    pub(crate) peer_url: String,
}

impl<'c> Unit<'c> {
    /// Makes a unit whose etcd has these flags beside those that say where it listens and where its data lie.
    pub(crate) fn new(cluster: &'c Running, flags: &[&str]) -> Self {
        let home = cluster.home().join("machine");
        write_programs(&home);
        let peer_url = cluster.free_peer_url();
        let flags: Vec<String> = flags.iter().map(|flag| flag.replace("$HOME", &home.to_string_lossy())).collect();
        let command = format!("{} {}", etcd(cluster, &home, &peer_url).join(" "), flags.join(" "));
        write_unit(&home.join("unit"), "etcd.service", &command, "ETCD_INITIAL_CLUSTER_STATE=new\nETCD_NAME=etcd\n");
        let mut places = cluster.places.clone();
        places.programs.insert(0, home.clone());
        let endpoint = cluster.profile().endpoints[0].to_string();
        Unit { cluster, endpoint, home, places, peer_url }
    }

    /// Returns the folder that stands for the machine.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the profile that names it, with more lines for its member.
    pub(crate) fn profile(&self, more: &str) -> Profile {
        let home = self.home.display();
        let text = format!(
            "[profiles.prod]\nendpoints = [\"{}\"]\n\
             [profiles.prod.hosts]\ndriver = \"systemd\"\nunit = \"etcd\"\ndata_dir = \"{home}/data\"\n\
             drop_in_dir = \"{home}/unit/drop_ins\"\n[profiles.prod.hosts.members.infra4]\n{more}\n",
            self.endpoint
        );
        self.cluster.write("config/etcdsh/config.toml", &text);
        self.cluster.caller.profile(&[("profile", "prod")]).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Returns its driver.
    pub(crate) fn driven(&self, more: &str) -> Driven {
        Driven::new(&self.profile(more), &self.places, "infra4").unwrap()
    }

    /// Replaces a file of the unit.
    pub(crate) fn set(&self, name: &str, text: &str) {
        std::fs::write(self.home.join("unit").join(name), text).unwrap();
    }

    /// Returns a file of the unit.
    pub(crate) fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.join("unit").join(name)).unwrap()
    }

    /// Says how often systemctl was called with a verb.
    pub(crate) fn calls(&self, verb: &str) -> usize {
        self.get("calls").lines().filter(|call| *call == verb).count()
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        // The cluster's home ends what is left with the test binary; this one need not wait so long.
        let _ = self.driven("").stop();
    }
}

/// Writes the programs of a machine that has systemd, and ssh, which leads to another one.
pub(crate) fn write_programs(machine: &Path) {
    std::fs::create_dir_all(machine).unwrap();
    for (name, text) in [("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL), ("ssh", SSH)] {
        write_program(&machine.join(name), text);
    }
}

/// Writes a unit that has never run. The variables stand where packages keep a unit's; they must not win.
pub(crate) fn write_unit(folder: &Path, name: &str, command: &str, variables: &str) {
    std::fs::create_dir_all(folder.join("drop_ins")).unwrap();
    let own = folder.join("etcd.default");
    std::fs::write(&own, variables).unwrap();
    let files = format!("{}\n", own.display());
    for (file, text) in [("name", name), ("command", command), ("invocation", "0"), ("environment_files", &files)] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    for file in ["environment", "loaded", "calls"] {
        std::fs::write(folder.join(file), "").unwrap();
    }
}

/// Writes a program.
pub(crate) fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns the command line of an etcd that says only where it listens and where its data lie.
pub(crate) fn etcd(cluster: &Running, home: &Path, peer_url: &str) -> Vec<String> {
    let client_url = cluster.free_peer_url();
    let mut words = vec![
        cluster.tools.program("etcd").to_string_lossy().into_owned(),
        format!("--data-dir={}/data", home.display()),
        format!("--listen-peer-urls={peer_url}"),
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
    ];
    if cluster.tools.version.starts_with("3.4") {
        words.push("--logger=zap".to_owned());
    }
    words
}
