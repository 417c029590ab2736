//! What an operator is shown of a cluster that is to be made.

use std::path::Path;

use super::advice;
use super::hosts::Seat;
use super::plan::Planned;
use crate::format::check::Checked;
use crate::host::StartConfiguration;
use crate::ops::snapshot::drill::Check;
use crate::restore::Spec;
use crate::value::{Record, Value};

/// Shows a member, and what makes and starts it.
pub(super) fn planned(seat: Seat, file: &Path) -> Planned {
    let start = start(&seat);
    let data_dir = seat.data_dir();
    Planned {
        command: command(&seat.spec, file, &data_dir),
        name: seat.spec.name,
        member_id: seat.member,
        peer_urls: seat.peer_urls,
        host: seat.host.map(|host| host.describe()),
        data_dir,
        start,
        outcome: seat.outcome.map(str::to_owned),
        data_dir_aside: seat.aside,
    }
}

fn start(seat: &Seat) -> Value {
    let entries = seat.spec.initial_cluster.iter().map(|(name, url)| format!("{name}={url}"));
    let initial_cluster = entries.collect::<Vec<_>>().join(",");
    let start = StartConfiguration { name: seat.spec.name.clone(), initial_cluster, peer_urls: seat.peer_urls.clone() };
    let mut record: Record = start.to_record();
    record.insert("ETCD_INITIAL_CLUSTER_TOKEN", Value::Text(seat.spec.initial_cluster_token.clone()));
    Value::Record(record)
}

/// Returns what makes the same data dir with etcd's own program.
fn command(spec: &Spec, file: &Path, data_dir: &str) -> String {
    let list: Vec<_> = spec.initial_cluster.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let mut words =
        vec!["etcdutl".to_owned(), "snapshot".to_owned(), "restore".to_owned(), file.to_string_lossy().into_owned()];
    let mut flag = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    flag("name", spec.name.clone());
    flag("initial-cluster", list.join(","));
    flag("initial-cluster-token", spec.initial_cluster_token.clone());
    flag("initial-advertise-peer-urls", spec.initial_advertise_peer_urls.join(","));
    flag("data-dir", data_dir.to_owned());
    if let Some(bump) = spec.bump_revision {
        flag("bump-revision", bump.to_string());
        words.push("--mark-compacted".to_owned());
    }
    if spec.skip_hash_check {
        words.push("--skip-hash-check".to_owned());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Writes a word so that a shell reads it as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Says what its user may not think of.
pub(super) fn advised(checked: &Checked, bump: u64, scrub_alarms: bool, checks: &[Check]) -> Vec<String> {
    let alarms = if scrub_alarms { 0 } else { checked.records.alarms.len() };
    let mut advice = advice(Some(bump).filter(|bump| *bump > 0), alarms);
    if checked.records.auth_enabled == Some(true) {
        advice.push(
            "clients that have logged in get no answers with the tokens of the old cluster, until the new one has had as many changes: \
             restart them"
                .to_owned(),
        );
    }
    if checks.iter().any(|check| check.ok.is_none()) {
        advice.push("not all could be compared yet: run `hash` when something was written".to_owned());
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_shell_as_they_are() {
        let words = ["", "infra1=https://10.0.0.1:2380,b=c", "/a b/it's", "$HOME"].map(quoted);
        assert_eq!(words, ["''", "infra1=https://10.0.0.1:2380,b=c", r"'/a b/it'\''s'", "'$HOME'"]);
    }

    #[test]
    fn who_logs_in_is_told() {
        let checked = |auth| {
            let mut checked = Checked::default();
            checked.records.auth_enabled = auth;
            checked
        };
        assert_eq!(advised(&checked(None), 1, false, &[]), [""; 0]);
        let open = Check { check: String::new(), ok: None, expected: String::new(), found: String::new() };
        insta::assert_snapshot!(advised(&checked(None), 1, false, &[open]).concat(), @"not all could be compared yet: run `hash` when something was written");
        insta::assert_snapshot!(advised(&checked(Some(true)), 1, false, &[]).concat(), @"clients that have logged in get no answers with the tokens of the old cluster, until the new one has had as many changes: restart them");
    }
}
