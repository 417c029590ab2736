//! `check`: what can be found wrong with a script without running it. Only certain mistakes are reported.

use std::collections::HashSet;

use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::error::suggest;
use rhai::{AST, ASTNode, Expr, FnCallExpr, Map, Position, Stmt};

use crate::engine::{AMBIENT, Interpreter};
use crate::report::function_names;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What may have been meant.
    pub help: Option<String>,
    /// Where.
    pub place: Position,
}

/// Looks for unknown functions, variables and options.
pub fn lint(interpreter: &Interpreter, ast: &AST) -> Vec<Finding> {
    let mut functions = function_names(&interpreter.engine);
    functions.extend(ast.iter_functions().map(|function| function.name.to_owned()));
    let mut names: HashSet<&str> = functions.iter().map(String::as_str).collect();
    names.extend(["call", "curry", "Fn", "is_def_fn", "is_def_var", "is_shared", "type_of", "print", "debug", "this"]);
    // What a closure captures becomes a parameter of it, and looks unresolved where it is used and where it is captured.
    let closures = ast.iter_functions().filter(|function| function.name.starts_with("anon$"));
    let captured: HashSet<_> = closures.flat_map(|closure| closure.params.into_iter()).collect();
    let mut linter = Linter { names, captured, findings: Vec::new() };
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        match path.last() {
            Some(ASTNode::Expr(expr)) => linter.look(expr),
            // A call that stands alone is a statement of its own kind.
            Some(ASTNode::Stmt(Stmt::FnCall(call, place))) => linter.function(call, *place),
            _ => {}
        }
        true
    });
    let mut findings = linter.findings;
    findings.sort_by_key(|finding| (finding.place.line(), finding.place.position()));
    findings
}

struct Linter<'a> {
    names: HashSet<&'a str>,
    captured: HashSet<&'a str>,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn look(&mut self, expr: &Expr) {
        match expr {
            Expr::FnCall(call, place) => self.function(call, *place),
            Expr::Variable(variable, None, place) if variable.0.is_none() && variable.2.is_empty() => {
                self.variable(&variable.1, *place);
            }
            Expr::Dot(pair, ..) => match (&pair.lhs, &pair.rhs) {
                (Expr::Variable(variable, None, _), Expr::MethodCall(call, place))
                    if variable.1 == "etcd" && variable.0.is_none() =>
                {
                    self.operation(call, *place);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn function(&mut self, call: &FnCallExpr, place: Position) {
        let plain = call.namespace.is_empty() && call.op_token.is_none();
        if plain && !self.names.contains(call.name.as_str()) {
            self.add("function", &call.name, self.names.iter().copied().collect(), place);
        }
    }

    fn variable(&mut self, name: &str, place: Position) {
        let known: Vec<_> = AMBIENT.iter().map(|(name, _)| *name).collect();
        // The name of a function is a value too.
        if !known.contains(&name) && !self.names.contains(name) && !self.captured.contains(name) {
            self.add("variable", name, known, place);
        }
    }

    /// Looks at a call of a method of the ambient cluster, whose names and options are all known.
    fn operation(&mut self, call: &FnCallExpr, place: Position) {
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.card.identifier() == call.name.as_str()) else {
            if !matches!(call.name.as_str(), "to_string" | "to_debug" | "type_of" | "is_shared") {
                let known: Vec<_> = CATALOGUE.iter().map(|entry| entry.card.identifier()).collect();
                self.add("operation", &call.name, known.iter().map(String::as_str).collect(), place);
            }
            return;
        };
        let known: Vec<_> = entry.all_params().map(|param| param.name).collect();
        for (name, place) in options(call) {
            if !known.contains(&name.as_str()) {
                self.add("option", &name, known.clone(), place);
            }
        }
    }

    fn add(&mut self, what: &str, name: &str, known: Vec<&str>, place: Position) {
        let help = suggest(name, &known).map(|near| format!("did you mean {near}?"));
        self.findings.push(Finding { problem: format!("there is no {what} named {name}"), help, place });
    }
}

/// Returns the names in the map that is the last argument of a call, and where they stand.
fn options(call: &FnCallExpr) -> Vec<(String, Position)> {
    match call.args.last() {
        Some(Expr::Map(fields, _)) => fields.0.iter().map(|(name, _)| (name.name.to_string(), name.pos)).collect(),
        // A map without variables in it is a constant to the parser, and has only one place.
        Some(Expr::DynamicConstant(value, place)) => {
            let map = value.read_lock::<Map>();
            map.iter().flat_map(|map| map.keys()).map(|name| (name.to_string(), *place)).collect()
        }
        _ => Vec::new(),
    }
}
