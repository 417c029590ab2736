//! Reading keys: in pages, or as a stream where the server has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::proto::{PbKeyValue, PbRangeResponse};
use etcd_client::{GetOptions, GetResponse, GetStreamResponse};

use super::call::{Incoming, Kind};
use super::error::RpcError;
use super::node::Node;
use super::raw;
use super::types::{Consistency, KeyValue, RangePage, RangeQuery};
use crate::error::Result;
use crate::id::{LeaseId, Revision};

/// What etcdctl allows too; tonic's own limit is 4 MiB, less than one page.
const LARGEST_ANSWER: usize = 2 << 30;

const NOTHING_OF_MORE: &str = "there are more keys, and none of them is in it";

impl Node {
    /// Reads a page of keys.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn range(&self, query: &RangeQuery, deadline: Instant) -> Result<RangePage> {
        let ask = || {
            let mut kv = self.client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
            let (key, options) = request(query);
            async move { kv.get(key, Some(options)).await }
        };
        let answer = self.call("Range", Kind::Read, deadline, ask).await?.0;
        let page = self.read_page(answer)?;
        self.leads_on(query, &page)?;
        Ok(page)
    }

    /// Checks that a page brings whoever reads on behind it closer to the end; otherwise that would never come.
    fn leads_on(&self, query: &RangeQuery, page: &RangePage) -> Result<(), RpcError> {
        if page.more && page.items.is_empty() && query.limit != 0 {
            return Err(self.nonsense(NOTHING_OF_MORE));
        }
        self.in_order(&query.key, &page.items)
    }

    fn in_order(&self, from: &[u8], items: &[KeyValue]) -> Result<(), RpcError> {
        let ordered = items.is_sorted_by(|a, b| a.key < b.key);
        if !ordered || items.first().is_some_and(|first| first.key.as_slice() < from) {
            return Err(self.nonsense("its keys are not in order"));
        }
        Ok(())
    }

    /// Reads a page of keys that may be large: its parts are handed on as they arrive.
    ///
    /// # Errors
    /// It did not begin in time, or the server refused.
    pub async fn range_parts(self: &Arc<Self>, query: &RangeQuery, idle: Duration) -> Result<RangeParts> {
        let ask = || {
            let answer = raw::in_parts(self.sender(), "/etcdserverpb.KV/Range", raw_request(query), LARGEST_ANSWER);
            async move {
                let mut stream = answer.await?;
                let first = stream.message().await?;
                Ok((stream, first))
            }
        };
        let ((stream, first), connection) = self.open("Range", Kind::Read, Instant::now() + idle, ask).await?;
        let incoming = Incoming::new(self, connection, "the next keys", idle);
        let from = query.key.clone();
        Ok(RangeParts { incoming, stream, first, revision: None, from, more: false, empty: true })
    }

    /// Reads keys as a stream: the server sends them as it finds them, at one revision, without counting them first.
    ///
    /// # Errors
    /// It did not begin in time; `unsupported` before 3.7.
    pub async fn range_stream(self: &Arc<Self>, query: &RangeQuery, idle: Duration) -> Result<RangeStream> {
        let ask = || {
            let mut kv = self.client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
            let (key, options) = request(query);
            async move {
                let mut stream = kv.get_stream(key, Some(options)).await?;
                let first = stream.message().await?;
                Ok((stream, first))
            }
        };
        let ((stream, first), connection) = self.open("RangeStream", Kind::Read, Instant::now() + idle, ask).await?;
        let incoming = Incoming::new(self, connection, "the next keys", idle);
        Ok(RangeStream { incoming, stream, first, revision: query.revision, ended: false })
    }

    fn read_page(&self, answer: PbRangeResponse) -> Result<RangePage, RpcError> {
        let header = self.header(answer.header)?;
        let revision = Revision(self.not_negative("revision", header.revision)?);
        let count = self.not_negative("number of keys", answer.count)?;
        Ok(RangePage { revision, items: answer.kvs.into_iter().map(item).collect(), more: answer.more, count })
    }
}

fn item(pair: PbKeyValue) -> KeyValue {
    KeyValue {
        key: pair.key,
        value: pair.value,
        create_revision: Revision(pair.create_revision),
        mod_revision: Revision(pair.mod_revision),
        version: pair.version,
        // A lease's id is a signed number on the wire, and the same bits in hex everywhere else.
        lease: Some(LeaseId(pair.lease.cast_unsigned())).filter(|lease| lease.0 != 0),
    }
}

fn request(query: &RangeQuery) -> (Vec<u8>, GetOptions) {
    let mut options = GetOptions::new().with_limit(query.limit).with_revision(query.revision);
    if !query.end.is_empty() {
        options = options.with_range(query.end.clone());
    }
    if query.keys_only {
        options = options.with_keys_only();
    }
    if query.count_only {
        options = options.with_count_only();
    }
    if query.consistency == Consistency::Serializable {
        options = options.with_serializable();
    }
    (first_key(query), options)
}

fn raw_request(query: &RangeQuery) -> raw::RangeRequest {
    raw::RangeRequest {
        key: first_key(query),
        range_end: query.end.clone(),
        limit: query.limit,
        revision: query.revision,
        serializable: query.consistency == Consistency::Serializable,
        keys_only: query.keys_only,
        count_only: query.count_only,
    }
}

/// The server refuses an empty key, and means the very first one by a single zero byte.
fn first_key(query: &RangeQuery) -> Vec<u8> {
    if query.key.is_empty() { vec![0] } else { query.key.clone() }
}

/// A page of keys, part by part.
pub struct RangeParts {
    incoming: Incoming,
    stream: tonic::Streaming<PbRangeResponse>,
    first: Option<PbRangeResponse>,
    revision: Option<Revision>,
    /// No key that comes next is smaller.
    from: Vec<u8>,
    more: bool,
    empty: bool,
}

impl RangeParts {
    /// Waits for the next part; `None` is the end. Only the last part knows the number of keys, and whether there are more.
    ///
    /// # Errors
    /// Nothing came in time, the connection was lost, or what came cannot be a page.
    pub async fn next(&mut self) -> Result<Option<RangePage>> {
        let part = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let stream = &mut self.stream;
                self.incoming.message(async { Ok(stream.message().await?) }).await?
            }
        };
        let node = &self.incoming.node;
        let Some(part) = part else {
            return match self.revision {
                None => Err(node.nonsense("it has no header").into()),
                Some(_) if self.more && self.empty => Err(node.nonsense(NOTHING_OF_MORE).into()),
                Some(_) => Ok(None),
            };
        };
        // etcd writes the header before everything else.
        let revision = match (self.revision, part.header) {
            (Some(known), None) => known,
            (_, header) => Revision(node.not_negative("revision", node.header(header)?.revision)?),
        };
        self.revision = Some(revision);
        let count = node.not_negative("number of keys", part.count)?;
        let items: Vec<_> = part.kvs.into_iter().map(item).collect();
        node.in_order(&self.from, &items)?;
        self.more |= part.more;
        if let Some(last) = items.last() {
            self.empty = false;
            self.from.clone_from(&last.key);
            self.from.push(0);
        }
        Ok(Some(RangePage { revision, items, more: part.more, count }))
    }
}

/// Keys, as the server sends them.
pub struct RangeStream {
    incoming: Incoming,
    stream: GetStreamResponse,
    first: Option<GetResponse>,
    revision: i64,
    ended: bool,
}

impl RangeStream {
    /// Waits for more keys; `None` is the end. Only the last page knows the number of keys, and the revision unless one was
    /// asked for; they are zero before.
    ///
    /// # Errors
    /// Nothing came in time, the connection was lost, or the stream ended early.
    pub async fn next(&mut self) -> Result<Option<RangePage>> {
        let message = match self.first.take() {
            Some(first) => Some(first),
            None => self.incoming.message(self.stream.message()).await?,
        };
        let node = &self.incoming.node;
        let Some(message) = message.map(|message| message.0) else {
            // The last page carries the header; without it the stream was cut off somewhere on the way.
            return if self.ended {
                Ok(None)
            } else {
                Err(node.nonsense("the stream ended before its last keys").into())
            };
        };
        if self.ended {
            return Err(node.nonsense("keys came after the last ones").into());
        }
        if message.header.is_some() {
            self.ended = true;
            return Ok(Some(node.read_page(message)?));
        }
        let items = message.kvs.into_iter().map(item).collect();
        Ok(Some(RangePage { revision: Revision(self.revision), items, more: true, count: 0 }))
    }
}
