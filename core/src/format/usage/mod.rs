//! What takes the room in a store: per prefix and in all, the keys that live and their old revisions, and the largest keys.
//!
//! A row counts with what bolt stores of it: its key of 17 or 18 bytes, and its value, which holds the user's key and value, the
//! revisions and the lease. The row that `--bump-revision` makes is left out, as in a view.
//!
//! One reading of the file serves up to 780,000 keys, those among them that are deleted; there is another reading for each further
//! 780,000. Memory: what [`Keys`] takes, and about 200 bytes and its name for each of at most 100,000 prefixes.

mod largest;
mod live;
#[cfg(test)]
mod tests;

use self::largest::{Largest, Names, Spot};
use super::ahead::{Gate, reading};
use super::bolt::Image;
use super::mvcc::{Keys, Store};
use super::prefix::{Grouping, Groups};
use super::problem::Result;

pub use largest::Big;
pub use live::Live;

/// How large a store is, or a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many keys live.
    pub live_keys: u64,
    /// How many bytes their newest rows take.
    pub live_bytes: u64,
    /// How many rows are not the newest of their key: what a compaction can take away.
    pub old_rows: u64,
    /// How many bytes those take.
    pub old_bytes: u64,
    /// How many rows are deletions.
    pub tombstones: u64,
    /// How many keys have a row, those among them that are deleted. The rows by the keys are the revisions per key.
    pub keys: u64,
    /// How many rows there are.
    pub rows: u64,
    /// How many keys that live are bound to a lease.
    pub leased_keys: u64,
}

impl Usage {
    fn add(&mut self, other: &Usage) {
        self.live_keys += other.live_keys;
        self.live_bytes += other.live_bytes;
        self.old_rows += other.old_rows;
        self.old_bytes += other.old_bytes;
        self.tombstones += other.tombstones;
        self.keys += other.keys;
        self.rows += other.rows;
        self.leased_keys += other.leased_keys;
    }
}

/// How large the keys below a prefix are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// The prefix.
    pub prefix: Vec<u8>,
    /// How large they are.
    pub usage: Usage,
    /// The largest of those that live.
    pub largest: Option<Big>,
}

/// How large a store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usages {
    /// All of it.
    pub total: Usage,
    /// Each prefix, in order.
    pub folders: Vec<Folder>,
    /// What has none among them, because there are more prefixes than are told apart; its prefix is empty.
    pub rest: Option<Folder>,
    /// The largest keys that live, the largest first.
    pub largest: Vec<Big>,
}

/// Reads how large a store is. `largest` is how many of the largest keys are wanted, a thousand at most.
///
/// # Errors
/// The file is damaged, or it was changed meanwhile.
pub fn usage(image: &Image, grouping: Grouping, largest: usize) -> Result<Usages> {
    usage_by(image, Groups::new(grouping), largest, Keys::new(image.meta().length()))
}

/// What is known about the newest row of a key.
#[derive(Debug, Clone, Copy, Default)]
struct Fact {
    offset: u64,
    size: u32,
    /// The number of its prefix, and two marks.
    tag: u32,
}

const LIVES: u32 = 1;
const LEASED: u32 = 2;
const MARKS: u32 = 2;

/// What adds up for a prefix.
#[derive(Debug, Default)]
struct Sum {
    usage: Usage,
    /// Of all rows, until what is not old is taken off.
    bytes: u64,
    largest: Option<Spot>,
}

fn usage_by(image: &Image, mut groups: Groups<Sum>, largest: usize, mut keys: Keys<Fact>) -> Result<Usages> {
    let mut most = Largest::new(largest);
    reading(image, |gate| pass(image, Some(gate), &mut groups, &mut keys, true))?;
    loop {
        keys.facts().for_each(|fact| take(&fact, &mut groups, &mut most));
        if !keys.next_share() {
            break;
        }
        pass(image, None, &mut groups, &mut keys, false)?;
    }
    // Names are read when the table of keys is gone.
    drop(keys);
    let mut names = Names::of(image);
    let largest = most.end().into_iter().map(|spot| names.read(spot)).collect::<Result<_>>()?;
    let (folders, rest) = groups.end();
    let mut all = Usages { largest, ..Usages::default() };
    for (prefix, sum) in folders {
        all.folders.push(folder(prefix, sum, &mut names)?);
    }
    all.rest = Some(folder(Vec::new(), rest, &mut names)?).filter(|rest| rest.usage.rows > 0);
    for folder in all.folders.iter().chain(&all.rest) {
        all.total.add(&folder.usage);
    }
    image.unchanged()?;
    Ok(all)
}

fn pass(
    image: &Image,
    gate: Option<&Gate>,
    groups: &mut Groups<Sum>,
    keys: &mut Keys<Fact>,
    is_first: bool,
) -> Result<()> {
    let mut store = Store::open(image)?;
    let mut rows = store.rows(gate);
    while let Some(row) = rows.next()? {
        let pair = row.pair()?;
        if pair.key.is_empty() {
            continue;
        }
        let bytes = row.row.key.len() + row.row.value.len();
        let mut fact = Fact { offset: row.row.offset, size: u32::try_from(bytes).unwrap_or(u32::MAX), tag: 0 };
        let lives = !row.change.is_tombstone;
        let marks = if !lives {
            0
        } else if pair.lease == 0 {
            LIVES
        } else {
            LIVES | LEASED
        };
        let mut tagged = |group: usize| {
            fact.tag = u32::try_from(group).unwrap_or(0) << MARKS | marks;
            fact
        };
        if is_first {
            let group = groups.number(pair.key);
            if let Some(sum) = groups.entry(group) {
                sum.usage.rows += 1;
                sum.usage.tombstones += u64::from(!lives);
                sum.bytes += bytes as u64;
            }
            keys.insert(pair.key, tagged(group));
        } else {
            keys.insert_with(pair.key, || tagged(groups.number(pair.key)));
        }
    }
    Ok(())
}

/// Counts a key when all its rows went by.
fn take(fact: &Fact, groups: &mut Groups<Sum>, most: &mut Largest) {
    let Some(sum) = usize::try_from(fact.tag >> MARKS).ok().and_then(|group| groups.entry(group)) else { return };
    let size = u64::from(fact.size);
    sum.usage.keys += 1;
    sum.bytes -= size.min(sum.bytes);
    if fact.tag & LIVES == 0 {
        return;
    }
    sum.usage.live_keys += 1;
    sum.usage.live_bytes += size;
    sum.usage.leased_keys += u64::from(fact.tag & LEASED != 0);
    let spot = Spot { size: fact.size, offset: fact.offset };
    sum.largest = sum.largest.max(Some(spot));
    most.put(spot);
}

fn folder(prefix: Vec<u8>, sum: Sum, names: &mut Names<'_>) -> Result<Folder> {
    let mut usage = sum.usage;
    usage.old_rows = usage.rows.saturating_sub(usage.keys);
    usage.old_bytes = sum.bytes;
    let largest = sum.largest.map(|spot| names.read(spot)).transpose()?;
    Ok(Folder { prefix, usage, largest })
}
