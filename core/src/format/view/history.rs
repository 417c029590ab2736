//! The history of one key.

use crate::format::ahead::{Gate, reading};
use crate::format::bolt::Image;
use crate::format::mvcc::{Change, KeyValue, Store};
use crate::format::problem::Result;

/// Hands out the rows of one key, in the order of revisions, until `take` answers that it wants no more. A deletion has nothing but
/// the key. What was compacted away is not there; a history may begin with a deletion.
///
/// # Errors
/// The file is damaged, or it was changed meanwhile.
pub fn rows_of(image: &Image, key: &[u8], mut take: impl FnMut(Change, KeyValue<'_>) -> bool) -> Result<()> {
    let mut walk = |gate: &Gate| {
        let mut store = Store::open(image)?;
        let mut rows = store.rows(Some(gate));
        while let Some(row) = rows.next()? {
            let pair = row.pair()?;
            if pair.key == key {
                row.check()?;
                if !take(row.change, pair) {
                    break;
                }
            }
        }
        Ok(())
    };
    reading(image, &mut walk)?;
    image.unchanged()
}
