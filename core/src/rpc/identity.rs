//! Whether all answers come from one cluster.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Failure, RpcError};
use crate::endpoint::Endpoint;
use crate::error::Sent;
use crate::id::ClusterId;

/// For how long an answer counts as evidence against another endpoint's. A cluster may be restored under the same addresses
/// while we run; a mixture of two shows within one command.
const EVIDENCE_LASTS: Duration = Duration::from_secs(10);

/// The cluster ids that were seen.
pub(super) struct Identity {
    pinned: Option<ClusterId>,
    seen: Mutex<HashMap<Endpoint, (ClusterId, Instant)>>,
}

impl Identity {
    pub(super) fn new(pinned: Option<ClusterId>) -> Self {
        Identity { pinned, seen: Mutex::default() }
    }

    /// Checks the cluster id of an answer against the profile's and the other endpoints'.
    pub(super) fn check(&self, endpoint: &Endpoint, found: ClusterId) -> Result<(), RpcError> {
        let mismatch = |known: String, expected| {
            Err(RpcError::new(endpoint, Sent::Maybe, Failure::ClusterMismatch { found, known, expected }))
        };
        if let Some(pinned) = self.pinned.filter(|pinned| *pinned != found) {
            return mismatch("the profile".to_owned(), pinned);
        }
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(endpoint) {
            Some((id, at)) if *id == found => {
                *at = now;
                return Ok(());
            }
            // The cluster behind this endpoint was made anew, so what the others said before is about the past.
            Some(_) => seen.clear(),
            None => {
                seen.retain(|_, (id, at)| *id == found || now.duration_since(*at) < EVIDENCE_LASTS);
                if let Some((other, (id, _))) = seen.iter().find(|(_, (id, _))| *id != found) {
                    return mismatch(other.to_string(), *id);
                }
            }
        }
        seen.insert(endpoint.clone(), (found, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    fn at(port: u16) -> Endpoint {
        Endpoint::parse(&format!("127.0.0.1:{port}"), false).unwrap()
    }

    #[test]
    fn endpoints_of_two_clusters_are_told_apart() {
        let identity = Identity::new(None);
        identity.check(&at(1), ClusterId(0xa)).unwrap();
        identity.check(&at(2), ClusterId(0xa)).unwrap();
        let error = identity.check(&at(3), ClusterId(0xb)).unwrap_err();
        assert_eq!(error.code(), "cluster_mismatch");
        let text = error.to_string();
        assert!(text.starts_with("http://127.0.0.1:3: this is the cluster b, but http://127.0.0.1:"), "{text}");
        assert!(text.ends_with("is the cluster a"), "{text}");
        // It stays refused.
        identity.check(&at(3), ClusterId(0xb)).unwrap_err();
    }

    #[test]
    fn a_cluster_that_was_made_anew_behind_the_same_endpoints_is_taken_up() {
        let identity = Identity::new(None);
        for id in [0xa, 0xb] {
            identity.check(&at(1), ClusterId(id)).unwrap();
            identity.check(&at(2), ClusterId(id)).unwrap();
        }
        identity.check(&at(3), ClusterId(0xa)).unwrap_err();
    }

    #[test]
    fn the_profiles_cluster_id_binds_every_endpoint() {
        let error = Identity::new(Some(ClusterId(0xa))).check(&at(1), ClusterId(0xb)).unwrap_err();
        insta::assert_snapshot!(error, @"http://127.0.0.1:1: this is the cluster b, but the profile is the cluster a");
    }
}
