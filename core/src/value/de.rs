//! Out of the value tree, into Rust. Units are coerced here by the name of the newtype, so that both faces accept `"30s"`,
//! `30` and a duration alike, and an error knows the argument that it belongs to.

use serde::de::{self, DeserializeOwned, IntoDeserializer, value::StrDeserializer};

use super::{Record, Value};
use crate::args::BadArgument;
use crate::rule::Rule;
use crate::units::{parse_elapsed, parse_size, parse_time};

/// Reads a value as `T`.
///
/// # Errors
/// What was expected, and what was found.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, BadArgument> {
    T::deserialize(Tree(value))
}

/// Reads named arguments as `T`; an error names the argument.
///
/// # Errors
/// The argument, what was expected of it, and what was found.
pub fn from_record<T: DeserializeOwned>(record: Record) -> Result<T, BadArgument> {
    from_value(Value::Record(record))
}

struct Tree(Value);

impl Tree {
    fn mismatch(&self, expected: impl Into<String>) -> BadArgument {
        BadArgument::Type { name: None, expected: expected.into(), found: describe(&self.0) }
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Text(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
        Value::Int(n) => format!("the integer {n}"),
        other => other.kind().to_owned(),
    }
}

impl de::Error for BadArgument {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        BadArgument::Invalid { name: None, problem: message.to_string(), help: None }
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        BadArgument::Choice {
            name: None,
            found: found.to_owned(),
            expected: expected.iter().map(|&e| e.to_owned()).collect(),
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        BadArgument::Type { name: None, expected: expected.to_string(), found: found.to_string() }
    }
}

macro_rules! forward {
    ($($method:ident)*) => {
        $(fn $method<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
            match self.0 {
                Value::Int(v) => visitor.visit_i64(v),
                _ => Err(self.mismatch("an integer")),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Tree {
    type Error = BadArgument;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(v) => visitor.visit_bool(v),
            Value::Int(v) | Value::Size(v) | Value::Elapsed(v) | Value::Time(v) => visitor.visit_i64(v),
            Value::Float(v) => visitor.visit_f64(v),
            Value::Text(v) => visitor.visit_string(v),
            Value::Blob(v) => visitor.visit_byte_buf(v),
            Value::Hook(v) => visitor.visit_u64(v as u64),
            Value::List(v) => visitor.visit_seq(Items(v.into_iter())),
            Value::Record(v) => visitor.visit_map(Fields { fields: v.into_iter(), value: None }),
        }
    }

    forward! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_f64<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Float(v) => visitor.visit_f64(v),
            Value::Int(v) => visitor.visit_i64(v),
            _ => Err(self.mismatch("a number")),
        }
    }

    fn deserialize_bool<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Bool(v) => visitor.visit_bool(v),
            _ => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_str<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Text(v) => visitor.visit_string(v),
            _ => Err(self.mismatch("text")),
        }
    }

    fn deserialize_string<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BadArgument> {
        let coerced = match name {
            "$bytes" => parse_size(&self.0).ok_or_else(|| self.mismatch("a size such as 512, \"10MB\" or \"1MiB\""))?,
            "$elapsed" if matches!(self.0, Value::Elapsed(span) if span < 0) => {
                let (expected, found) = ("a duration such as \"30s\"".to_owned(), "a negative one".to_owned());
                return Err(BadArgument::Type { name: None, expected, found });
            }
            "$elapsed" => parse_elapsed(&self.0)
                .ok_or_else(|| self.mismatch("a duration such as \"250ms\", \"30s\" or \"5min\""))?,
            "$time" => parse_time(&self.0).ok_or_else(|| self.mismatch("a time such as \"2024-05-06T07:08:09Z\""))?,
            "$hook" => match self.0 {
                Value::Hook(v) => i64::try_from(v).unwrap_or(i64::MAX),
                _ => return Err(self.mismatch("a closure")),
            },
            Rule::NAME => {
                // Read here already, because an error that passes through the visitor would lose its help.
                match &self.0 {
                    Value::Text(text) => Rule::parse(text)?,
                    _ => return Err(self.mismatch("a condition such as \"db_free > 200MB\"")),
                };
                return visitor.visit_newtype_struct(self);
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        visitor.visit_newtype_struct(Tree(Value::Int(coerced)))
    }

    fn deserialize_seq<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::List(v) => visitor.visit_seq(Items(v.into_iter())),
            // A list that is left out is empty, unless it may be told apart from an empty one.
            Value::Null => visitor.visit_seq(Items(Vec::new().into_iter())),
            Value::Record(_) => Err(self.mismatch("a list")),
            // A single value where several may stand is a list of one.
            single => visitor.visit_seq(Items(vec![single].into_iter())),
        }
    }

    fn deserialize_map<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Record(v) => visitor.visit_map(Fields { fields: v.into_iter(), value: None }),
            _ => Err(self.mismatch("a record")),
        }
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadArgument> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadArgument> {
        match self.0 {
            Value::Text(ref word) => {
                let word: StrDeserializer<'_, BadArgument> = word.as_str().into_deserializer();
                visitor.visit_enum(word)
            }
            _ => Err(self.mismatch("a word")),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items(std::vec::IntoIter<Value>);

impl<'de> de::SeqAccess<'de> for Items {
    type Error = BadArgument;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, BadArgument> {
        self.0.next().map(|value| seed.deserialize(Tree(value))).transpose()
    }
}

struct Fields {
    fields: <Record as IntoIterator>::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = BadArgument;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BadArgument> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        let name = name.into_owned();
        let key = seed.deserialize(Tree(Value::Text(name.clone())))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BadArgument> {
        let (name, value) = self.value.take().unwrap_or_default();
        seed.deserialize(Tree(value)).map_err(|error| error.of(&name))
    }
}
