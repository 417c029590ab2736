//! `snapshot diff`: what two stores differ in, in short.

pub mod keys;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::{Error, Interrupted, Result};
use crate::format::bolt::Image;
use crate::format::diff::{Asked, Counts, Diffed, Difference, Merge, Summary, Summed, diff};
use crate::format::mvcc::{self, Span};
use crate::format::problem::{self, Flaw, Problem};
use crate::format::view::{Item, View, Wanted};
use crate::id::Revision;
use crate::operation::Operation;
use crate::ops::keys::query_below;
use crate::ops::keys::read::{Take, read};
use crate::ops::usage::grouping;
use crate::rpc::{Cluster, KeyValue};
use crate::units::{Bytes, Octets};
use crate::{args, at_rest, record};

args! {
    /// What to compare.
    pub struct Args(
        /// The first file: a snapshot, or the data dir of a member that is stopped.
        a: PathBuf,
        /// The second file; without it, the cluster with live, or the first file at revision_b.
        b: Option<PathBuf>,
    ) {
        /// Compare the first file with the cluster.
        live: bool,
        /// Only keys that begin so.
        prefix: Option<Octets>,
        /// Take the first side as of this revision; without it, the newest.
        revision_a: Option<i64>,
        /// Take the second side as of this revision; without it, the newest.
        revision_b: Option<i64>,
        /// How many parts of a key make a prefix in the summary; 0 takes all keys together.
        depth: i64 = 2,
        /// What separates the parts of a key.
        separator: String = "/",
    }
}

record! {
    /// What differs below one prefix.
    pub struct Prefix {
        /// The prefix; null for all keys whose prefixes came after the first 100000.
        prefix: Option<Octets>,
        /// How many keys only the second side has.
        added: i64,
        /// How many keys only the first side has.
        removed: i64,
        /// How many keys have another value.
        changed: i64,
        /// How many keys have the same value, and another revision or lease.
        touched: i64,
        /// How large the names and values are of those keys on the first side.
        size_a: Bytes,
        /// How large they are on the second side.
        size_b: Bytes,
    }
}

record! {
    /// How two stores compare.
    pub struct Compared {
        /// Whether no key differs.
        same: bool,
        /// The newest revision of the first side, or the one that was asked for.
        revision_a: Revision,
        /// The newest revision of the second side, or the one that was asked for; null for a cluster without any key.
        revision_b: Option<Revision>,
        /// The revision to which the first side is compacted.
        compact_revision_a: Option<Revision>,
        /// The revision to which the second side is compacted; a cluster does not tell it.
        compact_revision_b: Option<Revision>,
        /// The first revision at which both files have a history and it is not the same; null where there is none, and for a cluster.
        diverged_revision: Option<Revision>,
        /// How many keys only the second side has.
        added: i64,
        /// How many keys only the first side has.
        removed: i64,
        /// How many keys have another value.
        changed: i64,
        /// How many keys have the same value, and another revision or lease.
        touched: i64,
        /// The same by prefix; only those with differences.
        prefixes: Vec<Prefix>,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotDiff;

impl Operation for SnapshotDiff {
    const CARD: Card = Card {
        name: "snapshot diff",
        summary: "Compare two snapshots, or a snapshot with the cluster: how many keys differ, and where.",
        details: "Two files are compared revision by revision, so that the first revision is found at which the histories of two \
                  members parted. `snapshot diff keys` lists the keys. Memory grows with what differs, by 8 bytes for each key, and not \
                  with the files.",
        search: &["compare", "changes", "divergence", "backup"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterIf(&["live"]),
        examples: &[
            Example {
                about: "Compare two snapshots",
                args: &[("a", Sample::Text("monday.db")), ("b", Sample::Text("tuesday.db"))],
            },
            Example {
                about: "See what has changed in the cluster since a snapshot",
                args: &[("a", Sample::Text("backup.db")), ("live", Sample::On)],
            },
        ],
    };
    type Args = Args;
    type Report = Compared;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Compared> {
        let (asked, other) = (args.asked()?, args.other()?);
        match other {
            Other::File(b) => {
                let b = at_rest::database(&b).map_err(|error| error.for_argument("b"))?;
                let diffed = at_rest::make(ctx, "a", &args.a, move |a| files(a, &b, &asked, |_| true)).await?;
                Ok(compared(&args, &diffed))
            }
            Other::Cluster => {
                let cluster = Arc::clone(ctx.cluster()?);
                let (diffed, revision) = with_cluster(cluster, &args.a, asked, Unlisted).await?;
                Ok(Compared { revision_b: revision, diverged_revision: None, ..compared(&args, &diffed) })
            }
        }
    }
}

/// What the second side is.
pub(super) enum Other {
    File(PathBuf),
    Cluster,
}

impl Args {
    pub(super) fn asked(&self) -> Result<Asked> {
        let revision = |given: Option<i64>, name: &str| match given {
            Some(revision) if revision < 1 => {
                Err(BadArgument::invalid(name, "must be 1 or more", "leave it out for the newest"))
            }
            given => Ok(given),
        };
        Ok(Asked {
            revision_a: revision(self.revision_a, "revision_a")?,
            revision_b: revision(self.revision_b, "revision_b")?,
            prefix: self.prefix.as_ref().map(|prefix| prefix.0.clone()).unwrap_or_default(),
            grouping: grouping(self.depth, self.separator.clone())?,
        })
    }

    pub(super) fn other(&self) -> Result<Other> {
        match (&self.b, self.live) {
            (Some(_), true) => {
                let help = "give one of them";
                Err(BadArgument::invalid("b", "is given together with live", help).into())
            }
            (Some(b), false) => Ok(Other::File(b.clone())),
            (None, true) => Ok(Other::Cluster),
            // One file at two of its revisions.
            (None, false) if self.revision_a.is_some() || self.revision_b.is_some() => Ok(Other::File(self.a.clone())),
            (None, false) => {
                let help = "give a second file, or live for the cluster, or revision_a or revision_b for one file at two revisions";
                Err(BadArgument::invalid("b", "is missing", help).into())
            }
        }
    }
}

/// Where differences go.
pub(super) trait Tell: Send {
    /// Takes one, and answers whether more are wanted.
    fn add(&mut self, difference: Difference) -> bool;

    /// Takes note that it was the last.
    fn end(&mut self);
}

/// Differences that are only counted.
pub(super) struct Unlisted;

impl Tell for Unlisted {
    fn add(&mut self, _: Difference) -> bool {
        true
    }

    fn end(&mut self) {}
}

/// Compares two files, the second of which is read no longer than the first one.
pub(super) fn files(a: &Image, b: &Path, asked: &Asked, take: impl FnMut(Difference) -> bool) -> Result<Diffed> {
    let of = |problem: Problem| {
        let is_b = match problem.flaw() {
            // One file has two revisions that were asked for.
            Flaw::Row(mvcc::Flaw::Future { asked: told, .. } | mvcc::Flaw::Compacted { asked: told, .. })
                if a.path() == b =>
            {
                asked.revision_b == Some(*told)
            }
            _ => a.path() != b && problem.place().file.as_deref() == Some(b),
        };
        about(if is_b { "b" } else { "a" }, problem.into())
    };
    Image::open_with(b, Arc::clone(a.control())).and_then(|b| diff(a, &b, asked, take)).map_err(of)
}

/// Says which argument an error of a side is about: the side itself, or the revision that was asked of it.
fn about(side: &str, error: Error) -> Error {
    match error.code() {
        "compacted" | "future_revision" => error.for_argument(format!("revision_{side}")),
        _ => error.for_argument(side),
    }
}

/// Keys of the cluster on their way to the thread that compares; none are the end of them. Where they end without it, the
/// reading broke off, and what the cluster has behind them is not known.
struct ToThread(mpsc::Sender<Option<Vec<KeyValue>>>);

impl ToThread {
    async fn send(&self, items: Option<Vec<KeyValue>>) -> Result<()> {
        // The thread has failed where nobody takes them; its error is read below.
        self.0.send(items).await.map_err(|_| Interrupted.into())
    }
}

impl Take for ToThread {
    async fn take(&mut self, items: Vec<KeyValue>) -> Result<()> {
        self.send(Some(items)).await
    }
}

/// Compares a file with a cluster, whose keys come in order, and returns what differs and the revision of the cluster.
pub(super) async fn with_cluster(
    cluster: Arc<Cluster>,
    path: &Path,
    asked: Asked,
    list: impl Tell + 'static,
) -> Result<(Diffed, Option<Revision>)> {
    let path = at_rest::database(path).map_err(|error| error.for_argument("a"))?;
    let query = query_below(&asked.prefix, asked.revision_b.unwrap_or(0));
    let (sender, items) = mpsc::channel(2);
    let stopping = at_rest::Stopping::default();
    let control = stopping.control();
    let merged = tokio::task::spawn_blocking(move || merge(&Image::open_with(&path, control)?, &asked, items, list));
    let mut to_thread = ToThread(sender);
    let read = match read(&cluster, query, None, &mut to_thread).await {
        Ok(revision) => to_thread.send(None).await.map(|()| revision),
        Err(error) => Err(error),
    };
    drop(to_thread);
    let merged = merged.await.map_err(Error::internal)?;
    let diffed = merged.map_err(|problem| about("a", problem.into()))?;
    let revision = read.map_err(|error| match error.code() {
        // What else is wrong with the cluster is about none of the arguments.
        "compacted" | "future_revision" => about("b", error),
        _ => error,
    })?;
    Ok((diffed, Some(revision).filter(|revision| revision.0 > 0)))
}

/// Goes through both sides in the order of keys.
fn merge(
    image: &Image,
    asked: &Asked,
    mut items: mpsc::Receiver<Option<Vec<KeyValue>>>,
    mut list: impl Tell,
) -> problem::Result<Diffed> {
    let mut view = View::new(image, Wanted { revision: asked.revision_a, ..Wanted::below(&asked.prefix) })?;
    // The revisions of the file are known when it was read once.
    let first = view.next_page()?.unwrap_or_default();
    let a = view.span();
    let mut merge = Merge::new(first.into_iter().map(Ok).chain(view.items()));
    let mut summary = Summary::new(asked.grouping.clone());
    let mut tell = |difference: Difference| {
        summary.add(&difference);
        list.add(difference)
    };
    let mut goes_on = true;
    while goes_on && let Some(page) = items.blocking_recv() {
        let Some(page) = page else {
            merge.end(&mut tell)?;
            break;
        };
        for item in page {
            goes_on = goes_on && merge.take(Item::from(item), &mut tell)?;
        }
    }
    list.end();
    Ok(Diffed { a, b: Span::default(), history: Default::default(), summary: summary.end() })
}

impl From<KeyValue> for Item {
    fn from(pair: KeyValue) -> Self {
        Item {
            key: pair.key,
            value: Some(pair.value),
            version: pair.version,
            created: pair.create_revision.0,
            modified: pair.mod_revision.0,
            lease: pair.lease.map_or(0, |lease| lease.0.cast_signed()),
        }
    }
}

fn compared(args: &Args, Diffed { a, b, history, summary }: &Diffed) -> Compared {
    let Summed { total, folders, rest } = summary;
    let prefixes = folders.iter().map(|(prefix, counts)| prefix_row(Some(prefix), counts));
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Compared {
        same: *total == Counts::default(),
        revision_a: Revision(args.revision_a.unwrap_or_else(|| a.newest())),
        revision_b: Some(Revision(args.revision_b.unwrap_or_else(|| b.newest()))),
        compact_revision_a: a.compacted().map(Revision),
        compact_revision_b: b.compacted().map(Revision),
        diverged_revision: history.diverged.map(|rev| Revision(rev.main)),
        added: count(total.added),
        removed: count(total.removed),
        changed: count(total.changed),
        touched: count(total.touched),
        prefixes: prefixes.chain(rest.iter().map(|counts| prefix_row(None, counts))).collect(),
    }
}

fn prefix_row(prefix: Option<&Vec<u8>>, counts: &Counts) -> Prefix {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Prefix {
        prefix: prefix.cloned().map(Octets),
        added: count(counts.added),
        removed: count(counts.removed),
        changed: count(counts.changed),
        touched: count(counts.touched),
        size_a: Bytes::new(counts.bytes_a),
        size_b: Bytes::new(counts.bytes_b),
    }
}
