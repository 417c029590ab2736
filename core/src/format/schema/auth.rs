//! The buckets `auth`, `authUsers` and `authRoles`.
//!
//! | key of `auth` | value |
//! | ------------- | --- |
//! | `authEnabled` | one byte, 1 or 0 |
//! | `authRevision` | 8 bytes big-endian |
//!
//! | field of a user | type | |
//! | --------------- | ---- | --- |
//! | 1 | bytes | name, which is the row's key too |
//! | 2 | bytes | password as bcrypt, which is not kept here |
//! | 3 | repeated string | roles |
//! | 4 | message | 1: bool, whether the user has no password and shows a certificate |
//!
//! | field of a role | type | |
//! | --------------- | ---- | --- |
//! | 1 | bytes | name, which is the row's key too |
//! | 2 | repeated message | 1: enum 0 read, 1 write, 2 both; 2: key; 3: end of the range |
//!
//! Source: etcd's `api/authpb/auth.proto`.

use super::flaw::{Flaw, message, text};
use crate::format::proto::{Field, Malformed, fields};

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Whether there is a password; what it is made into is not kept.
    pub has_password: bool,
    /// The roles.
    pub roles: Vec<String>,
    /// Whether the user is to show a certificate instead.
    pub no_password: bool,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// The name.
    pub name: String,
    /// What it permits.
    pub permissions: Vec<Permission>,
}

/// What a role permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What may be done.
    pub access: Access,
    /// The key, or the first key of a range.
    pub key: Vec<u8>,
    /// The end of the range; empty for one key, and one zero byte for all from `key` on.
    pub range_end: Vec<u8>,
}

crate::choice! {
    /// What may be done with keys.
    pub enum Access {
        /// They may be read.
        Read = "read",
        /// They may be written.
        Write = "write",
        /// They may be read and written.
        ReadWrite = "readwrite",
    }
}

impl Access {
    /// Reads the number that stands for it.
    pub fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Access::Read),
            1 => Some(Access::Write),
            2 => Some(Access::ReadWrite),
            _ => None,
        }
    }
}

/// Returns how much memory the roles of a user or the permissions of a role take, beside their own bytes.
pub(super) fn lists(bucket: &[u8], value: &[u8]) -> usize {
    let (number, size) = match bucket {
        b"authUsers" => (3, size_of::<String>()),
        _ => (2, size_of::<Permission>()),
    };
    let listed = fields(value).filter(|field| field.is_ok_and(|field| field.number == number));
    listed.count().saturating_mul(size)
}

impl User {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, Flaw> {
        let mut user = User::default();
        for_each("the user", value, |field| {
            match field.number {
                1 => user.name = name(key, bytes("the user", field)?)?,
                2 => user.has_password = !bytes("the user", field)?.is_empty(),
                3 => user.roles.push(text("the name of a role", bytes("the user", field)?)?),
                4 => for_each("the user", bytes("the user", field)?, |option| {
                    user.no_password |= option.number == 1 && option.unsigned().map_err(message("the user"))? != 0;
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        if user.name.is_empty() { name(key, b"").map(|_| user) } else { Ok(user) }
    }
}

impl Role {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, Flaw> {
        let mut role = Role::default();
        for_each("the role", value, |field| {
            match field.number {
                1 => role.name = name(key, bytes("the role", field)?)?,
                2 => role.permissions.push(permission(bytes("the role", field)?)?),
                _ => {}
            }
            Ok(())
        })?;
        if role.name.is_empty() { name(key, b"").map(|_| role) } else { Ok(role) }
    }
}

fn permission(value: &[u8]) -> Result<Permission, Flaw> {
    let (mut access, mut key, mut range_end) = (Access::Read, Vec::new(), Vec::new());
    for_each("the permission", value, |field| {
        match field.number {
            1 => {
                let found = field.unsigned().map_err(message("the permission"))?;
                access = Access::of(found).ok_or(Flaw::Unknown { what: "the kind of the permission", found })?;
            }
            2 => key = bytes("the permission", field)?.to_vec(),
            3 => range_end = bytes("the permission", field)?.to_vec(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Permission { access, key, range_end })
}

fn for_each<'v>(
    what: &'static str,
    value: &'v [u8],
    mut take: impl FnMut(Field<'v>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    fields(value).try_for_each(|field| take(field.map_err(message(what))?))
}

fn bytes<'v>(what: &'static str, field: Field<'v>) -> Result<&'v [u8], Flaw> {
    field.bytes().map_err(|source: Malformed| message(what)(source))
}

/// Checks that a value's name is that of its row.
fn name(key: &[u8], found: &[u8]) -> Result<String, Flaw> {
    if key != found {
        let shown = crate::format::problem::shown;
        return Err(Flaw::Mismatch { key: shown(key), found: shown(found) });
    }
    text("the name", found)
}
