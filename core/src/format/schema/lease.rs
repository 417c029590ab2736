//! The bucket `lease`. The key is the lease's id, 8 bytes big-endian; the value is a message.
//!
//! | field | type | |
//! | ----- | ---- | --- |
//! | 1 | int64 | id |
//! | 2 | int64 | time to live that was granted, in seconds |
//! | 3 | int64 | what remained of it at the last checkpoint, in seconds; 0 for all of it |
//!
//! When a lease ends is not written: that is counted from the moment when a leader begins to lead. Source: etcd's
//! `server/lease/leasepb/lease.proto`.

use super::flaw::{Flaw, message, number};
use crate::format::proto::{Malformed, fields};
use crate::id::LeaseId;

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The time to live that was granted, in seconds.
    pub ttl: i64,
    /// What remained of it at the last checkpoint, in seconds; 0 for all of it.
    pub remaining: i64,
}

impl Lease {
    /// The name of the bucket.
    pub const BUCKET: &[u8] = b"lease";

    /// Reads a row of the bucket.
    ///
    /// # Errors
    /// It is damaged, or its value is of another lease.
    pub fn read(key: &[u8], value: &[u8]) -> Result<Self, Flaw> {
        let id = LeaseId(number("the id of the lease", key)?);
        let (mut found, mut ttl, mut remaining) = (0, 0, 0);
        let mut read = || -> Result<(), Malformed> {
            for field in fields(value) {
                let field = field?;
                match field.number {
                    1 => found = field.unsigned()?,
                    2 => ttl = field.signed()?,
                    3 => remaining = field.signed()?,
                    _ => {}
                }
            }
            Ok(())
        };
        read().map_err(message("the lease"))?;
        if found != id.0 {
            return Err(Flaw::Mismatch { key: id.to_string(), found: LeaseId(found).to_string() });
        }
        Ok(Lease { id, ttl, remaining })
    }
}
