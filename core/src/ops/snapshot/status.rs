//! `snapshot status`: the figures of a snapshot, as etcdutl tells them.

use std::path::PathBuf;

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::format::figures::figures;
use crate::id::Revision;
use crate::operation::Operation;
use crate::units::Bytes;
use crate::{args, at_rest, record};

args! {
    /// What to look at.
    pub struct Args(
        /// The snapshot, or the data dir of a member that is stopped.
        file: PathBuf,
    ) {}
}

record! {
    /// The figures of a snapshot.
    pub struct Status {
        /// The file.
        path: String,
        /// The size of the data; the file is longer by its SHA-256, or by room for growth.
        size: Bytes,
        /// The CRC-32C of all that it holds, as etcdutl counts it.
        hash: u32,
        /// The revision of the newest change in it.
        revision: Revision,
        /// How many keys live, which is what etcdutl calls total keys from 3.6 on.
        total_keys: i64,
        /// How many changes of keys it holds: those that live, older ones, and deletions.
        total_revisions: i64,
        /// How many rows all of its buckets have, which is what etcdutl called total keys up to 3.5.
        total_rows: i64,
        /// Which etcd the data is for: as it says itself from 3.6 on, and otherwise 3.5 or 3.4 by what it holds.
        version: String,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotStatus;

impl Operation for SnapshotStatus {
    const CARD: Card = Card {
        name: "snapshot status",
        summary: "Show the figures of a snapshot: hash, revision, keys and size.",
        details: "The figures are etcdutl's, and the SHA-256 at the end of the file is checked as well: a file that was damaged \
                  is refused. `snapshot verify` tells all that is wrong with one.",
        search: &["etcdutl", "backup", "hash", "revision", "size"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[Example { about: "Look at a snapshot", args: &[("file", Sample::Text("backup.db"))] }],
    };
    type Args = Args;
    type Report = Status;

    async fn run(ctx: &Context<'_>, Args { file }: Args) -> Result<Status> {
        let (figures, records) = at_rest::read(ctx, "file", &file, figures).await?;
        Ok(Status {
            path: file.to_string_lossy().into_owned(),
            size: Bytes::new(figures.size),
            hash: figures.hash,
            revision: Revision(figures.revision),
            total_keys: figures.keys.try_into().unwrap_or(i64::MAX),
            total_revisions: figures.changes.try_into().unwrap_or(i64::MAX),
            total_rows: figures.rows.try_into().unwrap_or(i64::MAX),
            version: crate::units::escape_word(records.applied.written_by()),
        })
    }
}
