//! What is known about each of many keys, in a bounded amount of memory: keys are kept as fingerprints of 64 bits, and where
//! there are too many, only a share of all keys is kept and the rest is left for another reading of the file.
//!
//! What is noted is taken into the table in batches, in the order of the table: a table of this size is looked into faster from
//! one end to the other than here and there.
//!
//! Two keys of ten million share a fingerprint in one of 370,000 readings; the fingerprints are others each time.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::table::Table;

/// How many bytes the table may take: with nothing but the fingerprint it holds three million keys.
const ROOM: usize = 32 << 20;
/// How many bytes of a file there are for each key in a usual store.
const BYTES_PER_KEY: u64 = 512;
/// How much is noted before it is taken into the table.
const BATCH: usize = 64 << 10;
/// Which bits of a fingerprint say to which share it belongs; the table goes by the lowest.
const SHARE_SHIFT: u32 = 36;
/// A store of so many keys that it needs more shares than these is beyond what a file can hold.
const MOST_SHARE_BITS: u32 = 20;

/// A share of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    bits: u32,
    number: u64,
}

impl Share {
    fn has(self, print: u64) -> bool {
        (print >> SHARE_SHIFT) & ((1 << self.bits) - 1) == self.number
    }

    /// Splits it into two.
    fn halves(self) -> (Self, Self) {
        let bits = self.bits + 1;
        (Share { bits, number: self.number }, Share { bits, number: self.number | 1 << self.bits })
    }
}

/// What is known about keys.
#[derive(Debug)]
pub struct Keys<T> {
    hasher: RandomState,
    /// What was noted and is not in the table yet; `None` forgets a key.
    noted: Vec<(u64, Option<T>)>,
    known: Table<T>,
    share: Share,
    later: Vec<Share>,
    room: usize,
}

impl<T: Copy + Default> Keys<T> {
    /// Makes an empty table, with room for the keys that a file of so many bytes is likely to have: a table that grows takes half
    /// as much again while it does.
    pub fn new(bytes: u64) -> Self {
        let most = ROOM / size_of::<(u64, T)>() / 2;
        Self::with_room(usize::try_from(bytes / BYTES_PER_KEY).unwrap_or(most).min(most), ROOM)
    }

    pub(in crate::format) fn with_room(keys: usize, room: usize) -> Self {
        let (known, share) = (Table::for_keys(keys), Share { bits: 0, number: 0 });
        Keys { hasher: RandomState::new(), noted: Vec::new(), known, share, later: Vec::new(), room }
    }

    /// Notes something about a key, in place of what was known before; a key of another share is passed over.
    pub fn insert(&mut self, key: &[u8], fact: T) {
        self.note(key, || Some(fact));
    }

    /// Notes something about a key that is found out only where the key is of this share.
    pub fn insert_with(&mut self, key: &[u8], fact: impl FnOnce() -> T) {
        self.note(key, || Some(fact()));
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &[u8]) {
        self.note(key, || None);
    }

    fn note(&mut self, key: &[u8], fact: impl FnOnce() -> Option<T>) {
        let print = self.hasher.hash_one(key);
        if self.share.has(print) {
            self.noted.push((print, fact()));
        }
        if self.noted.len() >= BATCH {
            self.settle();
        }
    }

    /// Takes into the table what was noted. The sort keeps the order of what was noted about the same key.
    fn settle(&mut self) {
        let mut noted = std::mem::take(&mut self.noted);
        noted.sort_by_key(|(print, _)| self.known.home(*print));
        for (print, fact) in noted.drain(..) {
            while self.share.has(print) && self.known.is_full() {
                self.make_room();
            }
            match fact {
                _ if !self.share.has(print) => {}
                Some(fact) => self.known.insert(print, fact),
                None => self.known.remove(print),
            }
        }
        self.noted = noted;
    }

    fn make_room(&mut self) {
        if self.known.bytes() * 2 <= self.room || self.share.bits == MOST_SHARE_BITS {
            return self.known.grow();
        }
        let (now, later) = self.share.halves();
        self.share = now;
        self.later.push(later);
        self.known.retain(|print| now.has(print));
    }

    /// Returns how many keys of this share are known.
    pub fn count(&mut self) -> u64 {
        self.settle();
        self.known.len() as u64
    }

    /// Returns the facts about the keys of this share.
    pub fn facts(&mut self) -> impl Iterator<Item = T> {
        self.settle();
        self.known.iter().map(|(_, fact)| fact)
    }

    /// Forgets everything and turns to the next share, if there is one: the file has to be read again for it.
    pub fn next_share(&mut self) -> bool {
        self.noted.clear();
        self.known.clear();
        self.later.pop().is_some_and(|share| {
            self.share = share;
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_counted_once_in_any_number_of_shares() {
        for room in [1 << 7, 1 << 10, 1 << 13, 1 << 20] {
            let mut keys = Keys::with_room(0, room);
            let (mut count, mut readings) = (0, 0);
            loop {
                for number in 0..3000_u32 {
                    keys.insert(&number.to_be_bytes(), number);
                }
                for number in 0..1000_u32 {
                    keys.remove(&number.to_be_bytes());
                }
                assert!(keys.facts().all(|number| number >= 1000) && keys.known.bytes() <= room);
                count += keys.count();
                readings += 1;
                if !keys.next_share() {
                    break;
                }
            }
            assert_eq!(count, 2000, "{room}");
            assert!(if room == 1 << 20 { readings == 1 } else { readings > 3000 * 16 / room }, "{readings}");
        }
    }

    #[test]
    fn the_last_note_about_a_key_counts() {
        let mut keys = Keys::new(1000);
        for round in 0..3_u64 {
            for number in 0..40_000_u32 {
                keys.insert(&number.to_be_bytes(), round);
                if number % 3 == 0 {
                    keys.remove(&number.to_be_bytes());
                }
            }
        }
        keys.insert(&0_u32.to_be_bytes(), 7);
        assert_eq!(keys.count(), 26_667);
        assert_eq!(keys.facts().filter(|round| *round == 2).count(), 26_666);
    }
}
