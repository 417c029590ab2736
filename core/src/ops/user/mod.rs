//! Users.

pub mod list;
