//! What the store holds, and what it has held since its last compaction.

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{Client, GetOptions, WatchOptions};

use super::client::{Failure, within};

/// How long an answer may take, and the next piece of the history.
const ANSWER: Duration = Duration::from_secs(10);

/// A key as it stands.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) value: String,
    pub(super) revision: i64,
    /// How often it was written since it was created.
    pub(super) version: i64,
}

/// Reads the keys below a prefix as a quorum knows them.
pub(super) async fn current(client: &mut Client, prefix: &str) -> Result<HashMap<String, Current>, Failure> {
    let answer = within(ANSWER, client.get(prefix, Some(GetOptions::new().with_prefix()))).await?;
    let entry = |kv: &etcd_client::KeyValue| {
        let current = Current { value: text(kv.value()), revision: kv.mod_revision(), version: kv.version() };
        (text(kv.key()), current)
    };
    Ok(answer.kvs().iter().map(entry).collect())
}

/// What was written, by revision.
pub(super) struct History {
    /// The first revision that is told.
    pub(super) from: i64,
    /// The key and the value of each.
    pub(super) written: HashMap<i64, (String, String)>,
}

impl History {
    /// Nothing was written.
    pub(super) fn none() -> Self {
        History { from: 0, written: HashMap::new() }
    }
}

/// Reads what was written below a prefix from one revision to another, or from the last compaction on.
pub(super) async fn history(client: &mut Client, prefix: &str, from: i64, to: i64) -> Result<History, Failure> {
    let mut history = History { from, written: HashMap::new() };
    'again: loop {
        let options = WatchOptions::new().with_prefix().with_start_revision(history.from);
        let mut stream = within(ANSWER, client.watch(prefix, Some(options))).await?;
        loop {
            let answer = within(ANSWER, stream.message()).await?.ok_or_else(Failure::broken_off)?;
            if answer.compact_revision() > 0 {
                history.from = answer.compact_revision();
                continue 'again;
            }
            for kv in answer.events().iter().filter_map(etcd_client::Event::kv) {
                history.written.insert(kv.mod_revision(), (text(kv.key()), text(kv.value())));
            }
            if history.written.keys().max().is_some_and(|last| *last >= to) {
                return Ok(history);
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
