//! How many keys live: those whose newest row is no deletion. It is what etcdutl counts as keys from 3.6 on.

use super::each_row;
use super::keys::Keys;
use crate::format::bolt::Image;
use crate::format::problem::Result;

/// Counts keys that live while rows go by.
#[derive(Debug)]
pub struct Live {
    keys: Keys<()>,
}

impl Live {
    /// Starts counting the keys of a file.
    pub fn new(image: &Image) -> Self {
        Live { keys: Keys::new(image.meta().length()) }
    }

    #[cfg(test)]
    pub(in crate::format) fn with(keys: Keys<()>) -> Self {
        Live { keys }
    }

    /// Takes a row: the user's key, and whether it is deleted.
    pub fn row(&mut self, key: &[u8], is_tombstone: bool) {
        if is_tombstone {
            self.keys.remove(key);
        } else {
            self.keys.insert(key, ());
        }
    }

    /// Returns how many keys live when all rows went by. A store with more than two million of them is read again for each
    /// further share of them, which keeps the memory bounded.
    ///
    /// # Errors
    /// A page that is damaged, or a row that is; neither is new to whoever read all rows before.
    pub fn count(mut self, image: &Image) -> Result<u64> {
        let mut count = self.keys.count();
        while self.keys.next_share() {
            each_row(image, None, |_, change, pair| {
                self.row(pair.key, change.is_tombstone);
                true
            })?;
            count += self.keys.count();
        }
        Ok(count)
    }
}
