//! How a result is written out: as a table for people, or as JSON for programs.

use std::io::{self, Write};

use rhai::{Array, Blob, Dynamic, ImmutableString, Map};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::cluster::Cluster;
use crate::error::Thrown;
use crate::stream::Rows;
use crate::table::{self, Canvas, form};
use crate::value::Written;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for a list of maps, two columns for a map, plain text for anything else.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document in each line: each item of a list, each row of a stream as it arrives.
    Jsonl,
}

/// Why a result was not written.
pub enum NotShown {
    /// The rows ended early.
    Thrown(Box<rhai::EvalAltResult>),
    /// They could not be written.
    Io(io::Error),
}

impl From<io::Error> for NotShown {
    fn from(error: io::Error) -> Self {
        NotShown::Io(error)
    }
}

impl From<Box<rhai::EvalAltResult>> for NotShown {
    fn from(error: Box<rhai::EvalAltResult>) -> Self {
        NotShown::Thrown(error)
    }
}

/// Writes a result.
///
/// # Errors
/// A stream ended early, or the output could not be written.
pub fn write(out: &mut dyn Write, value: Dynamic, format: Format, canvas: Canvas) -> Result<(), NotShown> {
    match (format, value.clone().try_cast::<Rows>()) {
        (Format::Jsonl, Some(rows)) => {
            for row in rows.values() {
                json_line(out, &Written(&row?))?;
            }
        }
        (_, Some(rows)) => write(out, Dynamic::from_array(rows.take(usize::MAX)?), format, canvas)?,
        (Format::Table, None) => {
            let text = text(&value, canvas);
            if !text.is_empty() {
                writeln!(out, "{text}")?;
            }
        }
        (Format::Json, None) => json_line(out, &Json(&value))?,
        (Format::Jsonl, None) => match value.read_lock::<Array>() {
            Some(items) => items.iter().try_for_each(|item| json_line(out, &Json(item)))?,
            None => json_line(out, &Json(&value))?,
        },
    }
    Ok(())
}

fn json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Shows a result to a person.
pub fn text(value: &Dynamic, canvas: Canvas) -> String {
    if let Some(map) = value.read_lock::<Map>().filter(|map| !map.is_empty()) {
        return table::record(&map, canvas);
    }
    if let Some(drawn) = value.read_lock::<Array>().and_then(|rows| table::table(&rows, canvas)) {
        return drawn;
    }
    if value.is_unit() {
        return String::new();
    }
    etcdsh_core::units::escape(&words(value))
}

/// Shows what is neither a table nor a record: text as it is, a handle in words, the rest as Rhai writes it.
fn words(value: &Dynamic) -> String {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        text.to_string()
    } else if let Some(cluster) = value.read_lock::<Cluster>() {
        cluster.to_string()
    } else if value.is_fnptr() {
        "a closure".to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Returns a value as JSON; a number that JSON has no word for is null.
pub fn json(value: &Dynamic) -> serde_json::Value {
    serde_json::to_value(Json(value)).unwrap_or_default()
}

/// Reads what a stream still has into an array, so that it can be looked at twice.
///
/// # Errors
/// The stream ended early.
pub fn settle(value: Dynamic, limit: usize) -> Thrown<Dynamic> {
    match value.clone().try_cast::<Rows>() {
        Some(rows) => Ok(Dynamic::from_array(rows.take(limit)?)),
        None => Ok(value),
    }
}

/// A value as JSON, its fields in the order of the catalogue's columns.
struct Json<'a>(&'a Dynamic);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if value.is_unit() {
            serializer.serialize_unit()
        } else if let Ok(flag) = value.as_bool() {
            serializer.serialize_bool(flag)
        } else if let Ok(number) = value.as_int() {
            serializer.serialize_i64(number)
        } else if let Ok(number) = value.as_float() {
            serializer.serialize_f64(number)
        } else if let Some(text) = value.read_lock::<ImmutableString>() {
            serializer.serialize_str(&text)
        } else if let Some(items) = value.read_lock::<Array>() {
            serializer.collect_seq(items.iter().map(Json))
        } else if let Some(bytes) = value.read_lock::<Blob>() {
            serializer.collect_seq(bytes.iter())
        } else if let Some(map) = value.read_lock::<Map>() {
            let mut fields = serializer.serialize_map(Some(map.len()))?;
            match form(&map) {
                Some(form) => {
                    for column in form {
                        fields.serialize_entry(column.name, &Json(map.get(column.name).unwrap_or(&Dynamic::UNIT)))?;
                    }
                }
                None => map.iter().try_for_each(|(name, value)| fields.serialize_entry(name.as_str(), &Json(value)))?,
            }
            fields.end()
        } else {
            serializer.serialize_str(&words(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::to_dynamic;
    use etcdsh_core::value::{Record, Value};

    #[test]
    fn a_row_is_written_as_the_map_that_it_becomes() {
        let row: Record = [
            ("absent", Value::Null),
            ("flag", Value::Bool(true)),
            ("float", Value::Float(0.5)),
            ("int", Value::Int(-1)),
            ("list", Value::List(vec![Value::Text("a\n\u{1b}".to_owned()), Value::Blob(vec![0, 255])])),
            ("record", Value::Record([("inside", Value::Size(7))].into_iter().collect())),
            ("span", Value::Elapsed(1_500_000)),
            ("time", Value::Time(1_700_000_000_000_000_000)),
        ]
        .into_iter()
        .collect();
        let row = Value::Record(row);
        let written = serde_json::to_string(&Written(&row)).unwrap();
        assert_eq!(written, serde_json::to_string(&Json(&to_dynamic(row))).unwrap());
        assert!(written.contains(r#""time":"2023-11-14T22:13:20Z""#), "{written}");
    }
}
