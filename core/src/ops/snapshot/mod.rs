//! Snapshots.

pub mod diff;
pub mod drill;
pub mod restore;
pub mod save;
pub mod status;
pub mod verify;
