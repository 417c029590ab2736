//! One row of the store: one change of one key.
//!
//! | offset in key | bytes | field |
//! | ------------- | ----- | --- |
//! | 0  | 8 | main revision, big-endian: the transaction |
//! | 8  | 1 | `_` |
//! | 9  | 8 | sub-revision, big-endian: the change within it |
//! | 17 | 1 | `t` where the key is deleted; otherwise the row's key ends before |
//!
//! | field of value | type | |
//! | -------------- | ---- | --- |
//! | 1 | bytes | the user's key |
//! | 2 | int64 | revision that created the key |
//! | 3 | int64 | revision of this change |
//! | 4 | int64 | how often the key was put since it was created |
//! | 5 | bytes | the user's value |
//! | 6 | int64 | lease, or 0 |
//!
//! The order of the bytes is the order of revisions. A deletion's value has field 1 only; a row that `--bump-revision` made has an
//! empty value. Source: etcd's `server/storage/mvcc/revision.go` and `api/mvccpb/kv.proto`.

use crate::format::proto::{Malformed, fields};

const MAIN: std::ops::Range<usize> = 0..8;
const SEPARATOR_AT: usize = 8;
const SUB: std::ops::Range<usize> = 9..17;
const TOMBSTONE_AT: usize = 17;
const PUT_LENGTH: usize = 17;
const TOMBSTONE_LENGTH: usize = 18;

/// Why a row of the store is none that etcd writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The row's key is no revision.
    #[error("the key of the row is no revision: {0}")]
    Key(String),
    /// A revision is negative.
    #[error("the revision {0} is negative")]
    Negative(Rev),
    /// The value is no message.
    #[error("the value of revision {rev} cannot be read")]
    Value {
        /// The row's revision.
        rev: Rev,
        /// Why.
        #[source]
        source: Malformed,
    },
    /// The value belongs to another row.
    #[error("the value of revision {rev} says that it is of revision {found}")]
    OtherRevision {
        /// The row's revision.
        rev: Rev,
        /// The one in the value.
        found: i64,
    },
    /// The key was created after it was changed, or at no revision.
    #[error("revision {rev} is of a key that was created at revision {created}")]
    Created {
        /// The row's revision.
        rev: Rev,
        /// The one at which the key was created.
        created: i64,
    },
    /// The version of a key does not fit its revisions.
    #[error("revision {rev} is version {version} of a key that was created at revision {created}")]
    Version {
        /// The row's revision.
        rev: Rev,
        /// The version.
        version: i64,
        /// The revision at which the key was created.
        created: i64,
    },
    /// A deletion holds more than the key.
    #[error("the deletion at revision {0} holds more than the key")]
    Tombstone(Rev),
    /// The revision asked for is not in the store any longer.
    #[error("revision {asked} is compacted; the oldest one is {compacted}")]
    Compacted {
        /// The revision that was asked for.
        asked: i64,
        /// The revision that the store is compacted to.
        compacted: i64,
    },
    /// The revision asked for is not in the store yet.
    #[error("revision {asked} is none yet; the newest one is {newest}")]
    Future {
        /// The revision that was asked for.
        asked: i64,
        /// The newest one.
        newest: i64,
    },
}

impl Flaw {
    pub(in crate::format) fn code(&self) -> &'static str {
        match self {
            Flaw::Compacted { .. } => "compacted",
            Flaw::Future { .. } => "future_revision",
            _ => "row_damaged",
        }
    }
}

/// A revision with its part: a transaction, and a change within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rev {
    /// The transaction.
    pub main: i64,
    /// The change within it.
    pub sub: i64,
}

impl std::fmt::Display for Rev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.sub == 0 { self.main.fmt(f) } else { write!(f, "{}.{}", self.main, self.sub) }
    }
}

impl Rev {
    /// Returns the key of a row that puts something at this revision.
    pub fn key(self) -> Vec<u8> {
        [&self.main.to_be_bytes()[..], b"_", &self.sub.to_be_bytes()].concat()
    }
}

/// The key of a row: which change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Its revision.
    pub rev: Rev,
    /// Whether it deletes the key.
    pub is_tombstone: bool,
}

impl Change {
    /// Reads the key of a row.
    ///
    /// # Errors
    /// It is no revision.
    pub fn read(key: &[u8]) -> Result<Self, Flaw> {
        let number = |at: std::ops::Range<usize>| {
            let bytes = key.get(at).and_then(<[u8]>::first_chunk::<8>);
            bytes.map(|bytes| u64::from_be_bytes(*bytes).cast_signed())
        };
        let mark = key.get(TOMBSTONE_AT);
        let is_tombstone = key.len() == TOMBSTONE_LENGTH && mark == Some(&b't');
        let is_whole = (key.len() == PUT_LENGTH || is_tombstone) && key.get(SEPARATOR_AT) == Some(&b'_');
        let (Some(main), Some(sub), true) = (number(MAIN), number(SUB), is_whole) else {
            return Err(Flaw::Key(crate::format::problem::shown(key)));
        };
        let rev = Rev { main, sub };
        if main < 0 || sub < 0 { Err(Flaw::Negative(rev)) } else { Ok(Change { rev, is_tombstone }) }
    }

    /// Reads the value that belongs to it, and checks that it does.
    ///
    /// # Errors
    /// It is damaged, or it is of another row.
    pub fn value<'v>(&self, value: &'v [u8]) -> Result<KeyValue<'v>, Flaw> {
        let rev = self.rev;
        let pair = KeyValue::read(value).map_err(|source| Flaw::Value { rev, source })?;
        // The row that a bump of the revision made.
        if value.is_empty() && !self.is_tombstone {
            return Ok(pair);
        }
        if self.is_tombstone {
            let alone = KeyValue { key: pair.key, ..KeyValue::default() };
            return if pair == alone { Ok(pair) } else { Err(Flaw::Tombstone(rev)) };
        }
        let KeyValue { created, modified, version, .. } = pair;
        if modified != rev.main {
            return Err(Flaw::OtherRevision { rev, found: modified });
        }
        if !(1..=modified).contains(&created) {
            return Err(Flaw::Created { rev, created });
        }
        // A key is put once in a transaction at most, so it has no more versions than revisions since then.
        if !(1..=modified - created + 1).contains(&version) || (version == 1) != (created == modified) {
            return Err(Flaw::Version { rev, version, created });
        }
        Ok(pair)
    }
}

/// The value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyValue<'v> {
    /// The user's key.
    pub key: &'v [u8],
    /// The revision that created the key.
    pub created: i64,
    /// The revision of this change.
    pub modified: i64,
    /// How often the key was put since it was created.
    pub version: i64,
    /// The user's value.
    pub value: &'v [u8],
    /// The lease that the key is bound to, or 0.
    pub lease: i64,
}

impl<'v> KeyValue<'v> {
    /// Reads the value of a row. Fields that are not known are passed over, as etcd does.
    ///
    /// # Errors
    /// It is no message.
    pub fn read(value: &'v [u8]) -> Result<Self, Malformed> {
        let mut pair = KeyValue::default();
        for field in fields(value) {
            let field = field?;
            match field.number {
                1 => pair.key = field.bytes()?,
                2 => pair.created = field.signed()?,
                3 => pair.modified = field.signed()?,
                4 => pair.version = field.signed()?,
                5 => pair.value = field.bytes()?,
                6 => pair.lease = field.signed()?,
                _ => {}
            }
        }
        Ok(pair)
    }
}

impl KeyValue<'_> {
    /// Returns how many bytes etcd writes for it.
    pub fn length(&self) -> u64 {
        let number = |number: i64| if number == 0 { 0 } else { 1 + varint_length(number.cast_unsigned()) };
        let text = |text: &[u8]| match text.len() as u64 {
            0 => 0,
            length => 1 + varint_length(length) + length,
        };
        let numbers = number(self.created) + number(self.modified) + number(self.version) + number(self.lease);
        text(self.key) + text(self.value) + numbers
    }
}

/// Returns how many bytes a number takes in a message, seven bits in each.
fn varint_length(number: u64) -> u64 {
    u64::from((u64::BITS - (number | 1).leading_zeros()).div_ceil(7))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers of tests are small")]
pub(crate) mod tests {
    use super::*;
    use rstest::rstest;

    pub(crate) fn row_key(main: i64, sub: i64, tombstone: bool) -> Vec<u8> {
        let mark: &[u8] = if tombstone { b"t" } else { b"" };
        [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes(), mark].concat()
    }

    /// Writes the value of a row as etcd does: fields that are zero are left out.
    pub(crate) fn row_value(pair: &KeyValue<'_>) -> Vec<u8> {
        let mut bytes = vec![0x0a];
        varint(&mut bytes, pair.key.len() as u64);
        bytes.extend(pair.key);
        let numbers = [(0x10, pair.created), (0x18, pair.modified), (0x20, pair.version), (0x30, pair.lease)];
        let mut numbers = numbers.into_iter().filter(|(_, number)| *number != 0).peekable();
        while let Some((tag, number)) = numbers.next_if(|(tag, _)| *tag < 0x2a) {
            bytes.push(tag);
            varint(&mut bytes, number as u64);
        }
        if !pair.value.is_empty() {
            bytes.push(0x2a);
            varint(&mut bytes, pair.value.len() as u64);
            bytes.extend(pair.value);
        }
        if let Some((tag, number)) = numbers.next() {
            bytes.push(tag);
            varint(&mut bytes, number as u64);
        }
        bytes
    }

    fn varint(bytes: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    #[test]
    fn the_example_of_a_revision_is_read() {
        let key = b"\0\0\0\0\0\0\0\x4d_\0\0\0\0\0\0\0\0";
        let rev = Rev { main: 77, sub: 0 };
        assert_eq!(Change::read(key), Ok(Change { rev, is_tombstone: false }));
        assert_eq!(rev.key(), key);
        assert_eq!(Change::read(&row_key(77, 0, true)), Ok(Change { rev, is_tombstone: true }));
        assert_eq!([rev, Rev { main: 7, sub: 2 }].map(|rev| rev.to_string()), ["77", "7.2"]);
    }

    #[rstest]
    #[case(b"")]
    #[case(b"\0\0\0\0\0\0\0\x4d_\0\0\0\0\0\0\0")]
    #[case(b"\0\0\0\0\0\0\0\x4d-\0\0\0\0\0\0\0\0")]
    #[case(b"\0\0\0\0\0\0\0\x4d_\0\0\0\0\0\0\0\0u")]
    #[case(b"\0\0\0\0\0\0\0\x4d_\0\0\0\0\0\0\0\0tt")]
    #[case(b"\xff\0\0\0\0\0\0\x4d_\0\0\0\0\0\0\0\0")]
    #[case(b"\0\0\0\0\0\0\0\x4d_\xff\0\0\0\0\0\0\0")]
    fn what_is_no_revision_is_refused(#[case] key: &[u8]) {
        assert!(Change::read(key).is_err());
    }

    #[test]
    fn the_length_is_that_of_the_message() {
        for pair in [GOOD, KeyValue::default(), KeyValue { lease: 0, value: b"", ..GOOD }] {
            let written = if pair.key.is_empty() { Vec::new() } else { row_value(&pair) };
            assert_eq!(pair.length(), written.len() as u64, "{pair:?}");
        }
        assert_eq!([0, 127, 128, 1 << 14, u64::MAX].map(varint_length), [1, 1, 2, 3, 10]);
    }

    const GOOD: KeyValue<'_> = KeyValue { key: b"a", created: 5, modified: 7, version: 2, value: b"v", lease: 9 };

    #[test]
    fn a_value_is_read_back_and_belongs_to_its_row() {
        let change = Change { rev: Rev { main: 7, sub: 0 }, is_tombstone: false };
        assert_eq!(change.value(&row_value(&GOOD)), Ok(GOOD));
        assert_eq!(change.value(b""), Ok(KeyValue::default()));
        let deleted = Change { is_tombstone: true, ..change };
        assert_eq!(deleted.value(b"\x0a\x01a"), Ok(KeyValue { key: b"a", ..KeyValue::default() }));
        let told = |change: Change, value: &[u8]| format!("{}\n", change.value(value).unwrap_err());
        let wrong = [
            KeyValue { modified: 8, ..GOOD },
            KeyValue { created: 8, ..GOOD },
            KeyValue { created: 0, ..GOOD },
            KeyValue { version: 0, ..GOOD },
            KeyValue { version: 4, ..GOOD },
            KeyValue { version: 1, ..GOOD },
        ];
        let mut told_of: String = wrong.iter().map(|pair| told(change, &row_value(pair))).collect();
        told_of.push_str(&told(deleted, &row_value(&GOOD)));
        told_of.push_str(&told(change, b"\x0a\x05a"));
        insta::assert_snapshot!(told_of, @r"
        the value of revision 7 says that it is of revision 8
        revision 7 is of a key that was created at revision 8
        revision 7 is of a key that was created at revision 0
        revision 7 is version 0 of a key that was created at revision 5
        revision 7 is version 4 of a key that was created at revision 5
        revision 7 is version 1 of a key that was created at revision 5
        the deletion at revision 7 holds more than the key
        the value of revision 7 cannot be read
        ");
    }
}
