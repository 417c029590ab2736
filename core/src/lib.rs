//! The core of etcdsh: everything that knows etcd, and nothing that knows Nushell or Rhai.
//!
//! In reading order: what an operation is ([`card`], [`operation`], [`args`], [`report`]), the list of all of them
//! ([`catalogue`]), values ([`value`], [`units`], [`id`]), the nouns ([`member`], [`endpoint`], [`profile`]), what every call
//! carries ([`context`], [`event`], [`progress`], [`error`], [`wait`], [`blocking`]), the wire ([`rpc`]), etcd's files
//! ([`mod@format`]), changing a cluster ([`change`]), the members' hosts ([`host`]), the operations ([`ops`]) and throwaway
//! clusters ([`sandbox`]), and making a member's data dir out of a snapshot ([`mod@restore`]).

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "stdout is the protocol of a plugin; a front end prints")]

pub mod args;
pub mod at_rest;
pub mod blocking;
pub mod card;
pub mod catalogue;
pub mod change;
pub mod context;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod file;
pub mod format;
pub mod host;
pub mod id;
pub mod member;
pub mod operation;
pub mod ops;
pub mod places;
pub mod profile;
pub mod progress;
pub mod report;
pub mod restore;
pub mod rpc;
pub mod rule;
pub mod sandbox;
pub mod stream;
pub mod subject;
#[cfg(test)]
mod tests;
pub mod units;
pub mod value;
pub mod version;
pub mod wait;

pub use error::{Error, Result};
