//! What the tests share: where the real programs are, and real clusters to run them on.
#![expect(clippy::panic, clippy::expect_used, reason = "a fixture that cannot be had ends the test, with what to do")]
#![expect(clippy::disallowed_methods, reason = "tests are a front end: they read the environment and hand it to core")]

mod cluster;
mod tools;

pub use cluster::{Running, driver, json};
pub use tools::{MATRIX, Tools, etcd, etcdctl, nu, program};
