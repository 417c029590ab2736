//! What eats the space: values that can be read now, older ones that a compaction forgets, or free pages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::change::view::ClusterView;
use crate::context::Context;
use crate::error::Result;
use crate::rpc::{Consistency, KeyValue, RangeQuery};
use crate::units::{Bytes, clean_text};

/// How many keys are read in one page.
const PAGE: i64 = 1_000;
/// How many bytes are read at most, so that looking does not burden a cluster that is in trouble.
const BUDGET: usize = 256 << 20;
/// How long the looking may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says what eats the space, from what the fullest member tells and from a bounded read of the keys that are there now.
pub(crate) async fn find(ctx: &Context<'_>, view: &ClusterView) -> Result<Option<String>> {
    let serving = view.members.iter().filter(|m| m.serves() && !m.member.is_learner);
    let Some(member) = serving.max_by_key(|m| m.known().map(|status| status.db_size)) else { return Ok(None) };
    let (Some(status), Some(endpoint)) = (member.known(), &member.endpoint) else { return Ok(None) };
    let node = ctx.cluster()?.node(endpoint)?;
    let (mut live, mut prefixes, mut keys) = (0_usize, BTreeMap::<String, usize>::new(), 0_u64);
    let (mut from, mut whole) = (vec![0], false);
    let deadline = std::time::Instant::now() + PATIENCE;
    while live < BUDGET && std::time::Instant::now() < deadline {
        let query = RangeQuery {
            key: from.clone(),
            end: vec![0],
            revision: 0,
            limit: PAGE,
            keys_only: false,
            count_only: false,
            // It burdens this one member only, and need not be exact.
            consistency: Consistency::Serializable,
        };
        let page = node.range(&query, ctx.cluster()?.deadline()).await?;
        for item in &page.items {
            let size = item.key.len() + item.value.len();
            live += size;
            keys += 1;
            *prefixes.entry(prefix(item)).or_default() += size;
        }
        let Some(last) = page.items.last().filter(|_| page.more) else {
            whole = true;
            break;
        };
        from = [last.key.as_slice(), &[0]].concat();
    }
    let free = Bytes((status.db_size - status.db_in_use).max(0));
    let most = prefixes.iter().max_by_key(|(_, size)| **size).filter(|(prefix, _)| !prefix.is_empty());
    let most = most.map(|(prefix, size)| format!(", most of it below {prefix:?} ({})", bytes(*size)));
    let read = if whole { "all" } else { "the first" };
    Ok(Some(format!(
        "of {} on {}, {free} are free pages, and {read} {keys} keys hold {} now{}; the rest are older values",
        Bytes(status.db_size),
        member.member.label(),
        bytes(live),
        most.unwrap_or_default(),
    )))
}

fn bytes(size: usize) -> Bytes {
    Bytes::new(u64::try_from(size).unwrap_or(u64::MAX))
}

/// Returns what a key begins with: its first two parts between slashes, or else what comes before the last slash.
fn prefix(item: &KeyValue) -> String {
    let Some(text) = clean_text(&item.key) else { return "(binary)".to_owned() };
    let parts: Vec<&str> = text.split_inclusive('/').collect();
    let wanted = if text.starts_with('/') { 3 } else { 2 };
    let kept = parts.len().saturating_sub(1).min(wanted);
    parts.into_iter().take(kept).collect()
}
