//! Leases.

pub mod list;
