//! Reading keys: in pages, or as a stream where the server has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::GetOptions;
use etcd_client::proto::{PbKeyValue, PbRangeResponse};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::call::{Incoming, Kind};
use super::error::RpcError;
use super::node::Node;
use super::raw::{self, RangeStreamResponse};
use super::reframe::Cut;
use super::types::{Consistency, KeyValue, RangePage, RangeQuery};
use crate::error::Result;
use crate::id::{LeaseId, Revision};

/// What etcdctl allows too; tonic's own limit is 4 MiB, less than one page.
pub(super) const LARGEST_ANSWER: usize = 2 << 30;

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

    /// Reads many keys: their parts are handed on as they arrive.
    ///
    /// # Errors
    /// It did not begin in time, or the server refused; `unsupported` for a stream before 3.7.
    pub async fn range_parts(self: &Arc<Self>, query: &RangeQuery, way: Way, idle: Duration) -> Result<RangeParts> {
        let ask = || async move {
            let request = raw_request(query);
            let mut parts: Parts = match way {
                Way::Page => {
                    let path = "/etcdserverpb.KV/Range";
                    raw::in_parts(self.sender(), path, request, Cut::Outside, LARGEST_ANSWER).await?.boxed()
                }
                Way::Stream => {
                    let path = "/etcdserverpb.KV/RangeStream";
                    let answers = raw::in_parts(self.sender(), path, request, Cut::Inside, LARGEST_ANSWER).await?;
                    let inner = |answer: RangeStreamResponse| answer.range_response.unwrap_or_default();
                    answers.map_ok(inner).boxed()
                }
            };
            let first = parts.try_next().await?;
            Ok((parts, first))
        };
        let method = match way {
            Way::Page => "Range",
            Way::Stream => "RangeStream",
        };
        let ((parts, first), connection) = self.open(method, Kind::Read, Instant::now() + idle, ask).await?;
        let incoming = Incoming::new(self, connection, "the next keys", idle);
        let from = query.key.clone();
        Ok(RangeParts { incoming, way, parts, first, revision: None, from, more: false, empty: true })
    }

    fn read_page(&self, answer: PbRangeResponse) -> Result<RangePage, RpcError> {
        let header = self.header(answer.header)?;
        let revision = Revision(self.not_negative("revision", header.revision)?);
        let count = self.not_negative("number of keys", answer.count)?;
        Ok(RangePage { revision, items: answer.kvs.into_iter().map(item).collect(), more: answer.more, count })
    }
}

pub(super) fn item(pair: PbKeyValue) -> KeyValue {
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

/// How many keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As one answer, which the server makes before it sends it; and it counts the rest of the range.
    Page,
    /// The server sends the keys as it finds them, which it can from 3.7 on: it counts nothing, and keeps no page.
    Stream,
}

type Parts = BoxStream<'static, Result<PbRangeResponse, tonic::Status>>;

/// Keys, part by part.
pub struct RangeParts {
    incoming: Incoming,
    way: Way,
    parts: Parts,
    first: Option<PbRangeResponse>,
    /// What the header said, which a page begins with, and which comes with the last message of a stream.
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
    /// Nothing came in time, the connection was lost, or what came cannot be an answer.
    pub async fn next(&mut self) -> Result<Option<RangePart>> {
        let part = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let parts = &mut self.parts;
                self.incoming.message(async { Ok(parts.try_next().await?) }).await?
            }
        };
        let node = &self.incoming.node;
        let Some(part) = part else {
            return match (self.revision, self.way) {
                // Without the header the stream was cut off somewhere on the way.
                (None, Way::Stream) => Err(node.nonsense("the stream ended before its last keys").into()),
                (None, Way::Page) => Err(node.nonsense("it has no header").into()),
                (Some(_), _) if self.more && self.empty => Err(node.nonsense(NOTHING_OF_MORE).into()),
                (Some(_), _) => Ok(None),
            };
        };
        self.revision = match (self.revision, part.header, self.way) {
            (known @ Some(_), None, _) | (known @ None, None, Way::Stream) => known,
            (_, header, _) => Some(Revision(node.not_negative("revision", node.header(header)?.revision)?)),
        };
        node.not_negative("number of keys", part.count)?;
        let items: Vec<_> = part.kvs.into_iter().map(item).collect();
        node.in_order(&self.from, &items)?;
        self.more |= part.more;
        if let Some(last) = items.last() {
            self.empty = false;
            self.from.clone_from(&last.key);
            self.from.push(0);
        }
        Ok(Some(RangePart { revision: self.revision, items, more: part.more }))
    }
}

/// Some of the keys that were asked for.
#[derive(Debug)]
pub struct RangePart {
    /// The revision that they are of, as soon as it is known.
    pub revision: Option<Revision>,
    /// The keys.
    pub items: Vec<KeyValue>,
    /// Whether there are more than were asked for.
    pub more: bool,
}
