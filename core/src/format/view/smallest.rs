//! The smallest keys of a range that fit into a given amount of memory.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;

use super::Item;
use crate::format::bolt::Row;
use crate::format::mvcc::KeyValue;

/// What a key takes beside its name: its place in the map, where nodes are half full at worst, and the allocation of its name.
const OVERHEAD: usize = 2 * (size_of::<(Box<[u8]>, Newest)>() + 2) + 16;

/// Returns how much memory a key takes.
pub(super) fn room(key: &[u8]) -> usize {
    key.len().saturating_add(OVERHEAD)
}

/// The newest row of a key: where its value lies in the file, and what it says beside the user's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) version: i64,
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) lease: i64,
}

impl Newest {
    pub(super) fn of(row: &Row<'_>, pair: &KeyValue<'_>) -> Self {
        let KeyValue { version, created, modified, lease, .. } = *pair;
        let length = u32::try_from(row.value.len()).unwrap_or(u32::MAX);
        Newest { offset: row.offset, length, version, created, modified, lease }
    }

    /// Returns the key as it is told, yet without its value.
    pub(super) fn item(&self, key: Box<[u8]>) -> Item {
        let Newest { version, created, modified, lease, .. } = *self;
        Item { key: key.into(), value: None, version, created, modified, lease }
    }

    /// Returns whether a value says the same.
    pub(super) fn is(&self, pair: &KeyValue<'_>) -> bool {
        let other = (pair.version, pair.created, pair.modified, pair.lease);
        (self.version, self.created, self.modified, self.lease) == other
    }
}

/// Keys in order, with their newest rows.
pub(super) type Found = IntoIter<Box<[u8]>, Newest>;

/// The smallest keys of a range.
pub(super) struct Smallest {
    keys: BTreeMap<Box<[u8]>, Newest>,
    from: Vec<u8>,
    end: Option<Vec<u8>>,
    /// Whether the end is where memory ended, so that there may be keys behind it.
    is_cut: bool,
    most: usize,
    bytes: usize,
    budget: usize,
}

impl Smallest {
    pub(super) fn new(from: Vec<u8>, end: Option<Vec<u8>>, most: usize, budget: usize) -> Self {
        Smallest { keys: BTreeMap::new(), from, end, is_cut: false, most, bytes: 0, budget }
    }

    pub(super) fn wants(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end) && key >= self.from.as_slice()
    }

    /// Notes the newest row of a key. Where there is no room, the largest key goes, and with it all that are not below it.
    pub(super) fn put(&mut self, key: &[u8], newest: Newest) {
        if let Some(known) = self.keys.get_mut(key) {
            *known = newest;
            return;
        }
        self.keys.insert(key.into(), newest);
        self.bytes += room(key);
        // One key stays in any case, so that each walk comes further.
        while self.keys.len() > 1 && (self.bytes > self.budget || self.keys.len() > self.most) {
            let Some((largest, _)) = self.keys.pop_last() else { break };
            self.bytes -= room(&largest);
            (self.end, self.is_cut) = (Some(largest.into()), true);
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        if self.keys.remove(key).is_some() {
            self.bytes -= room(key);
        }
    }

    /// Returns the keys in order, and where to go on behind them.
    pub(super) fn end(self) -> (Found, Option<Vec<u8>>) {
        (self.keys.into_iter(), self.end.filter(|_| self.is_cut))
    }
}
