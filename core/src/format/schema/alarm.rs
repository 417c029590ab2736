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
use crate::rpc::{Alarm, AlarmKind};

/// Reads a row of the bucket.
///
/// # Errors
/// It is none that etcd writes.
pub fn read(key: &[u8]) -> Result<Alarm, Flaw> {
    let (mut member, mut kind) = (0, 0);
    let mut fields_of = || -> Result<(), Malformed> {
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
    fields_of().map_err(message("the alarm"))?;
    let kind = match kind {
        1 => AlarmKind::NoSpace,
        2 => AlarmKind::Corrupt,
        found => return Err(Flaw::Unknown { what: "the kind of the alarm", found }),
    };
    Ok(Alarm { member_id: MemberId(member), kind })
}
