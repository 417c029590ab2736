//! A member's log.

pub mod list;
