//! The smallest keys of a range that fit into a given amount of memory.
//!
//! Keys that go by are gathered, and taken into the sorted ones a batch at a time, from one end to the other: to look up each by
//! itself would take several times as long, because nearly every comparison of keys would wait for memory.

use super::Item;
use crate::format::bolt::Row;
use crate::format::mvcc::KeyValue;

/// The most that a batch takes; it takes an eighth of the budget otherwise.
const LARGEST_BATCH: usize = 4 << 20;
/// The most that a run of sorted keys takes; it takes a 64th of the budget otherwise.
const LARGEST_RUN: usize = 256 << 10;
/// Where no value lies: what a deletion has.
const GONE: u64 = 0;

/// Returns how much memory a key takes.
pub(super) fn room(key: &[u8]) -> usize {
    key.len().saturating_add(size_of::<Entry>())
}

/// The newest row of a key: where its value lies in the file, and what it says beside the user's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    pub(super) fn item(&self, key: &[u8]) -> Item {
        let Newest { version, created, modified, lease, .. } = *self;
        Item { key: key.to_vec(), value: None, version, created, modified, lease }
    }

    /// Returns whether a value says the same.
    pub(super) fn is(&self, pair: &KeyValue<'_>) -> bool {
        let other = (pair.version, pair.created, pair.modified, pair.lease);
        (self.version, self.created, self.modified, self.lease) == other
    }
}

/// A key among others: where its name is among theirs, and its newest row.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    length: u32,
    newest: Newest,
}

/// Keys with their names.
#[derive(Debug, Default)]
struct Run {
    names: Vec<u8>,
    entries: Vec<Entry>,
}

impl Run {
    fn bytes(&self) -> usize {
        self.names.len() + self.entries.len() * size_of::<Entry>()
    }

    fn push(&mut self, key: &[u8], newest: Newest) {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.entries.push(Entry { start: number(self.names.len()), length: number(key.len()), newest });
        self.names.extend_from_slice(key);
    }

    /// Sorts the keys, of each of which only what was pushed last stays.
    fn sort(&mut self) {
        let Run { names, entries } = self;
        entries.sort_unstable_by(|one, other| one.name(names).cmp(other.name(names)).then(one.start.cmp(&other.start)));
        entries.dedup_by(|later, earlier| {
            let is_same = later.name(names) == earlier.name(names);
            if is_same {
                *earlier = *later;
            }
            is_same
        });
    }
}

impl Entry {
    fn name<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        let start = self.start as usize;
        names.get(start..start.saturating_add(self.length as usize)).unwrap_or_default()
    }
}

/// The smallest keys of a range.
pub(super) struct Smallest {
    /// What was not taken into the sorted keys yet.
    batch: Run,
    sorted: Sorted,
    from: Vec<u8>,
    end: Option<Vec<u8>>,
    /// Whether the end is where memory ended, so that there may be keys behind it.
    is_cut: bool,
    most: usize,
    budget: usize,
}

impl Smallest {
    pub(super) fn new(from: Vec<u8>, end: Option<Vec<u8>>, most: usize, budget: usize) -> Self {
        let (batch, sorted) = (Run::default(), Sorted::default());
        Smallest { batch, sorted, from, end, is_cut: false, most, budget }
    }

    pub(super) fn wants(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end) && key >= self.from.as_slice()
    }

    /// Notes the newest row of a key.
    pub(super) fn put(&mut self, key: &[u8], newest: Newest) {
        self.batch.push(key, newest);
        if self.batch.bytes() > LARGEST_BATCH.min(self.budget / 8) {
            self.settle();
        }
    }

    /// Notes that a key is deleted.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.put(key, Newest { offset: GONE, ..Newest::default() });
    }

    /// Takes the batch into the sorted keys, as far as there is room; what is behind that is left to the next walk.
    fn settle(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort();
        let before = std::mem::take(&mut self.sorted);
        self.merge(&batch, before);
        batch.names.clear();
        batch.entries.clear();
        self.batch = batch;
    }

    fn merge(&mut self, batch: &Run, before: Sorted) {
        let mut fresh = batch.entries.iter().map(|entry| (entry.name(&batch.names), entry.newest)).peekable();
        // Each run is given back as soon as its keys are in the new ones.
        for run in before.runs.into_iter().chain([before.last]) {
            for entry in &run.entries {
                let name = entry.name(&run.names);
                while let Some((name, newest)) = fresh.next_if(|(fresh, _)| *fresh < name) {
                    if !self.take(name, newest) {
                        return;
                    }
                }
                let is_replaced = fresh.peek().is_some_and(|(fresh, _)| *fresh == name);
                if !is_replaced && !self.take(name, entry.newest) {
                    return;
                }
            }
        }
        for (name, newest) in fresh {
            if !self.take(name, newest) {
                return;
            }
        }
    }

    /// Appends a key to the sorted ones, and returns whether there was room. One key stays in any case, so that each walk comes
    /// further.
    fn take(&mut self, name: &[u8], newest: Newest) -> bool {
        if newest.offset == GONE {
            return true;
        }
        let Sorted { bytes, count, .. } = self.sorted;
        if count > 0 && (count >= self.most || bytes.saturating_add(room(name)) > self.budget) {
            (self.end, self.is_cut) = (Some(name.to_vec()), true);
            return false;
        }
        self.sorted.push(name, newest, LARGEST_RUN.min(self.budget / 64));
        true
    }

    /// Returns the keys in order, and where to go on behind them.
    pub(super) fn end(mut self) -> (Found, Option<Vec<u8>>) {
        self.settle();
        let Sorted { mut runs, last, .. } = self.sorted;
        runs.push(last);
        let found = Found { runs: runs.into_iter(), run: Run::default(), next: 0 };
        (found, self.end.filter(|_| self.is_cut))
    }
}

/// Sorted keys, in runs that are given back one by one.
#[derive(Debug, Default)]
struct Sorted {
    runs: Vec<Run>,
    last: Run,
    bytes: usize,
    count: usize,
}

impl Sorted {
    fn push(&mut self, name: &[u8], newest: Newest, most: usize) {
        if self.last.bytes() > most {
            let mut run = std::mem::take(&mut self.last);
            run.names.shrink_to_fit();
            run.entries.shrink_to_fit();
            self.runs.push(run);
        }
        self.last.push(name, newest);
        self.bytes = self.bytes.saturating_add(room(name));
        self.count += 1;
    }
}

/// Keys in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    runs: std::vec::IntoIter<Run>,
    run: Run,
    next: usize,
}

impl Found {
    /// Returns whether there is another key.
    pub(super) fn has_more(&mut self) -> bool {
        while self.next >= self.run.entries.len() {
            let Some(run) = self.runs.next() else { return false };
            (self.run, self.next) = (run, 0);
        }
        true
    }

    /// Returns the next key, with where its value is and yet without it.
    pub(super) fn next(&mut self) -> Option<(Newest, Item)> {
        if !self.has_more() {
            return None;
        }
        let entry = self.run.entries.get(self.next)?;
        self.next += 1;
        Some((entry.newest, entry.newest.item(entry.name(&self.run.names))))
    }
}
