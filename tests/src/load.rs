//! A cluster under load: a writer that remembers what was acknowledged, a sampler that looks whether anybody could notice
//! something, and a checker that proves that nothing was lost. They talk to etcd through etcd-client and not through core,
//! which is what they are to judge.

mod checker;
mod client;
mod history;
mod metrics;
mod sampler;
mod samples;
mod writer;

pub use checker::{Checked, check};
pub use sampler::Sampler;
pub use samples::{Outage, Samples};
pub use writer::{FLOOR, Log, Outcome, Write, Writer};
