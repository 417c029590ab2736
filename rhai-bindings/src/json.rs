//! Reading JSON. Rhai's own reads an integer that does not fit as a float, and an id that was rounded names another member.

use std::sync::Arc;

use etcdsh_core::args::BadArgument;
use rhai::{Dynamic, Engine, FuncRegistration, NativeCallContext};
use serde_json::Value;

use crate::error::{Thrown, throw};
use crate::session::Session;

/// Teaches an engine the function.
pub fn register(engine: &mut Engine, session: &Arc<Session>) {
    let session = Arc::clone(session);
    FuncRegistration::new("parse_json")
        .with_params_info(["json: string", "any"])
        .with_comments([
            "/// Reads a JSON text. An integer that does not fit 64 signed bits, as ids in etcd's own JSON do, becomes a string\n\
             /// of its digits.\n///\n\
             /// # Example\n/// ```rhai\n/// parse_json(\"{ \\\"members\\\": [\\\"infra1\\\"] }\").members\n/// ```",
        ])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, json: &str| -> Thrown<Dynamic> {
            serde_json::from_str(json).map(to_dynamic).map_err(|error| {
                let bad = BadArgument::invalid("json", format!("is not JSON: {error}"), "give one whole JSON text");
                throw(bad.into(), &session, Some(&ctx))
            })
        });
}

fn to_dynamic(json: Value) -> Dynamic {
    match json {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => whole.into(),
            (None, Some(large), _) => large.to_string().into(),
            (None, None, Some(float)) => float.into(),
            (None, None, None) => number.to_string().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => Dynamic::from_array(items.into_iter().map(to_dynamic).collect()),
        Value::Object(fields) => {
            Dynamic::from_map(fields.into_iter().map(|(name, value)| (name.into(), to_dynamic(value))).collect())
        }
    }
}
