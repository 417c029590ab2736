//! Space in the databases.

pub mod eater;
pub mod recover;
