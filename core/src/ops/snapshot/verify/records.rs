//! What etcd's own records say, when they are read together. Most of it is legal, and surprises whoever restores the file.

use std::collections::BTreeSet;

use super::{Finding, Severity, finding};
use crate::format::check::Checked;
use crate::format::schema::Records;
use crate::id::MemberId;
use crate::member::Member;
use crate::units::escape_word;
use crate::version::Version;

/// The buckets that every etcd makes when it starts.
const BUCKETS: [&str; 10] =
    ["alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta"];
/// The newest form of the data that is known here.
const NEWEST: Version = Version::new(3, 7, 0);

/// Looks at the records of a file.
pub(super) fn findings(checked: &Checked) -> Vec<Finding> {
    let records = &checked.records;
    let parts =
        [buckets(checked), compactions(checked), alarms(records), users(records), members(records), versions(records)];
    parts.concat()
}

fn buckets(checked: &Checked) -> Vec<Finding> {
    let has = |name: &str| checked.buckets.iter().any(|(found, _)| found == name.as_bytes());
    let mut found = Vec::new();
    if !has("key") {
        let message = "it has no bucket `key`, in which etcd keeps its keys".to_owned();
        found.push(finding(
            Severity::Error,
            "store_missing",
            message,
            "this is no database of etcd's; use another file",
        ));
    }
    let missing: Vec<_> = BUCKETS.into_iter().filter(|name| *name != "key" && !has(name)).collect();
    if !missing.is_empty() {
        let message = format!("the buckets {} are missing; etcd makes them when it starts", missing.join(", "));
        found.push(finding(Severity::Info, "bucket_missing", message, ""));
    }
    for (name, _) in checked.buckets.iter().filter(|(name, _)| !BUCKETS.iter().any(|known| known.as_bytes() == name)) {
        let message = format!("the bucket {} is none of etcd's", crate::format::problem::shown(name));
        let remedy = "find out what wrote into the file, and use another backup if it was not etcd";
        found.push(finding(Severity::Warning, "foreign_data", message, remedy));
    }
    if checked.records.applied.consistent_index.is_none() {
        let message = "it does not say up to which entry of the log it was applied".to_owned();
        let remedy = "restore it with `snapshot restore`, which writes that anew";
        found.push(finding(Severity::Warning, "applied_index_missing", message, remedy));
    }
    found
}

fn compactions(checked: &Checked) -> Vec<Finding> {
    let span = &checked.span;
    let mut found = Vec::new();
    if let Some(scheduled) = span.scheduled.filter(|scheduled| Some(*scheduled) > span.finished) {
        let message = format!("a compaction to revision {scheduled} had not ended; etcd carries it on when it starts");
        found.push(finding(Severity::Info, "compaction_unfinished", message, ""));
    }
    let newest = span.last.map_or(0, |rev| rev.main);
    if let Some(compacted) = span.compacted().filter(|compacted| *compacted > newest) {
        let message = format!("its newest change is of revision {newest}, and it is compacted to revision {compacted}");
        let remedy = "no data is missing: what was changed last was deleted. On restore, count a bump of the revision from the \
                      compaction; `snapshot restore` does";
        found.push(finding(Severity::Info, "newest_change_compacted", message, remedy));
    }
    found
}

fn alarms(records: &Records) -> Vec<Finding> {
    let told = records.alarms.iter().map(|alarm| {
        let whose = records.members.iter().find(|member| member.id == alarm.member_id);
        let whose = whose.map_or_else(|| format!("{}, which is no member of it", alarm.member_id), Member::label);
        let kind = alarm.kind;
        let message = format!(
            "the alarm {kind} of {whose} is raised in it, and a cluster that is restored from it begins with it"
        );
        let remedy = "restore it with scrub_alarms, or disarm it afterwards with `alarm disarm`";
        finding(Severity::Warning, "alarm_raised", message, remedy)
    });
    told.collect()
}

fn users(records: &Records) -> Vec<Finding> {
    let mut found = Vec::new();
    let root = records.users.iter().find(|user| user.name == "root");
    if records.auth_enabled == Some(true) && !root.is_some_and(|root| root.roles.iter().any(|role| role == "root")) {
        let message =
            "users have to log in, and there is no user root with the role root, so nobody can change that".to_owned();
        let remedy = "use another backup, or the password of a user who may do what is needed";
        found.push(finding(Severity::Warning, "root_missing", message, remedy));
    }
    let known = |role: &&String| *role == "root" || records.roles.iter().any(|known| known.name == **role);
    for user in &records.users {
        let missing: Vec<_> = user.roles.iter().filter(|role| !known(role)).map(|role| escape_word(role)).collect();
        if !missing.is_empty() {
            let message =
                format!("the user {} has roles that are not in it: {}", escape_word(&user.name), missing.join(", "));
            let remedy = "after a restore, grant the user roles that there are";
            found.push(finding(Severity::Warning, "role_missing", message, remedy));
        }
    }
    found
}

fn members(records: &Records) -> Vec<Finding> {
    let mut found = Vec::new();
    if records.members.is_empty() {
        let message = "it has no members".to_owned();
        found.push(finding(
            Severity::Info,
            "members_missing",
            message,
            "`snapshot restore` writes them anew in any case",
        ));
    }
    let removed: BTreeSet<&MemberId> = records.removed.iter().collect();
    for member in records.members.iter().filter(|member| removed.contains(&member.id)) {
        let message = format!("{} is a member, and was removed", member.label());
        let remedy = "`snapshot restore` writes the members anew; a data dir with this is not to be started as it is";
        found.push(finding(Severity::Warning, "member_removed", message, remedy));
    }
    found
}

fn versions(records: &Records) -> Vec<Finding> {
    let mut found = Vec::new();
    let newest = |text: &&String| {
        Version::parse(text).is_none_or(|version| (version.major, version.minor) > (NEWEST.major, NEWEST.minor))
    };
    for version in [&records.applied.storage_version, &records.cluster_version].into_iter().flatten().filter(newest) {
        let message = format!(
            "it is for etcd {}, and etcd is known here up to {}.{}",
            escape_word(version),
            NEWEST.major,
            NEWEST.minor
        );
        let remedy = "use an etcdsh that knows that version; this one may not see all that matters";
        found.push(finding(Severity::Warning, "version_unknown", message, remedy));
    }
    if let Some(downgrade) = records.downgrade.as_ref().filter(|downgrade| downgrade.enabled) {
        let message = format!("a downgrade to {} was under way", escape_word(&downgrade.target_version));
        let remedy = "a cluster that is restored from it goes on with it; `downgrade cancel` ends it";
        found.push(finding(Severity::Warning, "downgrade_under_way", message, remedy));
    }
    found
}

/// Tells of keys that live and are bound to leases which are not there.
pub(super) fn strays(count: u64) -> Option<Finding> {
    let message = format!("{count} keys live that are bound to leases which are not in it, so they would never expire");
    let remedy =
        "etcd makes no such file by itself; look at the keys with `keys` and db, and delete those that should be gone";
    (count > 0).then(|| finding(Severity::Warning, "lease_missing", message, remedy))
}
