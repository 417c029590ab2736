//! Leadership.

pub mod transfer;
