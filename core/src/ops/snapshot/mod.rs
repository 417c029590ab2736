//! Snapshots.

pub mod save;
pub mod status;
pub mod verify;
