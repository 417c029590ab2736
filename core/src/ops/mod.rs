//! The operations, one per file; the folders follow the words of the command.

pub mod member;
