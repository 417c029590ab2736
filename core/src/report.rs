//! What an operation answers. [`record!`](crate::record!) declares a row once and yields both the serialisable struct and the
//! columns that help, tables and the reference show.

use std::marker::PhantomData;

use serde::Serialize;

use crate::args::Kind;
use crate::error::{Error, Result};
use crate::stream::{Rows, Stream};
use crate::value::{Value, to_value};

/// One column of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Its name in snake_case. Names are a contract: columns are added, never renamed.
    pub name: &'static str,
    /// One sentence that says what it holds.
    pub doc: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub optional: bool,
}

/// A record with fixed columns in a fixed order.
pub trait Row: Serialize {
    /// Its columns.
    const COLUMNS: &'static [Column];
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// One record.
    Record(&'static [Column]),
    /// One record, or nothing when there is no such thing.
    Maybe(&'static [Column]),
    /// A list of records.
    Table(&'static [Column]),
    /// A list of records that may be long, and is read while it is produced.
    Stream(&'static [Column]),
}

impl Shape {
    /// Returns the columns, in order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Shape::Record(columns) | Shape::Maybe(columns) | Shape::Table(columns) | Shape::Stream(columns) => columns,
        }
    }
}

/// What an operation returns, before a face shows it.
#[derive(Debug)]
pub enum Answer {
    /// A whole value.
    Value(Value),
    /// Rows that arrive while they are read.
    Stream(Stream),
}

/// A type that an operation may return: a row, a `Vec` of rows, an `Option` of a row, or [`Rows`].
pub trait Report {
    /// Its form.
    const SHAPE: Shape;

    /// Turns it into what a face shows.
    ///
    /// # Errors
    /// A number that does not fit.
    fn answer(self) -> Result<Answer>;
}

impl<T: Row> Report for T {
    const SHAPE: Shape = Shape::Record(T::COLUMNS);
    fn answer(self) -> Result<Answer> {
        whole(&self)
    }
}

impl<T: Row> Report for Vec<T> {
    const SHAPE: Shape = Shape::Table(T::COLUMNS);
    fn answer(self) -> Result<Answer> {
        whole(&self)
    }
}

impl<T: Row> Report for Option<T> {
    const SHAPE: Shape = Shape::Maybe(T::COLUMNS);
    fn answer(self) -> Result<Answer> {
        whole(&self)
    }
}

impl<T: Row + Send + 'static> Report for Rows<T> {
    const SHAPE: Shape = Shape::Stream(T::COLUMNS);
    fn answer(self) -> Result<Answer> {
        Ok(Answer::Stream(self.into_stream()))
    }
}

/// An answer of another operation's that is passed on.
pub struct Relayed<T>(Value, PhantomData<T>);

impl<T> Relayed<T> {
    /// Passes an answer on.
    pub fn new(answer: Value) -> Self {
        Relayed(answer, PhantomData)
    }
}

impl<T: Row> Report for Relayed<T> {
    const SHAPE: Shape = Shape::Record(T::COLUMNS);
    fn answer(self) -> Result<Answer> {
        Ok(Answer::Value(self.0))
    }
}

fn whole<T: Serialize>(report: &T) -> Result<Answer> {
    to_value(report).map(Answer::Value).map_err(Error::internal)
}

/// Declares a row: a struct whose fields are the columns, each with its doc comment.
///
/// ```
/// etcdsh_core::record! {
///     /// One animal.
///     pub struct Animal {
///         /// What it is called.
///         name: String,
///         /// How much it weighs, where that is known.
///         weight: Option<i64>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[doc = $doc:literal])* $field:ident : $type:ty ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Serialize)]
        pub struct $name { $( $(#[doc = $doc])* pub $field: $type ),* }

        impl $crate::report::Row for $name {
            const COLUMNS: &'static [$crate::report::Column] = &[
                $( $crate::report::Column {
                    name: $crate::report::column_name(stringify!($field)),
                    doc: concat!($($doc),*),
                    kind: <$type as $crate::args::Typed>::KIND,
                    optional: <$type as $crate::args::Typed>::NULLABLE,
                } ),*
            ];
        }

        impl $crate::args::Typed for $name {
            const KIND: $crate::args::Kind = $crate::args::Kind::Record(<$name as $crate::report::Row>::COLUMNS);
        }
    };
}

/// Returns the name of a column without the mark of a field that is named like a word of Rust.
#[doc(hidden)]
pub const fn column_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}
