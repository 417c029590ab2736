//! The arguments of a call, as far as they are written in the script.

use etcdsh_core::args::{BadArgument, Kind};
use etcdsh_core::value::{Record, Value};
use rhai::{Dynamic, Expr, Ident, Position};

use super::Checker;
use super::script::Script;
use crate::functions::{exit_code, settings, takes};
use crate::value::Hooks;

impl Checker<'_> {
    /// Looks at the arguments of a function of ours: the positional ones, and one map of named ones.
    pub(super) fn arguments(&mut self, script: &Script, function: &str, args: &[Expr], place: Position) {
        match (function, args) {
            ("exit", [code]) => return self.exit(script, code),
            ("connect", [which]) if !matches!(which, Expr::Map(..)) => return self.connect(script, which),
            _ => {}
        }
        let Some((function, takes)) = takes(function) else { return };
        let places: Vec<_> = takes.positional().collect();
        let takes_map =
            |at: usize| places.get(at).is_some_and(|param| matches!(param.kind, Kind::Map | Kind::Record(_)));
        // The map may stand before a closure or behind it.
        let map = args.iter().enumerate().rfind(|(at, arg)| matches!(arg, Expr::Map(..)) && !takes_map(*at));
        let (positional, named, whole): (Vec<&Expr>, &[(Ident, Expr)], bool) = match (map, args.split_last()) {
            (Some((map, Expr::Map(fields, _))), _) => {
                let others = args.iter().enumerate().filter(|(at, _)| *at != map).map(|(_, arg)| arg);
                (others.collect(), fields.0.as_slice(), true)
            }
            // It may be the map of named arguments, or the last positional one.
            (_, Some((last, before))) if literal(last).is_none() && !takes_map(before.len()) && is_open(last) => {
                (if args.len() > places.len() { before } else { args }.iter().collect(), &[], false)
            }
            _ => (args.iter().collect(), &[], true),
        };
        // Which value it is does not matter to where it belongs.
        let nulls = positional.iter().map(|_| Value::Null).collect();
        let names: Record = named.iter().map(|(name, _)| (name.name.to_string(), Value::Null)).collect();
        if let Err(bad) = takes.join(function, nulls, names) {
            return self.bad_argument(script, bad, place);
        }
        let by_place = places
            .iter()
            .map(|param| param.name)
            .zip(positional.iter().copied())
            .map(|(name, value)| (name, value, value.position()));
        let by_name = named.iter().map(|(name, value)| (name.name.as_str(), value, name.pos));
        let mut given = Vec::new();
        for (name, expr, at) in by_place.chain(by_name) {
            given.push(name);
            let value = literal(expr).map(|value| Hooks::default().take(name, value));
            let checked = match value {
                Some(Err(error)) => return self.bad_argument(script, error, at),
                Some(Ok(value)) => takes.check(name, Some(value)),
                None => takes.check(name, None),
            };
            if let Err(bad) = checked {
                let at = if matches!(bad, BadArgument::Unknown { .. }) { at } else { expr.position() };
                self.bad_argument(script, bad, at);
            }
        }
        if let Some(missing) = takes.missing(&given).filter(|_| whole) {
            self.bad_argument(script, missing, place);
        }
    }

    fn connect(&mut self, script: &Script, which: &Expr) {
        let value = literal(which).map(|value| Hooks::default().take("profile", value));
        if let Some(Err(bad)) = value.and_then(Result::ok).map(settings) {
            self.bad_argument(script, bad, which.position());
        }
    }

    fn exit(&mut self, script: &Script, code: &Expr) {
        if let Some(Err(problem)) = literal(code).map(|code| exit_code(&code)) {
            self.add(&script.source, "invalid_argument", problem, None, code.position());
        }
    }
}

/// Returns the value of an expression that is written out.
fn literal(expr: &Expr) -> Option<Dynamic> {
    expr.get_literal_value(None)
}

/// Says whether an expression may be a map when it is evaluated.
fn is_open(expr: &Expr) -> bool {
    !matches!(expr, Expr::InterpolatedString(..) | Expr::Array(..) | Expr::And(..) | Expr::Or(..))
}
