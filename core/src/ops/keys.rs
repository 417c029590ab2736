//! `keys`: many keys, streamed in pages at one revision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::{Error, Result};
use crate::format::view::{Item, Wanted, view};
use crate::id::{LeaseId, Revision};
use crate::operation::Operation;
use crate::rpc::{Cluster, Consistency, KeyValue, Node, RangeQuery, Way};
use crate::stream::{Pages, Rows};
use crate::units::{Bytes, Octets};
use crate::{args, at_rest, record};

args! {
    /// What to read.
    pub struct Args() {
        /// Only keys that begin so.
        prefix: Option<Octets>,
        /// Begin with this key.
        from: Option<Octets>,
        /// At most this many.
        limit: Option<i64>,
        /// Read as of this revision; without it, the newest.
        revision: Option<i64>,
        /// Leave the values out; they and the sizes are null then.
        keys_only: bool,
        /// Ask one member only, which needs no quorum, and may miss the newest writes.
        serializable: bool,
    }
}

record! {
    /// One key.
    pub struct Row {
        /// The key: text, or bytes where it is not clean text.
        key: Octets,
        /// Its value: text, or bytes where it is not clean text.
        value: Option<Octets>,
        /// How often it was changed since it was created; 1 for a new key.
        version: i64,
        /// The revision at which it was created.
        create_revision: Revision,
        /// The revision at which it was last changed.
        mod_revision: Revision,
        /// The lease that it dies with, in hex.
        lease: Option<LeaseId>,
        /// The size of key and value together.
        size: Option<Bytes>,
    }
}

impl Row {
    /// Makes a row of what the store has.
    pub(crate) fn new(item: KeyValue, keys_only: bool) -> Self {
        let size = Bytes::new(item.key.len() as u64 + item.value.len() as u64);
        Row {
            key: Octets(item.key),
            value: (!keys_only).then_some(Octets(item.value)),
            version: item.version,
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            lease: item.lease,
            size: (!keys_only).then_some(size),
        }
    }
}

/// See [`Operation::CARD`].
pub struct Keys;

impl Operation for Keys {
    const CARD: Card = Card {
        name: "keys",
        summary: "Read many keys, streamed, all at one revision.",
        details: "The keys come in order while they are read, so memory stays small however many there are. All of them are of \
                  one revision, that of the first page; a compaction past it while a long read is under way ends the read with \
                  an error. The keys of a file are sorted first, which takes a reading of it for about every 400000 of them.",
        search: &["etcdctl", "range", "scan", "prefix", "dump", "list"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example {
                about: "Read the keys below a prefix, without their values",
                args: &[("prefix", Sample::Text("/registry/pods/")), ("keys_only", Sample::On)],
            },
            Example {
                about: "Read ten keys from a certain one on",
                args: &[("from", Sample::Text("/registry/")), ("limit", Sample::Int(10))],
            },
            Example {
                about: "Read the keys below a prefix out of a snapshot",
                args: &[("prefix", Sample::Text("/registry/pods/")), ("db", Sample::Text("backup.db"))],
            },
        ],
    };
    type Args = Args;
    type Report = Rows<Row>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Rows<Row>> {
        let limit = match args.limit {
            Some(limit) if limit < 0 => {
                return Err(BadArgument::invalid("limit", "is negative", "give 0 or more").into());
            }
            limit => limit,
        };
        let query = query(&args)?.filter(|_| limit != Some(0));
        match (ctx.source()?, query) {
            (_, None) => ctx.rows(async move |_| Ok(())).await,
            (Source::File(path), Some(query)) => {
                let wanted = query.at_rest(limit);
                at_rest::rows(ctx, "db", path, move |image, take| {
                    let keys_only = wanted.keys_only;
                    let row = |item: Item| Row::new(item.into(), keys_only);
                    view(image, wanted, |page| take(page.into_iter().map(row).collect())).map(drop)
                })
                .await
            }
            (Source::Cluster(cluster), Some(query)) => {
                let cluster = Arc::clone(cluster);
                ctx.rows(move |pages| async move {
                    let mut rows = ToRows { pages, keys_only: query.keys_only };
                    read(&cluster, query, limit, &mut rows).await.map(drop)
                })
                .await
            }
        }
    }
}

/// Checks a revision that a user gave.
pub(crate) fn at_revision(revision: Option<i64>) -> Result<i64> {
    match revision {
        None => Ok(0),
        Some(revision) if revision > 0 => Ok(revision),
        Some(_) => Err(BadArgument::invalid("revision", "must be 1 or more", "leave it out for the newest").into()),
    }
}

/// Asks for all keys that begin so, as of a revision, or the newest where it is 0.
pub(crate) fn query_below(prefix: &[u8], revision: i64) -> RangeQuery {
    let (key, consistency) = (if prefix.is_empty() { vec![0] } else { prefix.to_vec() }, Consistency::Linearizable);
    RangeQuery { key, end: prefix_end(prefix), revision, limit: 0, keys_only: false, count_only: false, consistency }
}

/// Says that a server's answer is about the revision that a user gave.
pub(crate) fn about_revision(error: Error) -> Error {
    match error.code() {
        "compacted" | "future_revision" => error.for_argument("revision"),
        _ => error,
    }
}

/// Returns what to ask for, or nothing where no key can be in the range.
fn query(args: &Args) -> Result<Option<RangeQuery>> {
    let prefix = args.prefix.as_ref().map(|prefix| prefix.0.as_slice()).unwrap_or_default();
    let from = args.from.as_ref().map(|from| from.0.as_slice()).unwrap_or_default();
    let end = prefix_end(prefix);
    let mut key = prefix.max(from).to_vec();
    if end != END && key >= end {
        return Ok(None);
    }
    if key.is_empty() {
        // The smallest key there can be: etcd has no empty one.
        key.push(0);
    }
    Ok(Some(RangeQuery {
        key,
        end,
        revision: at_revision(args.revision)?,
        limit: 0,
        keys_only: args.keys_only,
        count_only: false,
        consistency: if args.serializable { Consistency::Serializable } else { Consistency::Linearizable },
    }))
}

impl RangeQuery {
    /// Asks the same of a file.
    pub(crate) fn at_rest(&self, limit: Option<i64>) -> Wanted {
        Wanted {
            revision: Some(self.revision).filter(|revision| *revision > 0),
            start: self.key.clone(),
            end: Some(self.end.clone()).filter(|end| end != END),
            limit: limit.and_then(|limit| limit.try_into().ok()),
            keys_only: self.keys_only,
        }
    }
}

impl From<Item> for KeyValue {
    fn from(item: Item) -> Self {
        KeyValue {
            key: item.key,
            value: item.value.unwrap_or_default(),
            create_revision: Revision(item.created),
            mod_revision: Revision(item.modified),
            version: item.version,
            lease: Some(LeaseId(item.lease.cast_unsigned())).filter(|lease| lease.0 != 0),
        }
    }
}

/// What etcd takes for "no end".
const END: &[u8] = &[0];

/// Returns the first key that does not begin so: the prefix with its last byte below 0xff raised by one.
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    END.to_vec()
}

/// The first page is small, so that the first row is there at once.
const FIRST_PAGE: i64 = 500;
/// How many bytes a page should hold. The server counts the rest of the range for every page, which takes it 80 to 100 ms at a
/// million keys, so pages are large; they are read while they arrive, so only the server holds a whole one.
const PAGE_BYTES: i64 = 64 << 20;
/// The most keys in a page, where keys are small: the values behind them may be larger than those so far, and the server has
/// to hold a page of them.
const PAGE_KEYS: i64 = 150_000;
/// The same for keys without their values.
const PAGE_BARE_KEYS: i64 = 500_000;

/// Chooses the member that serves a read: the first that proves it can, so that a page, which may take its time, is asked for
/// only once.
pub(crate) async fn reader(cluster: &Arc<Cluster>, how: Consistency) -> Result<Arc<Node>> {
    let deadline = cluster.deadline();
    let serves = |node: Arc<Node>| async move { node.probe(how, deadline).await.map(|()| node) };
    cluster.any(deadline, serves).await
}

/// Where the keys go that are read.
pub(crate) trait Take: Send {
    /// Takes some of them.
    fn take(&mut self, items: Vec<KeyValue>) -> impl Future<Output = Result<()>> + Send;
}

struct ToRows {
    pages: Pages<Row>,
    keys_only: bool,
}

impl Take for ToRows {
    async fn take(&mut self, items: Vec<KeyValue>) -> Result<()> {
        let keys_only = self.keys_only;
        self.pages.send(items.into_iter().map(|item| Row::new(item, keys_only)).collect()).await
    }
}

/// Reads keys, all of them at one revision, in the best way that the server has, and returns that revision.
///
/// # Errors
/// Nobody serves the read, or nobody goes on with it.
pub(crate) async fn read(
    cluster: &Arc<Cluster>,
    query: RangeQuery,
    limit: Option<i64>,
    take: &mut impl Take,
) -> Result<Revision> {
    let (cluster, node) = (Arc::clone(cluster), reader(cluster, query.consistency).await?);
    let read = Read { cluster, node, query, left: limit, page: FIRST_PAGE, streams: true };
    read.all(take).await.map_err(about_revision)
}

struct Read {
    cluster: Arc<Cluster>,
    node: Arc<Node>,
    query: RangeQuery,
    left: Option<i64>,
    page: i64,
    /// Whether the server is not known to be unable to stream.
    streams: bool,
}

impl Read {
    /// Reads a first page, whose revision is that of the whole, and then the rest in the best way that the server has. What
    /// breaks off is gone on with behind the last key, at the same revision, by another member.
    async fn all(mut self, take: &mut impl Take) -> Result<Revision> {
        let mut failed_at = None;
        loop {
            let way = if self.streams && self.query.revision > 0 { Way::Stream } else { Way::Page };
            match self.some(way, take).await {
                Ok(true) => {}
                Ok(false) => return Ok(Revision(self.query.revision)),
                Err(error) if way == Way::Stream && error.code() == "unsupported" => self.streams = false,
                Err(error) if error.retryable() && self.query.revision > 0 => {
                    // Where nothing came since it failed last, and not even a small page does, nothing will.
                    let again = failed_at.replace(self.query.key.clone()).as_ref() == Some(&self.query.key);
                    if again && self.page <= FIRST_PAGE {
                        return Err(error);
                    }
                    self.page = self.page.min(FIRST_PAGE);
                    self.node = reader(&self.cluster, self.query.consistency).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one page, or the rest as a stream, and says whether there is more to read behind it.
    async fn some(&mut self, way: Way, take: &mut impl Take) -> Result<bool> {
        let most = match way {
            Way::Page => Some(self.page),
            Way::Stream => None,
        };
        self.query.limit = match (self.left, most) {
            // An answer can break off behind its last key. To the server a limit of nothing means none.
            (Some(left), _) if left <= 0 => return Ok(false),
            (Some(left), Some(most)) => left.min(most),
            (left, most) => left.or(most).unwrap_or(0),
        };
        let asked = Instant::now();
        let timeout = self.cluster.profile().timeout;
        let mut parts = self.node.range_parts(&self.query, way, timeout).await?;
        let waited = asked.elapsed();
        let (mut count, mut bytes, mut more) = (0, 0, false);
        while let Some(part) = parts.next().await? {
            if let (0, Some(revision)) = (self.query.revision, part.revision) {
                self.query.revision = revision.0;
            }
            more = part.more && way == Way::Page;
            let Some(last) = part.items.last() else { continue };
            self.query.key.clone_from(&last.key);
            self.query.key.push(0);
            let here = i64::try_from(part.items.len()).unwrap_or(i64::MAX);
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(here);
            }
            count += here;
            bytes += part.items.iter().map(|item| item.key.len() + item.value.len() + PER_KEY).sum::<usize>();
            take.take(part.items).await?;
        }
        if way == Way::Page {
            let each = i64::try_from(bytes).unwrap_or(i64::MAX) / count.max(1);
            let most = if self.query.keys_only { PAGE_BARE_KEYS } else { PAGE_KEYS };
            let most = most.min(in_time(self.page, waited, timeout));
            self.page = (PAGE_BYTES / each.max(1)).min(most).max(1);
        }
        Ok(more)
    }
}

/// How many keys the next page may have, where the server took so long to make this one: it has to be able to make it within the
/// timeout, also when it has more to do than now. Pages grow step by step, because the first keys may be smaller than the others.
fn in_time(page: i64, took: Duration, timeout: Duration) -> i64 {
    let times = (timeout.as_millis() / 4 / took.as_millis().max(1)).min(8);
    match i64::try_from(times) {
        Ok(times @ 1..) => page.saturating_mul(times),
        _ => (page / 2).max(FIRST_PAGE.min(page)),
    }
}

/// What a key takes on the wire beside its own bytes and its value's, about.
const PER_KEY: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(500, 90, 4000)]
    #[case(4000, 300, 16_000)]
    #[case(32_000, 700, 32_000)]
    #[case(500_000, 2000, 250_000)]
    #[case(600, 4000, 500)]
    #[case(500, 4000, 500)]
    // Where values are large, a page is smaller than the first from the start.
    #[case(64, 4000, 64)]
    fn a_page_grows_while_the_server_makes_it_in_time(#[case] page: i64, #[case] took: u64, #[case] next: i64) {
        assert_eq!(in_time(page, Duration::from_millis(took), Duration::from_secs(5)), next);
    }

    fn octets(text: Option<&[u8]>) -> Option<Octets> {
        text.map(|bytes| Octets(bytes.to_vec()))
    }

    #[rstest]
    #[case(None, None, Some((&[0][..], &[0][..])))]
    #[case(Some(&b"/a"[..]), None, Some((&b"/a"[..], &b"/b"[..])))]
    #[case(Some(&b"/a"[..]), Some(&b"/a/x"[..]), Some((&b"/a/x"[..], &b"/b"[..])))]
    #[case(Some(&b"/b"[..]), Some(&b"/a"[..]), Some((&b"/b"[..], &b"/c"[..])))]
    #[case(Some(&b"/a"[..]), Some(&b"/b"[..]), None)]
    #[case(None, Some(&b"/b"[..]), Some((&b"/b"[..], &[0][..])))]
    #[case(Some(&[0x61, 0xff][..]), None, Some((&[0x61, 0xff][..], &[0x62][..])))]
    #[case(Some(&[0xff, 0xff][..]), None, Some((&[0xff, 0xff][..], &[0][..])))]
    fn a_range_is_what_prefix_and_from_have_in_common(
        #[case] prefix: Option<&[u8]>,
        #[case] from: Option<&[u8]>,
        #[case] range: Option<(&[u8], &[u8])>,
    ) {
        let args = Args {
            prefix: octets(prefix),
            from: octets(from),
            limit: None,
            revision: None,
            keys_only: false,
            serializable: false,
        };
        let query = query(&args).unwrap();
        assert_eq!(query.as_ref().map(|q| (q.key.as_slice(), q.end.as_slice())), range);
    }
}
