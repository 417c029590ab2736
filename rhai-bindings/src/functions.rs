//! The functions that belong to the language and not to etcd. The catalogue's list of hand-written functions names them.

use std::sync::Arc;
use std::time::Duration;

use etcdsh_core::args::BadArgument;
use etcdsh_core::error::{Error, Result};
use etcdsh_core::units::Elapsed;
use etcdsh_core::value::{Value, from_value};
use rhai::{Dynamic, Engine, FLOAT, FuncRegistration, INT, NativeCallContext};

use crate::cluster::Cluster;
use crate::command;
use crate::error::{Thrown, throw};
use crate::session::Session;
use crate::stop::Stop;
use crate::value::Hooks;

/// Teaches an engine the functions.
pub fn register(engine: &mut Engine, session: &Arc<Session>) {
    connect(engine, session);
    sleep(engine, session);
    exit(engine);
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

fn open(session: &Arc<Session>, which: Dynamic) -> Result<Cluster> {
    let mut hooks = Hooks::default();
    let settings = match hooks.take("profile", which)? {
        Value::Record(settings) => settings,
        name @ Value::Text(_) => [("profile", name)].into_iter().collect(),
        other => {
            let (name, found) = (Some("profile".to_owned()), other.kind().to_owned());
            let expected = "the name of a profile, or a map of settings".to_owned();
            return Err(BadArgument::Type { name, expected, found }.into());
        }
    };
    Ok(Cluster::named(session, session.named_profile(settings)?))
}

fn sleep(engine: &mut Engine, session: &Arc<Session>) {
    let describe = |kind: &str| {
        FuncRegistration::new("sleep")
            .with_params_info([format!("span: {kind}"), "()".to_owned()])
            .with_comments(["/// Waits for a span of time: `\"250ms\"`, `\"30s\"`, `\"5min\"`, or a number of seconds. Ctrl-C ends it."])
            .with_volatility(true)
    };
    let shared = Arc::clone(session);
    let seconds = move |ctx: NativeCallContext<'_>, seconds: FLOAT| -> Thrown<()> {
        let span = Duration::try_from_secs_f64(seconds.max(0.0));
        let bad = |_| Error::from(BadArgument::invalid("span", "is not a number of seconds", "give \"250ms\" or 0.25"));
        shared.pause(span.map_err(|error| throw(bad(error), &shared, Some(&ctx)))?)
    };
    describe("float").register_into_engine(engine, seconds);
    let shared = Arc::clone(session);
    let pause = move |ctx: NativeCallContext<'_>, span: Value| -> Thrown<()> {
        let span: std::result::Result<Elapsed, _> = from_value(span);
        shared.pause(span.map_err(|bad| throw(bad.into(), &shared, Some(&ctx)))?.duration())
    };
    let number = pause.clone();
    describe("int").register_into_engine(engine, move |ctx: NativeCallContext<'_>, seconds: INT| -> Thrown<()> {
        number(ctx, Value::Int(seconds))
    });
    describe("string").register_into_engine(engine, move |ctx: NativeCallContext<'_>, span: &str| -> Thrown<()> {
        pause(ctx, Value::from(span))
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
    describe(&["code: int", "()"]).register_into_engine(engine, |code: Dynamic| -> Thrown<()> {
        match code.as_int().ok().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => Err(Stop::Exit(code).raise()),
            None => Err(format!("exit codes go from 0 to 255, not {code:?}").into()),
        }
    });
}
