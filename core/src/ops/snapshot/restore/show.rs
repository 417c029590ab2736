//! What an operator is shown of a cluster that is to be made.

use std::path::Path;

use super::advice;
use super::bump::Bump;
use super::hosts::Seat;
use super::plan::Planned;
use crate::change::ClusterView;
use crate::format::check::Checked;
use crate::host::StartConfiguration;
use crate::ops::snapshot::drill::Check;
use crate::restore::{Alarms, Spec};
use crate::units::escape_word;
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

/// Returns what makes the same data dir: etcd's own program where it can, and this one where that has no such option.
fn command(spec: &Spec, file: &Path, data_dir: &str) -> String {
    let list: Vec<_> = spec.initial_cluster.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let file = file.to_string_lossy().into_owned();
    let mut flags = vec![
        ("name", spec.name.clone()),
        ("initial-cluster", list.join(",")),
        ("initial-cluster-token", spec.initial_cluster_token.clone()),
        ("initial-advertise-peer-urls", spec.initial_advertise_peer_urls.join(",")),
        ("data-dir", data_dir.to_owned()),
    ];
    let mut switches = Vec::new();
    if let Some(bump) = spec.bump_revision {
        flags.push(("bump-revision", bump.to_string()));
        switches.push("mark-compacted");
    }
    if spec.skip_hash_check {
        switches.push("skip-hash-check");
    }
    let own = [("rewrite", spec.rewrite), ("scrub-alarms", spec.alarms == Alarms::None)];
    switches.extend(own.iter().filter(|(_, on)| *on).map(|(switch, _)| *switch));
    if let Some(version) = &spec.target_version {
        flags.push(("target-version", format!("{}.{}", version.major, version.minor)));
    } else if own.iter().all(|(_, on)| !on) {
        let words = flags.into_iter().flat_map(|(flag, value)| [format!("--{flag}"), value]);
        let words = words.chain(switches.iter().map(|switch| format!("--{switch}")));
        let words = ["etcdutl", "snapshot", "restore"].map(str::to_owned).into_iter().chain([file]).chain(words);
        return words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ");
    }
    let field = |name: &str, value: String| format!("{}: {value}", name.replace('-', "_"));
    let fields = flags.into_iter().map(|(flag, value)| match flag {
        "bump-revision" => field(flag, value),
        "initial-cluster" | "initial-advertise-peer-urls" => {
            field(flag, format!("[{}]", value.split(',').map(script).collect::<Vec<_>>().join(", ")))
        }
        _ => field(flag, script(&value)),
    });
    let fields = fields.chain(switches.iter().map(|switch| field(switch, "true".to_owned())));
    let call = format!("etcd.snapshot_restore({}, #{{ {} }})", script(&file), fields.collect::<Vec<_>>().join(", "));
    format!("etcdsh eval {}", quoted(&call))
}

/// Writes a text as a script reads it.
fn script(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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

/// What was made of a snapshot, or would be.
#[derive(Clone, Copy)]
pub(super) struct Made<'m> {
    pub(super) by: u64,
    pub(super) bump: &'m Bump,
    pub(super) old: Option<&'m ClusterView>,
    pub(super) checks: &'m [Check],
    pub(super) scrub_alarms: bool,
}

/// Says what its user may not think of.
pub(super) fn advised(checked: &Checked, seats: &[Seat], made: &Made<'_>) -> Vec<String> {
    let Made { by, bump, old, checks, scrub_alarms } = made;
    let alarms = if *scrub_alarms { 0 } else { checked.records.alarms.len() };
    let mut advice = advice(Some(*by).filter(|by| *by > 0), alarms);
    if *by > 0 && *by <= bump.ahead {
        advice.push(format!(
            "it is raised by {by} only, and the old cluster was {} ahead: its clients take old values for new ones. Raise it by more",
            bump.ahead
        ));
    }
    let newer = |view: &ClusterView| {
        let known = view.members.iter().filter_map(|member| Some((member.known()?.revision, member.member.label())));
        known.filter(|(revision, _)| revision.0 > checked.span.newest()).max()
    };
    if let Some((revision, member)) = old.and_then(newer) {
        advice.push(format!(
            "{member} has revision {revision}, newer than the snapshot: a restore of its data loses less. Stop it, and give its data dir in place \
             of the snapshot, with skip_hash_check"
        ));
    }
    let is_left = |name: &&String| !name.is_empty() && seats.iter().all(|seat| seat.spec.name != **name);
    let left: Vec<_> = checked.records.members.iter().map(|member| &member.name).filter(is_left).collect();
    if !left.is_empty() {
        let left = left.iter().map(|name| escape_word(name)).collect::<Vec<_>>().join(", ");
        advice.push(format!(
            "these were members and are none any more: {left}; see that they never start again with their old data"
        ));
    }
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
    use crate::id::MemberId;
    use crate::member::Member;
    use crate::version::Version;

    fn member(name: &str) -> Member {
        let name = name.to_owned();
        Member { id: MemberId(1), name, peer_urls: Vec::new(), client_urls: Vec::new(), is_learner: false }
    }

    #[test]
    fn words_reach_a_shell_as_they_are() {
        let words = ["", "infra1=https://10.0.0.1:2380,b=c", "/a b/it's", "$HOME"].map(quoted);
        assert_eq!(words, ["''", "infra1=https://10.0.0.1:2380,b=c", r"'/a b/it'\''s'", "'$HOME'"]);
    }

    #[test]
    fn what_etcds_own_program_cannot_do_this_one_is_asked_for() {
        let spec = Spec {
            name: "a b".to_owned(),
            initial_cluster: vec![
                ("a b".to_owned(), "http://a:1".to_owned()),
                ("c".to_owned(), "http://c:1".to_owned()),
            ],
            initial_cluster_token: "it's".to_owned(),
            initial_advertise_peer_urls: vec!["http://a:1".to_owned()],
            data_dir: "/made/a b.etcd".into(),
            wal_dir: None,
            bump_revision: Some(7),
            mark_compacted: true,
            target_version: None,
            rewrite: false,
            alarms: Alarms::All,
            without_auth: false,
            skip_hash_check: true,
        };
        let shown = |spec: &Spec| command(spec, Path::new("/b.db"), "/data");
        let specs = [
            spec.clone(),
            Spec { target_version: Some(Version::new(3, 6, 0)), ..spec.clone() },
            Spec { rewrite: true, alarms: Alarms::None, bump_revision: None, skip_hash_check: false, ..spec },
        ];
        insta::assert_snapshot!(specs.map(|spec| shown(&spec)).join("\n"), @r#"
        etcdutl snapshot restore /b.db --name 'a b' --initial-cluster 'a b=http://a:1,c=http://c:1' --initial-cluster-token 'it'\''s' --initial-advertise-peer-urls http://a:1 --data-dir /data --bump-revision 7 --mark-compacted --skip-hash-check
        etcdsh eval 'etcd.snapshot_restore("/b.db", #{ name: "a b", initial_cluster: ["a b=http://a:1", "c=http://c:1"], initial_cluster_token: "it'\''s", initial_advertise_peer_urls: ["http://a:1"], data_dir: "/data", bump_revision: 7, target_version: "3.6", mark_compacted: true, skip_hash_check: true })'
        etcdsh eval 'etcd.snapshot_restore("/b.db", #{ name: "a b", initial_cluster: ["a b=http://a:1", "c=http://c:1"], initial_cluster_token: "it'\''s", initial_advertise_peer_urls: ["http://a:1"], data_dir: "/data", rewrite: true, scrub_alarms: true })'
        "#);
    }

    #[test]
    fn an_operator_is_told_what_may_be_lost() {
        let checked = |auth, members: &[&str]| {
            let mut checked = Checked::default();
            checked.records.auth_enabled = auth;
            checked.records.members = members.iter().map(|name| member(name)).collect();
            checked
        };
        let bump = Bump { by: 9, why: String::new(), ahead: 5 };
        let made = Made { by: 9, bump: &bump, old: None, checks: &[], scrub_alarms: false };
        assert_eq!(advised(&checked(None, &[]), &[], &made), [""; 0]);
        let open = [Check { check: String::new(), ok: None, expected: String::new(), found: String::new() }];
        let told = [
            advised(&checked(None, &[]), &[], &Made { checks: &open, ..made }),
            advised(&checked(None, &[]), &[], &Made { by: 5, ..made }),
            advised(&checked(None, &["infra3", ""]), &[], &made),
            advised(&checked(Some(true), &[]), &[], &made),
        ];
        insta::assert_snapshot!(told.concat().join("\n"), @"
        not all could be compared yet: run `hash` when something was written
        it is raised by 5 only, and the old cluster was 5 ahead: its clients take old values for new ones. Raise it by more
        these were members and are none any more: infra3; see that they never start again with their old data
        clients that have logged in get no answers with the tokens of the old cluster, until the new one has had as many changes: restart them
        ");
    }
}
