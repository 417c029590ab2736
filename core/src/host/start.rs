//! What an added member is started with.

use crate::value::Record;

/// What an added member is started with. etcd reads it only when it has no data yet, and compares it with the membership list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartConfiguration {
    /// The name that the member is to have.
    pub name: String,
    /// Every member with each of its peer URLs, as `NAME=URL` with commas between.
    pub initial_cluster: String,
    /// The peer URLs that the member was added with.
    pub peer_urls: Vec<String>,
}

impl StartConfiguration {
    /// Returns it as the variables of etcd's environment.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("ETCD_NAME", self.name.clone()),
            ("ETCD_INITIAL_CLUSTER", self.initial_cluster.clone()),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", self.peer_urls.join(",")),
            ("ETCD_INITIAL_CLUSTER_STATE", "existing".to_owned()),
        ]
    }

    /// Returns it as a report shows it.
    pub fn to_record(&self) -> Record {
        self.variables().map(|(name, value)| (name, value.into())).into_iter().collect()
    }
}
