//! What the tests share: where the real programs are, and real clusters to run them on.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be had ends the test, with what to do"
)]
#![expect(clippy::disallowed_methods, reason = "tests are a front end: they read the environment and hand it to core")]

mod background;
mod caller;
mod calls;
pub mod certs;
mod cluster;
mod crash;
mod home;
pub mod hostile;
mod hpack;
mod leftover;
pub mod load;
mod look;
pub mod ports;
pub mod proxy;
mod restored;
mod side;
mod tools;

pub use caller::{Caller, record};
pub use calls::calls;
pub use cluster::{Running, driver, free_port, json, run};
pub use crash::Ended;
pub use home::{Caught, Home, Said, Silent};
pub use look::{column, row, until, until_within};
pub use restored::{Seat, Started, lone};
pub use side::{Turn, side_by_side};
pub use tools::{MATRIX, Tools, etcd, etcdctl, nu, program};
