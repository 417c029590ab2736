//! The wire. The only code that names etcd-client, tonic or protobuf.

mod types;

use std::sync::Arc;
use std::time::Instant;

pub use types::{Alarm, AlarmKind, Consistency, KeyValue, RangePage, RangeQuery, Status};

use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::member::Membership;
use crate::profile::Profile;

/// The connections to one cluster.
pub struct Cluster {
    profile: Profile,
}

impl Cluster {
    /// Checks the files of the profile. Nothing is contacted yet.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn new(profile: Profile) -> Result<Self> {
        Ok(Cluster { profile })
    }

    /// Returns the settings.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns when a call that starts now has to be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.profile.timeout
    }

    /// Returns the membership list.
    ///
    /// # Errors
    /// No member answered in time.
    pub async fn membership(&self, how: Consistency, deadline: Instant) -> Result<Membership> {
        let _ = (how, deadline);
        Err(crate::error::Interrupted.into())
    }

    /// Returns the connection to one endpoint.
    ///
    /// # Errors
    /// The endpoint cannot be used with this profile.
    pub fn node(&self, endpoint: &Endpoint) -> Result<Arc<Node>> {
        Ok(Arc::new(Node { endpoint: endpoint.clone() }))
    }
}

/// The connection to one endpoint.
pub struct Node {
    endpoint: Endpoint,
}

impl Node {
    /// Returns where this leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}
