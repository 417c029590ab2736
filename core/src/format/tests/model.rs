//! A store in memory: a random history, the file that etcd would have written of it, and its keys at a revision.

use std::collections::BTreeMap;

use crate::format::bolt::fixture::{self, Rows};
use crate::format::bolt::tests::Dice;
use crate::format::mvcc::row_tests::{row_key, row_value};
use crate::format::mvcc::{KeyValue, Rev};
use crate::format::view::Item;

/// A change of a key; a deletion has the version 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) rev: Rev,
    pub(crate) item: Item,
}

impl Made {
    pub(crate) fn is_tombstone(&self) -> bool {
        self.item.version == 0
    }

    pub(crate) fn row(&self) -> (Vec<u8>, Vec<u8>) {
        let Item { key, value, version, created, modified, lease } = &self.item;
        let value = value.as_deref().unwrap_or_default();
        let put = KeyValue { key, created: *created, modified: *modified, version: *version, value, lease: *lease };
        let pair = if self.is_tombstone() { KeyValue { key, ..KeyValue::default() } } else { put };
        (row_key(self.rev.main, self.rev.sub, self.is_tombstone()), row_value(&pair))
    }
}

/// A store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) made: Vec<Made>,
    pub(crate) compacted: Option<i64>,
    pub(crate) leases: Vec<i64>,
}

impl Model {
    /// Makes up a history of some transactions on some keys in three folders.
    pub(crate) fn random(dice: &mut Dice, keys: usize, transactions: usize) -> Self {
        let mut model = Model { leases: (1..=5).collect(), ..Model::default() };
        model.go_on(dice, keys, transactions);
        model
    }

    /// Lets more happen to it.
    pub(crate) fn go_on(&mut self, dice: &mut Dice, keys: usize, transactions: usize) {
        for _ in 0..transactions {
            let main = self.newest() + 1;
            let mut changed: Vec<usize> = (0..=dice.below(3)).map(|_| dice.below(keys)).collect();
            changed.sort_unstable();
            changed.dedup();
            let mut sub = 0;
            for number in changed {
                let folder = ["a", "b/c", "/d/e"][number % 3];
                let key = format!("{folder}/{:03}", number * 7 % 1000);
                let value = vec![b'v'; if dice.below(50) == 0 { 3000 } else { dice.below(20) }];
                let lease = if dice.below(4) == 0 { (dice.below(7) + 1).try_into().unwrap() } else { 0 };
                let is_put = dice.below(4) > 0;
                if self.change(Rev { main, sub }, key.as_bytes(), is_put.then_some(value), lease) {
                    sub += 1;
                }
            }
        }
    }

    /// Puts or deletes a key, and returns whether there was something to do.
    pub(crate) fn change(&mut self, rev: Rev, key: &[u8], value: Option<Vec<u8>>, lease: i64) -> bool {
        let before = self.made.iter().rev().find(|made| made.item.key == key).filter(|made| !made.is_tombstone());
        let (version, created) = before.map_or((0, rev.main), |made| (made.item.version, made.item.created));
        if value.is_none() && version == 0 {
            return false;
        }
        let version = if value.is_some() { version + 1 } else { 0 };
        let item = Item { key: key.to_vec(), value, version, created, modified: rev.main, lease };
        self.made.push(Made { rev, item });
        true
    }

    pub(crate) fn newest(&self) -> i64 {
        self.made.last().map_or(1, |made| made.rev.main)
    }

    /// Leaves out what a compaction does.
    pub(crate) fn compact(&self, at: i64) -> Self {
        let keeps = |made: &&Made| {
            let replaced =
                |other: &Made| other.item.key == made.item.key && other.rev > made.rev && other.rev.main <= at;
            made.rev.main > at || !made.is_tombstone() && !self.made.iter().any(replaced)
        };
        let made = self.made.iter().filter(keeps).cloned().collect();
        Model { made, compacted: Some(at), leases: self.leases.clone() }
    }

    /// Returns the keys that live at a revision.
    pub(crate) fn at(&self, revision: i64) -> BTreeMap<Vec<u8>, Item> {
        let mut keys = BTreeMap::new();
        for made in self.made.iter().filter(|made| made.rev.main <= revision) {
            keys.insert(made.item.key.clone(), made.item.clone());
        }
        keys.retain(|_, item| item.version > 0);
        keys
    }

    /// Writes the file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let lease = |id: &i64| {
            let granted = u8::try_from(*id).unwrap();
            (id.to_be_bytes().to_vec(), vec![0x08, granted, 0x10, 60, 0x18, granted])
        };
        let leases: Rows = self.leases.iter().map(lease).collect();
        let compacted = self.compacted.map(|main| (b"finishedCompactRev".to_vec(), row_key(main, 0, false)));
        let rows = self.made.iter().map(Made::row).collect();
        fixture::file(&[("key", rows), ("lease", leases), ("meta", compacted.into_iter().collect())])
    }
}

/// Flips bytes of a file again and again, and looks at it each time; what is found is an error or not, and never a panic.
pub(crate) fn flipped(bytes: &[u8], seed: u64, mut look: impl FnMut(&crate::format::bolt::Image)) {
    let file = crate::format::bolt::tests::on_disk(bytes);
    let mut dice = Dice::new(seed);
    for _ in 0..250 {
        let mut any = || (dice.below(bytes.len()), dice.below(256).to_le_bytes()[0]);
        let before = file.replace(&[any(), any(), any()]);
        if let Ok(image) = crate::format::bolt::Image::open(&file.path) {
            look(&image);
        }
        file.replace(&before);
    }
}
