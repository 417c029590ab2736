//! A cluster: its endpoints, and the order in which they are tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::dial::Dialer;
use super::identity::Identity;
use super::node::Node;
use super::token::Tokens;
use super::types::Consistency;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::member::Membership;
use crate::profile::Profile;

/// How long one endpoint is waited for before the next one is asked too.
const HEDGE: Duration = Duration::from_millis(250);

/// The connections to one cluster.
pub struct Cluster {
    profile: Profile,
    dialer: Dialer,
    tokens: Arc<Tokens>,
    identity: Arc<Identity>,
    nodes: Mutex<HashMap<Endpoint, Arc<Node>>>,
    /// The client URLs of the members, as the last membership list had them.
    members: Mutex<Vec<Endpoint>>,
}

impl Cluster {
    /// Checks the files of the profile. Nothing is contacted yet.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn new(profile: Profile) -> Result<Self> {
        let dialer = Dialer::new(profile.connect_timeout);
        let identity = Arc::new(Identity::new(profile.cluster_id));
        let tokens = Arc::new(Tokens);
        Ok(Cluster { profile, dialer, tokens, identity, nodes: Mutex::default(), members: Mutex::default() })
    }

    /// Returns the settings.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns the endpoints of the profile.
    pub fn seeds(&self) -> &[Endpoint] {
        &self.profile.endpoints
    }

    /// Returns when a call that starts now has to be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.profile.timeout
    }

    /// Returns the connection to one endpoint; the same one for every call.
    ///
    /// # Errors
    /// The endpoint cannot be used with this profile.
    pub fn node(&self, endpoint: &Endpoint) -> Result<Arc<Node>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(endpoint) {
            return Ok(Arc::clone(node));
        }
        let (tokens, identity) = (Arc::clone(&self.tokens), Arc::clone(&self.identity));
        let node = Arc::new(Node::new(endpoint.clone(), self.dialer.clone(), tokens, identity)?);
        nodes.insert(endpoint.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Asks for the membership list: the seeds first, then the members that were seen last.
    ///
    /// # Errors
    /// No member answered in time.
    pub async fn membership(&self, how: Consistency, deadline: Instant) -> Result<Membership> {
        let ask = |node: Arc<Node>| async move { node.membership(how, deadline).await };
        let found = self.any(deadline, ask).await?;
        let urls = found.members.iter().flat_map(|member| &member.client_urls);
        let known = urls.filter_map(|url| Endpoint::parse(url, self.profile.tls.is_set()).ok()).collect();
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(found)
    }

    /// Asks the seeds, and then the members that were seen last, until one gives a good answer; see [`Cluster::first`].
    ///
    /// # Errors
    /// None gave a good answer.
    pub async fn any<T, F, A>(&self, deadline: Instant, ask: A) -> Result<T>
    where
        A: Fn(Arc<Node>) -> F,
        F: Future<Output = Result<T>>,
    {
        let mut endpoints = self.profile.endpoints.clone();
        let seen = self.members.lock().unwrap_or_else(PoisonError::into_inner).clone();
        endpoints.extend(seen.into_iter().filter(|endpoint| !self.profile.endpoints.contains(endpoint)));
        self.first(&endpoints, deadline, ask).await
    }

    /// Asks the endpoints in order until one gives a good answer. The next one is asked when the one before has failed, or has
    /// not answered for a quarter of a second. For reads only: more than one may get the question.
    ///
    /// # Errors
    /// None gave a good answer; each one's reason is in the error.
    pub async fn first<T, F, A>(&self, endpoints: &[Endpoint], deadline: Instant, ask: A) -> Result<T>
    where
        A: Fn(Arc<Node>) -> F,
        F: Future<Output = Result<T>>,
    {
        let mut waiting = endpoints.iter();
        let mut asked = FuturesUnordered::new();
        let mut failed: Vec<Error> = Vec::new();
        loop {
            let next = if Instant::now() < deadline || asked.is_empty() { waiting.next() } else { None };
            if let Some(endpoint) = next {
                match self.node(endpoint) {
                    Ok(node) => asked.push(ask(node)),
                    Err(error) => {
                        failed.push(error);
                        continue;
                    }
                }
            }
            let answer = if waiting.len() > 0 {
                tokio::time::timeout(HEDGE, asked.next()).await
            } else {
                Ok(asked.next().await)
            };
            match answer {
                Err(_) => {}
                Ok(Some(Ok(found))) => return Ok(found),
                Ok(Some(Err(error))) => failed.push(error),
                Ok(None) => return Err(failed.pop().unwrap_or_else(|| Error::internal("no endpoint was given"))),
            }
        }
    }
}
