//! `wal list`: what a member's log holds.

use std::path::{Path, PathBuf};

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::{Error, Fault, Result};
use crate::format::wal::{Amount, Summary, summary};
use crate::id::{ClusterId, MemberId};
use crate::operation::Operation;
use crate::units::Bytes;
use crate::{args, record};

args! {
    /// What to look at.
    pub struct Args(
        /// The data dir of a member, or the folder with its log.
        folder: PathBuf,
    ) {}
}

record! {
    /// One file of a log.
    pub struct Segment {
        /// Its name.
        name: String,
        /// Its number in the log.
        sequence: i64,
        /// The index of its first entry.
        first_index: i64,
        /// Its size; the last one is made longer than its records.
        size: Bytes,
    }
}

record! {
    /// How many there are of something, and how much room they take.
    pub struct Kind {
        /// What: a kind of record, or a request as etcd names it.
        kind: String,
        /// How many.
        count: i64,
        /// How much of the log they take.
        size: Bytes,
    }
}

record! {
    /// A snapshot that raft took.
    pub struct Mark {
        /// The index of the last entry that it has.
        index: i64,
        /// The term of that entry.
        term: i64,
        /// Whether it is committed; etcd passes over one that is not.
        valid: bool,
    }
}

record! {
    /// Where a log breaks off.
    pub struct Break {
        /// Why, in a word: log_torn is what a member that was killed leaves, and etcd repairs it.
        code: String,
        /// The file.
        file: String,
        /// Where in the file, in bytes.
        offset: i64,
        /// Why.
        message: String,
    }
}

record! {
    /// A log.
    pub struct Listed {
        /// The folder.
        path: String,
        /// Whose log it is, in hex.
        member_id: Option<MemberId>,
        /// Whose cluster's, in hex.
        cluster_id: Option<ClusterId>,
        /// The index of the first entry that is there.
        first_index: Option<i64>,
        /// The index of the last one.
        last_index: Option<i64>,
        /// The term of the last one.
        last_term: i64,
        /// The member's term, as it last wrote it.
        term: i64,
        /// Whom it voted for in that term, in hex; null for nobody.
        vote: Option<MemberId>,
        /// Up to which entry it knew the log to be committed, as it last wrote it; a killed member may have known of more.
        commit: i64,
        /// Its files, in order.
        files: Vec<Segment>,
        /// Its records by kind.
        records: Vec<Kind>,
        /// Its entries by the request that they hold.
        entries: Vec<Kind>,
        /// The snapshots of raft's, in order.
        snapshots: Vec<Mark>,
        /// Where it breaks off; null where it is whole.
        broken: Option<Break>,
    }
}

/// See [`Operation::CARD`].
pub struct WalList;

impl Operation for WalList {
    const CARD: Card = Card {
        name: "wal list",
        summary: "Show what a member's log holds: entries, raft's state, snapshots, and where it breaks.",
        details: "The log is read only, and may be that of a member that runs; its end is then what was written a moment ago. \
                  What lies in it behind the entry that the database has applied is not in the database yet.",
        search: &["etcd-dump-logs", "raft", "entries", "log", "etcdutl"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[Example { about: "Look at a member's log", args: &[("folder", Sample::Text("/var/lib/etcd"))] }],
    };
    type Args = Args;
    type Report = Listed;

    async fn run(_: &Context<'_>, Args { folder }: Args) -> Result<Listed> {
        let wal = [folder.join("member/wal"), folder.join("wal"), folder.clone()];
        let Some(wal) = wal.into_iter().find(|folder| folder.is_dir()) else {
            return Err(NoFolder { is_there: folder.exists(), path: folder }.into());
        };
        let read = wal.clone();
        let summary = tokio::task::spawn_blocking(move || summary(&read)).await.map_err(Error::internal)?;
        let summary = summary.map_err(|problem| Error::from(problem).for_argument("folder"))?;
        Ok(listed(&wal, &summary))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{} {}", path.display(), if *is_there { "is a file, and no folder" } else { "is not there" })]
struct NoFolder {
    path: PathBuf,
    is_there: bool,
}

impl Fault for NoFolder {
    fn code(&self) -> &'static str {
        "not_a_folder"
    }

    fn argument(&self) -> Option<&str> {
        Some("folder")
    }

    fn help(&self) -> Option<String> {
        Some("name the data dir of a member, or the folder with its log".to_owned())
    }
}

fn listed(folder: &Path, summary: &Summary) -> Listed {
    let Summary { metadata, hard_state, last_term, .. } = summary;
    let kinds = |of: &std::collections::BTreeMap<&'static str, Amount>| {
        let mut kinds: Vec<_> = of
            .iter()
            .map(|(kind, amount)| Kind {
                kind: (*kind).to_owned(),
                count: number(amount.count),
                size: Bytes::new(amount.bytes),
            })
            .collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.size));
        kinds
    };
    let segment = |segment: &crate::format::wal::Segment| Segment {
        name: name(&segment.path),
        sequence: number(segment.sequence),
        first_index: number(segment.index),
        size: Bytes::new(segment.path.metadata().map_or(0, |meta| meta.len())),
    };
    let mark = |mark: &crate::format::wal::Snapshot| Mark {
        index: number(mark.index),
        term: number(mark.term),
        valid: mark.index <= hard_state.commit,
    };
    let broken = summary.broken.as_ref().map(|problem| Break {
        code: problem.code().to_owned(),
        file: problem.place().file.as_deref().map(name).unwrap_or_default(),
        offset: number(problem.place().offset.unwrap_or(0)),
        message: problem.flaw().to_string(),
    });
    Listed {
        path: folder.to_string_lossy().into_owned(),
        member_id: metadata.map(|metadata| metadata.member),
        cluster_id: metadata.map(|metadata| metadata.cluster),
        first_index: summary.first.map(number),
        last_index: summary.last.map(number),
        last_term: number(*last_term),
        term: number(hard_state.term),
        vote: Some(MemberId(hard_state.vote)).filter(|vote| vote.0 != 0),
        commit: number(hard_state.commit),
        files: summary.segments.iter().map(segment).collect(),
        records: kinds(&summary.records),
        entries: kinds(&summary.entries),
        snapshots: summary.snapshots.iter().map(mark).collect(),
        broken,
    }
}

/// Shows a count or an index, which no log has more of than a signed number holds.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_folder_is_told_with_its_path() {
        let told = [true, false].map(|is_there| NoFolder { path: "/d/0.wal".into(), is_there }.into());
        insta::assert_snapshot!(crate::tests::shown(told), @"
        not_a_folder (folder): /d/0.wal is a file, and no folder
          help: name the data dir of a member, or the folder with its log
        not_a_folder (folder): /d/0.wal is not there
          help: name the data dir of a member, or the folder with its log
        ");
    }
}
