//! The snapshot stream, checked as it comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::proto::PbSnapshotResponse;
use etcd_client::{SnapshotResponse, SnapshotStreaming};

use super::call::{Incoming, Kind};
use super::error::RpcError;
use super::node::Node;
use super::types::SnapshotChunk;
use crate::error::Result;

/// The stream ends with the SHA-256 of everything before it.
const SHA256: usize = 32;

impl Node {
    /// Asks for a snapshot of the member's store. Its first piece must come before the deadline, each further one within `idle`.
    ///
    /// # Errors
    /// It did not begin in time, or the server refused.
    pub async fn snapshot(self: &Arc<Self>, deadline: Instant, idle: Duration) -> Result<SnapshotStream> {
        let ask = || {
            let mut maintenance = self.client.maintenance_client();
            async move {
                let mut stream = maintenance.snapshot().await?;
                let first = stream.message().await?;
                Ok((stream, first))
            }
        };
        let ((stream, first), opened) = self.open("Snapshot", Kind::Read, deadline, ask).await?;
        let incoming = Incoming::new(self, opened, "the next piece of the snapshot", idle);
        Ok(SnapshotStream { incoming, stream, first, state: State::default() })
    }
}

/// A snapshot, piece by piece: the database, then one last piece of 32 bytes, its SHA-256.
pub struct SnapshotStream {
    incoming: Incoming,
    stream: SnapshotStreaming,
    first: Option<SnapshotResponse>,
    state: State,
}

impl SnapshotStream {
    /// Waits for the next piece; `None` is the end of a whole snapshot.
    ///
    /// # Errors
    /// Nothing came in time, the connection was lost, or what came cannot be a snapshot.
    pub async fn next(&mut self) -> Result<Option<SnapshotChunk>> {
        let message = match self.first.take() {
            Some(first) => Some(first),
            None => self.incoming.message(self.stream.message()).await?,
        };
        let done = match message {
            Some(message) => self.state.take(message.0).map(Some),
            None => self.state.end().map(|()| None),
        };
        done.map_err(|problem| RpcError::protocol(self.incoming.node.endpoint(), problem).into())
    }
}

/// How far a snapshot has come.
#[derive(Default)]
enum State {
    #[default]
    Start,
    Data {
        remaining: u64,
    },
    Whole,
}

impl State {
    /// Checks a piece. A server that fails to read its own database sends empty pieces without end, and etcdctl waits for ever.
    fn take(&mut self, message: PbSnapshotResponse) -> Result<SnapshotChunk, String> {
        let PbSnapshotResponse { blob, remaining_bytes: remaining, version, .. } = message;
        let length = u64::try_from(blob.len()).unwrap_or(u64::MAX);
        *self = match *self {
            // The server computes it as a signed number, so a negative one arrives as one that is far too large.
            _ if i64::try_from(remaining).is_err() => return Err(format!("{} bytes remain", remaining.cast_signed())),
            State::Data { remaining: 0 } if remaining == 0 && blob.len() == SHA256 => State::Whole,
            State::Data { remaining: 0 } => return Err(format!("{length} bytes where the SHA-256 should be")),
            State::Whole => return Err("the snapshot goes on after its SHA-256".to_owned()),
            State::Start | State::Data { .. } if blob.is_empty() => {
                return Err(format!(
                    "an empty piece of the snapshot while {remaining} bytes remain; it cannot read its database"
                ));
            }
            State::Data { remaining: before } if remaining.checked_add(length) != Some(before) => {
                return Err(format!("{remaining} bytes of the snapshot remain after {length} of {before}"));
            }
            State::Start | State::Data { .. } => State::Data { remaining },
        };
        Ok(SnapshotChunk { blob, remaining, version })
    }

    fn end(&self) -> Result<(), String> {
        match self {
            State::Whole => Ok(()),
            State::Data { remaining: 0 } => Err("the snapshot ended without its SHA-256".to_owned()),
            State::Data { remaining } => Err(format!("the snapshot ended while {remaining} bytes remained")),
            State::Start => Err("the snapshot is empty".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Sends pieces of (length, remaining), and returns what is wrong with them.
    fn send(pieces: &[(usize, u64)]) -> String {
        let mut state = State::default();
        for (length, remaining) in pieces {
            let blob = vec![7; *length];
            let message = PbSnapshotResponse { blob, remaining_bytes: *remaining, ..Default::default() };
            if let Err(problem) = state.take(message) {
                return problem;
            }
        }
        state.end().err().unwrap_or_default()
    }

    #[rstest]
    #[case(&[(10, 0), (32, 0)], "")]
    #[case(&[(10, 12), (10, 2), (2, 0), (32, 0)], "")]
    #[case(&[(32, 0), (32, 0)], "")]
    #[case(&[], "the snapshot is empty")]
    #[case(&[(10, 2)], "the snapshot ended while 2 bytes remained")]
    #[case(&[(10, 0)], "the snapshot ended without its SHA-256")]
    #[case(&[(10, 0), (31, 0)], "31 bytes where the SHA-256 should be")]
    #[case(&[(10, 0), (32, 1)], "32 bytes where the SHA-256 should be")]
    #[case(&[(10, 0), (32, 0), (32, 0)], "the snapshot goes on after its SHA-256")]
    #[case(&[(0, 5)], "an empty piece of the snapshot while 5 bytes remain; it cannot read its database")]
    #[case(&[(5, 5), (0, 5)], "an empty piece of the snapshot while 5 bytes remain; it cannot read its database")]
    #[case(&[(5, 5), (3, 5)], "5 bytes of the snapshot remain after 3 of 5")]
    #[case(&[(5, 5), (3, 3)], "3 bytes of the snapshot remain after 3 of 5")]
    #[case(&[(5, 5), (3, 7)], "7 bytes of the snapshot remain after 3 of 5")]
    #[case(&[(5, 5), (8, u64::MAX - 2)], "-3 bytes remain")]
    fn only_a_whole_snapshot_passes(#[case] pieces: &[(usize, u64)], #[case] problem: &str) {
        assert_eq!(send(pieces), problem);
    }
}
