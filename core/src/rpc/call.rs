//! How every call runs: connect, send, wait, all within one deadline; then the answer or a classified error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::Error as EtcdError;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::auth::refuses_token;
use super::classify::classify;
use super::entry::Entry;
use super::error::{Failure, RpcError};
use super::link::Connection;
use super::node::Node;
use crate::error::Sent;

/// Whether a call may be sent twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only reads: when the connection is lost under it, it is sent once more.
    Read,
    /// It changes the cluster: it is sent again only if the server said that it did not do it.
    Change,
}

impl Node {
    /// Runs a call to its answer or its deadline.
    pub(super) async fn call<T, F>(
        &self,
        method: &'static str,
        kind: Kind,
        deadline: Instant,
        once: impl Fn() -> F,
    ) -> Result<T, RpcError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        Ok(self.open(method, kind, deadline, once).await?.0)
    }

    /// The same for a call that goes on after its first answer.
    pub(super) async fn open<T, F>(
        &self,
        method: &'static str,
        kind: Kind,
        deadline: Instant,
        once: impl Fn() -> F,
    ) -> Result<(T, Opened), RpcError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        let bound = deadline.saturating_duration_since(Instant::now());
        let mut entry = Entry::begin(method, self);
        // Connecting and authenticating make this large, and it would be part of every future that calls something.
        let done = Box::pin(self.attempts(method, kind, deadline, bound, once)).instrument(entry.span()).await;
        entry.outcome(&done);
        done.map(|(answer, connection)| (answer, Opened { connection, entry }))
    }

    async fn attempts<T, F>(
        &self,
        method: &'static str,
        kind: Kind,
        deadline: Instant,
        bound: Duration,
        once: impl Fn() -> F,
    ) -> Result<(T, Connection), RpcError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        let (mut repeated, mut renewed) = (false, false);
        loop {
            let generation = self.within(deadline, bound, "the user to be authenticated", self.token(deadline)).await?;
            let connection = self.connection(deadline, bound).await?;
            let error = match self.attempt(method, deadline, bound, &connection, once()).await {
                Ok(answer) => return Ok((answer, connection)),
                Err(error) => error,
            };
            // Servers forget tokens when they restart, and all tokens of a kind when users change. What is refused so was not
            // done, so even a change may be sent again.
            if !renewed && refuses_token(&error) && self.tokens.refused(generation) {
                renewed = true;
                continue;
            }
            let lost = matches!(error.failure(), Failure::Lost { .. });
            if lost {
                // It may be some moments until the connection knows of its own end.
                self.link.retire(&connection);
            }
            if repeated || !lost || kind == Kind::Change {
                return Err(error);
            }
            repeated = true;
        }
    }

    pub(super) async fn connection(&self, deadline: Instant, bound: Duration) -> Result<Connection, RpcError> {
        self.within(deadline, bound, "the connection", self.link.connection()).await
    }

    /// Waits for what comes before the call itself.
    async fn within<T>(
        &self,
        deadline: Instant,
        bound: Duration,
        waiting_for: &str,
        work: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        let done = timeout_at(deadline.into(), work).await.unwrap_or_else(|_| {
            let failure = Failure::Timeout { waiting_for: waiting_for.to_owned(), bound };
            Err(RpcError::never_sent(self.endpoint(), failure))
        });
        done.map_err(RpcError::before_sending)
    }

    pub(super) async fn attempt<T>(
        &self,
        method: &'static str,
        deadline: Instant,
        bound: Duration,
        connection: &Connection,
        call: impl Future<Output = Result<T, EtcdError>>,
    ) -> Result<T, RpcError> {
        let before = connection.wire.received();
        match timeout_at(deadline.into(), call).await {
            Ok(done) => done.map_err(|error| classify(self.endpoint(), error, &connection.wire)),
            Err(_) => {
                if connection.wire.received() == before {
                    self.link.retire(connection);
                }
                let failure = Failure::Timeout { waiting_for: format!("the answer to {method}"), bound };
                Err(RpcError::new(self.endpoint(), Sent::Maybe, failure))
            }
        }
    }
}

/// What goes on after its first answer: the connection tells how it ended, and the log's entry waits for that.
pub(super) struct Opened {
    connection: Connection,
    entry: Entry,
}

/// An answer in many messages, each of which has to come within a bound.
pub(super) struct Incoming {
    pub(super) node: Arc<Node>,
    opened: Opened,
    what: &'static str,
    idle: Duration,
}

impl Incoming {
    pub(super) fn new(node: &Arc<Node>, opened: Opened, what: &'static str, idle: Duration) -> Self {
        Incoming { node: Arc::clone(node), opened, what, idle }
    }

    /// Waits for the next message.
    pub(super) async fn message<T>(
        &mut self,
        next: impl Future<Output = Result<Option<T>, EtcdError>>,
    ) -> Result<Option<T>, RpcError> {
        let Opened { connection, entry } = &mut self.opened;
        let done = match tokio::time::timeout(self.idle, next).instrument(entry.span()).await {
            Ok(done) => done.map_err(|error| classify(self.node.endpoint(), error, &connection.wire)),
            Err(_) => {
                self.node.link.retire(connection);
                let failure = Failure::Timeout { waiting_for: self.what.to_owned(), bound: self.idle };
                Err(RpcError::new(self.node.endpoint(), Sent::Maybe, failure))
            }
        };
        entry.outcome(&done);
        done
    }
}
