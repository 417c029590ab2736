//! What eats the space: values that can be read now, older ones that a compaction forgets, or free pages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::change::view::ClusterView;
use crate::context::Context;
use crate::error::{Interrupted, Result};
use crate::format::prefix::Grouping;
use crate::rpc::{Consistency, KeyValue, Node, RangeQuery};
use crate::units::{Bytes, clean_text};

/// How many bytes of keys and values a page should hold; the server builds each page in memory.
const PAGE: usize = 4 << 20;
/// How many keys are read first, since nobody knows yet how large they are.
const FIRST: i64 = 4;
/// How many bytes a row takes at least beside its key and value: the element of a page (16), the revision (17), and the tags, lengths
/// and numbers of the record (15; bbolt `internal/common/page.go`, etcd `server/storage/mvcc/revision.go`, `api/mvccpb/kv.proto`).
const ROW: usize = 48;
/// How many bytes are read at most, so that looking does not burden a cluster that is in trouble.
const BUDGET: usize = 256 << 20;
/// How long the looking may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found.
pub(crate) struct Eater {
    /// In words.
    pub(crate) told: String,
    /// How many bytes of a database the keys take at least as they are now, where all of them were looked at.
    pub(crate) live: Option<i64>,
}

/// What the keys hold, as far as they were read.
#[derive(Default)]
struct Read {
    live: usize,
    keys: u64,
    prefixes: BTreeMap<String, usize>,
    whole: bool,
    failed: Option<String>,
}

/// Says what eats the space, from what the fullest member tells and from a bounded read of the keys that are there now. What
/// cannot be read keeps nobody from being helped.
///
/// # Errors
/// Ctrl-C was pressed.
pub(crate) async fn find(ctx: &Context<'_>, view: &ClusterView) -> Result<Option<Eater>> {
    let serving = view.members.iter().filter(|m| m.serves() && !m.member.is_learner);
    let Some(member) = serving.max_by_key(|m| m.known().map(|status| status.db_size)) else { return Ok(None) };
    let (Some(status), Some(endpoint)) = (member.known(), &member.endpoint) else { return Ok(None) };
    let read = read(ctx, &*ctx.cluster()?.node(endpoint)?).await?;
    Ok(Some(tell(read, status.db_size, status.db_in_use, &member.member.label())))
}

fn tell(read: Read, size: i64, used: i64, label: &str) -> Eater {
    let free = Bytes((size - used).max(0));
    let most = read.prefixes.iter().max_by_key(|(_, size)| **size).filter(|(prefix, _)| !prefix.is_empty());
    let most = most.map(|(prefix, size)| format!(", most of it below {prefix:?} ({})", bytes(*size)));
    let (part, rest) =
        if read.whole { ("all", "the rest are older values") } else { ("the first", "the others were not read") };
    let stored = read.live.saturating_add(ROW.saturating_mul(usize::try_from(read.keys).unwrap_or(usize::MAX)));
    let why = read.failed.map(|why| format!(" (more could not be read: {why})")).unwrap_or_default();
    let told = format!(
        "of {} on {label}, {free} are free pages, and {part} {} keys hold {} now{}{why}, for which {} are needed at least; {rest}",
        Bytes(size),
        read.keys,
        bytes(read.live),
        most.unwrap_or_default(),
        bytes(stored),
    );
    Eater { told, live: read.whole.then(|| i64::try_from(stored).unwrap_or(i64::MAX)) }
}

async fn read(ctx: &Context<'_>, node: &Node) -> Result<Read> {
    let (mut read, mut from, mut limit) = (Read::default(), vec![0], FIRST);
    let end = Instant::now() + PATIENCE;
    while read.live < BUDGET && Instant::now() < end {
        let query = RangeQuery {
            key: from.clone(),
            end: vec![0],
            revision: 0,
            limit,
            keys_only: false,
            count_only: false,
            // It burdens this one member only, and need not be exact.
            consistency: Consistency::Serializable,
        };
        let page = match ctx.unless_cancelled(node.range(&query, ctx.cluster()?.deadline())).await {
            Ok(page) => page,
            Err(error) if error.code() == Interrupted::CODE => return Err(error),
            Err(error) => {
                read.failed = Some(error.in_one_line());
                break;
            }
        };
        let mut held = 0;
        for item in &page.items {
            let size = item.key.len() + item.value.len();
            held += size;
            *read.prefixes.entry(prefix(item)).or_default() += size;
        }
        read.live += held;
        read.keys += u64::try_from(page.items.len()).unwrap_or_default();
        let Some(last) = page.items.last().filter(|_| page.more) else {
            read.whole = true;
            break;
        };
        from = [last.key.as_slice(), &[0]].concat();
        limit = next(limit, held);
    }
    Ok(read)
}

/// Returns how many keys the next page has: as many as fill it, if they are as large, and at most four times as many as before,
/// since they may be larger.
fn next(limit: i64, held: usize) -> i64 {
    let fitting =
        limit.saturating_mul(i64::try_from(PAGE).unwrap_or(i64::MAX)) / i64::try_from(held.max(1)).unwrap_or(i64::MAX);
    fitting.clamp(1, limit.saturating_mul(4)).min(1_000)
}

fn bytes(size: usize) -> Bytes {
    Bytes::new(u64::try_from(size).unwrap_or(u64::MAX))
}

/// Returns what a key begins with: its first two parts between slashes, or else what comes before the last slash.
fn prefix(item: &KeyValue) -> String {
    clean_text(Grouping::default().prefix(&item.key)).map_or_else(|| "(binary)".to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Read, next, tell};

    #[test]
    fn what_a_key_takes_beside_its_value_counts_too() {
        let read = |whole| Read { live: 4_700_000, keys: 290_306, whole, ..Read::default() };
        let (all, part) =
            (tell(read(true), 20_000_000, 19_500_000, "infra1"), tell(read(false), 20_000_000, 19_500_000, "infra1"));
        assert_eq!((all.live, part.live), (Some(4_700_000 + 48 * 290_306), None));
        insta::assert_snapshot!(format!("{}\n{}", all.told, part.told), @"
        of 20.0 MB on infra1, 500.0 kB are free pages, and all 290306 keys hold 4.7 MB now, for which 18.6 MB are needed at least; the rest are older values
        of 20.0 MB on infra1, 500.0 kB are free pages, and the first 290306 keys hold 4.7 MB now, for which 18.6 MB are needed at least; the others were not read
        ");
    }

    #[test]
    fn pages_grow_while_keys_are_small_and_shrink_at_once() {
        assert_eq!((next(4, 100), next(600, 6_000)), (16, 1_000));
        assert_eq!((next(4, 6 << 20), next(1_000, 1_000 << 20)), (2, 4));
        assert_eq!((next(1, 64 << 20), next(1_000, 0)), (1, 1_000));
    }
}
