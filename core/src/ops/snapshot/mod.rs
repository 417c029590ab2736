//! Snapshots.

pub mod diff;
pub mod save;
pub mod status;
pub mod verify;
