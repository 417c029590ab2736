//! Alarms.

pub mod list;
