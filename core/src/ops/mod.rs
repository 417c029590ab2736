//! The operations, one per file; the folders follow the words of the command.

pub mod alarm;
pub mod backup;
pub mod can;
pub mod change;
pub mod cluster;
pub mod compact;
pub mod defrag;
pub mod downgrade;
pub mod get;
pub mod hash;
pub mod health;
pub mod history;
pub mod keys;
pub mod leader;
pub mod lease;
pub mod member;
pub mod quorum;
pub mod role;
pub mod rolling_restart;
pub mod sandbox;
pub mod snapshot;
pub mod space;
pub mod status;
pub mod usage;
pub mod user;
pub mod wal;
