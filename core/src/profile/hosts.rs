//! How the members' processes are reached: what a profile says under `hosts`. It is a record of its own, because it is a tree;
//! no flag and no variable stands for it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::args::{Args, BadArgument, complete};
use crate::units::Elapsed;
use crate::value::{Record, Value};

crate::choice! {
    /// How a member's process is handled.
    pub enum DriverKind {
        /// It is a unit of systemd.
        Systemd = "systemd",
        /// It is a static pod: a kubelet runs what lies in its manifests folder.
        StaticPod = "static_pod",
        /// It belongs to a sandbox.
        Sandbox = "sandbox",
    }
}

/// The fileCheckFrequency that a kubelet has by default.
const FILE_CHECK: Duration = Duration::from_secs(20);

crate::args! {
    /// What `hosts` may say of all members, and `hosts.members.NAME` of one.
    pub struct HostSettings() {
        /// How the process is handled.
        driver: Option<DriverKind>,
        /// The machine, as ssh is told it; without it this one.
        host: Option<String>,
        /// The unit of systemd.
        unit: Option<String>,
        /// The data dir on that machine.
        data_dir: Option<String>,
        /// The WAL dir on that machine, where it is not in the data dir.
        wal_dir: Option<String>,
        /// The environment file of the unit that a start configuration is written to, in place of a file below /run.
        env_file: Option<String>,
        /// The folder for additions to the unit, in place of the one below /run.
        drop_in_dir: Option<String>,
        /// The manifest of the static pod on that machine.
        manifest: Option<String>,
        /// How long the kubelet takes at most to see that a manifest has gone: its fileCheckFrequency; 20 s, where it is not said.
        file_check: Option<Elapsed>,
        /// The file with the log, where it is neither in the journal nor where a kubelet keeps it.
        log: Option<String>,
        /// The member's peer URLs.
        peer_urls: Vec<String>,
        /// The sandbox that the members belong to; that of the profile's name, where it is not said.
        sandbox: Option<String>,
    }
}

/// How the members' processes are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// They are the members of a sandbox.
    Sandbox {
        /// Its name.
        name: String,
    },
    /// Each by its name.
    Members(BTreeMap<String, HostOf>),
}

/// How the process of one member is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOf {
    /// The machine, as ssh is told it; none is this one.
    pub host: Option<String>,
    /// The data dir on that machine.
    pub data_dir: String,
    /// The WAL dir on that machine, where it is not in the data dir.
    pub wal_dir: Option<String>,
    /// The member's peer URLs, where they are said.
    pub peer_urls: Option<Vec<String>>,
    /// The file with the log, where it is not where it is looked for.
    pub log: Option<String>,
    /// What runs it.
    pub runs: Runs,
}

/// What runs the process of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A unit of systemd.
    Unit {
        /// Its name, with its suffix.
        unit: String,
        /// The environment file that a start configuration is written to.
        env_file: Option<String>,
        /// The folder for additions to the unit.
        drop_ins: Option<String>,
    },
    /// A kubelet, from this manifest.
    Manifest {
        /// Where it lies.
        path: String,
        /// How long the kubelet takes at most to see that it has gone.
        file_check: Duration,
    },
}

/// What is wrong, and where below `hosts` it stands.
type Wrong = (String, BadArgument);

/// Reads what a profile of this name says under `hosts`.
pub(super) fn read(hosts: &Value, profile: Option<&str>) -> Result<Hosts, Wrong> {
    let all = || "hosts".to_owned();
    let mut record = record(hosts).map_err(|error| (all(), error.of("hosts")))?;
    let members = record.remove("members").unwrap_or_default();
    let common = settings(record.clone()).map_err(|error| (all(), error))?;
    if common.driver == Some(DriverKind::Sandbox) {
        return sandbox(common, &members, profile).map_err(|error| (all(), error));
    }
    let members = match members {
        Value::Null => Record::new(),
        other => self::record(&other).map_err(|error| (all(), error.of("members")))?,
    };
    let mut read = BTreeMap::new();
    for (name, member) in members.iter() {
        let place = || format!("hosts.members.{name}");
        let merged = merge(&record, member).map_err(|error| (place(), error.of(name)))?;
        let host = settings(merged).and_then(host_of).map_err(|error| (place(), error))?;
        read.insert(name.to_owned(), host);
    }
    Ok(Hosts::Members(read))
}

fn sandbox(common: HostSettings, members: &Value, profile: Option<&str>) -> Result<Hosts, BadArgument> {
    if *members != Value::Null {
        let help = "leave members out: a sandbox knows its own";
        return Err(BadArgument::invalid("members", "is given, and the driver is sandbox", help));
    }
    let name = common.sandbox.or_else(|| profile.map(str::to_owned)).ok_or_else(|| {
        BadArgument::invalid("sandbox", "is missing, and there is no profile's name in its place", "name the sandbox")
    })?;
    Ok(Hosts::Sandbox { name })
}

fn record(value: &Value) -> Result<Record, BadArgument> {
    value.as_record().cloned().ok_or_else(|| BadArgument::Type {
        name: None,
        expected: "a record".to_owned(),
        found: value.kind().to_owned(),
    })
}

/// What is said of one member stands in place of what is said of all.
fn merge(common: &Record, member: &Value) -> Result<Record, BadArgument> {
    let mut merged = common.clone();
    for (name, value) in record(member)?.into_iter().filter(|(_, value)| *value != Value::Null) {
        merged.insert(name, value);
    }
    Ok(merged)
}

fn settings(record: Record) -> Result<HostSettings, BadArgument> {
    HostSettings::read(complete(&[HostSettings::PARAMS], record, &|path| path.into())?)
}

fn host_of(settings: HostSettings) -> Result<HostOf, BadArgument> {
    let HostSettings { driver, host, unit, data_dir, wal_dir, env_file, drop_in_dir, manifest, .. } = settings;
    let HostSettings { log, peer_urls, file_check, .. } = settings;
    let runs = match driver {
        None => return Err(missing("driver", "give systemd, static_pod or sandbox")),
        Some(DriverKind::Sandbox) => {
            let help = "give the driver sandbox for all members, beside members";
            return Err(BadArgument::invalid("driver", "is sandbox for a single member", help));
        }
        Some(DriverKind::Systemd) => {
            let unit = unit.ok_or_else(|| missing("unit", "give the name of the unit that runs etcd, such as etcd"))?;
            let (env_file, drop_ins) = (path("env_file", env_file)?, path("drop_in_dir", drop_in_dir)?);
            Runs::Unit { unit: unit_name(unit)?, env_file, drop_ins }
        }
        Some(DriverKind::StaticPod) => Runs::Manifest {
            path: path("manifest", manifest)?.ok_or_else(|| {
                missing("manifest", "give the file that the kubelet reads, such as /etc/kubernetes/manifests/etcd.yaml")
            })?,
            file_check: file_check.map_or(FILE_CHECK, Elapsed::duration),
        },
    };
    let data_dir = path("data_dir", data_dir)?;
    let data_dir = data_dir.ok_or_else(|| missing("data_dir", "give etcd's --data-dir, such as /var/lib/etcd"))?;
    let wal_dir = path("wal_dir", wal_dir)?;
    if wal_dir.as_ref() == Some(&data_dir) {
        let help = "give etcd's --wal-dir, or leave it out when etcd has none";
        return Err(BadArgument::invalid("wal_dir", "is the data dir", help));
    }
    let (host, peer_urls, log) = (host.map(destination).transpose()?, urls(&peer_urls)?, path("log", log)?);
    Ok(HostOf { host, data_dir, wal_dir, peer_urls, log, runs })
}

fn missing(name: &str, help: &str) -> BadArgument {
    BadArgument::invalid(name, "is missing", help)
}

/// Reads whom ssh is to call. It becomes one word of ssh's command line, where a leading dash would make a flag of it.
fn destination(host: String) -> Result<String, BadArgument> {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || matches!(letter, '\'' | '"' | '\\' | '`');
    if host.is_empty() || host.starts_with('-') || host.contains(odd) {
        let help = "give user@host, host, or a name from ssh's configuration";
        return Err(BadArgument::invalid("host", format!("is {host:?}, which ssh could not be called with"), help));
    }
    Ok(host)
}

/// Reads the name of a unit. It becomes part of a path, and a word of systemctl's command line.
fn unit_name(unit: String) -> Result<String, BadArgument> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@' | ':' | '\\');
    if unit.is_empty() || unit.starts_with(['-', '.']) || !unit.chars().all(fits) {
        let help = "give a name such as etcd or etcd.service";
        return Err(BadArgument::invalid("unit", format!("is {unit:?}, which is no name of a unit"), help));
    }
    Ok(if unit.ends_with(".service") { unit } else { format!("{unit}.service") })
}

/// Reads a path on the member's machine, where nothing is known of folders of this one.
fn path(name: &str, path: Option<String>) -> Result<Option<String>, BadArgument> {
    let Some(path) = path else { return Ok(None) };
    let plain = path.trim_end_matches('/');
    let steps = || plain.split('/').skip(1);
    if !plain.starts_with('/')
        || steps().any(|step| matches!(step, "" | "." | ".."))
        || plain.contains(char::is_control)
    {
        let help = "give the whole path from the root of the member's machine on";
        return Err(BadArgument::invalid(name, format!("is {path:?}, which is not an absolute path"), help));
    }
    Ok(Some(plain.to_owned()))
}

fn urls(given: &[String]) -> Result<Option<Vec<String>>, BadArgument> {
    if given.is_empty() {
        return Ok(None);
    }
    crate::ops::member::peer_urls(given).map(Some)
}
