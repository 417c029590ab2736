//! A whole cluster whose members are units of systemd or static pods, on this machine or each on one of its own, and the profile
//! that names them. Its data and its certificates were a sandbox's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcdsh_core::error::Result;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{MemberRow, Options};
use etcdsh_tests::{Running, Turn, program, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use super::kubelet::{Node, manifest};
use super::unit::{write_programs, write_unit};

/// What runs the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Units of systemd on this machine.
    Unit,
    /// Static pods on this machine.
    Pod,
    /// Units of systemd, each on a machine that ssh reaches.
    UnitAway,
    /// Static pods, each on a machine that ssh reaches.
    PodAway,
}

/// All of them. Four versions take one each, another one in every test.
const KINDS: [Kind; 4] = [Kind::Unit, Kind::Pod, Kind::UnitAway, Kind::PodAway];

impl Kind {
    /// Says whether they are units.
    pub(crate) fn is_unit(self) -> bool {
        matches!(self, Kind::Unit | Kind::UnitAway)
    }

    pub(crate) fn is_away(self) -> bool {
        matches!(self, Kind::UnitAway | Kind::PodAway)
    }
}

/// Where one member is.
struct Place {
    /// The folder with the files of its unit, or its manifest.
    run_by: PathBuf,
    /// The folder that stands for its machine.
    machine: PathBuf,
    data_dir: PathBuf,
    /// Where the WAL is, if it is apart.
    wal_dir: Option<PathBuf>,
    peer_url: String,
    /// The command line of its etcd.
    words: Vec<String>,
}

/// A cluster without a sandbox's driver.
pub(crate) struct Fleet {
    places: BTreeMap<String, Place>,
    pub(crate) kind: Kind,
    nodes: Vec<Node>,
    pub(crate) cluster: Running,
}

impl Fleet {
    /// Starts one for a turn of a test; turns that are `shift` apart swap what runs their members.
    pub(crate) fn of_turn(turn: &Turn, shift: usize) -> Self {
        Fleet::of_turn_with(turn, shift, false)
    }

    /// The same with the WAL of each in a folder of its own, if it is to be apart.
    pub(crate) fn of_turn_with(turn: &Turn, shift: usize, apart: bool) -> Self {
        Fleet::start_with(turn.version, turn.options.clone(), KINDS[(turn.number + shift) % KINDS.len()], apart)
    }

    /// Starts three members, and names them in the profile `prod`.
    pub(crate) fn start(version: &str, options: Options, kind: Kind) -> Self {
        Fleet::start_with(version, options, kind, false)
    }

    /// The same with the WAL of each in a folder of its own, all of them in one, if it is to be apart.
    pub(crate) fn start_with(version: &str, options: Options, kind: Kind, apart: bool) -> Self {
        let cluster = Running::start(version, options).unwrap();
        let rows = cluster.sandbox.rows().unwrap();
        let found = rows.iter().map(|row| (row.name.clone(), Place::of(&cluster, row, kind)));
        let mut places: BTreeMap<_, _> = found.collect();
        cluster.kill(&rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>());
        write_programs(&cluster.bin());
        if apart {
            places.iter_mut().for_each(|(name, place)| place.move_wal(&cluster.home().join("wals").join(name)));
        }
        let mut nodes = Vec::new();
        for (name, place) in &places {
            write_programs(&place.machine);
            if kind.is_unit() {
                unit(place, name);
            } else {
                nodes.extend(node(place));
                std::fs::write(by_hand(&place.run_by), manifest(&place.words)).unwrap();
            }
        }
        let fleet = Fleet { places, kind, nodes, cluster };
        fleet.configure(|name| fleet.entry(name));
        fleet.names().for_each(|name| fleet.start_by_hand(name));
        fleet.healthy();
        fleet
    }

    /// Makes a machine ready for one more member, which has an address and nothing else yet. Its unit, or its manifest, says what
    /// the first member's did when the cluster was new.
    pub(crate) fn spare(&mut self, name: &str) {
        let (client_url, peer_url) = (self.cluster.free_peer_url(), self.cluster.free_peer_url());
        let data_dir = self.cluster.home().join(format!("{name}.data"));
        let words = self.places["infra1"].words.iter().map(|word| {
            let (flag, value) = word.split_once('=').unwrap_or((word, ""));
            let value = match flag {
                "--name" => name,
                "--data-dir" => data_dir.to_str().unwrap(),
                "--listen-client-urls" | "--advertise-client-urls" => &client_url,
                "--listen-peer-urls" | "--initial-advertise-peer-urls" => &peer_url,
                _ if value.is_empty() => return word.clone(),
                _ => value,
            };
            format!("{flag}={value}")
        });
        let words = words.collect();
        let (machine, run_by) = machine(&self.cluster, name, self.kind);
        let place = Place { run_by, machine, data_dir, wal_dir: None, peer_url, words };
        write_programs(&place.machine);
        if self.kind.is_unit() {
            unit(&place, name);
        } else {
            self.nodes.extend(node(&place));
            let parked = place.machine.join("etcdsh-parked");
            std::fs::create_dir_all(&parked).unwrap();
            std::fs::write(parked.join(place.run_by.file_name().unwrap()), manifest(&place.words)).unwrap();
        }
        self.places.insert(name.to_owned(), place);
        self.configure(|name| self.entry(name));
    }

    /// Returns the names of the members that it was started with, and of the spare ones.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Returns what a profile says of the host of a member.
    pub(crate) fn entry(&self, name: &str) -> String {
        let place = &self.places[name];
        let (data_dir, run_by) = (place.data_dir.display(), place.run_by.display());
        let mut entry = format!("data_dir = \"{data_dir}\"\n");
        if self.kind.is_unit() {
            let unit = std::fs::read_to_string(place.run_by.join("name")).unwrap();
            entry += &format!("unit = \"{unit}\"\ndrop_in_dir = \"{run_by}/drop_ins\"\n");
        } else {
            entry += &format!("manifest = \"{run_by}\"\nfile_check = \"1s\"\nlog = \"{}\"\n", self.log(name).display());
        }
        if let Some(wal_dir) = &place.wal_dir {
            entry += &format!("wal_dir = \"{}\"\n", wal_dir.display());
        }
        if self.kind.is_away() {
            entry += &format!("host = \"root@{name}.test\"\n");
        }
        entry
    }

    /// Returns the same with the member's peer URLs.
    pub(crate) fn entry_with_peer_urls(&self, name: &str) -> String {
        format!("{}peer_urls = [\"{}\"]\n", self.entry(name), self.peer_url(name))
    }

    /// Writes the profile `prod`, with these entries for the members.
    pub(crate) fn configure(&self, entry: impl Fn(&str) -> String) {
        let profile = self.cluster.profile();
        let endpoints: Vec<String> = profile.endpoints.iter().map(ToString::to_string).collect();
        let mut text = format!("[profiles.prod]\nendpoints = {endpoints:?}\n");
        let files = [("cacert", &profile.tls.cacert), ("cert", &profile.tls.cert), ("key", &profile.tls.key)];
        for (name, file) in files.iter().filter_map(|(name, file)| Some((name, file.as_ref()?))) {
            text += &format!("{name} = {file:?}\n");
        }
        if let Some(user) = &profile.user {
            text += &format!("user = {:?}\npassword = {:?}\n", user.name, user.password.expose());
        }
        let driver = if self.kind.is_unit() { "systemd" } else { "static_pod" };
        text += &format!("[profiles.prod.hosts]\ndriver = \"{driver}\"\n");
        for name in self.names() {
            text += &format!("[profiles.prod.hosts.members.{name}]\n{}", entry(name));
        }
        self.cluster.write("config/etcdsh/config.toml", &text);
    }

    /// Returns the settings of `--profile prod`.
    pub(crate) fn profile(&self) -> Profile {
        self.cluster.caller.profile(&[("profile", "prod")]).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs an operation through core.
    pub(crate) fn call(&self, name: &str, args: Json) -> Result<Json> {
        self.cluster.call_with(&self.profile(), name, args)
    }

    /// Runs a pipeline in Nushell, and returns what it yields.
    pub(crate) fn nu(&self, pipeline: &str) -> Json {
        self.cluster.nu(&format!("{pipeline} | to json --raw")).json()
    }

    /// Runs an expression in Rhai, and returns what it yields.
    pub(crate) fn rhai(&self, expression: &str) -> Json {
        let mut command = self.cluster.command(program("etcdsh"));
        etcdsh_tests::Said::by(command.args(["eval", "--profile", "prod", "-o", "json", expression])).json()
    }

    /// Waits until all three members are healthy.
    pub(crate) fn healthy(&self) {
        until("all three are healthy", || match self.call("quorum", json!({})) {
            Ok(quorum) if quorum["verdict"] == "healthy" && quorum["voters"] == 3 && quorum["learners"] == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Returns the ids of the members by their names; a member that has not started has an empty one.
    pub(crate) fn ids(&self) -> BTreeMap<String, String> {
        // Where the leader has changed a moment ago nobody answers.
        let list = || self.call("member list", json!({})).map_err(|error| format!("{error:?}"));
        let members = until("the members are listed", list);
        let text = |row: &Json, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        members.as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "member_id"))).collect()
    }

    /// Returns the numbers of the processes that are there.
    pub(crate) fn pids(&self) -> BTreeMap<String, i32> {
        self.names().filter_map(|name| Some((name.to_owned(), self.pid(name)?))).collect()
    }

    pub(crate) fn pid(&self, name: &str) -> Option<i32> {
        let place = &self.places[name];
        let file = if self.kind.is_unit() { place.run_by.join("pid") } else { self.beside(name, "pid") };
        let pid: i32 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
        // One that has ended has no arguments any more, and its number may be somebody else's by now.
        let own = format!("--data-dir={}", place.data_dir.display());
        let said = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        said.split('\0').any(|word| word == own).then_some(pid)
    }

    /// Returns the folder that stands for a member's machine.
    pub(crate) fn machine(&self, name: &str) -> &Path {
        &self.places[name].machine
    }

    pub(crate) fn data_dir(&self, name: &str) -> &Path {
        &self.places[name].data_dir
    }

    pub(crate) fn peer_url(&self, name: &str) -> &str {
        &self.places[name].peer_url
    }

    /// Returns the file that belongs to a manifest on its node.
    fn beside(&self, name: &str, extension: &str) -> PathBuf {
        let place = &self.places[name];
        place.machine.join(place.run_by.file_name().unwrap()).with_extension(extension)
    }

    /// Returns the file with the log of a member's last process.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        if !self.kind.is_unit() {
            return self.beside(name, "log");
        }
        let run_by = &self.places[name].run_by;
        let number = std::fs::read_to_string(run_by.join("invocation")).unwrap();
        run_by.join(format!("log.{}", number.trim()))
    }

    /// Starts the process of a member as somebody would who has nothing but the machine.
    pub(crate) fn start_by_hand(&self, name: &str) {
        let place = &self.places[name];
        if self.kind.is_unit() {
            self.systemctl(name, "start");
        } else {
            std::fs::rename(by_hand(&place.run_by), &place.run_by).unwrap();
        }
    }

    /// Stops the process of a member in the same way, and waits for its end.
    pub(crate) fn stop_by_hand(&self, name: &str) {
        let place = &self.places[name];
        if self.kind.is_unit() {
            self.systemctl(name, "stop");
        } else {
            std::fs::rename(&place.run_by, by_hand(&place.run_by)).unwrap();
        }
        until("it has ended", || self.pid(name).map_or(Ok(()), |pid| Err(pid.to_string())));
    }

    fn systemctl(&self, name: &str, verb: &str) {
        let place = &self.places[name];
        let unit = std::fs::read_to_string(place.run_by.join("name")).unwrap();
        let done = Command::new(place.machine.join("systemctl")).args([verb, "--", &unit]).status().unwrap();
        assert!(done.success(), "{verb} {unit}: {done}");
    }

    /// Kills the process of a member, and waits for its end.
    pub(crate) fn kill(&self, name: &str) {
        let pid = self.pid(name).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        until("it has ended", || {
            if self.pid(name) == Some(pid) { Err(pid) } else { Ok(()) }.map_err(|p| p.to_string())
        });
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for pid in self.pids().into_values().filter(|_| self.kind.is_unit()).filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Place {
    /// Takes a member of a sandbox as it runs.
    fn of(cluster: &Running, row: &MemberRow, kind: Kind) -> Self {
        let said = std::fs::read_to_string(format!("/proc/{}/cmdline", row.pid.unwrap())).unwrap();
        let words = said.split_terminator('\0').map(str::to_owned).collect();
        let (machine, run_by) = machine(cluster, &row.name, kind);
        let (data_dir, peer_url) = (row.data_dir.clone(), row.peer_url.clone());
        Place { run_by, machine, data_dir, wal_dir: None, peer_url, words }
    }

    /// Moves the WAL of a member that is stopped.
    fn move_wal(&mut self, to: &Path) {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(self.data_dir.join("member/wal"), to).unwrap();
        self.words.push(format!("--wal-dir={}", to.display()));
        self.wal_dir = Some(to.to_owned());
    }
}

/// Returns the folder that stands for a member's machine, and what runs it there.
fn machine(cluster: &Running, name: &str, kind: Kind) -> (PathBuf, PathBuf) {
    let bin = cluster.bin();
    let there = bin.join("machines").join(format!("{name}.test"));
    match kind {
        Kind::Unit => (bin.clone(), bin.join("units").join(format!("{name}.service"))),
        Kind::UnitAway => (there.clone(), there.join("unit")),
        Kind::Pod => (bin.join("node"), bin.join("node/manifests").join(format!("{name}.yaml"))),
        Kind::PodAway => (there.clone(), there.join("manifests/etcd.yaml")),
    }
}

/// Writes the unit of a member. What a start configuration has to reach stands in its variables, as it was when the cluster was
/// new.
fn unit(place: &Place, member: &str) {
    let variable = |word: &String| {
        let (flag, value) = word.strip_prefix("--")?.split_once('=')?;
        let variable = flag == "name" || (flag.starts_with("initial-") && flag != "initial-cluster-token");
        variable.then(|| format!("ETCD_{}=\"{value}\"\n", flag.to_uppercase().replace('-', "_")))
    };
    let command = place.words.iter().filter(|word| variable(word).is_none()).map(String::as_str);
    let variables: String = place.words.iter().filter_map(variable).collect();
    let one_of_many = place.run_by.parent().is_some_and(|folder| folder.ends_with("units"));
    let name = if one_of_many { format!("{member}.service") } else { "etcd.service".to_owned() };
    write_unit(&place.run_by, &name, &command.collect::<Vec<_>>().join(" "), &variables);
    // No two units of a machine have the same invocation.
    let number: String = member.chars().filter(char::is_ascii_digit).collect();
    std::fs::write(place.run_by.join("invocation"), number + "000").unwrap();
}

/// Has a kubelet look for the manifest of a member, where none does yet.
fn node(place: &Place) -> Option<Node> {
    let folder = place.run_by.parent().unwrap();
    (!folder.exists()).then(|| {
        std::fs::create_dir_all(folder).unwrap();
        Node::start(&place.machine)
    })
}

/// Returns where a manifest lies that somebody has taken away by hand.
fn by_hand(manifest: &Path) -> PathBuf {
    let folder = manifest.parent().and_then(Path::parent).unwrap();
    folder.join(manifest.file_name().unwrap()).with_extension("by-hand")
}
