//! Reading many keys of a cluster: page by page, or as a stream where the server has one, and on by another member where one
//! breaks off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::id::Revision;
use crate::rpc::{Cluster, Consistency, KeyValue, Node, RangeQuery, Way};

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
    read.all(take).await
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
}
