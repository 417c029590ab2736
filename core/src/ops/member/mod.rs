//! Membership.

pub mod list;
