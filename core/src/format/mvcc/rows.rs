//! All rows of the store, one after the other.

use super::{BUCKET, Change, Flaw, KeyValue};
use crate::format::ahead::Gate;
use crate::format::bolt::{Bucket, Image, Pages, Row, Walk};
use crate::format::problem::{Problem, Result};

/// The bucket of the store, and which of its pages were seen: what a walk through its rows needs.
pub(in crate::format) struct Store<'i> {
    image: &'i Image,
    bucket: Option<Bucket>,
    seen: Pages,
}

impl<'i> Store<'i> {
    /// Finds the store of a file.
    pub(in crate::format) fn open(image: &'i Image) -> Result<Self> {
        Ok(Store { image, bucket: image.bucket(BUCKET)?, seen: Pages::new(image.meta().pages) })
    }

    /// Starts a walk through its rows, in the order of revisions.
    pub(in crate::format) fn rows<'s>(&'s mut self, gate: Option<&'s Gate>) -> Rows<'s> {
        let walk = self.bucket.as_ref().map(|bucket| Walk::new(self.image, bucket, &mut self.seen, gate));
        Rows { image: self.image, walk }
    }
}

/// A walk through the rows of the store.
pub(in crate::format) struct Rows<'s> {
    image: &'s Image,
    walk: Option<Walk<'s>>,
}

impl Rows<'_> {
    /// Returns the next row, of which only the revision is read.
    pub(in crate::format) fn next(&mut self) -> Result<Option<StoreRow<'_>>> {
        let Some(walk) = &mut self.walk else { return Ok(None) };
        let Some(row) = walk.next_row()? else { return Ok(None) };
        let row = StoreRow { image: self.image, row, change: Change::default() };
        let change = Change::read(row.row.key).map_err(|flaw| row.problem(flaw))?;
        Ok(Some(StoreRow { change, ..row }))
    }
}

/// A row of the store.
#[derive(Clone, Copy)]
pub(in crate::format) struct StoreRow<'r> {
    image: &'r Image,
    pub(in crate::format) row: Row<'r>,
    pub(in crate::format) change: Change,
}

impl<'r> StoreRow<'r> {
    /// Reads its value.
    pub(in crate::format) fn pair(&self) -> Result<KeyValue<'r>> {
        let rev = self.change.rev;
        KeyValue::read(self.row.value).map_err(|source| self.problem(Flaw::Value { rev, source }))
    }

    /// Checks that its value is what etcd writes at its revision.
    pub(in crate::format) fn check(&self) -> Result<()> {
        self.change.value(self.row.value).map(|_| ()).map_err(|flaw| self.problem(flaw))
    }

    fn problem(&self, flaw: Flaw) -> Problem {
        Problem::new(self.image.row_place(BUCKET, &self.row), flaw)
    }
}

/// Walks through the rows of the store in the order of revisions, and hands out each until `take` answers that it wants no more.
///
/// # Errors
/// The first page or row that is damaged.
pub fn each_row(
    image: &Image,
    gate: Option<&Gate>,
    mut take: impl FnMut(&Row<'_>, Change, KeyValue<'_>) -> bool,
) -> Result<()> {
    let mut store = Store::open(image)?;
    let mut rows = store.rows(gate);
    while let Some(row) = rows.next()? {
        if !take(&row.row, row.change, row.pair()?) {
            break;
        }
    }
    Ok(())
}
