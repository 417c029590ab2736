//! The history of one key.

use crate::format::ahead::{Gate, reading};
use crate::format::bolt::Image;
use crate::format::figures::compactions;
use crate::format::mvcc::{Change, KeyValue, Rev, Store};
use crate::format::problem::{FileFlaw, Problem, Result};

/// How much of a history the first reading keeps. Where there is more, the file is read a second time for the rest.
const BUDGET: usize = 16 << 20;
/// What a row takes beside its bytes, about.
const PER_ROW: usize = 64;

/// Hands out the rows of one key, in the order of revisions, until `take` answers that it wants no more. A deletion has nothing but
/// the key. What was compacted away is not there, also where its rows still are; a history may begin with a deletion.
///
/// No row is handed out before the file was read to its end, and its SHA-256 was found to be that of its data. Memory: 16 MB for
/// rows, beside two of them.
///
/// # Errors
/// The file is damaged, or it was changed meanwhile.
pub fn rows_of(image: &Image, key: &[u8], take: impl FnMut(Change, KeyValue<'_>) -> bool) -> Result<()> {
    within(image, key, BUDGET, take)
}

pub(super) fn within(
    image: &Image,
    key: &[u8],
    budget: usize,
    mut take: impl FnMut(Change, KeyValue<'_>) -> bool,
) -> Result<()> {
    let (mut kept, mut left) = (Vec::new(), budget);
    let is_all = reading(image, |gate| {
        retained(image, key, Some(gate), None, |change, value| {
            kept.push((change, Box::<[u8]>::from(value)));
            left = left.saturating_sub(value.len() + PER_ROW);
            Ok(left > 0)
        })
    })?;
    image.unchanged()?;
    // All of them were read before.
    let mut hand_out = |change: Change, value: &[u8]| match KeyValue::read(value) {
        Ok(pair) => Ok(take(change, pair)),
        Err(_) => Err(Problem::new(image.place(), FileFlaw::Changed)),
    };
    let last = kept.last().map(|(change, _)| change.rev);
    for (change, value) in kept {
        if !hand_out(change, &value)? {
            return Ok(());
        }
    }
    if !is_all {
        retained(image, key, None, last, hand_out)?;
    }
    image.unchanged()
}

/// Walks through the rows of a key that no compaction took away, behind a revision, until `take` wants no more. Returns whether it
/// came to the end.
fn retained(
    image: &Image,
    key: &[u8],
    gate: Option<&Gate>,
    behind: Option<Rev>,
    mut take: impl FnMut(Change, &[u8]) -> Result<bool>,
) -> Result<bool> {
    let compacted = compactions(image)?.compacted().unwrap_or(0);
    // Of the changes up to there a server has the last one only. A deletion from before is gone; one at that very revision is not,
    // where the server that compacted has left it there.
    let is_gone = |change: Change| change.is_tombstone && change.rev.main < compacted;
    let mut base: Option<(Change, Box<[u8]>)> = None;
    let mut store = Store::open(image)?;
    let mut rows = store.rows(gate);
    while let Some(row) = rows.next()? {
        if Some(row.change.rev) <= behind || row.pair()?.key != key {
            continue;
        }
        row.check()?;
        if row.change.rev.main <= compacted {
            base = Some((row.change, row.row.value.into())).filter(|(change, _)| !is_gone(*change));
            continue;
        }
        if let Some((change, value)) = base.take()
            && !take(change, &value)?
        {
            return Ok(false);
        }
        if !take(row.change, row.row.value)? {
            return Ok(false);
        }
    }
    base.map_or(Ok(true), |(change, value)| take(change, &value))
}
