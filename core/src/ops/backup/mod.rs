//! Backups: snapshots in a folder, each with what is known about it beside it, and rules for how long they are kept.

pub mod list;
pub mod run;

mod error;
mod folder;
mod keep;
pub(crate) mod known;
mod note;
