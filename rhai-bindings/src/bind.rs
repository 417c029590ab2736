//! Binds every operation of the catalogue as a method of the cluster's handle. There is no line per operation here: names,
//! parameters and documentation come from the cards.

use std::any::TypeId;
use std::sync::Arc;

use etcdsh_core::Result;
use etcdsh_core::args::CLOSURE_RESULT;
use etcdsh_core::args::Kind;
use etcdsh_core::blocking::Call;
use etcdsh_core::card::Capability;
use etcdsh_core::context::HookFn;
use etcdsh_core::error::{Error, Fault, Interrupted};
use etcdsh_core::operation::Entry;
use etcdsh_core::report::Answer;
use etcdsh_core::value::{Record, Value};
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, Map, Module, NativeCallContext, RhaiFunc};

use crate::cluster::Cluster;
use crate::docs;
use crate::error::{Thrown, throw};
use crate::session::Session;
use crate::stop::Stop;
use crate::stream::Rows;
use crate::value::{Hooks, to_dynamic};

/// Binds operations. Each is bound once for every number of arguments, because Rhai chooses a function by their number. Writing
/// the documentation of all of them takes longer than many a script, so it is left out where nobody will read it.
pub fn register(engine: &mut Engine, entries: &'static [Entry], documented: bool) {
    let mut module = Module::new();
    for entry in entries {
        // All places filled, and the map of named arguments behind them.
        for arguments in 0..=entry.positional().count() + 1 {
            bind(&mut module, entry, arguments, documented);
        }
    }
    engine.register_global_module(module.into());
}

fn bind(module: &mut Module, entry: &'static Entry, arguments: usize, documented: bool) {
    let mut types = vec![TypeId::of::<Dynamic>(); arguments + 1];
    if let Some(receiver) = types.first_mut() {
        *receiver = TypeId::of::<Cluster>();
    }
    let call = move |ctx: Option<NativeCallContext<'_>>, args: &mut [&mut Dynamic]| -> Thrown<Dynamic> {
        let (Some(ctx), Some((receiver, rest))) = (ctx, args.split_first_mut()) else { return Ok(Dynamic::UNIT) };
        let Some(cluster) = receiver.read_lock::<Cluster>().map(|handle| handle.clone()) else {
            return Ok(Dynamic::UNIT);
        };
        let given = rest.iter_mut().map(|argument| std::mem::take(*argument)).collect();
        perform(&ctx, &cluster, entry, given).map_err(|error| throw(error, cluster.session(), Some(&ctx)))
    };
    let mut function = FuncRegistration::new(entry.card.identifier()).in_global_namespace();
    if documented {
        function = function.with_params_info(docs::signature(entry, arguments)).with_comments([docs::comment(entry)]);
    }
    // Pure in Rhai's sense: the handle itself is not changed, so a constant one will do.
    let call = RhaiFunc::Method { func: Arc::new(call), has_context: true, is_pure: true, is_volatile: true };
    function.set_into_module_raw(module, types, call);
}

/// Performs one call of a script's.
fn perform(
    ctx: &NativeCallContext<'_>,
    cluster: &Cluster,
    entry: &'static Entry,
    given: Vec<Dynamic>,
) -> Result<Dynamic> {
    let session = cluster.session();
    allow(session, entry.card.capability, &entry.card.identifier())?;
    let mut hooks = Hooks::default();
    let args = arguments(entry, given, &mut hooks)?;
    let hooks = hooks.into_inner();
    let hooks: Vec<HookFn<'_>> = hooks.iter().map(|callback| hook(ctx, entry, callback)).collect();
    let subject = entry.card.target.is_asked(&args).then(|| cluster.subject()).transpose()?;
    let answer = session.driver()?.call(Call {
        entry,
        args,
        subject,
        places: &session.setup.places,
        hooks: &hooks,
        events: &*session.setup.events,
        cancel: session.interrupt.token(),
    })?;
    Ok(match answer {
        Answer::Value(value) => to_dynamic(value),
        Answer::Stream(stream) => Dynamic::from(Rows::new(session, entry.card.name, stream)),
    })
}

/// Reads the arguments of a call: positional ones in order, and one map of named ones, before or behind a closure.
fn arguments(entry: &'static Entry, mut given: Vec<Dynamic>, hooks: &mut Hooks) -> Result<Record> {
    let places: Vec<_> = entry.positional().collect();
    let takes_map = |at: usize| places.get(at).is_some_and(|param| matches!(param.kind, Kind::Map | Kind::Record(_)));
    let named = given.iter().enumerate().rposition(|(at, value)| value.is_map() && !takes_map(at));
    let named = named.map(|at| given.remove(at));
    let named = hooks.fields(named.and_then(Dynamic::try_cast::<Map>).unwrap_or_default())?;
    let positional = given
        .into_iter()
        .enumerate()
        .map(|(at, value)| hooks.take(places.get(at).map_or("after the last place", |param| param.name), value));
    let positional = positional.collect::<Result<Vec<Value>>>()?;
    entry.join(positional, named)
}

fn hook<'a>(ctx: &'a NativeCallContext<'_>, entry: &'static Entry, callback: &'a FnPtr) -> HookFn<'a> {
    Box::new(move |record| {
        let result = callback.call_within_context::<Dynamic>(ctx, (to_dynamic(record),));
        let value = result.map_err(|thrown| match thrown.unwrap_inner() {
            EvalAltResult::ErrorFunctionNotFound(name, _) if name.starts_with(callback.fn_name()) => {
                Arity(entry.card.identifier()).into()
            }
            // What became of the change is told, as where it is interrupted elsewhere.
            _ if matches!(Stop::of(&thrown), Some(Stop::Interrupted(_))) => Interrupted.into(),
            _ => Error::from_hook(thrown.to_string(), thrown),
        })?;
        // What a callback returns is data: a callback in it would outlive the call that it belongs to.
        Hooks::default().take(CLOSURE_RESULT, value)
    })
}

/// Refuses what was not granted.
pub fn allow(session: &Session, capability: Capability, function: &str) -> Result<()> {
    if session.setup.grants.contain(capability) {
        return Ok(());
    }
    Err(NotAllowed { capability, function: function.to_owned() }.into())
}

#[derive(Debug, thiserror::Error)]
#[error("this script may not use {function}: it was not granted {capability}")]
struct NotAllowed {
    capability: Capability,
    function: String,
}

impl Fault for NotAllowed {
    fn code(&self) -> &'static str {
        "not_allowed"
    }

    fn help(&self) -> Option<String> {
        Some(format!("run the script with --allow {}", self.capability))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the closure for {0} should take one parameter")]
struct Arity(String);

impl Fault for Arity {
    fn code(&self) -> &'static str {
        "invalid_argument"
    }

    fn help(&self) -> Option<String> {
        Some("write it as |it| …".to_owned())
    }
}
