//! A call of Nushell's, as core reads it: arguments and connection settings apart, and for each the place where it was
//! written.

use etcdsh_core::error::{Error, Result};
use etcdsh_core::operation::Entry;
use etcdsh_core::value::{Record, Value};
use nu_plugin::EvaluatedCall;
use nu_protocol::engine::Closure;
use nu_protocol::{Span, Spanned};

use crate::value::Reader;

/// Where the arguments of a call were written.
#[derive(Debug, Clone)]
pub struct Spans {
    head: Span,
    places: Vec<(String, Span)>,
    named: Vec<(String, Span)>,
}

impl Spans {
    /// Starts with the command itself.
    pub fn new(head: Span) -> Self {
        Spans { head, places: Vec::new(), named: Vec::new() }
    }

    /// Leaves out what was given by place, for an error that is about the connection: `get KEY` has a key of its own, and the
    /// connection has another.
    pub fn of_connection(&mut self) {
        self.places.clear();
    }

    /// Remembers where an argument was given by its place.
    pub fn add_place(&mut self, name: impl Into<String>, span: Span) {
        self.places.push((name.into(), span));
    }

    /// Remembers where an argument was given by its name.
    pub fn add(&mut self, name: impl Into<String>, span: Span) {
        self.named.push((name.into(), span));
    }

    /// Returns the place of the command.
    pub fn head(&self) -> Span {
        self.head
    }

    /// Returns the place of an argument, if it was given.
    pub fn of(&self, argument: &str) -> Option<Span> {
        let name = argument.replace('-', "_");
        self.places.iter().chain(&self.named).find(|(known, _)| *known == name).map(|(_, span)| *span)
    }
}

/// What a call says.
#[derive(Debug)]
pub struct Given {
    /// The operation's own arguments.
    pub args: Record,
    /// The connection's settings.
    pub flags: Record,
    /// The closures that `Value::Hook` refers to.
    pub hooks: Vec<Spanned<Closure>>,
}

/// Reads a call; `spans` is filled on the way, so that it can label an error too.
///
/// # Errors
/// An argument of a type that no operation takes, or one too many.
pub fn read(entry: &'static Entry, call: &EvaluatedCall, spans: &mut Spans) -> Result<Given> {
    let mut reader = Reader::default();
    let mut positional = Vec::with_capacity(call.positional.len());
    let names = entry.positional().map(|param| param.name);
    for (value, name) in call.positional.iter().zip(names.chain(std::iter::repeat(""))) {
        spans.add_place(name, value.span());
        positional.push(reader.read(value.clone()).map_err(|error| belongs_to(name, error))?);
    }
    let (mut own, mut flags) = (Record::new(), Record::new());
    for (flag, value) in &call.named {
        let name = flag.item.replace('-', "_");
        spans.add(&name, value.as_ref().map_or(flag.span, nu_protocol::Value::span));
        let value = match value {
            Some(value) => reader.read(value.clone()).map_err(|error| belongs_to(&name, error))?,
            None => Value::Bool(true),
        };
        let is_own = entry.all_params().any(|param| !param.positional && param.name == name);
        if is_own { &mut own } else { &mut flags }.insert(name, value);
    }
    Ok(Given { args: entry.join(positional, own)?, flags, hooks: reader.hooks })
}

fn belongs_to(name: &str, error: Error) -> Error {
    if name.is_empty() { error } else { error.for_argument(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nu_protocol::{IntoSpanned, Value as NuValue};

    const HEAD: Span = Span { start: 0, end: 4 };
    const FLAG: Span = Span { start: 5, end: 16 };
    const BOTH: Span = Span { start: 5, end: 30 };

    fn member_list() -> &'static Entry {
        etcdsh_core::catalogue::find("member list").unwrap()
    }

    #[test]
    fn settings_are_told_from_arguments_and_places_are_remembered() {
        let endpoints = NuValue::list(vec![NuValue::string("a:1", FLAG)], BOTH);
        let mut call = EvaluatedCall::new(HEAD);
        call.named.push(("endpoints".to_owned().into_spanned(FLAG), Some(endpoints)));
        call.named.push(("tls-pin".to_owned().into_spanned(FLAG), Some(NuValue::string("ab", BOTH))));
        let mut spans = Spans::new(HEAD);
        let given = read(member_list(), &call, &mut spans).unwrap();
        assert!(given.args.is_empty());
        assert_eq!(given.flags.get("endpoints"), Some(&Value::List(vec![Value::from("a:1")])));
        assert_eq!(given.flags.get("tls_pin"), Some(&Value::from("ab")));
        assert_eq!(spans.of("endpoints"), Some(BOTH));
        assert_eq!(spans.of("tls-pin"), Some(BOTH));
        assert_eq!(spans.of("tls_pin"), Some(BOTH));
        assert_eq!(spans.of("timeout"), None);
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_flag() {
        let path = NuValue::cell_path(nu_protocol::ast::CellPath { members: vec![] }, BOTH);
        let mut call = EvaluatedCall::new(HEAD);
        call.named.push(("cacert".to_owned().into_spanned(FLAG), Some(path)));
        let mut spans = Spans::new(HEAD);
        let error = read(member_list(), &call, &mut spans).unwrap_err();
        assert_eq!(error.argument(), Some("cacert"));
        assert_eq!(spans.of("cacert"), Some(BOTH));
    }
}
