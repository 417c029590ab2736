//! All small records of a file, taken row by row while the file is read.

use serde::Deserialize;

use super::alarm;
use super::applied::Applied;
use super::auth::{self, Role, User};
use super::flaw::{Flaw, json, member_key, number, text};
use super::lease::Lease;
use super::member;
use crate::format::bolt::{Image, Pages, Row, Walk};
use crate::format::mvcc;
use crate::format::problem::{Problem, Result};
use crate::id::MemberId;
use crate::member::Member;
use crate::rpc::Alarm;

/// How many bytes of records are kept, and of the lists in them: hundred thousand users take less.
pub const MOST: usize = 16 << 20;

/// The records of a file, except leases, which are only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// How far the log was applied and the store compacted.
    pub applied: Applied,
    /// The version that the whole cluster had agreed on, as text.
    pub cluster_version: Option<String>,
    /// A downgrade that was under way.
    pub downgrade: Option<Downgrade>,
    /// The members.
    pub members: Vec<Member>,
    /// The members that were removed.
    pub removed: Vec<MemberId>,
    /// The alarms.
    pub alarms: Vec<Alarm>,
    /// Whether users have to log in.
    pub auth_enabled: Option<bool>,
    /// The revision of users and roles.
    pub auth_revision: Option<u64>,
    /// The users.
    pub users: Vec<User>,
    /// The roles.
    pub roles: Vec<Role>,
    /// How many leases there are.
    pub leases: u64,
    taken: usize,
}

/// A downgrade of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Downgrade {
    /// The version that it goes to.
    #[serde(rename = "target-version")]
    pub target_version: String,
    /// Whether it is under way.
    pub enabled: bool,
}

impl Records {
    /// Takes a row of any bucket but `key`.
    ///
    /// # Errors
    /// The row is none that etcd writes.
    pub fn row(&mut self, bucket: &[u8], key: &[u8], value: &[u8]) -> Result<(), Flaw> {
        if bucket == Lease::BUCKET {
            Lease::read(key, value)?;
            self.leases += 1;
            return Ok(());
        }
        // What takes two bytes in a row may take fifty as part of a list.
        let lists = match bucket {
            b"authUsers" | b"authRoles" => auth::lists(bucket, value),
            _ => value.iter().filter(|byte| **byte == b',').count().saturating_mul(size_of::<String>()),
        };
        self.taken = self.taken.saturating_add(key.len()).saturating_add(value.len()).saturating_add(lists);
        if self.taken > MOST {
            return Err(Flaw::TooMany(MOST));
        }
        match (bucket, key) {
            (b"meta", _) => self.applied.row(key, value)?,
            (b"cluster", b"clusterVersion") => self.cluster_version = Some(text("the cluster's version", value)?),
            (b"cluster", b"downgrade") => self.downgrade = Some(json("the downgrade", value)?),
            (b"members", _) => self.members.push(member::read(key, value)?),
            (b"members_removed", _) => self.removed.push(member_key(key)?),
            (b"alarm", _) => self.alarms.push(alarm::read(key)?),
            (b"auth", b"authEnabled") => self.auth_enabled = Some(flag(value)?),
            (b"auth", b"authRevision") => self.auth_revision = Some(number("the revision of users and roles", value)?),
            (b"authUsers", _) => self.users.push(User::read(key, value)?),
            (b"authRoles", _) => self.roles.push(Role::read(key, value)?),
            _ => {}
        }
        Ok(())
    }

    /// Reads the records of a file without reading its store.
    ///
    /// # Errors
    /// A page is damaged, or a record is.
    pub fn read(image: &Image) -> Result<Self> {
        let mut records = Records::default();
        let mut seen = Pages::new(image.meta().pages);
        for bucket in image.buckets()?.iter().filter(|bucket| &*bucket.name != mvcc::BUCKET) {
            let mut walk = Walk::new(image, bucket, &mut seen, None);
            while let Some(row) = walk.next_row()? {
                records.take(image, &bucket.name, &row)?;
            }
        }
        Ok(records)
    }

    /// Takes a row, and names its place where it is damaged.
    pub(crate) fn take(&mut self, image: &Image, bucket: &[u8], row: &Row<'_>) -> Result<()> {
        let place = |flaw| Problem::new(image.row_place(bucket, row), flaw);
        self.row(bucket, row.key, row.value).map_err(place)
    }
}

fn flag(value: &[u8]) -> Result<bool, Flaw> {
    match value {
        [0] => Ok(false),
        [1] => Ok(true),
        [found] => Err(Flaw::Unknown { what: "whether users have to log in", found: u64::from(*found) }),
        _ => Err(Flaw::Length { what: "whether users have to log in", length: value.len(), expected: 1 }),
    }
}
