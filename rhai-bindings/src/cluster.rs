//! The handle of a cluster: what `etcd` is, and what `connect` returns. It is cheap to copy; connections live in the driver.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use etcdsh_core::Result;
use etcdsh_core::profile::Profile;

use crate::session::Session;

/// A cluster, as a script holds it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    /// What it means, once that is decided. A script must not change the cluster halfway, so it is decided once.
    profile: Mutex<Option<Profile>>,
}

impl Cluster {
    /// Makes the ambient handle. What it means is decided on first use, so that a script which needs no cluster needs no
    /// valid settings either.
    pub fn ambient(session: &Arc<Session>) -> Self {
        Cluster(Arc::new(Inner { session: Arc::clone(session), profile: Mutex::new(None) }))
    }

    /// Makes the handle of a cluster that is decided.
    pub fn named(session: &Arc<Session>, profile: Profile) -> Self {
        Cluster(Arc::new(Inner { session: Arc::clone(session), profile: Mutex::new(Some(profile)) }))
    }

    /// Returns the session that it belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// Returns what it means.
    ///
    /// # Errors
    /// A setting that is unknown or does not fit, with the layer it stands in.
    pub fn profile(&self) -> Result<Profile> {
        let mut profile = self.0.profile.lock().unwrap_or_else(PoisonError::into_inner);
        match &*profile {
            Some(profile) => Ok(profile.clone()),
            None => Ok(profile.insert(self.0.session.ambient_profile()?).clone()),
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.profile() {
            Ok(Profile { name: Some(name), .. }) => write!(f, "cluster {name}"),
            Ok(profile) => {
                let endpoints: Vec<_> = profile.endpoints.iter().map(ToString::to_string).collect();
                write!(f, "cluster at {}", endpoints.join(", "))
            }
            Err(error) => write!(f, "cluster (its settings cannot be used: {error})"),
        }
    }
}
