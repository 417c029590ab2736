//! `keys`: many keys, streamed in pages at one revision.

pub(crate) mod read;

use std::sync::Arc;

use self::read::{Take, read};
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::{Context, Source};
use crate::error::{Error, Result};
use crate::format::view::{Item, Wanted, view};
use crate::id::{LeaseId, Revision};
use crate::operation::Operation;
use crate::rpc::{Consistency, KeyValue, RangeQuery};
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
        let limit = at_most(args.limit)?;
        let query = query(&args)?.filter(|_| limit != Some(0));
        match (ctx.source()?, query) {
            (_, None) => ctx.rows(async move |_| Ok(())).await,
            (Source::File(path), Some(query)) => {
                let wanted = query.at_rest(limit);
                at_rest::rows(ctx, "db", path, move |image, take| {
                    let keys_only = wanted.keys_only;
                    let row = |item: Item| Row::new(item.into(), keys_only);
                    view(image, wanted, |page| take(page.into_iter().map(row).collect()))?;
                    Ok(())
                })
                .await
            }
            (Source::Cluster(cluster), Some(query)) => {
                let cluster = Arc::clone(cluster);
                ctx.rows(move |pages| async move {
                    let mut rows = ToRows { pages, keys_only: query.keys_only };
                    read(&cluster, query, limit, &mut rows).await.map(drop).map_err(about_revision)
                })
                .await
            }
        }
    }
}

/// Checks the name of one key that a user gave.
pub(crate) fn one_key(key: Octets) -> Result<Vec<u8>> {
    if key.0.is_empty() {
        let help = "etcd has no empty key; `keys` reads all keys";
        return Err(BadArgument::invalid("key", "is empty", help).into());
    }
    Ok(key.0)
}

/// Checks how many rows a user wants.
pub(crate) fn at_most(limit: Option<i64>) -> Result<Option<i64>> {
    match limit {
        Some(limit) if limit < 0 => Err(BadArgument::invalid("limit", "is negative", "give 0 or more").into()),
        limit => Ok(limit),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
