//! What the log says about a call: who was asked what, for how long, and what came of it. Every call has one entry, also one
//! whose end nobody waited for, and a stream's comes at its end.

use std::time::Instant;

use tracing::Span;

use super::error::RpcError;
use super::node::Node;
use crate::error::Fault;

/// The entry of one call; it is written when it is dropped.
pub(super) struct Entry {
    span: Span,
    started: Instant,
    outcome: &'static str,
}

impl Entry {
    /// Begins a call. Which member is asked is known from its last answer, or from the membership list.
    pub(super) fn begin(method: &'static str, node: &Node) -> Self {
        let span = tracing::debug_span!("rpc", method, endpoint = %node.endpoint(), member = node.who());
        Entry { span, started: Instant::now(), outcome: "given_up" }
    }

    /// Returns the span, for the work to run in.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Remembers what came of it.
    pub(super) fn outcome<T>(&mut self, done: &Result<T, RpcError>) {
        self.outcome = done.as_ref().err().map_or("ok", Fault::code);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        tracing::debug!(parent: &self.span, took = ?self.started.elapsed(), outcome = self.outcome, "rpc");
    }
}
