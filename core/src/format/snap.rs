//! A `.snap` file: a snapshot of raft's own state, with the old store in it.
//!
//! The name is `TERM-INDEX.snap`, each of 16 hex digits.
//!
//! | message | fields |
//! | ------- | --- |
//! | file | 1 uint32 CRC-32C of field 2; 2 bytes snapshot |
//! | snapshot | 1 bytes old store, JSON; 2 message metadata |
//! | metadata | 1 message who votes, 2 uint64 index, 3 uint64 term |
//! | who votes | 1, 2, 3, 4 repeated uint64: voters, learners, voters of the configuration that is left, learners after it; 5 bool |
//!
//! etcd takes a sum of 0 and empty data for damage. Source: etcd's `server/etcdserver/api/snap/snapshotter.go` and raft's
//! `raftpb/raft.proto`.

use std::io::Read;
use std::path::Path;

use super::problem::{FileFlaw, Place, Problem, Result};
use super::proto::{Content, Field, Malformed, Message, fields};
use super::schema::ConfState;
use super::wal;
use crate::id::MemberId;

/// The largest file that is read; it has a few kB for each member, and more only where the old store was used.
const LARGEST: u64 = 64 << 20;
/// How many members raft may have; etcd has seven at most.
const MOST_VOTERS: usize = 100;

/// Damage to a `.snap` file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file is larger than any that is read.
    #[error("it has {length} bytes; at most {most} are read")]
    TooLarge {
        /// The length of the file.
        length: u64,
        /// The most that is read.
        most: u64,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// The checksum is wrong.
    #[error("its checksum is {found:08x}, and should be {expected:08x}")]
    Checksum {
        /// The checksum in the file.
        expected: u32,
        /// That of its data.
        found: u32,
    },
    /// It is no message.
    #[error("it cannot be read")]
    Message(#[source] Malformed),
    /// Its name tells another index or term than its content.
    #[error("its name says term {} and index {}, and it holds term {} and index {}", named.0, named.1, held.0, held.1)]
    Name {
        /// Term and index of the name.
        named: (u64, u64),
        /// Term and index of the content.
        held: (u64, u64),
    },
    /// The old store is no JSON, or another one.
    #[error("the old store in it cannot be read")]
    Store(#[source] serde_json::Error),
    /// A part of the old store is not what etcd writes.
    #[error("{path} of the old store is not what etcd writes")]
    Node {
        /// The path in the old store.
        path: String,
    },
}

impl Flaw {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Flaw::TooLarge { .. } => "too_large",
            Flaw::Store(_) | Flaw::Node { .. } => "old_store_damaged",
            _ => "snap_damaged",
        }
    }
}

/// A `.snap` file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snap {
    /// The term of the last entry that it has.
    pub term: u64,
    /// The index of that entry.
    pub index: u64,
    /// Who votes.
    pub conf_state: ConfState,
    /// The old store, as JSON; [`super::v2`] reads it.
    pub store: Vec<u8>,
}

impl Snap {
    /// Reads a file, and checks it against its name where that has the usual form.
    ///
    /// # Errors
    /// It cannot be read, or it is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |source| Problem::new(Place::file(path), FileFlaw::Read(source));
        let wrong = |flaw: Flaw| Problem::new(Place::file(path), flaw);
        let meta = std::fs::metadata(path).map_err(failed)?;
        if !meta.is_file() {
            return Err(Problem::new(Place::file(path), FileFlaw::NotAFile));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST {
            return Err(wrong(Flaw::TooLarge { length: meta.len(), most: LARGEST }));
        }
        let snap = Self::parse(&bytes).map_err(wrong)?;
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| wal::parse_name(name, ".snap"));
        match name {
            Some(named) if named != (snap.term, snap.index) => {
                Err(wrong(Flaw::Name { named, held: (snap.term, snap.index) }))
            }
            _ => Ok(snap),
        }
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// It is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let (mut crc, mut data) = (0, &[][..]);
        read(bytes, |field| {
            match field.number {
                1 => crc = u32::try_from(field.unsigned()?).map_err(|_| Malformed::TooLong)?,
                2 => data = field.bytes()?,
                _ => {}
            }
            Ok(())
        })?;
        if data.is_empty() || crc == 0 {
            return Err(Flaw::Empty);
        }
        let found = crc32c::crc32c(data);
        if found != crc {
            return Err(Flaw::Checksum { expected: crc, found });
        }
        let mut snap = Snap::default();
        read(data, |field| {
            match field.number {
                1 => snap.store = field.bytes()?.to_vec(),
                2 => snap.metadata(field.bytes()?)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(snap)
    }

    /// Returns the content of a file.
    pub fn write(&self) -> Vec<u8> {
        let metadata = Message::default().bytes(1, &write_conf_state(&self.conf_state));
        let metadata = metadata.number(2, self.index).number(3, self.term).done();
        let data = Message::default().bytes(1, &self.store).bytes(2, &metadata).done();
        Message::default().number(1, u64::from(crc32c::crc32c(&data))).bytes(2, &data).done()
    }

    /// Returns the name that its file has.
    pub fn name(&self) -> String {
        format!("{:016x}-{:016x}.snap", self.term, self.index)
    }

    fn metadata(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                1 => self.conf_state = read_conf_state(field.bytes()?)?,
                2 => self.index = field.unsigned()?,
                3 => self.term = field.unsigned()?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn read<'b>(bytes: &'b [u8], mut take: impl FnMut(Field<'b>) -> Result<(), Malformed>) -> Result<(), Flaw> {
    fields(bytes).try_for_each(|field| take(field?)).map_err(Flaw::Message)
}

/// Reads who votes.
pub(super) fn read_conf_state(bytes: &[u8]) -> Result<ConfState, Malformed> {
    let mut state = ConfState::default();
    for field in fields(bytes) {
        let field = field?;
        match field.number {
            1 => ids(&mut state.voters, field)?,
            2 => ids(&mut state.learners, field)?,
            3 => ids(&mut state.voters_outgoing, field)?,
            4 => ids(&mut state.learners_next, field)?,
            5 => state.auto_leave = field.unsigned()? != 0,
            _ => {}
        }
    }
    Ok(state)
}

/// Writes who votes.
pub(super) fn write_conf_state(state: &ConfState) -> Vec<u8> {
    let lists = [(1, &state.voters), (2, &state.learners), (3, &state.voters_outgoing), (4, &state.learners_next)];
    let ids = lists.into_iter().flat_map(|(field, ids)| ids.iter().map(move |id| (field, id.0)));
    let message = ids.fold(Message::default(), |message, (field, id)| message.number(field, id));
    message.number(5, u64::from(state.auto_leave)).done()
}

/// Takes an id: one in a field, as etcd writes it; other writers of protobuf may put several into one.
fn ids(into: &mut Vec<MemberId>, field: Field<'_>) -> Result<(), Malformed> {
    if let Content::Number(id) = field.content {
        into.push(MemberId(id));
    } else {
        let mut rest = field.bytes()?;
        while !rest.is_empty() && into.len() < MOST_VOTERS {
            let (id, after) = super::proto::varint(rest)?;
            into.push(MemberId(id));
            rest = after;
        }
    }
    if into.len() < MOST_VOTERS { Ok(()) } else { Err(Malformed::TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of `{}`, the voters 1 and 2, index 9, term 3.
    const DATA: &[u8] = b"\x0a\x02{}\x12\x0c\x0a\x06\x08\x01\x08\x02\x28\x00\x10\x09\x18\x03";

    fn sample() -> Snap {
        let conf_state = ConfState { voters: vec![MemberId(1), MemberId(2)], ..ConfState::default() };
        Snap { term: 3, index: 9, conf_state, store: b"{}".to_vec() }
    }

    #[test]
    fn a_snap_file_is_read() {
        let file = sample().write();
        assert!(file.ends_with(DATA), "{file:?}");
        assert_eq!(Snap::parse(&file).unwrap(), sample());
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, &file).unwrap();
            Snap::read(&path).map(|_| ()).map_err(|problem| problem.flaw().to_string())
        };
        assert_eq!(named(&sample().name()), Ok(()));
        assert_eq!(named("a copy"), Ok(()));
        let other = "its name says term 3 and index 10, and it holds term 3 and index 9";
        assert_eq!(named("0000000000000003-000000000000000a.snap"), Err(other.to_owned()));
    }

    #[test]
    fn several_ids_in_one_field_are_read_too() {
        let state = read_conf_state(b"\x0a\x03\x01\xac\x02\x10\x05").unwrap();
        assert_eq!((state.voters, state.learners), (vec![MemberId(1), MemberId(300)], vec![MemberId(5)]));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_seen() {
        let whole = sample().write();
        for length in 0..whole.len() {
            assert!(Snap::parse(&whole[..length]).is_err(), "{length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Snap::parse(&flipped).is_err(), "bit {bit}");
        }
    }
}
