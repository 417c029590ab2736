//! Getting the user's token.

use std::time::{Duration, Instant};

use http::HeaderValue;
use tracing::Instrument;

use super::entry::Entry;
use super::error::{Failure, RpcError};
use super::failover::{hedge, rank, same_everywhere};
use super::node::Node;
use crate::error::Fault;
use crate::profile::User;
use crate::wait::sleep;

/// A server takes its time on purpose to check a password, so the next one is asked later than for other calls.
const STEP: Duration = Duration::from_secs(1);
/// How soon a token is asked for again while nobody leads.
const AGAIN: Duration = Duration::from_millis(200);

impl Node {
    /// Makes sure that there is a token, and returns its generation. Any endpoint can give one.
    pub(super) async fn token(&self, deadline: Instant) -> Result<u64, RpcError> {
        let authenticate = async {
            let Some(user) = self.tokens.user() else { return Ok(None) };
            let Some(cluster) = self.cluster.upgrade() else { return self.authenticate(user, deadline).await };
            let mut endpoints = cluster.profile.endpoints.clone();
            if !endpoints.contains(self.endpoint()) {
                endpoints.push(self.endpoint().clone());
            }
            loop {
                let nodes = endpoints.iter().filter_map(|endpoint| cluster.node(endpoint).ok()).map(Ok);
                let ask = |node: std::sync::Arc<Node>| async move { node.authenticate(user, deadline).await };
                let enough = |error: &RpcError| same_everywhere(error.code());
                let failed = match hedge(nodes.collect::<Vec<_>>().into_iter(), STEP, ask, enough).await {
                    Ok(token) => return Ok(token),
                    Err(failed) => failed,
                };
                let telling = failed.into_iter().min_by_key(|error| rank(error.code()));
                let telling = telling.unwrap_or_else(|| self.nonsense("there is nobody to ask for a token"));
                // A token is agreed on like a write, so an election lets nobody in, and passes.
                if telling.code() != "no_leader" || Instant::now() + AGAIN >= deadline {
                    return Err(telling);
                }
                sleep(AGAIN).await;
            }
        };
        // The future is large, and is needed once.
        self.tokens.ready(Box::pin(authenticate)).await
    }

    async fn authenticate(&self, user: &User, deadline: Instant) -> Result<Option<HeaderValue>, RpcError> {
        let bound = deadline.saturating_duration_since(Instant::now());
        let mut entry = Entry::begin("Authenticate", self);
        let ask = async {
            let connection = self.connection(deadline, bound).await?;
            let call = async {
                let mut auth = self.client.auth_client();
                auth.authenticate(user.name.clone(), user.password.expose().to_owned()).await
            };
            self.attempt("Authenticate", deadline, bound, &connection, call).await
        };
        let done = ask.instrument(entry.span()).await;
        entry.outcome(&done);
        match done {
            Ok(answer) => {
                let token = HeaderValue::from_str(answer.token());
                let mut token = token.map_err(|_| self.nonsense("a token that cannot be sent back"))?;
                token.set_sensitive(true);
                Ok(Some(token))
            }
            // Then every call is allowed without one.
            Err(error) if error.code() == "auth_not_enabled" => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Says whether a server refused the token, and not the user.
pub(super) fn refuses_token(error: &RpcError) -> bool {
    match error.failure() {
        Failure::Answered { answer, .. } => answer.about_token,
        _ => false,
    }
}
