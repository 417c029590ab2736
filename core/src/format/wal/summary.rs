//! A whole log in short.

use std::collections::BTreeMap;
use std::path::Path;

use super::flaw::Flaw;
use super::item::{EntryKind, HardState, Item, Metadata, Snapshot};
use super::log::{Log, Record};
use super::request::request_name;
use super::segment::Segment;
use crate::format::problem::{Place, Problem, Result};

/// How many snapshots are kept; etcd takes one every 10,000 entries and removes the files that are older than five.
const MOST_SNAPSHOTS: usize = 10_000;

/// How many there are of something, and how many bytes they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many there are.
    pub count: u64,
    /// How many bytes of the log they take.
    pub bytes: u64,
}

/// A log in short.
#[derive(Debug)]
pub struct Summary {
    /// Its files.
    pub segments: Vec<Segment>,
    /// Whose it is.
    pub metadata: Option<Metadata>,
    /// How far raft is.
    pub hard_state: HardState,
    /// The index of the first entry.
    pub first: Option<u64>,
    /// The index of the last entry.
    pub last: Option<u64>,
    /// The term of the last entry.
    pub last_term: u64,
    /// The snapshots, in the order in which they were taken; those above the commit are not valid.
    pub snapshots: Vec<Snapshot>,
    /// What records there are, by the words for their kinds.
    pub records: BTreeMap<&'static str, Amount>,
    /// What entries there are, by the words for their requests.
    pub entries: BTreeMap<&'static str, Amount>,
    /// Where the log breaks off, if it does.
    pub broken: Option<Problem>,
}

impl Summary {
    /// Returns the newest snapshot that the log is complete for.
    pub fn valid_snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.iter().rev().find(|snapshot| snapshot.index <= self.hard_state.commit)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), Flaw> {
        add(&mut self.records, record.item.name(), record.length);
        match &record.item {
            Item::Metadata(metadata) => self.metadata = Some(*metadata),
            Item::HardState(state) => self.hard_state = *state,
            Item::Snapshot(snapshot) => {
                if self.snapshots.len() < MOST_SNAPSHOTS {
                    self.snapshots.push(snapshot.clone());
                }
            }
            Item::Checksum(_) => {}
            Item::Entry(entry) => {
                let what = match entry.kind {
                    EntryKind::Normal => request_name(entry.data),
                    EntryKind::Change => "member_change",
                    EntryKind::Changes => "member_changes",
                };
                add(&mut self.entries, what, record.length);
                // What a leader sent as a whole is not in the log entry by entry.
                let sent = self.snapshots.last().map_or(0, |snapshot| snapshot.index);
                match self.last {
                    Some(last) if entry.index > last.max(sent).saturating_add(1) => {
                        return Err(Flaw::Gap { last, found: entry.index });
                    }
                    _ => {}
                }
                self.first.get_or_insert(entry.index);
                (self.last, self.last_term) = (Some(entry.index), entry.term);
            }
        }
        Ok(())
    }
}

fn add(amounts: &mut BTreeMap<&'static str, Amount>, what: &'static str, bytes: u64) {
    let amount = amounts.entry(what).or_default();
    amount.count += 1;
    amount.bytes += bytes;
}

/// Reads the log in a folder as far as it goes.
///
/// # Errors
/// There is no log, or its files cannot be read. Where it is damaged is part of the answer.
pub fn summary(folder: &Path) -> Result<Summary> {
    let mut log = Log::open(folder)?;
    let mut summary = Summary {
        segments: log.segments().to_vec(),
        metadata: None,
        hard_state: HardState::default(),
        first: None,
        last: None,
        last_term: 0,
        snapshots: Vec::new(),
        records: BTreeMap::new(),
        entries: BTreeMap::new(),
        broken: None,
    };
    loop {
        let taken = match log.next_record() {
            Ok(None) => return Ok(summary),
            Ok(Some(record)) => summary.take(&record).map_err(|flaw| (record.segment, record.offset, flaw)),
            Err(problem) if problem.ends_reading() => return Err(problem),
            Err(problem) => {
                summary.broken = Some(problem);
                return Ok(summary);
            }
        };
        if let Err((segment, offset, flaw)) = taken {
            let file = log.segments().get(segment).map(|segment| Place::file(&segment.path)).unwrap_or_default();
            summary.broken = Some(Problem::new(file.at(offset), flaw));
            return Ok(summary);
        }
    }
}
