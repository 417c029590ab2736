//! A plugin whose operations need no cluster, for what the real ones cannot show on demand: every kind of argument and column,
//! closures, streams that break off, and panics. Its commands go through the same adapter, under the same prefix.
#![expect(clippy::panic, reason = "one operation panics on purpose")]

use std::path::PathBuf;

use etcdsh_core::args::BadArgument;
use etcdsh_core::card::{Capability, Card, Effect, Target};
use etcdsh_core::context::Context;
use etcdsh_core::error::{Error, Result};
use etcdsh_core::event::Event;
use etcdsh_core::member::MemberRef;
use etcdsh_core::operation::{Entry, Operation, entry};
use etcdsh_core::stream::Rows;
use etcdsh_core::units::{Bytes, Elapsed, Hook, Octets, Timestamp};
use etcdsh_core::value::Value;
use etcdsh_core::{args, choice, record};

static OPERATIONS: &[Entry] = &[entry::<Echo>(), entry::<Ask>(), entry::<Count>(), entry::<Finish>(), entry::<Panic>()];

fn main() {
    nu_plugin_etcd::serve(OPERATIONS);
}

const fn card(name: &'static str) -> Card {
    Card {
        name,
        summary: "Probe the adapter.",
        details: "",
        search: &[],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[],
    }
}

choice! {
    /// A closed set.
    pub enum Flavour {
        /// One.
        Sweet = "sweet",
        /// The other.
        Sour = "sour",
    }
}

args! {
    /// One of each kind.
    pub struct EchoArgs(
        /// Text or bytes.
        octets: Octets,
    ) {
        /// A switch.
        switch: bool,
        /// A whole number.
        int: Option<i64>,
        /// A number.
        float: Option<f64>,
        /// Text.
        text: Option<String>,
        /// A size.
        size: Option<Bytes>,
        /// A span.
        span: Elapsed = "90s",
        /// A time.
        at: Option<Timestamp>,
        /// A path.
        path: Option<PathBuf>,
        /// A member.
        member: Option<MemberRef>,
        /// A word.
        flavour: Flavour = "sour",
        /// Several texts.
        texts: Vec<String>,
    }
}

record! {
    /// One of each kind, back again.
    pub struct EchoRow {
        /// Text or bytes.
        octets: Octets,
        /// A switch.
        switch: bool,
        /// A whole number.
        int: Option<i64>,
        /// A number.
        float: Option<f64>,
        /// Text.
        text: Option<String>,
        /// A size.
        size: Option<Bytes>,
        /// A span.
        span: Elapsed,
        /// A time.
        at: Option<Timestamp>,
        /// A path.
        path: Option<PathBuf>,
        /// A word.
        flavour: Flavour,
        /// Several texts.
        texts: Vec<String>,
    }
}

struct Echo;

impl Operation for Echo {
    const CARD: Card = card("echo");
    type Args = EchoArgs;
    type Report = EchoRow;

    async fn run(_ctx: &Context<'_>, args: EchoArgs) -> Result<EchoRow> {
        let EchoArgs { octets, switch, int, float, text, size, span, at, path, flavour, texts, member: _ } = args;
        Ok(EchoRow { octets, switch, int, float, text, size, span, at, path, flavour, texts })
    }
}

args! {
    /// Whom to ask.
    pub struct AskArgs() {
        /// What is asked.
        hook: Hook,
        /// How often.
        times: i64 = 1,
    }
}

record! {
    /// An answer.
    pub struct Answered {
        /// What was asked about.
        number: i64,
        /// What came back.
        answer: Option<Value>,
    }
}

struct Ask;

impl Operation for Ask {
    const CARD: Card = card("ask");
    type Args = AskArgs;
    type Report = Vec<Answered>;

    async fn run(ctx: &Context<'_>, AskArgs { hook, times }: AskArgs) -> Result<Vec<Answered>> {
        let ask = |number| {
            ctx.emit(&Event::Warning { message: "a log gets this where there is no terminal".to_owned() });
            let answer = ctx.call(hook, &Answered { number, answer: None })?;
            Ok(Answered { number, answer: Some(answer) })
        };
        (1..=times).map(ask).collect()
    }
}

args! {
    /// How far to count.
    pub struct CountArgs(
        /// How far.
        rows: i64,
    ) {
        /// How many rows come at a time.
        page: i64 = 100,
        /// Fail after the last row.
        fail: bool,
        /// Panic after the last row.
        panic: bool,
        /// Say nothing more after the last row, and do not end.
        hang: bool,
    }
}

record! {
    /// A row.
    pub struct Numbered {
        /// Its number.
        number: i64,
    }
}

struct Count;

impl Operation for Count {
    const CARD: Card = card("count");
    type Args = CountArgs;
    type Report = Rows<Numbered>;

    async fn run(ctx: &Context<'_>, args: CountArgs) -> Result<Rows<Numbered>> {
        ctx.rows(move |pages| async move {
            let mut next = 1;
            while next <= args.rows {
                let last = args.rows.min(next + args.page - 1);
                pages.send((next..=last).map(|number| Numbered { number }).collect()).await?;
                next = last + 1;
            }
            if args.fail {
                return Err(BadArgument::invalid("rows", "is too far", "count less far").into());
            }
            if args.panic {
                panic!("a panic on purpose");
            }
            if args.hang {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .await
    }
}

args! {
    /// Where to tell that it has begun.
    pub struct FinishArgs(
        /// A file that is made.
        begun: PathBuf,
    ) {}
}

/// A change that Ctrl-C reaches when nothing can be taken back any more.
struct Finish;

impl Operation for Finish {
    const CARD: Card = Card { effect: Effect::Changes, ..card("finish") };
    type Args = FinishArgs;
    type Report = Numbered;

    async fn run(ctx: &Context<'_>, FinishArgs { begun }: FinishArgs) -> Result<Numbered> {
        std::fs::write(begun, "").map_err(Error::internal)?;
        ctx.cancel().cancelled().await;
        Ok(Numbered { number: 42 })
    }
}

args! {
    /// Nothing to say.
    pub struct PanicArgs() {}
}

struct Panic;

impl Operation for Panic {
    const CARD: Card = card("panic");
    type Args = PanicArgs;
    type Report = Vec<Numbered>;

    async fn run(_ctx: &Context<'_>, PanicArgs {}: PanicArgs) -> Result<Vec<Numbered>> {
        panic!("a panic on purpose")
    }
}
