//! Real clusters, real shells. One test binary, because each one links everything again.

mod boundaries;
mod sandbox;
mod views;
