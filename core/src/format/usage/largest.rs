//! The largest keys. Where a row lies is noted while rows go by, and the few names that are wanted are read at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::format::bolt::{Image, Window};
use crate::format::mvcc::KeyValue;
use crate::format::problem::{FileFlaw, Problem, Result};
use crate::format::proto::fields;

/// How many of the largest keys there can be.
const MOST: usize = 1000;
/// How many bytes the names of the largest keys may take in all.
const MOST_NAMES: usize = 16 << 20;
/// The length of a row's key where the row is no deletion.
const ROW_KEY: u32 = 17;
/// How much of a value is read for the user's key, which etcd writes first.
const HEAD: u32 = 4 << 10;

/// A large key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Big {
    /// Its name; `None` where the names of those before it take more than 16 MB already.
    pub key: Option<Vec<u8>>,
    /// How many bytes its newest row takes.
    pub size: u64,
}

/// Where a row of some size has its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) size: u32,
    pub(super) offset: u64,
}

/// The largest of many.
pub(super) struct Largest {
    spots: BinaryHeap<Reverse<Spot>>,
    most: usize,
}

impl Largest {
    pub(super) fn new(most: usize) -> Self {
        Largest { spots: BinaryHeap::new(), most: most.min(MOST) }
    }

    pub(super) fn put(&mut self, spot: Spot) {
        if self.spots.len() == self.most && self.spots.peek().is_none_or(|least| spot <= least.0) {
            return;
        }
        self.spots.push(Reverse(spot));
        if self.spots.len() > self.most {
            self.spots.pop();
        }
    }

    /// Returns them, the largest first.
    pub(super) fn end(self) -> Vec<Spot> {
        self.spots.into_sorted_vec().into_iter().map(|spot| spot.0).collect()
    }
}

/// Reads the names of keys.
pub(super) struct Names<'i> {
    image: &'i Image,
    window: Window,
    left: usize,
}

impl<'i> Names<'i> {
    pub(super) fn of(image: &'i Image) -> Self {
        Names { image, window: Window::default(), left: MOST_NAMES }
    }

    pub(super) fn read(&mut self, spot: Spot) -> Result<Big> {
        let place = || self.image.place().at(spot.offset);
        if self.image.control().is_stopped() {
            return Err(Problem::new(place(), FileFlaw::Stopped));
        }
        let length = spot.size.saturating_sub(ROW_KEY);
        let mut load = |length: u32| -> Result<Option<Vec<u8>>> {
            let range = self.window.load(self.image, None, spot.offset, u64::from(length))?;
            let bytes = self.window.bytes().get(range).unwrap_or_default();
            Ok(first_field(bytes).or_else(|| KeyValue::read(bytes).ok().map(|pair| pair.key)).map(<[u8]>::to_vec))
        };
        let found = match load(length.min(HEAD))? {
            None if length > HEAD => load(length)?,
            found => found,
        };
        // It was read before.
        let key = found.ok_or_else(|| Problem::new(place(), FileFlaw::Changed))?;
        let is_kept = key.len() <= self.left;
        self.left = self.left.saturating_sub(key.len());
        Ok(Big { key: Some(key).filter(|_| is_kept), size: u64::from(spot.size) })
    }
}

/// Returns the user's key where it is the first field of a value, of which not all need be there.
fn first_field(value: &[u8]) -> Option<&[u8]> {
    let first = fields(value).next()?.ok()?;
    (first.number == 1).then(|| first.bytes().ok()).flatten()
}
