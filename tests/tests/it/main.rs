//! Real clusters, real shells. One test binary, because each one links everything again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot go on without ends it"
)]

mod algorithms;
mod arguments;
mod at_rest;
mod auth;
mod backups;
mod boundaries;
mod can;
mod crash;
mod crash_points;
mod cut_links;
mod disk;
mod downgrade;
mod drills;
mod failing;
mod faults;
mod formats;
mod hash;
mod history;
mod hostile;
mod hosts;
mod interrupted;
mod keys;
#[cfg(target_os = "linux")]
mod leftover;
mod load;
mod log;
mod lost_answers;
mod lying_history;
mod lying_keys;
mod lying_snapshot;
mod members;
mod messages;
mod mistaken;
mod nu_answers;
mod nu_complete;
mod nu_errors;
mod nu_install;
mod nu_interrupt;
mod nu_probe;
mod nu_settings;
mod operators;
mod parity;
mod procedure_faults;
mod procedures;
mod progress;
mod promised;
mod proxied;
mod repl;
mod restore_doubts;
mod restore_plan;
mod restored;
mod restores;
mod rhai;
mod sandbox;
mod scripts;
mod server_rules;
mod slow_disk;
mod snapshot;
mod space;
mod terminal;
mod tls;
mod told;
mod under_load;
mod untouched;
mod upgrade_check;
mod views;
mod writer;
mod wrong_cluster;
