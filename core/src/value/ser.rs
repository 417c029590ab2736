//! Out of Rust, into the value tree.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{self, Impossible};

use super::{Record, Value};

/// Turns anything serialisable into a value.
///
/// # Errors
/// An unsigned number beyond what a signed one holds, because both faces would lose its digits; a map whose keys are not text.
pub fn to_value<T: Serialize + ?Sized>(from: &T) -> Result<Value, SerError> {
    from.serialize(Tree)
}

/// Why something did not become a value. Each of these is a mistake in an operation, not in what its user did.
#[derive(Debug, thiserror::Error)]
pub enum SerError {
    /// An unsigned number that no face can show exactly.
    #[error("the number {0} does not fit a signed 64-bit integer")]
    TooLarge(u128),
    /// A map keyed by something other than text.
    #[error("the keys of a record must be text")]
    Key,
    /// What a `Serialize` implementation said.
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for SerError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        SerError::Custom(message.to_string())
    }
}

struct Tree;

impl ser::Serializer for Tree {
    type Ok = Value;
    type Error = SerError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Impossible<Value, SerError>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<Value, SerError>;

    fn serialize_bool(self, v: bool) -> Result<Value, SerError> {
        Ok(Value::Bool(v))
    }
    fn serialize_i8(self, v: i8) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_i16(self, v: i16) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_i32(self, v: i32) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_i64(self, v: i64) -> Result<Value, SerError> {
        Ok(Value::Int(v))
    }
    fn serialize_u8(self, v: u8) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_u16(self, v: u16) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_u32(self, v: u32) -> Result<Value, SerError> {
        self.serialize_i64(v.into())
    }
    fn serialize_u64(self, v: u64) -> Result<Value, SerError> {
        i64::try_from(v).map(Value::Int).map_err(|_| SerError::TooLarge(v.into()))
    }
    fn serialize_f32(self, v: f32) -> Result<Value, SerError> {
        self.serialize_f64(v.into())
    }
    fn serialize_f64(self, v: f64) -> Result<Value, SerError> {
        Ok(Value::Float(v))
    }
    fn serialize_char(self, v: char) -> Result<Value, SerError> {
        Ok(Value::Text(v.to_string()))
    }
    fn serialize_str(self, v: &str) -> Result<Value, SerError> {
        Ok(Value::Text(v.to_owned()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Value, SerError> {
        Ok(Value::Blob(v.to_vec()))
    }
    fn serialize_none(self) -> Result<Value, SerError> {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<Value, SerError> {
        v.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, SerError> {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, SerError> {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, SerError> {
        Ok(Value::Text(variant.to_owned()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, v: &T) -> Result<Value, SerError> {
        let plain = v.serialize(self)?;
        Ok(match (name, plain) {
            ("$bytes", Value::Int(n)) => Value::Size(n),
            ("$elapsed", Value::Int(n)) => Value::Elapsed(n),
            ("$time", Value::Int(n)) => Value::Time(n),
            ("$hook", Value::Int(n)) => Value::Hook(usize::try_from(n).unwrap_or(usize::MAX)),
            (_, plain) => plain,
        })
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<Value, SerError> {
        let mut record = Record::with_capacity(1);
        record.push(variant, v.serialize(self)?);
        Ok(Value::Record(record))
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Items, SerError> {
        Ok(Items(Vec::with_capacity(len.unwrap_or(0))))
    }
    fn serialize_tuple(self, len: usize) -> Result<Items, SerError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items, SerError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, SerError> {
        Err(SerError::Custom(format!("the variant {variant} has no form in the value tree")))
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Fields, SerError> {
        Ok(Fields { record: Record::with_capacity(len.unwrap_or(0)), key: None })
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Fields, SerError> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, SerError> {
        Err(SerError::Custom(format!("the variant {variant} has no form in the value tree")))
    }
}

struct Items(Vec<Value>);

impl ser::SerializeSeq for Items {
    type Ok = Value;
    type Error = SerError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), SerError> {
        self.0.push(v.serialize(Tree)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerError> {
        Ok(Value::List(self.0))
    }
}

impl ser::SerializeTuple for Items {
    type Ok = Value;
    type Error = SerError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), SerError> {
        ser::SerializeSeq::serialize_element(self, v)
    }
    fn end(self) -> Result<Value, SerError> {
        ser::SerializeSeq::end(self)
    }
}

impl ser::SerializeTupleStruct for Items {
    type Ok = Value;
    type Error = SerError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), SerError> {
        ser::SerializeSeq::serialize_element(self, v)
    }
    fn end(self) -> Result<Value, SerError> {
        ser::SerializeSeq::end(self)
    }
}

struct Fields {
    record: Record,
    key: Option<String>,
}

impl ser::SerializeMap for Fields {
    type Ok = Value;
    type Error = SerError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerError> {
        match key.serialize(Tree)? {
            Value::Text(text) => self.key = Some(text),
            _ => return Err(SerError::Key),
        }
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), SerError> {
        let key = self.key.take().ok_or(SerError::Key)?;
        self.record.insert(Cow::Owned(key), v.serialize(Tree)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerError> {
        Ok(Value::Record(self.record))
    }
}

impl ser::SerializeStruct for Fields {
    type Ok = Value;
    type Error = SerError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, v: &T) -> Result<(), SerError> {
        self.record.push(name, v.serialize(Tree)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerError> {
        Ok(Value::Record(self.record))
    }
}

/// What a hook returned keeps its units when it is serialised again.
impl Serialize for Value {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use crate::units::{Bytes, Elapsed, Hook, Timestamp};
        match self {
            Value::Null => serializer.serialize_none(),
            Value::Bool(v) => serializer.serialize_bool(*v),
            Value::Int(v) => serializer.serialize_i64(*v),
            Value::Float(v) => serializer.serialize_f64(*v),
            Value::Text(v) => serializer.serialize_str(v),
            Value::Blob(v) => serializer.serialize_bytes(v),
            Value::Size(v) => Bytes(*v).serialize(serializer),
            Value::Elapsed(v) => Elapsed(*v).serialize(serializer),
            Value::Time(v) if serializer.is_human_readable() => serializer.serialize_str(&crate::units::rfc3339(*v)),
            Value::Time(v) => Timestamp(*v).serialize(serializer),
            Value::List(v) => v.serialize(serializer),
            Value::Record(v) => v.serialize(serializer),
            Value::Hook(v) => Hook(*v as u64).serialize(serializer),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, Elapsed, Octets, Timestamp};

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        TwoWords,
    }

    #[test]
    fn units_keep_their_kind_and_columns_their_order() {
        #[derive(Serialize)]
        struct Row {
            zulu: Bytes,
            alpha: Elapsed,
            when: Timestamp,
            word: Word,
            none: Option<i64>,
            raw: Octets,
        }
        let row = Row {
            zulu: Bytes(7),
            alpha: Elapsed(8),
            when: Timestamp(9),
            word: Word::TwoWords,
            none: None,
            raw: Octets(vec![0xff]),
        };
        let Value::Record(record) = to_value(&row).unwrap() else { panic!("not a record") };
        let fields: Vec<_> = record.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
        assert_eq!(
            fields,
            [
                ("zulu".to_owned(), Value::Size(7)),
                ("alpha".to_owned(), Value::Elapsed(8)),
                ("when".to_owned(), Value::Time(9)),
                ("word".to_owned(), Value::Text("two_words".to_owned())),
                ("none".to_owned(), Value::Null),
                ("raw".to_owned(), Value::Blob(vec![0xff])),
            ]
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_an_error_and_never_a_float() {
        assert_eq!(
            to_value(&u64::MAX).unwrap_err().to_string(),
            format!("the number {} does not fit a signed 64-bit integer", u64::MAX)
        );
        assert_eq!(to_value(&(i64::MAX as u64)).unwrap(), Value::Int(i64::MAX));
    }

    #[test]
    fn json_sees_plain_numbers_and_rfc_3339() {
        let record: Record =
            [("size", Value::Size(5)), ("at", Value::Time(0)), ("took", Value::Elapsed(3))].into_iter().collect();
        assert_eq!(
            serde_json::to_string(&Value::Record(record)).unwrap(),
            r#"{"size":5,"at":"1970-01-01T00:00:00Z","took":3}"#
        );
    }
}
