//! Going back by one minor version.

pub mod cancel;
pub mod enable;
pub mod status;
#[cfg(test)]
mod tests;
pub mod validate;

use crate::version::Version;

/// From this version on etcd goes back to the line before. A server of 3.5 has the calls already: it carries out what is asked,
/// answers with a timeout all the same, and its members do not tell in their status.
pub(crate) const SINCE: Version = Version::new(3, 6, 0);
