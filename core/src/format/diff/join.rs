//! The rows of two stores side by side, revision by revision.

use std::cmp::Ordering;

use super::Side;
use crate::format::ahead::Gate;
use crate::format::mvcc::{Prints, Rev, Rows, Span, Store, StoreRow};
use crate::format::problem::Result;

/// How the histories of two stores compare, up to the revisions that were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// How many rows both have.
    pub common: u64,
    /// What only the first has.
    pub a: Alone,
    /// What only the second has.
    pub b: Alone,
    /// The first revision at which both have a history and it is not the same: they are no longer of one cluster, or one of them
    /// has applied something wrong.
    pub diverged: Option<Rev>,
}

/// The rows that only one side has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone {
    /// How many there are.
    pub rows: u64,
    /// How many of them the other side has compacted away.
    pub compacted: u64,
}

/// Compares all rows of two stores, and returns the keys that may differ, or `None` where they are too many for the room.
pub(super) fn join(
    sides: &mut [Side<'_>; 2],
    gates: [&Gate; 2],
    prefix: &[u8],
    candidates: Prints,
) -> Result<(History, Option<Prints>)> {
    let [a, b] = sides;
    let compacted = [a.span.compacted(), b.span.compacted()];
    let mut joint = Joint { history: History::default(), compacted, prefix, candidates: Some(candidates) };
    let (mut store_a, mut store_b) = (Store::open(a.image)?, Store::open(b.image)?);
    let (mut rows_a, mut rows_b) = (store_a.rows(Some(gates[0])), store_b.rows(Some(gates[1])));
    let (upto_a, upto_b) = (a.revision.unwrap_or(i64::MAX), b.revision.unwrap_or(i64::MAX));
    let mut one = next(&mut rows_a, upto_a, &mut a.span)?;
    let mut other = next(&mut rows_b, upto_b, &mut b.span)?;
    loop {
        let order = match (&one, &other) {
            (None, None) => return Ok((joint.history, joint.candidates)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.change.rev.cmp(&other.change.rev),
        };
        if order.is_eq() {
            joint.both(one.as_ref(), other.as_ref())?;
        } else if order.is_lt() {
            joint.history.a = joint.alone(joint.history.a, one.as_ref(), 1, reach(other.as_ref(), &b.span, upto_b))?;
        } else {
            joint.history.b = joint.alone(joint.history.b, other.as_ref(), 0, reach(one.as_ref(), &a.span, upto_a))?;
        }
        if order.is_le() {
            one = next(&mut rows_a, upto_a, &mut a.span)?;
        }
        if order.is_ge() {
            other = next(&mut rows_b, upto_b, &mut b.span)?;
        }
    }
}

fn next<'r>(rows: &'r mut Rows<'_>, upto: i64, span: &mut Span) -> Result<Option<StoreRow<'r>>> {
    let row = rows.next()?;
    if let Some(row) = &row {
        span.row(row.change.rev);
    }
    Ok(row.filter(|row| row.change.rev.main <= upto))
}

/// Returns up to which revision a side is known to have a history: that of its row, or of its last one where there is no other.
fn reach(row: Option<&StoreRow<'_>>, span: &Span, upto: i64) -> i64 {
    row.map(|row| row.change.rev).or(span.last).map_or(0, |rev| rev.main.min(upto))
}

struct Joint<'p> {
    history: History,
    compacted: [Option<i64>; 2],
    prefix: &'p [u8],
    candidates: Option<Prints>,
}

impl Joint<'_> {
    /// Takes a row of the same revision on both sides.
    fn both(&mut self, one: Option<&StoreRow<'_>>, other: Option<&StoreRow<'_>>) -> Result<()> {
        let (Some(one), Some(other)) = (one, other) else { return Ok(()) };
        if one.row.key == other.row.key && one.row.value == other.row.value {
            self.history.common += 1;
            return Ok(());
        }
        self.diverge(one.change.rev);
        self.history.a.rows += 1;
        self.history.b.rows += 1;
        self.candidate(one)?;
        self.candidate(other)
    }

    /// Takes a row that the other side has not, whose history reaches to some revision.
    fn alone(&mut self, mut alone: Alone, row: Option<&StoreRow<'_>>, other: usize, reach: i64) -> Result<Alone> {
        let Some(row) = row else { return Ok(alone) };
        let main = row.change.rev.main;
        alone.rows += 1;
        if self.compacted.get(other).copied().flatten().is_some_and(|compacted| main <= compacted) {
            alone.compacted += 1;
        } else if main <= reach {
            self.diverge(row.change.rev);
        }
        self.candidate(row)?;
        Ok(alone)
    }

    fn diverge(&mut self, rev: Rev) {
        self.history.diverged = self.history.diverged.or(Some(rev));
    }

    fn candidate(&mut self, row: &StoreRow<'_>) -> Result<()> {
        let key = row.pair()?.key;
        let belongs = !key.is_empty() && key.starts_with(self.prefix);
        let has_room = !belongs || self.candidates.as_mut().is_none_or(|candidates| candidates.insert(key));
        if !has_room {
            self.candidates = None;
        }
        Ok(())
    }
}
