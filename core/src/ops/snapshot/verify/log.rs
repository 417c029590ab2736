//! What a member's log and its `.snap` files say beside its database. An etcd that starts reads all three, and takes for granted that
//! they fit together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Finding, Severity, finding, of_problem};
use crate::error::Fault;
use crate::format::problem::{Flaw, Place, Problem, Result};
use crate::format::schema::Records;
use crate::format::snap::Snap;
use crate::format::v2::OldStore;
use crate::format::wal::{self, ChangeKind, Item, Log, Summary};
use crate::id::MemberId;
use crate::version::Version;

/// The first version that starts without `.snap` files, and does not write them any more.
const WITHOUT_SNAP: Version = Version::new(3, 7, 0);

/// Looks at what lies beside the database of a data dir.
///
/// # Errors
/// The log cannot be read at all. What is wrong with it is a finding.
pub(super) fn findings(folder: &Path, wal_dir: Option<&Path>, records: &Records) -> Result<Vec<Finding>> {
    let nested = folder.join("member");
    let member = if nested.is_dir() { nested } else { folder.to_owned() };
    let wal_dir = wal_dir.map_or_else(|| member.join("wal"), Path::to_owned);
    let mut found = Vec::new();
    let (snap, broken) = newest_snap(&member.join("snap"));
    found.extend(broken);
    let summary = match wal::summary(&wal_dir) {
        Ok(summary) => summary,
        Err(problem) if problem.code() == "no_log" || !wal_dir.exists() => {
            let message = format!("there is no log in {}", wal_dir.display());
            let remedy = "say where it lies with wal_dir; a member without its log does not start, and its database may lack the \
                          last changes";
            found.push(finding(Severity::Warning, "log_missing", message, remedy));
            return Ok(found);
        }
        Err(problem) => return Err(problem),
    };
    if let Some(problem) = &summary.broken {
        let torn = matches!(problem.flaw(), Flaw::Wal(wal::Flaw::Torn));
        found.push(of_problem(if torn { Severity::Info } else { Severity::Error }, problem));
    }
    found.extend(order(records, &summary, snap.as_ref(), &member.join("snap")));
    if records.applied.storage_version.as_deref().and_then(Version::parse).is_none_or(|version| version < WITHOUT_SNAP)
    {
        found.extend(old_store(records, &summary, snap.as_ref(), &wal_dir)?);
    }
    Ok(found)
}

/// Reads the newest `.snap` file that can be read, and tells of those that cannot.
fn newest_snap(folder: &Path) -> (Option<Snap>, Vec<Finding>) {
    let named = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| wal::parse_name(name, ".snap").is_some())
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(named).collect();
    // The names are of term and index in digits, so that their order is that of time.
    files.sort();
    let mut broken = Vec::new();
    for file in files.iter().rev() {
        match Snap::read(file) {
            Ok(snap) => return (Some(snap), broken),
            Err(problem) => {
                let mut finding = of_problem(Severity::Warning, &problem);
                finding.r#where = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                finding.remedy = Some("etcd takes the one before, and has to have its log from there on".to_owned());
                broken.push(finding);
            }
        }
    }
    (None, broken)
}

/// Checks that database, log and `.snap` file follow each other.
pub(super) fn order(records: &Records, log: &Summary, snap: Option<&Snap>, folder: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    let applied = records.applied.consistent_index.unwrap_or(0);
    let last = log.last.max(log.valid_snapshot().map(|snapshot| snapshot.index)).unwrap_or(0);
    if applied > last {
        let message = format!("the database has applied entry {applied}, and the log ends with entry {last}");
        let remedy = "database and log are of different times, as when one was put back alone: replace the member with \
                      `member replace`, or restore from a snapshot";
        found.push(finding(Severity::Error, "log_behind", message, remedy));
    }
    let behind = snap.filter(|snap| snap.index > applied);
    if let Some(snap) = behind.filter(|snap| !folder.join(format!("{:016x}.snap.db", snap.index)).exists()) {
        let message =
            format!("its .snap file is of entry {}, and the database has applied entry {applied} only", snap.index);
        let remedy =
            "etcd does not start with it: replace the member with `member replace`, or restore from a snapshot";
        found.push(finding(Severity::Error, "database_behind", message, remedy));
    }
    if let Some(term) = records.applied.term.filter(|term| *term > log.hard_state.term) {
        let message = format!("the database is of term {term}, and the log of term {}", log.hard_state.term);
        let remedy = "database and log are of different times: replace the member, or restore from a snapshot";
        found.push(finding(Severity::Error, "log_behind", message, remedy));
    }
    found
}

/// Compares the members of the database with those of the old store, by which etcd went up to 3.5, and looks for what keeps 3.6 from
/// starting.
pub(super) fn old_store(records: &Records, log: &Summary, snap: Option<&Snap>, wal_dir: &Path) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let parse = |snap: &Snap| OldStore::parse(&snap.store).map_err(|flaw| Problem::new(Place::default(), flaw));
    let store = match snap.map(parse).transpose() {
        Ok(store) => store,
        Err(problem) => return Ok(vec![of_problem(Severity::Warning, &problem)]),
    };
    if store.as_ref().is_some_and(|store| store.user_nodes + store.auth_nodes > 0) {
        let message = "the interface of etcd 2 was used: its store holds keys or users".to_owned();
        let remedy = "etcd 3.6 does not start with it; remove them before an upgrade, or restore from a snapshot, which leaves them \
                      out";
        found.push(finding(Severity::Warning, "old_store_used", message, remedy));
    }
    // Without a .snap file the log tells of all members, if it begins with the first entry.
    let whole = snap.is_some() || log.first == Some(1);
    if !whole {
        return Ok(found);
    }
    let mut expected: BTreeSet<MemberId> =
        store.iter().flat_map(|store| &store.members).map(|member| member.id).collect();
    let after = snap.map_or(0, |snap| snap.index);
    let upto = records.applied.consistent_index.unwrap_or(0);
    for (kind, member) in changes(wal_dir, after, upto)? {
        match kind {
            ChangeKind::Add | ChangeKind::AddLearner => expected.insert(member),
            ChangeKind::Remove => expected.remove(&member),
            ChangeKind::Update => false,
        };
    }
    let there: BTreeSet<MemberId> = records.members.iter().map(|member| member.id).collect();
    if there != expected {
        let list = |ids: &BTreeSet<MemberId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("the database has the members {}, and raft has {}", list(&there), list(&expected));
        let remedy = "etcd up to 3.5 goes by raft's, and 3.6 by the database's, which brings removed members back on an upgrade: \
                      replace the member before, or restore from a snapshot";
        found.push(finding(Severity::Warning, "members_differ", message, remedy));
    }
    Ok(found)
}

/// Returns the changes of members in a part of the log; an entry that was written again counts as it was written last.
fn changes(wal_dir: &Path, after: u64, upto: u64) -> Result<Vec<(ChangeKind, MemberId)>> {
    let mut log = Log::open(wal_dir)?;
    let mut changes: Vec<(u64, ChangeKind, MemberId)> = Vec::new();
    loop {
        let record = match log.next_record() {
            Ok(Some(record)) => record,
            // Where it breaks off was told already.
            Ok(None) => break,
            Err(problem) if problem.ends_reading() => return Err(problem),
            Err(_) => break,
        };
        let Item::Entry(entry) = &record.item else { continue };
        changes.retain(|(index, ..)| *index < entry.index);
        if let Ok(Some(change)) = entry.change() {
            changes.push((entry.index, change.kind, change.member));
        }
    }
    let counted = changes.into_iter().filter(|(index, ..)| *index > after && *index <= upto);
    Ok(counted.map(|(_, kind, member)| (kind, member)).collect())
}
