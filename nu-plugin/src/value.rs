//! Between core's values and Nushell's.

use etcdsh_core::args::{BadArgument, CLOSURE_RESULT};
use etcdsh_core::error::{Error, Result};
use etcdsh_core::value::{Record, Value};
use nu_protocol::engine::Closure;
use nu_protocol::{IntoSpanned, Span, Spanned, Value as NuValue};

/// Turns a value of core's into one of Nushell's.
pub fn to_nu(value: Value, span: Span) -> NuValue {
    match value {
        // A callback never comes back out of core.
        Value::Null | Value::Hook(_) => NuValue::nothing(span),
        Value::Bool(flag) => NuValue::bool(flag, span),
        Value::Int(number) => NuValue::int(number, span),
        Value::Float(number) => NuValue::float(number, span),
        Value::Text(text) => NuValue::string(text, span),
        Value::Blob(bytes) => NuValue::binary(bytes, span),
        Value::Size(bytes) => NuValue::filesize(bytes, span),
        Value::Elapsed(nanoseconds) => NuValue::duration(nanoseconds, span),
        Value::Time(nanoseconds) => {
            NuValue::date(chrono::DateTime::from_timestamp_nanos(nanoseconds).fixed_offset(), span)
        }
        Value::List(items) => NuValue::list(items.into_iter().map(|item| to_nu(item, span)).collect(), span),
        Value::Record(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name.into_owned(), to_nu(value, span)));
            NuValue::record(fields.collect(), span)
        }
    }
}

/// Turns values of Nushell's into core's, and keeps the closures among them.
#[derive(Default)]
pub struct Reader {
    /// The closures that were found; a `Value::Hook` is an index into them.
    pub hooks: Vec<Spanned<Closure>>,
    /// What is read, where it is no argument.
    of: Option<&'static str>,
}

impl Reader {
    /// Turns one value into core's.
    ///
    /// # Errors
    /// It is of a type that no operation takes, or an error of Nushell's own.
    pub fn read(&mut self, value: NuValue) -> Result<Value> {
        let span = value.span();
        Ok(match value {
            NuValue::Nothing { .. } => Value::Null,
            NuValue::Bool { val, .. } => Value::Bool(val),
            NuValue::Int { val, .. } => Value::Int(val),
            NuValue::Float { val, .. } => Value::Float(val),
            NuValue::String { val, .. } | NuValue::Glob { val, .. } => Value::Text(val),
            NuValue::Binary { val, .. } => Value::Blob(val.into_owned()),
            NuValue::Filesize { val, .. } => Value::Size(val.get()),
            NuValue::Duration { val, .. } => Value::Elapsed(val),
            NuValue::Date { val, .. } => {
                Value::Time(val.timestamp_nanos_opt().ok_or_else(|| refuse(self.of, "a date that far away"))?)
            }
            NuValue::List { vals, .. } => {
                Value::List(vals.into_iter().map(|item| self.read(item)).collect::<Result<_>>()?)
            }
            NuValue::Record { val, .. } => Value::Record(self.read_record(val.into_owned())?),
            NuValue::Closure { val, .. } => {
                self.hooks.push((*val).into_spanned(span));
                Value::Hook(self.hooks.len() - 1)
            }
            NuValue::Error { error, .. } => return Err(Error::from_hook(error.to_string(), *error)),
            other => return Err(refuse(self.of, &other.get_type().to_string())),
        })
    }

    /// Turns what a closure returned into core's.
    ///
    /// # Errors
    /// It is of a type that no operation takes.
    pub fn read_result(mut self, value: NuValue) -> Result<Value> {
        self.of = Some(CLOSURE_RESULT);
        self.read(value)
    }

    /// Turns a record into core's.
    ///
    /// # Errors
    /// One of its values is of a type that no operation takes.
    pub fn read_record(&mut self, record: nu_protocol::Record) -> Result<Record> {
        record.into_iter().map(|(name, value)| Ok((name, self.read(value)?))).collect()
    }
}

fn refuse(of: Option<&str>, found: &str) -> Error {
    BadArgument::Type { name: of.map(str::to_owned), expected: "a plain value".to_owned(), found: found.to_owned() }
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn nested() -> Value {
        let inner: Record = [("a", Value::Int(1)), ("b", Value::Null)].into_iter().collect();
        Value::List(vec![Value::Record(inner), Value::Text("é".to_owned())])
    }

    #[rstest]
    #[case(Value::Null)]
    #[case(Value::Bool(true))]
    #[case(Value::Int(i64::MIN))]
    #[case(Value::Float(0.5))]
    #[case(Value::Text("x".to_owned()))]
    #[case(Value::Blob(vec![0, 255]))]
    #[case(Value::Size(20_480))]
    #[case(Value::Elapsed(1_500_000_000))]
    #[case(Value::Time(1_700_000_000_123_456_789))]
    #[case(nested())]
    fn a_value_survives_the_way_there_and_back(#[case] value: Value) {
        let nu = to_nu(value.clone(), Span::test_data());
        assert_eq!(Reader::default().read(nu).unwrap(), value);
    }

    #[test]
    fn closures_are_numbered() {
        let closure = || NuValue::test_closure(Closure { block_id: nu_protocol::BlockId::new(7), captures: vec![] });
        let mut reader = Reader::default();
        assert_eq!(reader.read(closure()).unwrap(), Value::Hook(0));
        assert_eq!(reader.read(closure()).unwrap(), Value::Hook(1));
        assert_eq!(reader.hooks.len(), 2);
    }

    #[test]
    fn what_no_operation_takes_is_refused() {
        let error = Reader::default().read(NuValue::test_cell_path(nu_protocol::ast::CellPath { members: vec![] }));
        assert_eq!(error.unwrap_err().to_string(), "the value should be a plain value, not cell-path");
    }

    #[test]
    fn nushells_own_errors_come_out_whole() {
        let native = nu_protocol::ShellError::NushellFailed { msg: "boom".to_owned() };
        let error = Reader::default().read(NuValue::error(native.clone(), Span::test_data())).unwrap_err();
        assert_eq!(error.split_native::<nu_protocol::ShellError>().0.unwrap(), native);
    }
}
