//! The figures of a snapshot, as `etcdutl snapshot status` tells them, and the records on the way: all out of one reading.
//!
//! The hash is the CRC-32C of, for each bucket in the order of names, its name, and then each row's key and value in the order of
//! keys, without anything between them. Source: etcd's `etcdutl/snapshot/v3_snapshot.go`.

use super::ahead::reading_sum;
use super::bolt::{Image, Row, Visit, survey};
use super::mvcc::{self, Change, KeyValue, Span, live::Live};
use super::problem::{Problem, Result};
use super::schema::Records;
use super::trailer;

/// What a file holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The CRC-32C of all rows of all buckets.
    pub hash: u32,
    /// The revision of the newest row; 0 where there is none.
    pub revision: i64,
    /// How many keys live, which is what etcdutl counts from 3.6 on.
    pub keys: u64,
    /// How many rows the store has: one for each change that is not compacted away.
    pub changes: u64,
    /// How many of those are bound to a lease.
    pub leased: u64,
    /// How many rows all buckets have, which is what etcdutl counted up to 3.5.
    pub rows: u64,
    /// The length of the data in bytes; the file is longer where it has a SHA-256 or room for growth.
    pub size: u64,
    /// The SHA-256 of the data, in hex.
    pub sha256: String,
}

/// Reads a file, and returns its figures and its records.
///
/// # Errors
/// The file is damaged: the first damage that is met, its SHA-256 first of all. A file without one is read all the same.
pub fn figures(image: &Image) -> Result<(Figures, Records)> {
    let (sum, tally) = reading_sum(image, |gate| {
        let mut tally = Tally::new(image, Depth::Readable);
        survey(image, Some(gate), &mut tally)?;
        Ok(tally)
    })?;
    let (figures, records, _) = tally.end(image, &sum)?;
    image.unchanged()?;
    Ok((figures, records))
}

/// How closely the rows of the store are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// They can be read.
    Readable,
    /// They are what etcd writes.
    Plausible,
}

/// What adds up while rows go by.
pub(super) struct Tally {
    depth: Depth,
    hash: u32,
    rows: u64,
    changes: u64,
    leased: u64,
    live: Live,
    span: Span,
    records: Records,
}

impl Tally {
    pub(super) fn new(image: &Image, depth: Depth) -> Self {
        let (span, records, live) = (Span::default(), Records::default(), Live::new(image));
        Tally { depth, hash: 0, rows: 0, changes: 0, leased: 0, live, span, records }
    }

    /// Ends the sum when all rows went by.
    pub(super) fn end(self, image: &Image, sum: &[u8]) -> Result<(Figures, Records, Span)> {
        let Tally { hash, rows, changes, leased, live, span, records, .. } = self;
        let span = Span { last: span.last, ..records.applied.compactions() };
        let revision = span.last.map_or(0, |rev| rev.main);
        let (keys, size, sha256) = (live.count(image)?, image.meta().length(), trailer::hex(sum));
        Ok((Figures { hash, revision, keys, changes, leased, rows, size, sha256 }, records, span))
    }

    fn change(&mut self, row: &Row<'_>) -> Result<(), mvcc::Flaw> {
        self.changes += 1;
        let change = Change::read(row.key)?;
        self.span.row(change.rev);
        let pair = match self.depth {
            Depth::Readable => {
                KeyValue::read(row.value).map_err(|source| mvcc::Flaw::Value { rev: change.rev, source })?
            }
            Depth::Plausible => change.value(row.value)?,
        };
        self.leased += u64::from(pair.lease != 0);
        self.live.row(pair.key, change.is_tombstone);
        Ok(())
    }
}

impl Visit for Tally {
    fn bucket(&mut self, name: &[u8]) {
        self.hash = crc32c::crc32c_append(self.hash, name);
    }

    fn row(&mut self, image: &Image, bucket: &[u8], row: &Row<'_>) -> Result<()> {
        self.rows += 1;
        self.hash = crc32c::crc32c_append(crc32c::crc32c_append(self.hash, row.key), row.value);
        // A bucket in a bucket counts by its name alone, and is no record.
        if row.is_bucket {
            return Ok(());
        }
        if bucket == mvcc::BUCKET {
            self.change(row).map_err(|flaw| Problem::new(image.row_place(bucket, row), flaw))
        } else {
            self.records.take(image, bucket, row)
        }
    }
}

/// Reads what must be known before a file's keys are read in part: its records and no row of the store.
///
/// # Errors
/// A page or a record is damaged.
pub fn compactions(image: &Image) -> Result<Span> {
    Ok(Records::read(image)?.applied.compactions())
}
