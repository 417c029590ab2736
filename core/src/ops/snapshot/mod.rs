//! Snapshots.

pub mod save;
