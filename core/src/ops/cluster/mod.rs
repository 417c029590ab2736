//! The cluster as a whole.

pub mod upgrade_check;
