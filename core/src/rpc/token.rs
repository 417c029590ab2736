//! The token of the user, shared by all connections of a cluster.

use http::HeaderValue;

/// Holds the token.
#[derive(Default)]
pub(super) struct Tokens;

impl Tokens {
    /// Returns the header to send.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        None
    }
}
