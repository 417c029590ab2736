//! The beginning of a log, as etcd writes it. What follows it in the file is zero.

use super::frame::Frame;
use super::item::Item;
use crate::format::proto::Message;

/// Records behind each other.
#[derive(Debug, Default)]
pub struct Writer {
    crc: u32,
    bytes: Vec<u8>,
}

impl Writer {
    /// Puts a record behind all others. A checksum is the one of all records before it, whatever it says.
    pub fn put(&mut self, item: &Item<'_>) {
        let (kind, data) = item.write();
        self.record(kind, data.as_deref());
    }

    /// Puts a record of any kind behind all others.
    pub(super) fn record(&mut self, kind: u64, data: Option<&[u8]>) {
        self.crc = crc32c::crc32c_append(self.crc, data.unwrap_or_default());
        let record = Message::default().number(1, kind).number(2, u64::from(self.crc));
        let record = data.map_or_else(|| record.clone(), |data| record.clone().bytes(3, data)).done();
        self.bytes.extend(Frame::of(record.len()).write());
        self.bytes.extend(record);
        self.bytes.resize(self.bytes.len().next_multiple_of(super::frame::FRAME), 0);
    }

    /// Returns what was written so far, and goes on with the next file.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
