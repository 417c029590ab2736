//! All rows of the store, one after the other.

use super::{BUCKET, Change, Flaw, KeyValue};
use crate::format::ahead::Gate;
use crate::format::bolt::{Image, Pages, Row, Walk};
use crate::format::problem::{Problem, Result};

/// Walks through the rows of the store in the order of revisions, and hands out each until `take` answers that it wants no more.
///
/// # Errors
/// The first page or row that is damaged.
pub fn each_row(
    image: &Image,
    gate: Option<&Gate>,
    mut take: impl FnMut(&Row<'_>, Change, KeyValue<'_>) -> bool,
) -> Result<()> {
    let Some(bucket) = image.bucket(BUCKET)? else { return Ok(()) };
    let mut seen = Pages::new(image.meta().pages);
    let mut walk = Walk::new(image, &bucket, &mut seen, gate);
    while let Some(row) = walk.next_row()? {
        let place = |flaw| Problem::new(image.row_place(BUCKET, &row), flaw);
        let change = Change::read(row.key).map_err(place)?;
        let pair = KeyValue::read(row.value).map_err(|source| place(Flaw::Value { rev: change.rev, source }))?;
        if !take(&row, change, pair) {
            break;
        }
    }
    Ok(())
}
