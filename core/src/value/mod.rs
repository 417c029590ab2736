//! The one value tree. Reports become a [`Value`] once, in [`ser`]; arguments are read out of one, in [`de`]; a face only
//! translates a `Value` from and to its own language.

mod de;
mod ser;

pub use de::{from_record, from_value};
pub use ser::to_value;

use std::borrow::Cow;

/// What an operation takes and returns, in a form every face can show.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing: an absent or unknown fact.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number. An unsigned number that does not fit is an error, never a float.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text in UTF-8.
    Text(String),
    /// Bytes that are not text.
    Blob(Vec<u8>),
    /// A size in bytes.
    Size(i64),
    /// A span of time in nanoseconds.
    Elapsed(i64),
    /// A point in time, in nanoseconds since 1970 in UTC.
    Time(i64),
    /// Several values in order.
    List(Vec<Value>),
    /// Named values in a fixed order.
    Record(Record),
    /// A callback of the caller's, by its number in the call.
    Hook(usize),
}

impl Value {
    /// Says what kind of value this is, in the words of an error message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Text(_) => "text",
            Value::Blob(_) => "binary data",
            Value::Size(_) => "a size",
            Value::Elapsed(_) => "a duration",
            Value::Time(_) => "a time",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
            Value::Hook(_) => "a callback",
        }
    }

    /// Returns the text of a text value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the fields of a record value.
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Returns the items of a list value.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

/// Named values in a fixed order. Records are short, so a name is looked up by walking them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record(Vec<(Cow<'static, str>, Value)>);

impl Record {
    /// Returns an empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty record with room for `fields` fields.
    pub fn with_capacity(fields: usize) -> Self {
        Record(Vec::with_capacity(fields))
    }

    /// Adds a field, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    /// Adds a field that is known not to be there yet.
    pub(crate) fn push(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        self.0.push((name.into(), value));
    }

    /// Returns the value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Walks the fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns how many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Record {
    type Item = (Cow<'static, str>, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Self {
        Record(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}
