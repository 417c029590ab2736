//! Errors of core as a script sees them: thrown maps, shaped like those that Rhai itself hands to `catch`.

use etcdsh_core::Error;
use etcdsh_core::error::Fault;
use rhai::{Dynamic, EvalAltResult, Map, NativeCallContext, Position};

use crate::session::Session;
use crate::stop::Stop;
use crate::value::to_dynamic;

/// The `error` of every map that core's errors become; Rhai's own maps say `ErrorVariableNotFound` and the like there.
pub const KIND: &str = "EtcdError";

/// A result of the engine's.
pub type Thrown<T> = Result<T, Box<EvalAltResult>>;

/// Turns an error of core's into one of the engine's. What a callback threw comes out as it was thrown, and a map with what
/// became of the change that it ended; what is no map becomes one.
pub fn throw(error: Error, session: &Session, place: Option<&NativeCallContext<'_>>) -> Box<EvalAltResult> {
    let (native, error) = error.split_native::<Box<EvalAltResult>>();
    match native {
        Some(own) if error.report().is_none() || Stop::of(&own).is_some() => return own,
        Some(own) => return with_report(&own, to_map(&error, place)),
        None => {}
    }
    if error.code() == "interrupted" && session.interrupt.is_cancelled() {
        let tells = error.report().is_some() || error.outcome().is_some();
        return Stop::Interrupted(tells.then(|| to_map(&error, place))).raise();
    }
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from_map(to_map(&error, place)), Position::NONE))
}

/// Adds to what a callback threw what became of the change that it ended.
fn with_report(own: &EvalAltResult, mut told: Map) -> Box<EvalAltResult> {
    let thrown = match own.unwrap_inner() {
        EvalAltResult::ErrorRuntime(thrown, _) => thrown.clone(),
        other => other.to_string().into(),
    };
    let map = match thrown.clone().try_cast::<Map>() {
        Some(mut map) => {
            for (name, value) in told {
                map.entry(name).or_insert(value);
            }
            map
        }
        None => {
            told.insert("thrown".into(), thrown);
            told
        }
    };
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from_map(map), Position::NONE))
}

/// Throws a problem of this face's own.
pub fn refuse(problem: impl Fault, session: &Session, place: &NativeCallContext<'_>) -> Box<EvalAltResult> {
    throw(problem.into(), session, Some(place))
}

/// Describes an error as a map. It carries its own place, because `throw;` in a script replaces the engine's.
fn to_map(error: &Error, place: Option<&NativeCallContext<'_>>) -> Map {
    let optional = |text: Option<String>| text.map_or(Dynamic::UNIT, Dynamic::from);
    let mut map = Map::new();
    let mut set = |name: &str, value: Dynamic| drop(map.insert(name.into(), value));
    set("error", KIND.into());
    set("code", error.code().into());
    set("message", error.to_string().into());
    set("member", optional(error.member()));
    set("endpoint", optional(error.endpoint()));
    set("sent", error.sent().map_or(Dynamic::UNIT, |sent| sent.word().into()));
    set("outcome", optional(error.outcome()));
    set("retryable", error.retryable().into());
    set("hint", optional(error.help()));
    set("argument", optional(error.argument().map(str::to_owned)));
    set("causes", Dynamic::from_array(error.causes().into_iter().map(Dynamic::from).collect()));
    if let Some(report) = error.report() {
        set("report", to_dynamic(report));
    }
    if let Some((line, column)) = place.and_then(|place| {
        let position = place.call_position();
        Some((position.line()?, position.position()?))
    }) {
        set("line", count(line));
        set("position", count(column));
        if let Some(source) = place.and_then(|place| place.call_source()) {
            set("source", source.into());
        }
    }
    map
}

fn count(number: usize) -> Dynamic {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
