//! A cluster: its endpoints, and what all connections to them share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::dial::Dialer;
use super::error::{Failure, RpcError};
use super::failover::{AllFailed, hedge, same_everywhere};
use super::identity::Identity;
use super::node::Node;
use super::tls::{TlsSetup, allow};
use super::token::Tokens;
use super::types::Consistency;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Sent};
use crate::id::MemberId;
use crate::member::{Member, Membership};
use crate::profile::Profile;

/// How long one endpoint is waited for before the next one is asked too.
const HEDGE: Duration = Duration::from_millis(250);

/// The connections to one cluster.
pub struct Cluster(Arc<Shared>);

/// What the connections share.
pub(super) struct Shared {
    pub(super) profile: Profile,
    pub(super) dialer: Arc<Dialer>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) identity: Arc<Identity>,
    nodes: Mutex<HashMap<Endpoint, Arc<Node>>>,
    /// The members, as the last membership list had them.
    members: Mutex<Vec<Member>>,
}

impl Cluster {
    /// Checks the profile and its files. Nothing is contacted yet.
    ///
    /// # Errors
    /// What is wrong with a file or an endpoint.
    pub fn new(profile: Profile) -> Result<Self> {
        let tls = TlsSetup::new(&profile.tls)?;
        for endpoint in &profile.endpoints {
            allow(endpoint, &profile)?;
        }
        Ok(Cluster(Arc::new(Shared {
            dialer: Arc::new(Dialer::new(profile.connect_timeout, tls)),
            identity: Arc::new(Identity::new(profile.cluster_id)),
            tokens: Arc::new(Tokens::new(profile.user.clone())),
            nodes: Mutex::default(),
            members: Mutex::default(),
            profile,
        })))
    }

    /// Forgets the user's token, because the cluster that gave it is replaced: the next call asks for another one.
    pub fn log_out(&self) {
        self.0.tokens.give_up();
    }

    /// Returns the settings.
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// Returns the endpoints of the profile.
    pub fn seeds(&self) -> &[Endpoint] {
        &self.0.profile.endpoints
    }

    /// Returns when a call that starts now has to be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.0.profile.timeout
    }

    /// Returns the connection to one endpoint; the same one for every call.
    ///
    /// # Errors
    /// The endpoint cannot be used with this profile.
    pub fn node(&self, endpoint: &Endpoint) -> Result<Arc<Node>> {
        self.0.node(endpoint)
    }

    /// Returns the members, as the last membership list had them; none before there was one.
    pub fn members(&self) -> Vec<Member> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the membership list: the seeds first, then the members that were seen last.
    ///
    /// # Errors
    /// No member answered in time.
    pub async fn membership(&self, how: Consistency, deadline: Instant) -> Result<Membership> {
        let ask = |node: Arc<Node>| async move { node.membership(how, deadline).await };
        let found = self.any(deadline, ask).await?;
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&found.members);
        Ok(found)
    }

    /// Asks whoever may answer: the seeds, then the members that were seen last; see [`Cluster::first`].
    ///
    /// # Errors
    /// None gave a good answer; each one's reason is in the error.
    pub async fn any<T, F, A>(&self, deadline: Instant, ask: A) -> Result<T>
    where
        A: Fn(Arc<Node>) -> F,
        F: Future<Output = Result<T>>,
    {
        self.first(&self.0.known(), deadline, ask).await
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
        let bound = deadline.saturating_duration_since(Instant::now());
        let ask = |node: Arc<Node>| {
            let endpoint = node.endpoint().clone();
            let answer = timeout_at(deadline.into(), ask(node));
            // The calls of `ask` have deadlines of their own; this one holds whatever it does besides.
            async move {
                answer.await.unwrap_or_else(|_| {
                    let failure = Failure::Timeout { waiting_for: "all of the answer".to_owned(), bound };
                    Err(RpcError::new(&endpoint, Sent::Maybe, failure).into())
                })
            }
        };
        let nodes: Vec<_> = endpoints.iter().map(|endpoint| self.node(endpoint)).collect();
        let enough = |error: &Error| same_everywhere(error.code());
        hedge(nodes.into_iter(), HEDGE, ask, enough).await.map_err(|failed| {
            // A token holds the index of the log at which it was given, and who has not come so far waits for it (etcd's
            // server/auth/simple_token.go): a cluster that was restored under this token's life would never answer.
            if failed.iter().any(|error| error.code() == "timeout") {
                self.0.tokens.give_up();
            }
            AllFailed::of(failed)
        })
    }
}

impl Shared {
    /// Returns the endpoints that may answer, in the order in which they are asked.
    fn known(&self) -> Vec<Endpoint> {
        let mut known = self.profile.endpoints.clone();
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = members.iter().flat_map(|member| self.endpoints(member));
        known.extend(listed.filter(|endpoint| !self.profile.endpoints.contains(endpoint)));
        known
    }

    /// Returns where a member says that clients reach it.
    fn endpoints<'m>(&self, member: &'m Member) -> impl Iterator<Item = Endpoint> + use<'m> {
        let tls = self.profile.tls.is_set();
        member.client_urls.iter().filter_map(move |url| Endpoint::parse(url, tls).ok())
    }

    /// Returns the name and the id of the member that has this id or, where the id is not known, is reached there.
    pub(super) fn who(&self, id: Option<MemberId>, endpoint: &Endpoint) -> Option<String> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = |member: &&Member| match id {
            Some(id) => member.id == id,
            None => self.endpoints(member).any(|known| known == *endpoint),
        };
        members.iter().find(meant).map(Member::label_with_id)
    }

    pub(super) fn node(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Arc<Node>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(endpoint) {
            return Ok(Arc::clone(node));
        }
        // A member may announce an address that the profile's certificates or password must not be used with.
        allow(endpoint, &self.profile)?;
        let node = Arc::new(Node::new(endpoint.clone(), self)?);
        nodes.insert(endpoint.clone(), Arc::clone(&node));
        Ok(node)
    }
}
