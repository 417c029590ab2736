//! Roles.

pub mod list;
