//! What is wrong with what a profile says of the members' hosts, and what the hosts cannot do.

use std::path::PathBuf;
use std::time::Duration;

use super::shown;
use crate::error::Error;
use crate::host::HostError;
use crate::places::Places;
use crate::profile::{Layers, resolve};
use crate::value::Value;

/// Returns the error of a profile that says this under `hosts`.
fn bad(hosts: &str) -> Error {
    let home = tempfile::tempdir().unwrap();
    let text = home.path().to_string_lossy().into_owned();
    let config = home.path().join(".config/etcdsh/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, format!("[profiles.prod]\n{hosts}")).unwrap();
    let places = Places::from_env(PathBuf::from("/here"), |name| (name == "HOME").then(|| text.clone()));
    let flags = [("profile", Value::from("prod"))].into_iter().collect();
    resolve(Layers { flags, env: &|_| None, shell: None }, &places).map(drop).unwrap_err()
}

/// Returns the error of a member of which this is said beside what every member needs.
fn of_member(more: &str) -> Error {
    bad(&format!(
        "[profiles.prod.hosts]\ndriver = 'systemd'\nunit = 'etcd'\n[profiles.prod.hosts.members.infra1]\n{more}"
    ))
}

/// Returns the error of a call that says itself how the members are reached, and names no profile.
fn of_call() -> Error {
    let hosts = Value::Record([("driver", Value::from("sandbox"))].into_iter().collect());
    let flags = [("hosts", hosts)].into_iter().collect();
    let places = Places::from_env(PathBuf::from("/here"), |_| None);
    resolve(Layers { flags, env: &|_| None, shell: None }, &places).map(drop).unwrap_err()
}

#[test]
fn of_settings() {
    let errors = [
        bad("hosts = 'a'\n"),
        bad("[profiles.prod.hosts]\nmembers = 'a'\n"),
        bad("[profiles.prod.hosts.members]\ninfra1 = 'a'\n"),
        bad("[profiles.prod.hosts]\ndrver = 'systemd'\n"),
        bad("[profiles.prod.hosts]\ndriver = 'system'\n"),
        bad("[profiles.prod.hosts]\ndriver = 'sandbox'\n[profiles.prod.hosts.members.infra1]\n"),
        bad("[profiles.prod.hosts.members.infra1]\n"),
        bad("[profiles.prod.hosts.members.infra1]\ndriver = 'sandbox'\n"),
        bad("[profiles.prod.hosts.members.infra1]\ndriver = 'systemd'\n"),
        bad("[profiles.prod.hosts.members.infra1]\ndriver = 'static_pod'\n"),
        of_member(""),
        of_member("data_dir = 5\n"),
        of_member("data-dir = '/d'\n"),
        of_member("data_dir = 'd'\n"),
        of_member("data_dir = '/'\n"),
        of_member("data_dir = '/d/../e'\n"),
        of_member("data_dir = '/d'\nwal_dir = '/d/'\n"),
        of_member("data_dir = '/d'\nhost = '-oProxyCommand=x'\n"),
        of_member("data_dir = '/d'\nhost = ''\n"),
        of_member("data_dir = '/d'\nunit = '-a'\n"),
        of_member("data_dir = '/d'\nunit = '../a'\n"),
        of_member("data_dir = '/d'\npeer_urls = ['a:1']\n"),
        of_call(),
    ];
    insta::assert_snapshot!(shown(errors), @r#"
    invalid_config: hosts in the profile "prod" cannot be used
      because: the argument hosts should be a record, not text
    invalid_config: hosts in the profile "prod" cannot be used
      because: the argument members should be a record, not text
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument infra1 should be a record, not text
    invalid_config: hosts in the profile "prod" cannot be used
      because: there is no argument named drver
      help: did you mean driver?
    invalid_config: hosts in the profile "prod" cannot be used
      because: the argument driver should be one of systemd, static_pod, sandbox, not "system"
      help: did you mean systemd?
    invalid_config: hosts in the profile "prod" cannot be used
      because: the argument members is given, and the driver is sandbox
      help: leave members out: a sandbox knows its own
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument driver is missing
      help: give systemd, static_pod or sandbox
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument driver is sandbox for a single member
      help: give the driver sandbox for all members, beside members
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument unit is missing
      help: give the name of the unit that runs etcd, such as etcd
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument manifest is missing
      help: give the file that the kubelet reads, such as /etc/kubernetes/manifests/etcd.yaml
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument data_dir is missing
      help: give etcd's --data-dir, such as /var/lib/etcd
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument data_dir should be text, not the integer 5
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: there is no argument named data-dir
      help: did you mean data_dir?
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument data_dir is "d", which is not an absolute path
      help: give the whole path from the root of the member's machine on
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument data_dir is "/", which is not an absolute path
      help: give the whole path from the root of the member's machine on
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument data_dir is "/d/../e", which is not an absolute path
      help: give the whole path from the root of the member's machine on
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument wal_dir is the data dir
      help: give etcd's --wal-dir, or leave it out when etcd has none
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument host is "-oProxyCommand=x", which ssh could not be called with
      help: give user@host, host, or a name from ssh's configuration
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument host is "", which ssh could not be called with
      help: give user@host, host, or a name from ssh's configuration
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument unit is "-a", which is no name of a unit
      help: give a name such as etcd or etcd.service
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument unit is "../a", which is no name of a unit
      help: give a name such as etcd or etcd.service
    invalid_config: hosts.members.infra1 in the profile "prod" cannot be used
      because: the argument peer_urls has "a:1" without a scheme
      help: give URLs such as https://host:2380, each with its scheme and port
    invalid_config: hosts cannot be used
      because: the argument sandbox is missing, and there is no profile's name in its place
      help: name the sandbox
    "#);
}

#[test]
fn of_hosts() {
    let (place, command) = ("root@10.0.0.1".to_owned(), "systemctl stop etcd.service".to_owned());
    let (member, by) = ("infra1".to_owned(), "the systemd unit etcd.service on 10.0.0.1".to_owned());
    let late = crate::change::view::Failure {
        code: "wait_timeout",
        message: "waited 6s until the unit has ended".to_owned(),
        help: None,
        sent: crate::error::Sent::Answered,
    };
    let ended = |lines: &[&str]| HostError::Ended {
        member: member.clone(),
        by: by.clone(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let errors = [
        HostError::Unreachable { host: place.clone(), said: "Permission denied (publickey).".to_owned() },
        HostError::NoProgram { program: "ssh".to_owned() },
        HostError::Failed { place: place.clone(), command: command.clone(), code: 4, said: "Access denied".to_owned() },
        HostError::Failed {
            place: place.clone(),
            command: "tee -- /run/x.env.part".to_owned(),
            code: 1,
            said: "tee: /run/x.env.part: No space left on device".to_owned(),
        },
        HostError::TooSlow { place: place.clone(), command: command.clone(), bound: Duration::from_secs(30).into() },
        HostError::TooLong { place: place.clone(), command, limit: 100 },
        HostError::Io { program: "ssh".to_owned(), source: std::io::ErrorKind::PermissionDenied.into() },
        HostError::Missing { what: "the unit etcd.service".to_owned(), place: place.clone() },
        HostError::Runs { member: member.clone(), by: by.clone(), consequence: "so its data stay where they are" },
        HostError::Runs {
            member: member.clone(),
            by: by.clone(),
            consequence: "so its start configuration would not reach it",
        },
        HostError::Deaf {
            member: member.clone(),
            by: by.clone(),
            why: "x wins over y".to_owned(),
            help: "take x out".to_owned(),
        },
        HostError::Dir {
            member: member.clone(),
            by: by.clone(),
            setting: "data_dir",
            dir: "/var/lib/etcd".to_owned(),
            profile: "/var/lib/etdc".to_owned(),
        },
        HostError::NotOnlyWal { path: "/fast".to_owned(), name: "infra1".to_owned(), place: place.clone() },
        HostError::Unmovable { path: "/fast/wal".to_owned(), place: place.clone(), why: "is a symbolic link" },
        HostError::Unmovable { path: "/fast/wal".to_owned(), place: place.clone(), why: "is where a disk is mounted" },
        HostError::Unmovable {
            path: "/var/lib/etcd/member".to_owned(),
            place: place.clone(),
            why: "lies in a folder that cannot be written to",
        },
        ended(&[]),
        ended(&["panic: tocommit(9) is out of range [lastIndex(0)]"]),
        HostError::NotMoved {
            path: "/var/lib/etcd/member".to_owned(),
            place: place.clone(),
            said: "mv: cannot move: Device or resource busy\n".to_owned(),
        },
        HostError::NotMoved { path: "/var/lib/etcd/member".to_owned(), place, said: String::new() },
        HostError::Interrupted { left: "it was told to stop".to_owned() },
        HostError::Late { left: format!("{by} was told to stop"), source: late.into() },
    ];
    insta::assert_snapshot!(shown(errors.map(Into::into)), @"
    host_unreachable: root@10.0.0.1 cannot be reached: Permission denied (publickey).
      help: see that `ssh root@10.0.0.1 true` works without asking anything, or correct host in the profile
    program_not_found: the program ssh is not in a folder of PATH
      help: install it, or add its folder to PATH
    host_failed: on root@10.0.0.1, `systemctl stop etcd.service` ended with exit code 4: Access denied
      help: see that the user may do that there, for example as root
    host_failed: on root@10.0.0.1, `tee -- /run/x.env.part` ended with exit code 1: tee: /run/x.env.part: No space left on device
      help: see on that machine why; when that is mended, go on, or run this again
    host_failed: on root@10.0.0.1, `systemctl stop etcd.service` did not end within 30s
      help: see what keeps that machine busy, and run this again
    host_failed: on root@10.0.0.1, `systemctl stop etcd.service` answered with more than 100 bytes
    host_failed: cannot run ssh
      because: permission denied
    host_not_found: the unit etcd.service is not there on root@10.0.0.1
      help: correct hosts in the profile
    host_state: the process of infra1 is there (the systemd unit etcd.service on 10.0.0.1), so its data stay where they are
      help: stop it first
    host_state: the process of infra1 is there (the systemd unit etcd.service on 10.0.0.1), so its start configuration would not reach it
      help: stop it first
    host_start_configuration: the systemd unit etcd.service on 10.0.0.1 cannot be given a start configuration for infra1: x wins over y
      help: take x out
    host_data_dir: the systemd unit etcd.service on 10.0.0.1 has the data_dir /var/lib/etcd, and the profile says /var/lib/etdc for infra1
      help: correct data_dir in the profile, or the host, if another member runs there
    host_data_dir: /fast on root@10.0.0.1 holds infra1, which is none of a WAL's files
      help: correct wal_dir in the profile: it is moved aside as a whole, so it has to be one member's alone
    host_data_dir: /fast/wal on root@10.0.0.1 is a symbolic link, so it cannot be moved aside
      help: etcd's folders are moved aside under another name in their place: let the profile and etcd name the folder itself, in one that its user may write to, on a disk that works; or give `host` a closure that does it
    host_data_dir: /fast/wal on root@10.0.0.1 is where a disk is mounted, so it cannot be moved aside
      help: etcd's folders are moved aside under another name in their place: let the profile and etcd name the folder itself, in one that its user may write to, on a disk that works; or give `host` a closure that does it
    host_data_dir: /var/lib/etcd/member on root@10.0.0.1 lies in a folder that cannot be written to, so it cannot be moved aside
      help: etcd's folders are moved aside under another name in their place: let the profile and etcd name the folder itself, in one that its user may write to, on a disk that works; or give `host` a closure that does it
    host_member_ended: infra1 ended at once (the systemd unit etcd.service on 10.0.0.1)
    host_member_ended: infra1 ended at once (the systemd unit etcd.service on 10.0.0.1); the end of its log:
    panic: tocommit(9) is out of range [lastIndex(0)]
    host_failed: /var/lib/etcd/member on root@10.0.0.1 was to be moved, and is still there: mv: cannot move: Device or resource busy
      help: move it aside by hand; delete nothing
    host_failed: /var/lib/etcd/member on root@10.0.0.1 was to be moved, and is still there
      help: move it aside by hand; delete nothing
    interrupted: interrupted
    wait_timeout: the systemd unit etcd.service on 10.0.0.1 was told to stop, and may do so later
      because: waited 6s until the unit has ended
      help: see with `health` what became of it; a member that is down then is brought back when this is gone on with
    ");
}
