//! What the keys of a cluster take, which come one by one and only as they are now.

use super::{Big, Folder, Usage, Usages};
use crate::format::mvcc::KeyValue;
use crate::format::prefix::{Grouping, Groups};

/// The length of the key of a row that is no deletion.
const ROW_KEY: u64 = 17;

/// Adds up keys that live. There are no older revisions.
pub struct Live(Groups<(Usage, Option<Big>)>);

impl Live {
    /// Starts with none.
    pub fn new(grouping: Grouping) -> Self {
        Live(Groups::new(grouping))
    }

    /// Takes a key.
    pub fn add(&mut self, pair: &KeyValue<'_>) {
        let size = ROW_KEY + pair.length();
        let number = self.0.number(pair.key);
        let Some((usage, largest)) = self.0.entry(number) else { return };
        let leased_keys = u64::from(pair.lease != 0);
        usage.add(&Usage { live_keys: 1, live_bytes: size, keys: 1, rows: 1, leased_keys, ..Usage::default() });
        if largest.as_ref().is_none_or(|largest| largest.size < size) {
            *largest = Some(Big { key: Some(pair.key.to_vec()), size });
        }
    }

    /// Ends the sum.
    pub fn end(self) -> Usages {
        let folder = |prefix, (usage, largest)| Folder { prefix, usage, largest };
        let (folders, rest) = self.0.end();
        let folders: Vec<Folder> = folders.into_iter().map(|(prefix, sum)| folder(prefix, sum)).collect();
        let rest = Some(folder(Vec::new(), rest)).filter(|rest| rest.usage.rows > 0);
        let mut total = Usage::default();
        folders.iter().chain(&rest).for_each(|folder| total.add(&folder.usage));
        Usages { total, folders, rest, largest: Vec::new() }
    }
}
