//! A set of keys, kept as fingerprints, of which it holds no more than it has room for. Two keys may have the same fingerprint, so
//! that it is for where a key too many does no harm.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::table::Table;

/// A set of keys.
#[derive(Debug)]
pub struct Prints {
    hasher: RandomState,
    table: Table<()>,
    room: usize,
}

impl Prints {
    /// Makes an empty set that may take so many bytes.
    pub fn new(room: usize) -> Self {
        Prints { hasher: RandomState::new(), table: Table::for_keys(0), room }
    }

    /// Puts a key in, and returns whether there was room for it.
    pub fn insert(&mut self, key: &[u8]) -> bool {
        if self.table.is_full() {
            if self.table.bytes() * 2 > self.room {
                return self.has(key);
            }
            self.table.grow();
        }
        self.table.insert(self.hasher.hash_one(key), ());
        true
    }

    /// Returns whether a key is in.
    pub fn has(&self, key: &[u8]) -> bool {
        self.table.has(self.hasher.hash_one(key))
    }

    /// Returns how many keys are in.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether no key is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_is_in_and_no_more_goes_in_than_there_is_room_for() {
        let mut prints = Prints::new(1 << 10);
        let count = (0..1000_u32).take_while(|number| prints.insert(&number.to_be_bytes())).count();
        assert_eq!((count, prints.len(), prints.is_empty()), (96, 96, false));
        let inside = (0..1000_u32).filter(|number| prints.has(&number.to_be_bytes())).count();
        assert!(inside == 96 && prints.insert(&7_u32.to_be_bytes()) && !prints.insert(b"another"));
    }
}
