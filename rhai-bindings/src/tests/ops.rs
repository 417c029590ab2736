//! Operations that show every behaviour of the catalogue's without a cluster.

use std::sync::atomic::{AtomicUsize, Ordering};

use etcdsh_core::args;
use etcdsh_core::args::BadArgument;
use etcdsh_core::card::{Capability, Card, Effect, Target};
use etcdsh_core::context::Context;
use etcdsh_core::error::{Fault, Result};
use etcdsh_core::operation::{Entry, Operation, entry};
use etcdsh_core::record;
use etcdsh_core::stream::Rows;
use etcdsh_core::units::{Bytes, Elapsed, Hook, Octets, Timestamp};
use etcdsh_core::value::Value;

pub(super) static ENTRIES: &[Entry] = &[
    entry::<Kinds>(),
    entry::<Each>(),
    entry::<Count>(),
    entry::<Forever>(),
    entry::<Fails>(),
    entry::<Echo>(),
    entry::<Panics>(),
    entry::<Guarded>(),
];

const fn card(name: &'static str, capability: Capability) -> Card {
    Card {
        name,
        summary: "Show a behaviour.",
        details: "",
        search: &[],
        effect: Effect::Reads,
        capability,
        target: Target::Nothing,
        examples: &[],
    }
}

args! {
    /// Nothing.
    pub struct Nothing() {}
}

record! {
    /// One of each kind.
    pub struct KindsRow {
        /// An id beyond what a signed number holds.
        id: etcdsh_core::id::MemberId,
        /// A size.
        size: Bytes,
        /// A span.
        span: Elapsed,
        /// A time.
        time: Timestamp,
        /// Text.
        key: Octets,
        /// Not text.
        value: Octets,
        /// Nothing.
        none: Option<i64>,
        /// Several.
        list: Vec<String>,
    }
}

/// Answers one value of each kind.
pub(super) struct Kinds;

impl Operation for Kinds {
    const CARD: Card = card("test kinds", Capability::Read);
    type Args = Nothing;
    type Report = KindsRow;

    async fn run(_: &Context<'_>, Nothing {}: Nothing) -> Result<KindsRow> {
        Ok(KindsRow {
            id: etcdsh_core::id::MemberId(0xffff_ffff_ffff_fffe),
            size: Bytes(2048),
            span: Elapsed(1_500_000_000),
            time: Timestamp(0),
            key: Octets(b"/a".to_vec()),
            value: Octets(vec![0xff, 0]),
            none: None,
            list: vec!["a".to_owned()],
        })
    }
}

args! {
    /// A list and a callback.
    pub struct EachArgs(
        /// The items.
        items: Vec<String>,
        /// What to do with each.
        with: Hook,
    ) {}
}

record! {
    /// What a callback returned.
    pub struct Returned {
        /// The values.
        values: Vec<Value>,
    }
}

record! {
    /// An item.
    pub struct Item {
        /// The item.
        item: String,
    }
}

/// Calls a callback.
pub(super) struct Each;

impl Operation for Each {
    const CARD: Card = card("test each", Capability::Read);
    type Args = EachArgs;
    type Report = Returned;

    async fn run(ctx: &Context<'_>, args: EachArgs) -> Result<Returned> {
        let call = |item: String| ctx.call(args.with, &Item { item });
        Ok(Returned { values: args.items.into_iter().map(call).collect::<Result<_>>()? })
    }
}

args! {
    /// How far to count.
    pub struct CountArgs(
        /// How many rows.
        rows: i64,
    ) {
        /// Fail after so many.
        fail_after: Option<i64>,
    }
}

record! {
    /// A number.
    pub struct Number {
        /// The number.
        number: i64,
    }
}

/// How many pages were produced, and how many producers have ended.
pub(super) static PRODUCED: AtomicUsize = AtomicUsize::new(0);

/// Streams numbers, ten in a page.
pub(super) struct Count;

impl Operation for Count {
    const CARD: Card = card("test count", Capability::Read);
    type Args = CountArgs;
    type Report = Rows<Number>;

    async fn run(ctx: &Context<'_>, args: CountArgs) -> Result<Rows<Number>> {
        ctx.rows(move |pages| async move {
            for start in (0..args.rows).step_by(10) {
                if args.fail_after.is_some_and(|limit| start >= limit) {
                    return Err(Broken.into());
                }
                PRODUCED.fetch_add(1, Ordering::SeqCst);
                pages.send((start..args.rows.min(start + 10)).map(|number| Number { number }).collect()).await?;
            }
            Ok(())
        })
        .await
    }
}

/// Waits for ever.
pub(super) struct Forever;

impl Operation for Forever {
    const CARD: Card = card("test forever", Capability::Read);
    type Args = Nothing;
    type Report = Number;

    async fn run(_: &Context<'_>, Nothing {}: Nothing) -> Result<Number> {
        std::future::pending().await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the stream broke")]
struct Broken;

impl Fault for Broken {
    fn code(&self) -> &'static str {
        "broken"
    }

    fn help(&self) -> Option<String> {
        Some("mend it".to_owned())
    }

    fn retryable(&self) -> bool {
        true
    }

    fn member(&self) -> Option<String> {
        Some("infra1".to_owned())
    }
}

/// Fails with everything that an error can say.
pub(super) struct Fails;

impl Operation for Fails {
    const CARD: Card = card("test fails", Capability::Read);
    type Args = Nothing;
    type Report = Number;

    async fn run(_: &Context<'_>, Nothing {}: Nothing) -> Result<Number> {
        Err(etcdsh_core::Error::from(Broken).at_endpoint("http://a:1").for_argument("number"))
    }
}

args! {
    /// Some of each.
    pub struct EchoArgs(
        /// Any text.
        text: String,
        /// A size.
        size: Bytes = "1MiB",
    ) {
        /// A span.
        wait: Elapsed = "30s",
        /// Any key.
        key: Option<Octets>,
        /// A switch.
        on: bool,
    }
}

record! {
    /// What was given.
    pub struct Given {
        /// The text.
        text: String,
        /// The size.
        size: Bytes,
        /// The span.
        wait: Elapsed,
        /// The key's bytes.
        key: Vec<i64>,
        /// The switch.
        on: bool,
    }
}

/// Answers its arguments.
pub(super) struct Echo;

impl Operation for Echo {
    const CARD: Card = card("test echo", Capability::Read);
    type Args = EchoArgs;
    type Report = Given;

    async fn run(_: &Context<'_>, args: EchoArgs) -> Result<Given> {
        if args.text.is_empty() {
            return Err(BadArgument::invalid("text", "is empty", "say something").into());
        }
        let key = args.key.map(|key| key.0.into_iter().map(i64::from).collect()).unwrap_or_default();
        Ok(Given { text: args.text, size: args.size, wait: args.wait, key, on: args.on })
    }
}

/// Panics.
pub(super) struct Panics;

impl Operation for Panics {
    const CARD: Card = card("test panics", Capability::Read);
    type Args = Nothing;
    type Report = Number;

    async fn run(_: &Context<'_>, Nothing {}: Nothing) -> Result<Number> {
        panic!("on purpose")
    }
}

/// Needs a grant.
pub(super) struct Guarded;

impl Operation for Guarded {
    const CARD: Card = card("test guarded", Capability::Maintain);
    type Args = Nothing;
    type Report = Number;

    async fn run(_: &Context<'_>, Nothing {}: Nothing) -> Result<Number> {
        Ok(Number { number: 1 })
    }
}
