//! How a card looks to Nushell: flags, types, help.

use etcdsh_core::args::{Kind, Param};
use etcdsh_core::operation::Entry;
use etcdsh_core::report::{Column, Shape};
use nu_protocol::{Category, Completion, Flag, PositionalArg, Signature, Span, SyntaxShape, Type};

use crate::syntax::kebab;
use crate::value::to_nu;

/// What follows the details of a command whose rows arrive while they are read.
const STREAMED: &str = "The rows arrive while they are read, and several of Nushell's commands (`where`, `each`, `get`, `first`, \
`length`) pass over an error in the middle of such a stream. When it matters that every row has arrived, end the pipeline \
with `collect`, `to json` or `save`, which fail then.";

/// What follows the details of a command whose record holds tables.
const FOLDED: &str = "Nushell folds tables and records inside a record; `get` with the name of a field shows what is in it, and \
`table --expand` shows all of it.";

/// Returns the category under which `help commands` lists everything of ours.
pub fn category() -> Category {
    Category::Custom("etcd".to_owned())
}

/// Returns the parameters of a command: its own, and those that say what it is about.
pub fn params(entry: &Entry) -> impl Iterator<Item = &'static Param> {
    entry.all_params().chain(entry.card.target.params())
}

/// Builds the signature of an operation.
pub fn signature(entry: &Entry, name: &str) -> Signature {
    let output = output(entry.shape);
    let start = Signature::build(name).category(category()).input_output_type(Type::Nothing, output);
    params(entry).fold(start, |signature, param| {
        if param.positional { signature.param(positional(param)) } else { signature.param(flag(param)) }
    })
}

fn positional(param: &Param) -> nu_protocol::Parameter {
    let mut argument = PositionalArg::new(param.name, shape(param.kind)).desc(param.doc());
    argument.completion = completion(param.kind);
    if param.required {
        return argument.required();
    }
    argument.default_value = param.default_value().map(|value| to_nu(value, Span::unknown()));
    argument.optional()
}

fn flag(param: &Param) -> Flag {
    let mut flag = Flag::new(kebab(param.name)).desc(param.doc());
    if param.kind == Kind::Profile {
        flag.desc.push_str(" In Nushell, also one of $env.config.plugins.etcd.profiles.");
    }
    flag.required = param.required;
    if param.kind == Kind::Bool {
        return flag;
    }
    flag.completion = completion(param.kind);
    flag.default_value = param.default_value().map(|value| to_nu(value, Span::unknown()));
    flag.arg(shape(param.kind))
}

fn completion(kind: Kind) -> Option<Completion> {
    match kind {
        Kind::Choice(words) | Kind::List(&Kind::Choice(words)) => Some(Completion::new_list(words)),
        _ => None,
    }
}

/// Returns the syntax in which a parameter is written.
fn shape(kind: Kind) -> SyntaxShape {
    match kind {
        Kind::Bool => SyntaxShape::Boolean,
        Kind::Int => SyntaxShape::Int,
        Kind::Float => SyntaxShape::Number,
        Kind::Text
        | Kind::Member
        | Kind::Profile
        | Kind::Sandbox
        | Kind::SandboxMember
        | Kind::Run { .. }
        | Kind::Choice(_) => SyntaxShape::String,
        Kind::Octets => SyntaxShape::OneOf(vec![SyntaxShape::Binary, SyntaxShape::String]),
        Kind::Size => SyntaxShape::Filesize,
        Kind::Elapsed => SyntaxShape::Duration,
        Kind::Time => SyntaxShape::DateTime,
        Kind::Path => SyntaxShape::Filepath,
        // A plain `Any` here would refuse every closure whose parameter has a type.
        Kind::Hook => SyntaxShape::Closure(Some(vec![SyntaxShape::record()])),
        // The first shape that can be read wins, and anything can be read as text, so the list comes first.
        Kind::List(item) => SyntaxShape::OneOf(vec![SyntaxShape::List(Box::new(shape(*item))), shape(*item)]),
        Kind::Record(_) | Kind::Map => SyntaxShape::record(),
    }
}

/// Returns the type of an answer.
fn output(shape: Shape) -> Type {
    let columns = columns(shape.columns());
    match shape {
        Shape::Record(_) => Type::Record(columns),
        Shape::Maybe(_) => Type::one_of([Type::Record(columns), Type::Nothing]),
        Shape::Table(_) | Shape::Stream(_) => Type::Table(columns),
    }
}

fn columns(columns: &[Column]) -> nu_protocol::CollectionColumns<Type> {
    // A column that may be null is of any type: Nushell would refuse `where version == null` on a text.
    let typed = |column: &Column| if column.optional { Type::Any } else { column_type(column.kind) };
    columns.iter().map(|column| (column.name.to_owned(), typed(column))).collect()
}

fn column_type(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::Bool,
        Kind::Int => Type::Int,
        Kind::Float => Type::Float,
        Kind::Text | Kind::Member | Kind::Profile | Kind::Sandbox | Kind::SandboxMember => Type::String,
        Kind::Choice(_) | Kind::Path | Kind::Run { .. } => Type::String,
        Kind::Size => Type::Filesize,
        Kind::Elapsed => Type::Duration,
        Kind::Time => Type::Date,
        Kind::List(Kind::Record(inner)) => Type::Table(columns(inner)),
        Kind::List(item) => Type::List(Box::new(column_type(*item))),
        Kind::Record(inner) => Type::Record(columns(inner)),
        Kind::Map => Type::record(),
        // Text or binary, and a callback never comes back.
        Kind::Octets | Kind::Hook => Type::Any,
    }
}

/// Writes what stands below the flags in the help: details, columns, and what to know about a stream.
pub fn extra_description(entry: &Entry) -> String {
    let mut parts = Vec::new();
    if !entry.card.details.is_empty() {
        parts.push(entry.card.details.trim().to_owned());
    }
    if let Shape::Stream(_) = entry.shape {
        parts.push(STREAMED.to_owned());
    }
    let folds = |column: &Column| matches!(column.kind, Kind::Record(_) | Kind::List(Kind::Record(_)));
    if matches!(entry.shape, Shape::Record(columns) if columns.iter().any(folds)) {
        parts.push(FOLDED.to_owned());
    }
    let title = match entry.shape {
        Shape::Record(_) | Shape::Maybe(_) => "The record has these fields:",
        Shape::Table(_) | Shape::Stream(_) => "The table has these columns:",
    };
    let columns = entry.shape.columns();
    if !columns.is_empty() {
        let width = columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
        let line = |column: &Column| {
            let null = if column.optional { " or nothing" } else { "" };
            format!("\n  {:width$}  {}{null}. {}", column.name, word(column.kind), column.doc.trim())
        };
        parts.push(std::iter::once(title.to_owned()).chain(columns.iter().map(line)).collect());
    }
    parts.join("\n\n")
}

/// Names the type of a column for a person.
fn word(kind: Kind) -> String {
    match kind {
        Kind::Record(_) | Kind::Map => "record".to_owned(),
        Kind::List(Kind::Record(_)) => "table".to_owned(),
        Kind::List(item) => format!("list of {}", word(*item)),
        Kind::Octets => "string or binary".to_owned(),
        Kind::Time => "datetime".to_owned(),
        other => column_type(other).to_string(),
    }
}

/// Returns the commands that only hold others: every proper prefix of a name that is no operation itself.
pub fn parents<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut parents = vec!["etcd".to_owned()];
    for name in names.clone() {
        for (end, _) in name.match_indices(' ') {
            let prefix = name.get(..end).unwrap_or_default();
            let full = format!("etcd {prefix}");
            if !parents.contains(&full) && !names.clone().any(|known| known == prefix) {
                parents.push(full);
            }
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_the_prefixes_that_are_no_commands() {
        let names = ["status", "member list", "member add", "change", "change show", "a b c"];
        assert_eq!(parents(names.into_iter()), ["etcd", "etcd member", "etcd a", "etcd a b"]);
    }
}
