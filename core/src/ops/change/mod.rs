//! Changes that were made, as their journals tell, and going on with one that was interrupted.

pub mod list;
pub mod resume;
pub mod show;

use crate::units::Timestamp;
use crate::value::Value;

/// Reads a time of a journal; one that cannot be read counts as the beginning of all.
fn time(text: &str) -> Timestamp {
    Timestamp(crate::units::parse_time(&Value::from(text)).unwrap_or_default())
}

/// Turns what a journal holds into a value.
fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(value).collect()),
        Json::Object(fields) => Value::Record(fields.into_iter().map(|(name, field)| named(name, field)).collect()),
    }
}

/// The same for a field: a journal holds sizes and spans as plain numbers, and their names tell which they are.
fn named(name: String, json: serde_json::Value) -> (String, Value) {
    let value = match (name.as_str(), value(json)) {
        ("freed" | "size" | "quota" | "db_size_before" | "db_size_after", Value::Int(bytes)) => Value::Size(bytes),
        ("stalled" | "took", Value::Int(span)) => Value::Elapsed(span),
        (_, value) => value,
    };
    (name, value)
}
