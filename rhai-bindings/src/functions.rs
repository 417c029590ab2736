//! The functions that belong to the language and not to etcd. The catalogue's list of hand-written functions names them.

use std::sync::Arc;

use etcdsh_core::Result;
use etcdsh_core::args::{BadArgument, Takes};
use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::profile::Settings;
use etcdsh_core::units::{Elapsed, Timestamp, rfc3339};
use etcdsh_core::value::{Record, Value, from_record};
use rhai::{Dynamic, Engine, FLOAT, FuncRegistration, INT, Map, NativeCallContext};

use crate::cluster::Cluster;
use crate::command;
use crate::error::{Thrown, throw};
use crate::session::Session;
use crate::stop::Stop;
use crate::value::Hooks;

etcdsh_core::args! {
    /// What `sleep` takes.
    pub struct Span(
        /// How long to wait.
        span: Elapsed,
    ) {}
}

etcdsh_core::args! {
    /// What `open_db` takes.
    pub struct Open(
        /// The snapshot, or the data dir of a member that is stopped.
        db: std::path::PathBuf,
    ) {
        /// Read the file also where the SHA-256 at its end is not that of its data.
        skip_hash_check: bool,
    }
}

/// Returns what a function takes, of the catalogue's or of ours, with its words. `connect` takes its settings in a map alone,
/// or a name.
pub fn takes(function: &str) -> Option<(&'static str, Takes)> {
    match function {
        "connect" => Some(("connect", Takes::of::<Settings>())),
        "open_db" => Some(("open_db", Takes::of::<Open>())),
        "run" => Some(("run", Takes::of::<command::Options>())),
        "sleep" => Some(("sleep", Takes::of::<Span>())),
        _ => {
            let entry = CATALOGUE.iter().find(|entry| entry.card.identifier() == function)?;
            Some((entry.card.name, entry.takes))
        }
    }
}

/// Teaches an engine the functions.
pub fn register(engine: &mut Engine, session: &Arc<Session>) {
    connect(engine, session);
    open_db(engine, session);
    sleep(engine, session);
    exit(engine);
    now(engine);
    command::register(engine, session);
    let show = |cluster: &mut Cluster| cluster.to_string();
    engine.register_fn("to_string", show).register_fn("to_debug", show);
}

fn connect(engine: &mut Engine, session: &Arc<Session>) {
    let shared = Arc::clone(session);
    FuncRegistration::new("connect")
        .with_params_info(["which: string|map", "Cluster"])
        .with_comments(["/// Returns the handle of another cluster: by the name of its profile, or by a map of connection\n\
                         /// settings (`endpoints`, `cacert`, `user`, `password`, …). The caller's flags and environment have\n\
                         /// no part in it. Nothing is contacted before the first operation.\n///\n\
                         /// # Example\n/// ```rhai\n/// let backup = connect(#{ endpoints: [\"https://10.0.0.7:2379\"], cacert: \"ca.pem\" });\n/// ```"])
        .with_volatility(true)
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, which: Dynamic| -> Thrown<Cluster> {
            open(&shared, which).map_err(|error| throw(error, &shared, Some(&ctx)))
        });
}

fn open_db(engine: &mut Engine, session: &Arc<Session>) {
    let describe = |params: &[&str]| {
        FuncRegistration::new("open_db")
            .with_params_info(params)
            .with_comments(["/// Returns the handle of a file in place of a cluster: a snapshot, or the data dir of a member that is\n\
                             /// stopped. It has the same methods; those that need a cluster refuse it. The file is read, and never\n\
                             /// written to. Option: `skip_hash_check`, to read it also where the SHA-256 at its end is not that of\n\
                             /// its data.\n///\n\
                             /// # Example\n/// ```rhai\n/// let db = open_db(\"backup.db\");\n/// print(db.member_list());\n/// ```"])
            .with_volatility(true)
    };
    let shared = Arc::clone(session);
    let call = move |ctx: &NativeCallContext<'_>, db: Dynamic, options: Map| -> Thrown<Cluster> {
        of_file(&shared, db, options).map_err(|error| throw(error, &shared, Some(ctx)))
    };
    let short = call.clone();
    describe(&["db: string", "Cluster"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, db: Dynamic| short(&ctx, db, Map::new()));
    describe(&["db: string", "options: map", "Cluster"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, db: Dynamic, options: Map| {
            call(&ctx, db, options)
        });
}

fn of_file(session: &Arc<Session>, db: Dynamic, options: Map) -> Result<Cluster> {
    let mut hooks = Hooks::default();
    let db = hooks.take("db", db)?;
    let given = Takes::of::<Open>().join("open_db", vec![db], hooks.fields(options)?)?;
    Ok(Cluster::named(session, session.named(given)?))
}

fn open(session: &Arc<Session>, which: Dynamic) -> Result<Cluster> {
    Ok(Cluster::named(session, session.named(settings(Hooks::default().take("profile", which)?)?)?))
}

/// Reads what `connect` was given.
///
/// # Errors
/// It is neither a name nor a map.
pub fn settings(which: Value) -> Result<Record, BadArgument> {
    match which {
        Value::Record(settings) => Ok(settings),
        name @ Value::Text(_) => Ok([("profile", name)].into_iter().collect()),
        other => {
            let (name, found) = (Some("profile".to_owned()), other.kind().to_owned());
            let expected = "the name of a profile, or a map of settings".to_owned();
            Err(BadArgument::Type { name, expected, found })
        }
    }
}

fn sleep(engine: &mut Engine, session: &Arc<Session>) {
    let describe = |kind: &str| {
        FuncRegistration::new("sleep")
            .with_params_info([format!("span: {kind}"), "()".to_owned()])
            .with_comments(["/// Waits for a span of time: `\"250ms\"`, `\"30s\"`, `\"5min\"`, or a number of seconds. Ctrl-C ends it."])
            .with_volatility(true)
    };
    let shared = Arc::clone(session);
    let pause = move |ctx: &NativeCallContext<'_>, span: Value| -> Thrown<()> {
        let span = from_record::<Span>([("span", span)].into_iter().collect());
        shared.pause(span.map_err(|bad| throw(bad.into(), &shared, Some(ctx)))?.span.duration())
    };
    // Rhai has a function of its own for each kind of number, which would be taken if there were not ours.
    let (float, int, text) = (pause.clone(), pause.clone(), pause);
    describe("float").register_into_engine(engine, move |ctx: NativeCallContext<'_>, seconds: FLOAT| -> Thrown<()> {
        float(&ctx, Value::Float(seconds))
    });
    describe("int").register_into_engine(engine, move |ctx: NativeCallContext<'_>, seconds: INT| -> Thrown<()> {
        int(&ctx, Value::Int(seconds))
    });
    describe("string").register_into_engine(engine, move |ctx: NativeCallContext<'_>, span: &str| -> Thrown<()> {
        text(&ctx, Value::from(span))
    });
}

fn exit(engine: &mut Engine) {
    let describe = |params: &[&str]| {
        FuncRegistration::new("exit")
            .with_params_info(params)
            .with_comments(["/// Ends the script with an exit code from 0 to 255; without one, with 0."])
            .with_volatility(true)
    };
    describe(&["()"]).register_into_engine(engine, || -> Thrown<()> { Err(Stop::Exit(0).raise()) });
    // Whatever it is given: Rhai's own `exit` would take what this one does not.
    describe(&["code: int", "()"])
        .register_into_engine(engine, |code: Dynamic| -> Thrown<()> { Err(Stop::Exit(exit_code(&code)?).raise()) });
}

fn now(engine: &mut Engine) {
    FuncRegistration::new("now")
        .with_params_info(["string"])
        .with_comments(["/// Returns the time as text: RFC 3339, in UTC.\n///\n\
                         /// # Example\n/// ```rhai\n/// let day = now().sub_string(0, 10);\n/// ```"])
        .with_volatility(true)
        .register_into_engine(engine, || rfc3339(Timestamp::now().0));
}

/// Reads what `exit` was given.
///
/// # Errors
/// It is no exit code.
pub fn exit_code(code: &Dynamic) -> std::result::Result<u8, String> {
    let number = code.as_int().ok().and_then(|code| u8::try_from(code).ok());
    number.ok_or_else(|| format!("exit codes go from 0 to 255, not {code:?}"))
}
