//! The hash that a member tells for its store at a revision (the RPC HashKV), computed from a file.
//!
//! It is the CRC-32C of the name of the bucket `key`, and then of each row's key and value up to the revision, except
//!
//! 1. rows up to the compacted revision that are not the newest of a key that lives at the revision asked for, as a compaction
//!    would leave them out; where no key lives at all, etcd leaves none out by this rule;
//! 2. a deletion at the compacted revision itself, which compactions leave or remove by the version of etcd.
//!
//! Two members agree on it only for the same revision and the same compacted revision. From 3.5 on a member remembers the hash that
//! it took while it compacted, and until its next start tells that one for the compacted revision itself: rule 1 then went by the
//! compaction before, whose rows are gone from its file. Source: etcd's
//! `server/storage/mvcc/hash.go`; rule 2 since 3.4.34 and 3.5.16.

use super::ahead::{Gate, reading};
use super::bolt::{Image, Row};
use super::figures::compactions;
use super::mvcc::{self, Change, Flaw, Keys, each_row};
use super::problem::{Problem, Result};

/// The mark of a row above the compacted revision: whether it is the newest of its key decides nothing about itself.
const ABOVE: u64 = u64::MAX;

/// The hash of a store at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// The hash.
    pub hash: u32,
    /// The revision that it is of.
    pub revision: i64,
    /// The revision that the store is compacted to, or is taken to be.
    pub compacted: Option<i64>,
    /// The newest revision of the store.
    pub newest: i64,
}

/// Computes the hash of a file's store at a revision, or at its newest one. It is what a member with the same history answers
/// that is compacted to the same revision; `compacted` takes the store to be compacted further than it is, so that it can be
/// compared with one that is.
///
/// # Errors
/// The revision is compacted, or none yet; the file is damaged.
pub fn hashkv(image: &Image, revision: Option<i64>, compacted: Option<i64>) -> Result<HashKv> {
    let refused = |flaw: Flaw| Err(Problem::new(image.place(), flaw));
    let mut span = compactions(image)?;
    let compacted = span.compacted().max(compacted);
    match revision.zip(compacted) {
        Some((asked, compacted)) if asked < compacted => return refused(Flaw::Compacted { asked, compacted }),
        _ => {}
    }
    let upto = revision.unwrap_or(i64::MAX);
    let kept =
        compacted.map(|compacted| Kept::find(image, upto, compacted, Keys::new(image.meta().length()))).transpose()?;
    let mut hash = Hash { crc: crc32c::crc32c(mvcc::BUCKET), upto, kept: kept.as_ref(), ordinal: 0 };
    let mut walk = |gate: Option<&Gate>| {
        each_row(image, gate, |row, change, _| {
            span.row(change.rev);
            hash.row(row, change);
            true
        })
    };
    match &kept {
        Some(_) => walk(None)?,
        None => reading(image, |gate| walk(Some(gate)))?,
    }
    let (newest, hash) = (span.newest(), hash.crc);
    match (revision, compacted) {
        (Some(asked), _) if asked > newest => refused(Flaw::Future { asked, newest }),
        (None, Some(compacted)) if compacted > newest => refused(Flaw::Compacted { asked: newest, compacted }),
        _ => {
            image.unchanged()?;
            Ok(HashKv { hash, revision: revision.unwrap_or(newest), compacted, newest })
        }
    }
}

/// Which rows up to the compacted revision a compaction would leave: one bit for each row.
struct Kept {
    compacted: i64,
    rows: Vec<u64>,
    any_lives: bool,
}

impl Kept {
    /// Finds the newest row of each key that lives at a revision. It takes a bit for each row up to the compacted revision, and a
    /// bounded amount for the keys, for which the file is read once for every two million.
    fn find(image: &Image, upto: i64, compacted: i64, mut keys: Keys<u64>) -> Result<Self> {
        let mut kept = Kept { compacted, rows: Vec::new(), any_lives: false };
        reading(image, |gate| kept.mark(image, Some(gate), upto, &mut keys))?;
        while keys.next_share() {
            kept.mark(image, None, upto, &mut keys)?;
        }
        Ok(kept)
    }

    fn mark(&mut self, image: &Image, gate: Option<&Gate>, upto: i64, keys: &mut Keys<u64>) -> Result<()> {
        let mut ordinal = 0;
        each_row(image, gate, |_, change, pair| {
            let main = change.rev.main;
            let mark = if main <= self.compacted { ordinal } else { ABOVE };
            ordinal += 1;
            match change.is_tombstone {
                _ if main > upto => return false,
                true => keys.remove(pair.key),
                false => keys.insert(pair.key, mark),
            }
            true
        })?;
        self.any_lives |= keys.count() > 0;
        keys.facts().filter(|ordinal| *ordinal != ABOVE).for_each(|ordinal| self.set(ordinal));
        Ok(())
    }

    fn set(&mut self, ordinal: u64) {
        let Ok(word) = usize::try_from(ordinal / 64) else { return };
        if self.rows.len() <= word {
            self.rows.resize(word + 1, 0);
        }
        if let Some(bits) = self.rows.get_mut(word) {
            *bits |= 1 << (ordinal % 64);
        }
    }

    fn has(&self, ordinal: u64) -> bool {
        let word = usize::try_from(ordinal / 64).ok().and_then(|word| self.rows.get(word));
        word.is_some_and(|bits| bits >> (ordinal % 64) & 1 == 1)
    }
}

/// The sum while rows go by.
struct Hash<'k> {
    crc: u32,
    upto: i64,
    kept: Option<&'k Kept>,
    ordinal: u64,
}

impl Hash<'_> {
    fn row(&mut self, row: &Row<'_>, change: Change) {
        let (ordinal, main) = (self.ordinal, change.rev.main);
        self.ordinal += 1;
        let left_out = self.kept.is_some_and(|kept| {
            let by_compaction = main <= kept.compacted && kept.any_lives && !kept.has(ordinal);
            by_compaction || main == kept.compacted && change.is_tombstone
        });
        if main <= self.upto && !left_out {
            self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, row.key), row.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::bolt::fixture;
    use crate::format::bolt::tests::on_disk;
    use crate::format::mvcc::KeyValue;
    use crate::format::mvcc::row_tests::{row_key, row_value};

    /// A change: revision, part, key; a version of 0 is a deletion.
    type Made = (i64, i64, &'static str, i64);

    fn store(changes: &[Made], compacted: Option<i64>) -> Vec<u8> {
        let row = |(main, sub, key, version): &Made| {
            let created = main - version + 1;
            let pair =
                KeyValue { key: key.as_bytes(), created, modified: *main, version: *version, value: b"v", lease: 0 };
            let deletion = KeyValue { key: key.as_bytes(), ..KeyValue::default() };
            let deleted = *version == 0;
            (row_key(*main, *sub, deleted), row_value(if deleted { &deletion } else { &pair }))
        };
        let compacted = compacted.map(|main| (b"finishedCompactRev".to_vec(), row_key(main, 0, false)));
        fixture::file(&[("key", changes.iter().map(row).collect()), ("meta", compacted.into_iter().collect())])
    }

    fn hash(file: &[u8], revision: Option<i64>, compacted: Option<i64>) -> Result<HashKv> {
        let file = on_disk(file);
        hashkv(&Image::open(&file.path).unwrap(), revision, compacted)
    }

    const HISTORY: [Made; 8] = [
        (2, 0, "a", 1),
        (3, 0, "b", 1),
        (4, 0, "a", 2),
        (5, 0, "b", 0),
        (6, 0, "c", 1),
        (6, 1, "d", 1),
        (7, 0, "a", 3),
        (8, 0, "c", 0),
    ];

    /// Returns the history as a compaction leaves it: the newest row of each key that lives, and all above.
    fn compact(at: i64, tombstones_stay: bool) -> Vec<Made> {
        let newest = |made: &Made| !HISTORY.iter().any(|other| other.2 == made.2 && other.0 > made.0 && other.0 <= at);
        let stays = |made: &&Made| {
            let deletion_stays = tombstones_stay && made.0 == at;
            made.0 > at || newest(made) && (made.3 != 0 || deletion_stays)
        };
        HISTORY.iter().filter(stays).copied().collect()
    }

    #[test]
    fn a_store_has_the_same_hash_before_and_after_a_compaction_to_the_same_revision() {
        for at in 2..=8 {
            for revision in at..=8 {
                let plain = hash(&store(&HISTORY, None), Some(revision), Some(at)).unwrap();
                for tombstones_stay in [false, true] {
                    let compacted =
                        hash(&store(&compact(at, tombstones_stay), Some(at)), Some(revision), None).unwrap();
                    assert_eq!(compacted, HashKv { newest: compacted.newest, ..plain }, "{at} {revision}");
                }
            }
        }
    }

    #[test]
    fn a_store_with_more_keys_than_room_is_read_several_times() {
        let key = |number: i64| -> &'static str { format!("k{number}").leak() };
        let first = (0..40).map(|number| (2 + number, 0, key(number), 1));
        let again = (0..20).map(|number| (42 + number, 0, key(number * 2), if number % 3 == 0 { 0 } else { 2 }));
        let file = on_disk(&store(&first.chain(again).collect::<Vec<_>>(), None));
        let image = Image::open(&file.path).unwrap();
        for at in [2, 30, 45, 61] {
            let find = |keys| Kept::find(&image, 61, at, keys).map(|kept| (kept.rows, kept.any_lives)).unwrap();
            // A table for six keys, and one for all.
            assert_eq!(find(Keys::with_room(0, 128)), find(Keys::new(1 << 20)), "{at}");
        }
    }

    #[test]
    fn a_revision_out_of_the_store_is_refused() {
        let file = store(&compact(5, true), Some(5));
        let told = |revision, compacted| hash(&file, revision, compacted).map(|_| ()).unwrap_err().flaw().to_string();
        assert_eq!(told(Some(4), None), "revision 4 is compacted; the oldest one is 5");
        assert_eq!(told(Some(9), None), "revision 9 is none yet; the newest one is 8");
        assert_eq!(told(None, Some(9)), "revision 8 is compacted; the oldest one is 9");
        let newest = hash(&file, None, None).unwrap();
        assert_eq!((newest.revision, newest.compacted), (8, Some(5)));
        assert_eq!(hash(&file, Some(8), None).unwrap(), newest);
    }

    #[test]
    fn an_empty_store_is_at_revision_one() {
        let empty = HashKv { hash: crc32c::crc32c(b"key"), revision: 1, compacted: None, newest: 1 };
        assert_eq!(hash(&store(&[], None), None, None).unwrap(), empty);
    }
}
