//! What two stores differ in: two files, two revisions of one file, or a file and a cluster.
//!
//! Of two files the rows are compared first, revision by revision, in one reading of both (`join`). That tells where their
//! histories part, and which keys have a row that the other side has not; nearly always those are few. Only they are then looked up
//! on both sides in the order of keys ([`View`]) and told apart ([`Merge`]). Where they are too many, as in stores that have nothing
//! to do with each other, all keys of both sides are. The keys of a cluster come in order already, so that it needs the second half
//! only.
//!
//! Memory: 8 bytes for each key that may differ, up to 8 MB; 20 MB for the keys of each side, a page of 4 MB and a value; and about 200 bytes and its
//! name for each of at most 100,000 prefixes.

mod join;
mod merge;
mod summary;
#[cfg(test)]
mod tests;

use super::ahead::reading;
use super::bolt::Image;
use super::figures::compactions;
use super::mvcc::{Prints, Span};
use super::prefix::Grouping;
use super::problem::{Problem, Result};
use super::view::{View, Wanted};

pub use join::{Alone, History};
pub use merge::{Difference, Kind, Merge};
pub use summary::{Counts, Summary, Summed};

/// How much memory the keys that may differ take.
const ROOM: usize = 8 << 20;
/// How much memory the keys of one side take.
const BUDGET: usize = 16 << 20;

/// What is to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The revision of the first side; `None` is its newest one.
    pub revision_a: Option<i64>,
    /// The revision of the second side; `None` is its newest one.
    pub revision_b: Option<i64>,
    /// How the keys begin.
    pub prefix: Vec<u8>,
    /// How the summary groups them.
    pub grouping: Grouping,
}

/// How two files compare, beside the differences themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diffed {
    /// The revisions that the first file has; its newest row is the first one above the revision that was asked for, where there is
    /// one.
    pub a: Span,
    /// The revisions that the second file has.
    pub b: Span,
    /// How their histories compare, whatever the prefix.
    pub history: History,
    /// How many differences there are.
    pub summary: Summed,
}

/// Compares the keys of two files, or of one at two revisions, and hands out what differs in the order of keys, until `take` answers
/// that it wants no more; then the summary is of what it had.
///
/// # Errors
/// A revision is compacted, or none yet; a file is damaged, or it was changed meanwhile.
pub fn diff(a: &Image, b: &Image, asked: &Asked, take: impl FnMut(Difference) -> bool) -> Result<Diffed> {
    diff_by(a, b, asked, (ROOM, BUDGET), take)
}

fn diff_by(
    a: &Image,
    b: &Image,
    asked: &Asked,
    (room, budget): (usize, usize),
    mut take: impl FnMut(Difference) -> bool,
) -> Result<Diffed> {
    let mut sides = [Side::of(a, asked.revision_a)?, Side::of(b, asked.revision_b)?];
    let candidates = Prints::new(room);
    let joined =
        reading(a, |first| reading(b, |second| join::join(&mut sides, [first, second], &asked.prefix, candidates)));
    let (history, candidates) = joined?;
    for side in &sides {
        side.image.unchanged()?;
        if let Some(asked) = side.revision {
            side.span.refuse_future(asked).map_err(|flaw| Problem::new(side.image.place(), flaw))?;
        }
    }
    let mut summary = Summary::new(asked.grouping.clone());
    if candidates.as_ref().is_none_or(|candidates| !candidates.is_empty()) {
        let [first, second] = sides.each_ref().map(|side| {
            let wanted = Wanted { revision: side.revision, ..Wanted::below(&asked.prefix) };
            View::with(side.image, wanted, candidates.as_ref(), budget)
        });
        let mut merge = Merge::new(first?.items());
        let mut tell = |difference: Difference| {
            summary.add(&difference);
            take(difference)
        };
        let mut goes_on = true;
        for item in second?.items() {
            goes_on = goes_on && merge.take(item?, &mut tell)?;
            if !goes_on {
                break;
            }
        }
        if goes_on {
            merge.end(&mut tell)?;
        }
    }
    let [a, b] = sides.map(|side| side.span);
    Ok(Diffed { a, b, history, summary: summary.end() })
}

/// One side: a file at a revision.
struct Side<'i> {
    image: &'i Image,
    revision: Option<i64>,
    span: Span,
}

impl<'i> Side<'i> {
    fn of(image: &'i Image, revision: Option<i64>) -> Result<Self> {
        let span = compactions(image)?;
        if let Some(asked) = revision {
            span.refuse_compacted(asked).map_err(|flaw| Problem::new(image.place(), flaw))?;
        }
        Ok(Side { image, revision, span })
    }
}
