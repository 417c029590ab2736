//! Alarms.

pub mod disarm;
pub mod list;
