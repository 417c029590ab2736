//! Values between core and Rhai.

use etcdsh_core::Result;
use etcdsh_core::args::BadArgument;
use etcdsh_core::units::rfc3339;
use etcdsh_core::value::{Record, Value};
use rhai::{Array, Blob, Dynamic, FLOAT, FnPtr, INT, ImmutableString, Map};
use serde::ser::{Serialize, Serializer};

/// Turns a value of core's into one of Rhai's. A size is its bytes, a span its nanoseconds, a point in time RFC 3339.
pub fn to_dynamic(value: Value) -> Dynamic {
    match value {
        // A callback is given to core and never comes back.
        Value::Null | Value::Hook(_) => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Int(number) | Value::Size(number) | Value::Elapsed(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Time(nanoseconds) => rfc3339(nanoseconds).into(),
        Value::Blob(bytes) => Dynamic::from_blob(bytes),
        Value::List(items) => Dynamic::from_array(items.into_iter().map(to_dynamic).collect()),
        Value::Record(fields) => Dynamic::from_map(to_map(fields)),
    }
}

/// Turns a record into a map; a map of Rhai's sorts its keys.
pub fn to_map(fields: Record) -> Map {
    fields.into_iter().map(|(name, value)| (name.as_ref().into(), to_dynamic(value))).collect()
}

/// A value of core's, written as what [`to_dynamic`] makes of it would be. Long streams are written so: it saves each row a map.
pub struct Written<'a>(pub &'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null | Value::Hook(_) => to.serialize_unit(),
            Value::Bool(flag) => to.serialize_bool(*flag),
            Value::Int(number) | Value::Size(number) | Value::Elapsed(number) => to.serialize_i64(*number),
            Value::Float(number) => to.serialize_f64(*number),
            Value::Text(text) => to.serialize_str(text),
            Value::Time(nanoseconds) => to.serialize_str(&rfc3339(*nanoseconds)),
            Value::Blob(bytes) => to.collect_seq(bytes),
            Value::List(items) => to.collect_seq(items.iter().map(Written)),
            Value::Record(fields) => to.collect_map(fields.iter().map(|(name, value)| (name, Written(value)))),
        }
    }
}

/// The callbacks of one call, in the order of their numbers.
#[derive(Default)]
pub struct Hooks(Vec<FnPtr>);

impl Hooks {
    /// Returns the callbacks.
    pub fn into_inner(self) -> Vec<FnPtr> {
        self.0
    }

    /// Turns an argument into a value of core's; a callback becomes its number.
    ///
    /// # Errors
    /// The argument is neither data nor a callback.
    pub fn take(&mut self, argument: &str, value: Dynamic) -> Result<Value> {
        let value = value.flatten();
        let kind = value.type_name();
        if value.is_unit() {
            Ok(Value::Null)
        } else if let Ok(flag) = value.as_bool() {
            Ok(Value::Bool(flag))
        } else if let Ok(number) = value.as_int() {
            Ok(Value::Int(number))
        } else if let Ok(number) = value.as_float() {
            Ok(Value::Float(number))
        } else if let Ok(character) = value.as_char() {
            Ok(Value::Text(character.to_string()))
        } else if let Some(text) = value.read_lock::<ImmutableString>() {
            Ok(Value::Text(text.to_string()))
        } else if let Some(bytes) = value.read_lock::<Blob>() {
            Ok(Value::Blob(bytes.clone()))
        } else if let Some(callback) = value.read_lock::<FnPtr>() {
            self.0.push(callback.clone());
            Ok(Value::Hook(self.0.len() - 1))
        } else if value.is_array() {
            let items = value.cast::<Array>().into_iter();
            items.map(|item| self.take(argument, item)).collect::<Result<_>>().map(Value::List)
        } else if value.is_map() {
            self.fields(value.cast::<Map>()).map(Value::Record)
        } else {
            let (name, expected) = (Some(argument.to_owned()), "plain data or a closure".to_owned());
            Err(BadArgument::Type { name, expected, found: format!("a value of the type {kind}") }.into())
        }
    }

    /// Turns a map of named arguments into a record.
    ///
    /// # Errors
    /// An argument is neither data nor a callback.
    pub fn fields(&mut self, map: Map) -> Result<Record> {
        map.into_iter()
            .map(|(name, value)| {
                let value = self.take(&name, value)?;
                Ok((name.to_string(), value))
            })
            .collect()
    }
}

const _: () = {
    // The table of types in the design speaks of i64 and f64; another feature set of rhai would change them silently.
    const fn same(_: INT, _: FLOAT) {}
    same(0_i64, 0_f64);
};
