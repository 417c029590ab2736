//! `snapshot verify`: all that can be said about a file before it is needed.

mod compare;
mod log;
mod records;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::{Fault, Result};
use crate::format::check::{self, Checked, check};
use crate::format::leases::leases;
use crate::format::problem::Problem;
use crate::id::Revision;
use crate::member::Member;
use crate::operation::Operation;
use crate::units::{Bytes, escape_word};
use crate::{args, at_rest, choice, record};

args! {
    /// What to verify.
    pub struct Args(
        /// The snapshot, or the data dir of a member that is stopped.
        file: PathBuf,
    ) {
        /// Compare it with this file too: which is newer, and whether both have the same history.
        against: Option<PathBuf>,
        /// Compare it with the cluster too: how far it is behind, and whether it has the cluster's history.
        live: bool,
        /// Where the log lies, if it does not lie in the data dir.
        wal_dir: Option<PathBuf>,
    }
}

choice! {
    /// Whether a file can be relied on.
    pub enum Verdict {
        /// Nothing is wrong with it.
        Sound = "sound",
        /// Its data is whole, as far as that can be known; the findings say what to know before it is used.
        Usable = "usable",
        /// Nothing in it is lost or wrong, and it does not hold what the cluster or the file held that it was compared with.
        Other = "other",
        /// Something is lost or wrong.
        Damaged = "damaged",
    }
}

choice! {
    /// How grave a finding is.
    pub enum Severity {
        /// Good to know.
        Info = "info",
        /// To be considered before the file is used.
        Warning = "warning",
        /// Something is lost or wrong.
        Error = "error",
    }
}

record! {
    /// Something to know about a file.
    pub struct Finding {
        /// How grave it is: info, warning or error.
        severity: Severity,
        /// What it is, in a word that stays the same.
        code: String,
        /// Where in the file it is; empty for the file as a whole.
        r#where: String,
        /// What it is and what it means.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    }
}

record! {
    /// What is known about a file.
    pub struct Verified {
        /// Whether it can be relied on: nothing in it is lost or wrong, and it holds what that held that it was compared with.
        ok: bool,
        /// The judgement: sound, usable, other or damaged.
        verdict: Verdict,
        /// The file.
        path: String,
        /// The size of the data; null where that cannot be counted.
        size: Option<Bytes>,
        /// The SHA-256 of the data, in hex; a snapshot holds the same at its end.
        sha256: Option<String>,
        /// The CRC-32C of all that it holds, as etcdutl counts it.
        hash: Option<u32>,
        /// The revision of the newest change in it.
        revision: Option<Revision>,
        /// The revision that it is compacted to; null when it never was.
        compact_revision: Option<Revision>,
        /// How many keys live.
        total_keys: Option<i64>,
        /// Which etcd the data is for.
        version: String,
        /// The names of the members that its cluster had, or their ids where they have none.
        members: Vec<String>,
        /// What there is to know, the gravest first.
        findings: Vec<Finding>,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotVerify;

impl Operation for SnapshotVerify {
    const CARD: Card = Card {
        name: "snapshot verify",
        summary: "Check a snapshot as far as a file can be checked.",
        details: "It reads the file once, from front to back, and checks its SHA-256, every page, every row and every record of \
                  etcd's own: revisions, compactions, leases, users and roles, members, alarms and versions. Of a data dir, its \
                  log and its .snap files are checked too. The file is never written to. A file that a running etcd uses is \
                  refused; take a snapshot of it.",
        search: &["etcdutl", "backup", "check", "corruption", "sha256", "integrity", "bbolt"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterIf(&["live"]),
        examples: &[
            Example { about: "Verify a snapshot", args: &[("file", Sample::Text("backup.db"))] },
            Example {
                about: "See whether it has the cluster's history, and how far it is behind",
                args: &[("file", Sample::Text("backup.db")), ("live", Sample::On)],
            },
        ],
    };
    type Args = Args;
    type Report = Verified;

    async fn run(ctx: &Context<'_>, Args { file, against, live, wal_dir }: Args) -> Result<Verified> {
        let folder = file.is_dir().then(|| file.clone());
        let (checked, mut findings) = at_rest::read(ctx, "file", &file, move |image| {
            let mut checked = check(image)?;
            let mut findings = pages(std::mem::take(&mut checked.findings), &checked);
            findings.extend(records::findings(&checked));
            let sound = findings.iter().all(|finding| finding.severity != Severity::Error);
            if sound && checked.figures.as_ref().is_some_and(|figures| figures.leased > 0) {
                findings.extend(records::strays(leases(image, |_| true)?.strays));
            }
            if let Some(folder) = folder {
                findings.extend(log::findings(&folder, wal_dir.as_deref(), &checked.records)?);
            }
            Ok((checked, findings))
        })
        .await?;
        let damaged = findings.iter().any(|finding| finding.severity == Severity::Error);
        let damaged = damaged || checked.figures.is_none();
        let own = compare::Own { span: &checked.span, records: &checked.records };
        if let Some(other) = &against {
            findings.push(match damaged {
                true => compare::left_out(&other.display().to_string()),
                false => compare::with_file(ctx, &file, own, other).await?,
            });
        }
        if live {
            findings.push(match damaged {
                true => compare::left_out("the cluster"),
                false => compare::with_cluster(ctx, &file, own).await?,
            });
        }
        Ok(report(&file, checked, findings))
    }
}

fn report(file: &std::path::Path, checked: Checked, mut findings: Vec<Finding>) -> Verified {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let others = [compare::OTHER_CLUSTER, compare::OTHER_HISTORY];
    let is_damaged = |finding: &Finding| finding.severity == Severity::Error && !others.contains(&&*finding.code);
    let verdict = match findings.first().map(|finding| finding.severity) {
        _ if findings.iter().any(is_damaged) => Verdict::Damaged,
        Some(Severity::Error) => Verdict::Other,
        Some(Severity::Warning) => Verdict::Usable,
        Some(Severity::Info) | None => Verdict::Sound,
    };
    let Checked { figures, records, span, .. } = checked;
    let members = records.members.iter();
    Verified {
        ok: matches!(verdict, Verdict::Sound | Verdict::Usable),
        verdict,
        path: file.to_string_lossy().into_owned(),
        size: figures.as_ref().map(|figures| Bytes::new(figures.size)),
        hash: figures.as_ref().map(|figures| figures.hash),
        revision: figures.as_ref().map(|figures| Revision(figures.revision)),
        compact_revision: span.compacted().map(Revision),
        total_keys: figures.as_ref().and_then(|figures| figures.keys.try_into().ok()),
        sha256: figures.map(|figures| figures.sha256),
        version: escape_word(records.applied.written_by()),
        members: members.map(Member::label).collect(),
        findings,
    }
}

/// Tells what was met in pages and rows, and how often where it was often.
fn pages(found: Vec<check::Finding>, checked: &Checked) -> Vec<Finding> {
    let told = found.into_iter().map(|check::Finding { severity, problem }| {
        let severity = match severity {
            check::Severity::Warning => Severity::Warning,
            check::Severity::Error => Severity::Error,
        };
        of_problem(severity, &problem)
    });
    let more = checked.untold.iter().map(|(code, count)| Finding {
        severity: Severity::Error,
        code: (*code).to_owned(),
        r#where: String::new(),
        message: format!("{count} more of this kind were found"),
        remedy: None,
    });
    told.chain(more).collect()
}

fn of_problem(severity: Severity, problem: &Problem) -> Finding {
    let cause = std::error::Error::source(problem).map(|cause| format!(": {cause}")).unwrap_or_default();
    let remedy = problem.help().or_else(|| {
        let lost = "use another backup; `keys` with db and skip_hash_check reads what is whole in this one";
        (severity == Severity::Error).then(|| lost.to_owned())
    });
    Finding {
        severity,
        code: problem.code().to_owned(),
        r#where: problem.place().within(),
        message: format!("{}{cause}", problem.flaw()),
        remedy,
    }
}

/// Makes a finding about the file as a whole.
fn finding(severity: Severity, code: &str, message: String, remedy: &str) -> Finding {
    let remedy = Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty());
    Finding { severity, code: code.to_owned(), r#where: String::new(), message, remedy }
}
