//! Calls: is there such a function, with that number of arguments?

use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::error::suggest;
use etcdsh_core::operation::Entry;
use etcdsh_core::report::Shape;
use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::Checker;
use super::functions::Functions;
use super::script::Script;
use crate::docs;

impl Checker<'_> {
    /// Looks at all calls of a script.
    pub(super) fn calls(&mut self, script: &Script) {
        for part in &script.parts {
            part.walk(&mut |path| match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, place))) => self.call(script, call, *place),
                // A call that stands alone is a statement of its own kind.
                Some(ASTNode::Stmt(Stmt::FnCall(call, place))) => self.call(script, call, *place),
                Some(ASTNode::Expr(Expr::MethodCall(call, place))) => {
                    let receiver = receiver(path);
                    self.method(script, receiver, call, *place);
                    if let (true, Some(rest)) = (receiver.is_some_and(|it| script.is_cluster(it)), rest(path)) {
                        self.column(script, &call.name, rest);
                    }
                }
                Some(ASTNode::Expr(Expr::Variable(variable, ..))) => {
                    if let ([module], name) = (variable.2.path.as_slice(), variable.1.as_str()) {
                        self.member_of_module(script, &module.name, name, None, module.pos);
                    }
                }
                _ => {}
            });
        }
    }

    fn call(&mut self, script: &Script, call: &FnCallExpr, place: Position) {
        let (name, given) = (call.name.as_str(), call.args.len());
        match call.namespace.path.as_slice() {
            [] => {}
            [module] => return self.member_of_module(script, &module.name, name, Some(given), module.pos),
            _ => return,
        }
        if call.op_token.is_some() || Functions::is_special(name) || script.defines(name, given) {
            return;
        }
        if !self.functions.has(name, given) {
            return self.no_function(script, name, given, place);
        }
        match (operation(name), call.args.split_first()) {
            (Some(_), Some((cluster, args))) => {
                if script.is_cluster(cluster) || self.functions.takes_only_cluster(name, given) {
                    self.arguments(script, name, args, place);
                }
            }
            _ => self.arguments(script, name, &call.args, place),
        }
    }

    fn method(&mut self, script: &Script, receiver: Option<&Expr>, call: &FnCallExpr, place: Position) {
        let (name, given) = (call.name.as_str(), call.args.len());
        if Functions::is_special(name) || script.defines(name, given) {
            return;
        }
        let certain = receiver.is_some_and(|receiver| script.is_cluster(receiver));
        if certain {
            if !self.functions.takes_cluster(name) {
                let operations = Functions::operations();
                let known: Vec<_> = operations.iter().map(String::as_str).collect();
                return self.nothing_named(script, "operation", name, &known, place);
            }
        } else if self.scripts_may_hold(script, name) {
            return;
        }
        if !self.functions.has(name, given + 1) {
            return self.no_function(script, name, given, place);
        }
        if operation(name).is_some() && (certain || self.functions.takes_only_cluster(name, given + 1)) {
            self.arguments(script, name, &call.args, place);
        }
    }

    /// Says whether a map may hold a closure under a name.
    fn scripts_may_hold(&self, script: &Script, name: &str) -> bool {
        script.fields.contains(name) || self.modules.values().flatten().any(|module| module.fields.contains(name))
    }

    fn no_function(&mut self, script: &Script, name: &str, given: usize, place: Position) {
        let own: Vec<_> = script.functions.iter().filter(|function| function.name == name).collect();
        if own.is_empty() && !self.functions.has_name(name) {
            let names: Vec<String> = self.functions.names().into_iter().map(str::to_owned).collect();
            let known = names.iter().map(String::as_str);
            let own = script.functions.iter().map(|function| function.name.as_str());
            let known: Vec<_> = known.chain(own.filter(|name| !name.starts_with("anon$"))).collect();
            return self.nothing_named(script, "function", name, &known, place);
        }
        let help = if let Some(function) = own.first() {
            format!("number of parameters in its definition: {}", function.params)
        } else if let Some(entry) = operation(name) {
            docs::usage(entry)
        } else {
            // Of a function that is ours too, Rhai's own forms are never reached.
            let forms = |all| docs::functions(&self.interpreter.engine, name, all);
            let forms = Some(forms(false)).filter(|ours| !ours.is_empty()).unwrap_or_else(|| forms(true));
            forms.into_iter().map(|(form, _)| form).collect::<Vec<_>>().join(", or ")
        };
        let arguments = if given == 1 { "argument" } else { "arguments" };
        let problem = format!("{name} does not take {given} {arguments}");
        self.add(&script.source, "wrong_number_of_arguments", problem, Some(help), place);
    }

    fn nothing_named(&mut self, script: &Script, what: &str, name: &str, known: &[&str], place: Position) {
        let help = suggest(name, known).map(|near| format!("did you mean {near}?"));
        self.add(&script.source, "unknown_function", format!("there is no {what} named {name}"), help, place);
    }

    /// Looks at a function or, without a number of arguments, at a variable of an imported module.
    fn member_of_module(&mut self, script: &Script, alias: &str, name: &str, given: Option<usize>, place: Position) {
        if alias == "global" {
            return;
        }
        let mut imports = script.imports.iter().filter(|import| import.alias == alias);
        let module = match (imports.next(), imports.next()) {
            (None, _) => {
                let known: Vec<_> = script.imports.iter().map(|import| import.alias.as_str()).collect();
                let help = suggest(alias, &known).map(|near| format!("did you mean {near}?"));
                let problem = format!("there is no module named {alias}");
                return self.add(&script.source, "unknown_module", problem, help, place);
            }
            (Some(import), None) => import.module.clone(),
            // Which one is meant depends on the way that was taken.
            (Some(_), Some(_)) => None,
        };
        let Some(module) = module else { return };
        let there = match given {
            Some(given) => module.functions.iter().any(|f| f.name == name && f.params == given && !f.private),
            None => module.exports.contains(name),
        };
        if there {
            return;
        }
        let (code, problem) = match given {
            Some(given) if module.functions.iter().any(|function| function.name == name && !function.private) => {
                let arguments = if given == 1 { "argument" } else { "arguments" };
                ("wrong_number_of_arguments", format!("{alias}::{name} does not take {given} {arguments}"))
            }
            Some(_) => ("unknown_function", format!("{} has no function named {name}", module.source)),
            None => ("unknown_variable", format!("{} exports no variable named {name}", module.source)),
        };
        let known: Vec<_> = match given {
            Some(_) => module.functions.iter().filter(|f| !f.private).map(|f| f.name.as_str()).collect(),
            None => module.exports.iter().map(String::as_str).collect(),
        };
        let near = suggest(name, &known).filter(|near| near != name);
        self.add(&script.source, code, problem, near.map(|near| format!("did you mean {near}?")), place);
    }

    /// Looks at a field of an operation's answer.
    fn column(&mut self, script: &Script, operation: &str, rest: &Expr) {
        let Some(Entry { shape: Shape::Record(columns), .. }) = self::operation(operation) else { return };
        let Some((name, place)) = first_property(rest) else { return };
        if columns.iter().any(|column| column.name == name) {
            return;
        }
        let known: Vec<_> = columns.iter().map(|column| column.name).collect();
        let help = match suggest(name, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", known.join(", ")),
        };
        let problem = format!("the answer of {operation} has no field named {name}");
        self.add(&script.source, "unknown_field", problem, Some(help), place);
    }
}

fn operation(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.card.identifier() == name)
}

/// Returns what a method is called on, at the end of the way to the call, if it is a plain expression. A chain leans to the
/// right: `a.b().c()` is `a.(b().c())`, and `a[0].b()` is `a[0.b()]`.
fn receiver<'a>(path: &'a [ASTNode<'_>]) -> Option<&'a Expr> {
    let [before @ .., ASTNode::Expr(this)] = path else { return None };
    let [outer @ .., ASTNode::Expr(parent @ Expr::Dot(pair, ..))] = before else { return None };
    let (receiver, outer) = if std::ptr::eq(&pair.rhs, *this) {
        (&pair.lhs, chained(outer, parent))
    } else {
        let [further @ .., ASTNode::Expr(parent @ Expr::Dot(pair, ..))] = outer else { return None };
        (&pair.lhs, chained(further, parent))
    };
    (!outer).then_some(receiver)
}

/// Says whether an expression is a further link of what it stands in.
fn chained(path: &[ASTNode<'_>], link: &Expr) -> bool {
    matches!(path.last(), Some(ASTNode::Expr(Expr::Dot(pair, ..) | Expr::Index(pair, ..))) if std::ptr::eq(&pair.rhs, link))
}

/// Returns what follows a method's call in its chain.
fn rest<'a>(path: &'a [ASTNode<'_>]) -> Option<&'a Expr> {
    let [.., ASTNode::Expr(Expr::Dot(pair, ..)), ASTNode::Expr(this)] = path else { return None };
    std::ptr::eq(&pair.lhs, *this).then_some(&pair.rhs)
}

fn first_property(expr: &Expr) -> Option<(&str, Position)> {
    match expr {
        Expr::Property(property, place) => Some((property.2.as_str(), *place)),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => first_property(&pair.lhs),
        _ => None,
    }
}
