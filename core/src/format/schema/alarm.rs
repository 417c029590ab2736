//! The bucket `alarm`. The key is a message, and the value is empty.
//!
//! | field | type | |
//! | ----- | ---- | --- |
//! | 1 | uint64 | member |
//! | 2 | enum | 0 none, 1 no space, 2 corrupt |
//!
//! Source: etcd's `api/etcdserverpb/rpc.proto`, `AlarmMember`.

use super::flaw::{Flaw, message};
use crate::format::proto::{Malformed, fields};
use crate::id::MemberId;

/// An alarm that was raised and not disarmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// The member that it is about.
    pub member: MemberId,
    /// What it is about.
    pub kind: AlarmKind,
}

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// Nothing; etcd does not write it.
    None,
    /// The member has no space left.
    NoSpace,
    /// The member's data is corrupt.
    Corrupt,
}

impl Alarm {
    /// Reads a row's key.
    ///
    /// # Errors
    /// It is none that etcd writes.
    pub fn read(key: &[u8]) -> Result<Self, Flaw> {
        let (mut member, mut kind) = (0, 0);
        let mut read = || -> Result<(), Malformed> {
            for field in fields(key) {
                let field = field?;
                match field.number {
                    1 => member = field.unsigned()?,
                    2 => kind = field.unsigned()?,
                    _ => {}
                }
            }
            Ok(())
        };
        read().map_err(message("the alarm"))?;
        let kind = match kind {
            0 => AlarmKind::None,
            1 => AlarmKind::NoSpace,
            2 => AlarmKind::Corrupt,
            found => return Err(Flaw::Unknown { what: "the kind of the alarm", found }),
        };
        Ok(Alarm { member: MemberId(member), kind })
    }
}
