//! The handle of a cluster, or of a file in its place: what `etcd` is, and what `connect` and `open_db` return. It is cheap to
//! copy; connections live in the driver.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use etcdsh_core::Result;
use etcdsh_core::profile::Profile;
use etcdsh_core::subject::Subject;

use crate::session::Session;

/// A cluster or a file, as a script holds it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    /// What it means, once that is decided. A script must not change the cluster halfway, so it is decided once.
    subject: Mutex<Option<Subject>>,
}

impl Cluster {
    /// Makes the ambient handle. What it means is decided on first use, so that a script which needs no cluster needs no
    /// valid settings either.
    pub fn ambient(session: &Arc<Session>) -> Self {
        Cluster(Arc::new(Inner { session: Arc::clone(session), subject: Mutex::new(None) }))
    }

    /// Makes the handle of a cluster or file that is decided.
    pub fn named(session: &Arc<Session>, subject: Subject) -> Self {
        Cluster(Arc::new(Inner { session: Arc::clone(session), subject: Mutex::new(Some(subject)) }))
    }

    /// Returns the session that it belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// Returns what it means.
    ///
    /// # Errors
    /// A setting that is unknown or does not fit, with the layer it stands in.
    pub fn subject(&self) -> Result<Subject> {
        let mut subject = self.0.subject.lock().unwrap_or_else(PoisonError::into_inner);
        match &*subject {
            Some(subject) => Ok(subject.clone()),
            None => Ok(subject.insert(self.0.session.ambient()?).clone()),
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject() {
            Ok(Subject::File(file)) => write!(f, "file {}", file.path.display()),
            Ok(Subject::Cluster(Profile { name: Some(name), .. })) => write!(f, "cluster {name}"),
            Ok(Subject::Cluster(profile)) => {
                let endpoints: Vec<_> = profile.endpoints.iter().map(ToString::to_string).collect();
                write!(f, "cluster at {}", endpoints.join(", "))
            }
            Err(error) => write!(f, "cluster (its settings cannot be used: {error})"),
        }
    }
}
