//! etcd's own records: every bucket but the one of the store. Most are small, and are read in whole into [`Records`]; leases may
//! be many, and are read one by one.
//!
//! | bucket | key | value | in |
//! | ------ | --- | --- | --- |
//! | `meta` | `consistent_index`, `term`, `confState`, … | | [`Applied`] |
//! | `cluster` | `clusterVersion`, `downgrade` | text, JSON | [`Records`] |
//! | `members` | member id in hex, without leading zeros | JSON | [`Member`] |
//! | `members_removed` | member id in hex | `removed` | [`Records`] |
//! | `alarm` | a message | empty | [`Alarm`] |
//! | `auth`, `authUsers`, `authRoles` | | | [`User`], [`Role`] |
//! | `lease` | lease id, 8 bytes big-endian | a message | [`Lease`] |
//!
//! A missing bucket is an empty one. Keys that are not known are passed over: a newer etcd may have written them. Source: etcd's
//! `server/storage/schema`.

mod alarm;
mod applied;
mod auth;
mod flaw;
mod lease;
mod member;
mod records;
#[cfg(test)]
mod tests;

pub use alarm::read as read_alarm;
pub use applied::{Applied, ConfState};
pub use auth::{Access, Permission, Role, User};
pub use flaw::Flaw;
pub use lease::Lease;
pub use records::{Downgrade, MOST, Records};
