//! One record of a log in its frame.
//!
//! | offset | bytes | field |
//! | ------ | ----- | --- |
//! | 0 | 7 | length of the record, little-endian |
//! | 7 | 1 | 0x80 and the number of bytes that fill it up to a multiple of 8, or 0 for none |
//! | 8 | length | the record |
//! | 8 + length | 0 to 7 | zeros |
//!
//! A frame of zero is the end of a file's data: etcd makes files longer than what is in them.
//!
//! | field of a record | type | |
//! | ----------------- | ---- | --- |
//! | 1 | int64 | kind: 1 metadata, 2 entry, 3 hard state, 4 checksum, 5 snapshot |
//! | 2 | uint32 | CRC-32C of the data of all records up to this one |
//! | 3 | bytes | data |
//!
//! Source: etcd's `server/storage/wal/encoder.go`, `decoder.go` and `walpb/record.proto`.

use super::flaw::{Flaw, message};
use crate::format::proto::{Malformed, fields};

/// The length of what precedes a record.
pub(super) const FRAME: usize = 8;
/// Which bits of a frame are the length.
const LENGTH_BITS: u64 = (1 << 56) - 1;
/// The longest record that is read: etcd warns of requests above 10 MiB.
pub(super) const LONGEST: u64 = 64 << 20;
/// What a disk writes at once: a record that was not written to its end has one of these that is all zero.
const SECTOR: u64 = 512;

/// How long a record is, and how many bytes fill it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u64,
    pub(super) padding: u64,
}

impl Frame {
    /// Reads a frame; `None` is the end of the data.
    pub(super) fn read(bytes: [u8; FRAME]) -> Option<Self> {
        let field = u64::from_le_bytes(bytes);
        let padding = if field >> 63 == 1 { field >> 56 & 0x7 } else { 0 };
        (field != 0).then_some(Frame { length: field & LENGTH_BITS, padding })
    }

    /// Makes the frame of a record of so many bytes.
    pub(super) fn of(record: usize) -> Self {
        let padding = record.next_multiple_of(FRAME) - record;
        Frame { length: record as u64, padding: padding as u64 }
    }

    pub(super) fn write(self) -> [u8; FRAME] {
        let flag = if self.padding > 0 { (0x80 | self.padding) << 56 } else { 0 };
        (self.length | flag).to_le_bytes()
    }
}

/// A record, not yet understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw<'r> {
    pub(super) kind: u64,
    pub(super) crc: u32,
    pub(super) data: &'r [u8],
}

impl<'r> Raw<'r> {
    pub(super) fn read(record: &'r [u8]) -> Result<Self, Flaw> {
        let mut raw = Raw { kind: 0, crc: 0, data: &[] };
        let mut read = || -> Result<(), Malformed> {
            for field in fields(record) {
                let field = field?;
                match field.number {
                    1 => raw.kind = field.unsigned()?,
                    2 => raw.crc = u32::try_from(field.unsigned()?).map_err(|_| Malformed::TooLong)?,
                    3 => raw.data = field.bytes()?,
                    _ => {}
                }
            }
            Ok(())
        };
        read().map_err(message("the record")).map(|()| raw)
    }
}

/// Says whether a record that begins at an offset lacks a whole sector, as one does that was not written to its end.
pub(super) fn lacks_a_sector(record: &[u8], offset: u64) -> bool {
    let first = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(0).min(record.len());
    let (head, rest) = record.split_at(first);
    let sector = usize::try_from(SECTOR).unwrap_or(usize::MAX);
    std::iter::once(head).chain(rest.chunks(sector)).any(|part| part.iter().all(|byte| *byte == 0))
}
