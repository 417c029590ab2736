//! How many keys differ, in all and by their prefixes.

use super::merge::{Difference, Kind};
use crate::format::prefix::{Grouping, Groups};
use crate::format::view::Item;

/// How many keys differ in which way, and how large they are on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that only the second side has.
    pub added: u64,
    /// Keys that only the first side has.
    pub removed: u64,
    /// Keys with another value.
    pub changed: u64,
    /// Keys with the same value, and another revision or lease.
    pub touched: u64,
    /// How many bytes their names and values have on the first side.
    pub bytes_a: u64,
    /// How many bytes their names and values have on the second side.
    pub bytes_b: u64,
}

impl Counts {
    fn add(&mut self, difference: &Difference) {
        match difference.kind {
            Kind::Added => self.added += 1,
            Kind::Removed => self.removed += 1,
            Kind::Changed => self.changed += 1,
            Kind::Touched => self.touched += 1,
        }
        self.bytes_a += bytes(difference.a.as_ref());
        self.bytes_b += bytes(difference.b.as_ref());
    }
}

fn bytes(item: Option<&Item>) -> u64 {
    item.map_or(0, |item| (item.key.len() + item.value.as_ref().map_or(0, Vec::len)) as u64)
}

/// Adds up differences.
#[derive(Debug)]
pub struct Summary {
    total: Counts,
    groups: Groups<Counts>,
}

/// What differences add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summed {
    /// All of them.
    pub total: Counts,
    /// By prefix, in order; only those with differences.
    pub folders: Vec<(Vec<u8>, Counts)>,
    /// What has no entry there, because there are more prefixes than are told apart.
    pub rest: Option<Counts>,
}

impl Summary {
    /// Starts with nothing.
    pub fn new(grouping: Grouping) -> Self {
        Summary { total: Counts::default(), groups: Groups::new(grouping) }
    }

    /// Adds a difference.
    pub fn add(&mut self, difference: &Difference) {
        self.total.add(difference);
        let number = self.groups.number(difference.key());
        if let Some(counts) = self.groups.entry(number) {
            counts.add(difference);
        }
    }

    /// Returns the sums.
    pub fn end(self) -> Summed {
        let (folders, rest) = self.groups.end();
        Summed { total: self.total, folders, rest: Some(rest).filter(|rest| *rest != Counts::default()) }
    }
}
