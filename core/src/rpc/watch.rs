//! The changes of keys from a revision on, in the order in which they were made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::proto::{PbEvent, PbWatchResponse};
use etcd_client::{Error as EtcdError, WatchOptions, WatchStream};

use super::call::{Incoming, Kind};
use super::error::RpcError;
use super::node::Node;
use super::range::{LARGEST_ANSWER, item};
use super::types::KeyValue;
use crate::error::{Error, Result};
use crate::id::Revision;
use crate::version::Version;
use crate::wait;

/// Since when a server that is asked how far a watch has come answers once it has caught up; those before answer at once, with
/// the newest revision, while older changes are still to come (etcd issue 15220).
const TELLS_PROGRESS: [Version; 2] = [Version::new(3, 4, 25), Version::new(3, 5, 8)];
/// What stands for the first of all keys, and for no end.
const ZERO: [u8; 1] = [0];

impl Node {
    /// Asks the server whether it can tell truly how far a watch has come.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn tells_progress(&self, deadline: Instant) -> Result<bool> {
        let version = self.status(deadline).await?.version;
        Ok(Version::parse(&version).is_some_and(|version| version.has(&TELLS_PROGRESS)))
    }

    /// Asks for the changes of a key, or of all keys, from a revision on. They come until this is dropped. The first answer must
    /// come within `idle`, and so must each further one.
    ///
    /// # Errors
    /// It did not begin in time, or the server refused.
    pub async fn changes(self: &Arc<Self>, of: Of<'_>, from: Revision, idle: Duration) -> Result<Changes> {
        let ask = || {
            let mut watches = self.client.watch_client().max_decoding_message_size(LARGEST_ANSWER);
            let options = WatchOptions::new().with_start_revision(from.0).with_fragment();
            let (key, options) = match of {
                Of::Key(key) => (key.to_vec(), options),
                Of::All => (ZERO.to_vec(), options.with_range(ZERO)),
            };
            async move {
                let mut stream = watches.watch(key, Some(options)).await?;
                let first = stream.message().await?.map(|first| first.0);
                let ended = || EtcdError::WatchError("the watch ended without an answer".to_owned());
                refused(first.ok_or_else(ended)?).map(|first| (stream, first))
            }
        };
        let ((stream, first), opened) = self.open("Watch", Kind::Read, Instant::now() + idle, ask).await?;
        let incoming = Incoming::new(self, opened, "the next changes", idle);
        // The answer that a watch was made has nothing else in it.
        let first = Some(first).filter(|first| !first.created || first.canceled);
        Ok(Changes { incoming, stream, first, from: from.0 })
    }
}

/// Finds out whether a server ended a watch for another reason than a compaction: it says so in an ordinary message.
fn refused(answer: PbWatchResponse) -> Result<PbWatchResponse, EtcdError> {
    if answer.canceled && answer.compact_revision == 0 {
        return Err(EtcdError::GRpcStatus(tonic::Status::unknown(answer.cancel_reason)));
    }
    Ok(answer)
}

/// Which keys are watched.
#[derive(Debug, Clone, Copy)]
pub enum Of<'k> {
    /// This one.
    Key(&'k [u8]),
    /// All of them.
    All,
}

/// One change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The revision that made it.
    pub revision: Revision,
    /// The key.
    pub key: Vec<u8>,
    /// What it became; `None` where it was deleted.
    pub put: Option<KeyValue>,
}

/// What a server tells about changes.
#[derive(Debug)]
pub enum News {
    /// Some of them, in order. Those of one revision may come in several parts; where `whole` is set, all of the last one's are
    /// here.
    Changes {
        /// The changes.
        changes: Vec<KeyChange>,
        /// Whether the last revision is complete.
        whole: bool,
    },
    /// All changes up to this revision have come.
    Reached(Revision),
    /// The store was compacted to this revision, and the changes that come next are gone. Nothing comes any more.
    Compacted(Revision),
}

/// Changes as they come.
pub struct Changes {
    incoming: Incoming,
    stream: WatchStream,
    first: Option<PbWatchResponse>,
    /// No change that comes next is older.
    from: i64,
}

impl Changes {
    /// Waits for the next news; with `asking` the server is asked again and again how far it is, until it answers.
    ///
    /// # Errors
    /// Nothing came in time, the connection was lost, or what came cannot be an answer.
    pub async fn next(&mut self, asking: bool) -> Result<News> {
        let answer = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let stream = &mut self.stream;
                let message = async {
                    loop {
                        tokio::select! {
                            biased;
                            message = stream.message() => break message?.map(|message| refused(message.0)).transpose(),
                            // A server that has not caught up passes over the question.
                            () = wait::sleep(wait::EVERY), if asking => {}
                        }
                        stream.request_progress().await?;
                    }
                };
                self.incoming.message(message).await?
            }
        };
        let node = &self.incoming.node;
        let answer = answer.ok_or_else(|| node.nonsense("the watch ended by itself"))?;
        let reached = Revision(node.not_negative("revision", node.header(answer.header)?.revision)?);
        if answer.canceled {
            return Ok(News::Compacted(Revision(node.not_negative("compacted revision", answer.compact_revision)?)));
        }
        if answer.events.is_empty() {
            return Ok(News::Reached(reached));
        }
        let mut changes = Vec::with_capacity(answer.events.len());
        for event in answer.events {
            let change = change(event).ok_or_else(|| node.nonsense("a change that is neither a put nor a delete"))?;
            self.from = in_order(node, self.from, change.revision)?;
            changes.push(change);
        }
        Ok(News::Changes { changes, whole: !answer.fragment })
    }

    /// Says that a change did not come that has to be there.
    pub fn left_out(&self, revision: Revision) -> Error {
        self.incoming.node.nonsense(format!("it left out the change of revision {revision}")).into()
    }
}

fn in_order(node: &Node, from: i64, revision: Revision) -> Result<i64, RpcError> {
    if revision.0 < from { Err(node.nonsense("its changes are not in order")) } else { Ok(revision.0) }
}

fn change(event: PbEvent) -> Option<KeyChange> {
    let pair = event.kv?;
    let (revision, key) = (Revision(pair.mod_revision), pair.key.clone());
    match event.r#type {
        0 => Some(KeyChange { revision, key, put: Some(item(pair)) }),
        1 => Some(KeyChange { revision, key, put: None }),
        _ => None,
    }
}
