//! How far the store was compacted. No call says it, and `HashKV`, which does, reads the whole store for it.

use std::time::Instant;

use etcd_client::proto::PbWatchResponse;
use etcd_client::{Error as EtcdError, WatchOptions};

use super::call::Kind;
use super::node::Node;
use super::types::{Consistency, RangeQuery};
use crate::error::Result;
use crate::id::Revision;

/// Both questions are about a single key, which need not be there.
const KEY: &str = "health";

impl Node {
    /// Asks for the revision that the store was compacted to; `None` when it keeps everything. It costs one read and, after a
    /// compaction, one watch: a server that is asked to watch from a revision that is gone says which the first one left is. It
    /// looks after such watches ten times a second, so this takes a tenth of a second.
    ///
    /// # Errors
    /// It did not answer in time, or with an error; `permission_denied` to a user who may not read keys.
    pub async fn compacted(&self, deadline: Instant) -> Result<Option<Revision>> {
        let first = RangeQuery {
            key: KEY.into(),
            end: Vec::new(),
            revision: 1,
            limit: 1,
            keys_only: true,
            count_only: true,
            consistency: Consistency::Serializable,
        };
        match self.range(&first, deadline).await {
            Ok(_) => return Ok(None),
            Err(error) if error.code() == "compacted" => {}
            Err(error) => return Err(error),
        }
        let ask = || {
            let mut watches = self.client.watch_client();
            async move {
                let mut watch = watches.watch(KEY, Some(WatchOptions::new().with_start_revision(1))).await?;
                loop {
                    let answer = watch.message().await?.map(|answer| answer.0);
                    match answer {
                        Some(PbWatchResponse { canceled: false, .. }) => {}
                        Some(PbWatchResponse { compact_revision: 0, cancel_reason, .. }) => {
                            return Err(EtcdError::GRpcStatus(tonic::Status::unknown(cancel_reason)));
                        }
                        Some(answer) => return Ok(answer),
                        None => return Err(EtcdError::WatchError("the watch ended without an answer".to_owned())),
                    }
                }
            }
        };
        let answer = self.call("Watch", Kind::Read, deadline, ask).await?;
        self.header(answer.header)?;
        Ok(Some(Revision(self.not_negative("compacted revision", answer.compact_revision)?)))
    }
}
