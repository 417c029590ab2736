//! What the records of a log say.
//!
//! | message | fields |
//! | ------- | --- |
//! | metadata | 1 uint64 member, 2 uint64 cluster |
//! | entry | 1 enum kind: 0 normal, 1 change of members, 2 several; 2 uint64 term; 3 uint64 index; 4 bytes data |
//! | hard state | 1 uint64 term, 2 uint64 vote, 3 uint64 commit |
//! | snapshot | 1 uint64 index, 2 uint64 term, 3 who votes |
//! | change of members | 1 uint64 id, 2 enum kind: 0 add, 1 remove, 2 update, 3 add learner; 3 uint64 member; 4 its JSON |
//!
//! Source: raft's `raftpb/raft.proto`, etcd's `walpb/record.proto` and `etcdserverpb/etcdserver.proto`.

use super::flaw::{Flaw, message};
use super::frame::{FRAME, Frame, Raw};
use crate::format::proto::{Field, Malformed, Message, fields};
use crate::format::schema::ConfState;
use crate::format::snap::{read_conf_state, write_conf_state};
use crate::id::{ClusterId, MemberId};
use crate::member::Member;

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'r> {
    /// Whose log it is; the second record of each file.
    Metadata(Metadata),
    /// Something that raft decided, or was about to.
    Entry(Entry<'r>),
    /// How far raft is; the last one counts.
    HardState(HardState),
    /// The checksum of all data before; the first record of each file.
    Checksum(u32),
    /// A snapshot was taken.
    Snapshot(Snapshot),
}

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
}

/// Something that raft decided, or was about to: what is above the commit of the hard state may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'r> {
    /// What its data is.
    pub kind: EntryKind,
    /// The term in which it was proposed.
    pub term: u64,
    /// Its place in the log; an entry with an index that was there before replaces that one and all above.
    pub index: u64,
    /// Its data: a request, a change of members, or nothing where a leader began to lead.
    pub data: &'r [u8],
}

/// What the data of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A request of a client or of etcd itself.
    Normal,
    /// A change of members.
    Change,
    /// Several changes of members.
    Changes,
}

/// How far raft is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The term.
    pub term: u64,
    /// Whom the member voted for, or 0.
    pub vote: u64,
    /// Up to which index entries are decided.
    pub commit: u64,
}

/// A snapshot was taken; it is valid where the hard state commits its index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The index up to which it has everything.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Who votes; missing before 3.5.
    pub conf_state: Option<ConfState>,
}

/// A change of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub kind: ChangeKind,
    /// The member that it happens to.
    pub member: MemberId,
    /// The member as it is told, where it is.
    pub told: Option<Member>,
}

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It becomes a voter.
    Add,
    /// It is removed.
    Remove,
    /// Its URLs change.
    Update,
    /// It becomes a learner.
    AddLearner,
}

/// Finds out whose log begins like this; etcd writes it before anything but a checksum. Nothing is said where it is cut or damaged.
pub fn metadata_of(head: &[u8]) -> Option<Metadata> {
    let mut rest = head;
    loop {
        let (frame, after) = rest.split_first_chunk::<FRAME>()?;
        let Frame { length, padding } = Frame::read(*frame)?;
        let record = after.get(..usize::try_from(length).ok()?)?;
        if let Item::Metadata(found) = Item::read(Raw::read(record).ok()?).ok()? {
            // A field that is zero may be missing; no id is zero.
            return Some(found).filter(|found| found.member.0 != 0 && found.cluster.0 != 0);
        }
        rest = after.get(usize::try_from(length.checked_add(padding)?).ok()?..)?;
    }
}

impl<'r> Item<'r> {
    pub(super) fn read(raw: Raw<'r>) -> Result<Self, Flaw> {
        match raw.kind {
            1 => metadata(raw.data).map(Item::Metadata),
            2 => entry(raw.data).map(Item::Entry),
            3 => hard_state(raw.data).map(Item::HardState),
            4 => Ok(Item::Checksum(raw.crc)),
            5 => snapshot(raw.data).map(Item::Snapshot),
            found => Err(Flaw::Kind { what: "the record", found }),
        }
    }

    /// Returns its kind, and its data as etcd writes them; a checksum has none.
    pub(super) fn write(&self) -> (u64, Option<Vec<u8>>) {
        let message = Message::default();
        let (kind, message) = match self {
            Item::Metadata(Metadata { member, cluster }) => (1, message.number(1, member.0).number(2, cluster.0)),
            Item::Entry(Entry { kind, term, index, data }) => {
                let kind = match kind {
                    EntryKind::Normal => 0,
                    EntryKind::Change => 1,
                    EntryKind::Changes => 2,
                };
                let message = message.number(1, kind).number(2, *term).number(3, *index);
                (2, if data.is_empty() { message } else { message.bytes(4, data) })
            }
            Item::HardState(HardState { term, vote, commit }) => {
                (3, message.number(1, *term).number(2, *vote).number(3, *commit))
            }
            Item::Checksum(_) => return (4, None),
            Item::Snapshot(Snapshot { index, term, conf_state }) => {
                let message = message.number(1, *index).number(2, *term);
                let state = conf_state.as_ref().map(write_conf_state);
                (5, state.map_or_else(|| message.clone(), |state| message.clone().bytes(3, &state)))
            }
        };
        (kind, Some(message.done()))
    }

    /// Returns the word for its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Item::Metadata(_) => "metadata",
            Item::Entry(_) => "entry",
            Item::HardState(_) => "hard_state",
            Item::Checksum(_) => "checksum",
            Item::Snapshot(_) => "snapshot",
        }
    }
}

impl Change {
    /// Returns the data of an entry that makes the change, with the id that etcd gives it when it writes a log itself: none.
    pub fn write(&self) -> Vec<u8> {
        let kind = match self.kind {
            ChangeKind::Add => 0,
            ChangeKind::Remove => 1,
            ChangeKind::Update => 2,
            ChangeKind::AddLearner => 3,
        };
        let message = Message::default().number(1, 0).number(2, kind).number(3, self.member.0);
        match &self.told {
            Some(member) => message.bytes(4, member.to_json().as_bytes()).done(),
            None => message.done(),
        }
    }
}

impl Entry<'_> {
    /// Returns the change of members that it makes, if it makes one.
    ///
    /// # Errors
    /// Its data cannot be read.
    pub fn change(&self) -> Result<Option<Change>, Flaw> {
        if self.kind != EntryKind::Change {
            return Ok(None);
        }
        let (mut kind, mut member, mut told) = (0, 0, None);
        read("the change of members", self.data, |field| {
            match field.number {
                2 => kind = field.unsigned()?,
                3 => member = field.unsigned()?,
                4 => told = Some(field.bytes()?).filter(|json| !json.is_empty()),
                _ => {}
            }
            Ok(())
        })?;
        let kind = match kind {
            0 => ChangeKind::Add,
            1 => ChangeKind::Remove,
            2 => ChangeKind::Update,
            3 => ChangeKind::AddLearner,
            found => return Err(Flaw::Kind { what: "the change of members", found }),
        };
        let told = told.map(Member::from_json).transpose().map_err(Flaw::Member)?;
        Ok(Some(Change { kind, member: MemberId(member), told }))
    }
}

fn metadata(data: &[u8]) -> Result<Metadata, Flaw> {
    let (mut member, mut cluster) = (0, 0);
    read("the metadata", data, |field| {
        match field.number {
            1 => member = field.unsigned()?,
            2 => cluster = field.unsigned()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Metadata { member: MemberId(member), cluster: ClusterId(cluster) })
}

fn entry(data: &[u8]) -> Result<Entry<'_>, Flaw> {
    let (mut kind, mut entry) = (0, Entry { kind: EntryKind::Normal, term: 0, index: 0, data: &[] });
    read("the entry", data, |field| {
        match field.number {
            1 => kind = field.unsigned()?,
            2 => entry.term = field.unsigned()?,
            3 => entry.index = field.unsigned()?,
            4 => entry.data = field.bytes()?,
            _ => {}
        }
        Ok(())
    })?;
    entry.kind = match kind {
        0 => EntryKind::Normal,
        1 => EntryKind::Change,
        2 => EntryKind::Changes,
        found => return Err(Flaw::Kind { what: "the entry", found }),
    };
    Ok(entry)
}

fn hard_state(data: &[u8]) -> Result<HardState, Flaw> {
    let mut state = HardState::default();
    read("the hard state", data, |field| {
        match field.number {
            1 => state.term = field.unsigned()?,
            2 => state.vote = field.unsigned()?,
            3 => state.commit = field.unsigned()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(state)
}

fn snapshot(data: &[u8]) -> Result<Snapshot, Flaw> {
    let mut snapshot = Snapshot::default();
    read("the snapshot", data, |field| {
        match field.number {
            1 => snapshot.index = field.unsigned()?,
            2 => snapshot.term = field.unsigned()?,
            3 => snapshot.conf_state = Some(read_conf_state(field.bytes()?)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(snapshot)
}

fn read<'r>(
    what: &'static str,
    data: &'r [u8],
    mut take: impl FnMut(Field<'r>) -> Result<(), Malformed>,
) -> Result<(), Flaw> {
    fields(data).try_for_each(|field| take(field?)).map_err(message(what))
}
