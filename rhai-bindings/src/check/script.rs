//! What there is in a script, read from Rhai's own tree.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rhai::{AST, ASTFlags, ASTNode, Expr, FnAccess, FnCallExpr, Position, Stmt};

use crate::engine::AMBIENT;

/// A script, and what it declares.
pub(super) struct Script {
    /// Its name in messages.
    pub(super) source: String,
    /// The statements outside of all functions, and each function with its parameters.
    pub(super) parts: Vec<Part>,
    /// The functions that it defines.
    pub(super) functions: Vec<Function>,
    /// Every variable that it declares, and whether it is a cluster wherever it is declared.
    pub(super) declared: HashMap<String, bool>,
    /// The names that a map may hold a closure under, so that they can be called like methods.
    pub(super) fields: HashSet<String>,
    /// What an importer sees beside functions.
    pub(super) exports: HashSet<String>,
    /// Its imports.
    pub(super) imports: Vec<Import>,
    /// The names whose existence the script asks for itself.
    asked_for: HashSet<String>,
    /// Whether a function is called such that it sees its caller's variables.
    shares_scope: bool,
}

/// The statements outside of all functions, or one function.
pub(super) struct Part {
    /// The tree.
    pub(super) ast: AST,
    is_function: bool,
    /// Its parameters; what a closure captures is among them.
    params: HashSet<String>,
}

/// A function of a script's.
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// How many parameters it has.
    pub(super) params: usize,
    /// Whether only the script itself can call it.
    pub(super) private: bool,
}

/// An import.
pub(super) struct Import {
    /// What it imports, where that is written down.
    pub(super) path: Option<String>,
    /// The name that it gets.
    pub(super) alias: String,
    /// Where it stands.
    pub(super) place: Position,
    /// Whether it is made while the script is loaded.
    pub(super) at_once: bool,
    /// What it leads to.
    pub(super) module: Option<Rc<Script>>,
}

impl Script {
    /// Reads a tree.
    pub(super) fn of(source: &str, ast: AST) -> Self {
        let mut parts = Vec::new();
        let mut functions = Vec::new();
        for function in ast.iter_functions() {
            let (name, params) = (function.name, function.params.len());
            // Cloning and filtering in one is not to be had: it leaves everything in (rhai 1.27).
            let mut part = ast.clone_functions_only();
            part.retain_functions(|_, _, known, count| known == name && count == params);
            parts.push(Part {
                ast: part,
                is_function: true,
                params: function.params.iter().map(|param| (*param).to_owned()).collect(),
            });
            let private = function.access == FnAccess::Private;
            functions.push(Function { name: name.to_owned(), params, private });
        }
        parts.push(Part { ast: ast.clone_statements_only(), is_function: false, params: HashSet::new() });
        let mut script = Script {
            source: source.to_owned(),
            parts: Vec::new(),
            functions,
            declared: HashMap::new(),
            fields: HashSet::new(),
            exports: HashSet::new(),
            imports: Vec::new(),
            asked_for: HashSet::new(),
            shares_scope: false,
        };
        // The parameters of a named function are its own; those of a closure may be what it captures, which is declared elsewhere.
        for function in ast.iter_functions().filter(|function| !function.name.starts_with("anon$")) {
            function.params.iter().for_each(|param| script.declare(param, false));
        }
        for part in &parts {
            part.walk(&mut |path| script.note(path, part.is_function));
        }
        script.parts = parts;
        script
    }

    fn declare(&mut self, name: &str, is_cluster: bool) {
        *self.declared.entry(name.to_owned()).or_insert(true) &= is_cluster;
    }

    /// Takes note of what the last node of a path declares.
    fn note(&mut self, path: &[ASTNode<'_>], in_function: bool) {
        match path.last() {
            Some(ASTNode::Stmt(stmt)) => self.note_statement(stmt, path.len() == 1 && !in_function),
            Some(ASTNode::Expr(Expr::Map(fields, _))) => {
                // A number or a text cannot be called.
                let callable = fields.0.iter().filter(|(_, value)| !value.is_constant() || is_closure(value));
                self.fields.extend(callable.map(|(name, _)| name.name.to_string()));
            }
            // The key may reach a map in any way.
            Some(ASTNode::Expr(Expr::StringConstant(text, _))) => drop(self.fields.insert(text.to_string())),
            Some(ASTNode::Expr(Expr::FnCall(call, _))) => self.note_call(call),
            _ => {}
        }
    }

    fn note_call(&mut self, call: &FnCallExpr) {
        self.shares_scope |= call.capture_parent_scope;
        if let ("is_def_var", [Expr::StringConstant(name, _)]) = (call.name.as_str(), call.args.as_slice()) {
            self.asked_for.insert(name.to_string());
        }
    }

    fn note_statement(&mut self, stmt: &Stmt, at_once: bool) {
        match stmt {
            Stmt::Var(var, flags, _) => {
                let is_cluster = self.is_cluster(&var.1);
                self.declare(&var.0.name, is_cluster);
                if flags.intersects(ASTFlags::EXPORTED) {
                    self.exports.insert(var.0.name.to_string());
                }
            }
            Stmt::For(parts, _) => {
                self.declare(&parts.0.name, false);
                parts.1.iter().for_each(|counter| self.declare(&counter.name, false));
            }
            Stmt::TryCatch(flow, _) => {
                if let Expr::Variable(caught, ..) = &flow.expr {
                    self.declare(&caught.1, false);
                }
            }
            Stmt::Assignment(parts) => match &parts.1.lhs {
                Expr::Variable(variable, ..) => self.declare(&variable.1, false),
                lhs => self.note_field(lhs),
            },
            Stmt::FnCall(call, _) => self.note_call(call),
            Stmt::Export(names, _) => {
                let shown = if names.1.name.is_empty() { &names.0.name } else { &names.1.name };
                self.exports.insert(shown.to_string());
            }
            Stmt::Import(import, place) => {
                let path = match &import.0 {
                    Expr::StringConstant(path, _) => Some(path.to_string()),
                    _ => None,
                };
                let place = if import.0.position().is_none() { *place } else { import.0.position() };
                self.imports.push(Import { path, alias: import.1.name.to_string(), place, at_once, module: None });
            }
            _ => {}
        }
    }

    /// Takes note of the field that something is assigned to.
    fn note_field(&mut self, lhs: &Expr) {
        match lhs {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => self.note_field(&pair.rhs),
            Expr::Property(property, _) => drop(self.fields.insert(property.2.to_string())),
            _ => {}
        }
    }

    /// Says whether an expression is a cluster whenever it has a value.
    pub(super) fn is_cluster(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Variable(variable, ..) if variable.2.is_empty() => {
                let name = variable.1.as_str();
                self.declared.get(name).copied().unwrap_or(name == "etcd")
            }
            Expr::FnCall(call, _) => call.namespace.is_empty() && call.name == "connect" && !self.defines("connect", 1),
            _ => false,
        }
    }

    /// Says whether the script has a function of a name and a number of parameters.
    pub(super) fn defines(&self, name: &str, params: usize) -> bool {
        self.functions.iter().any(|function| function.name == name && function.params == params)
    }

    /// Returns the variables that are not there when they are used.
    pub(super) fn unknown_variables(&self) -> Vec<(String, Position)> {
        let mut unknown = Vec::new();
        for part in self.parts.iter().filter(|part| !(part.is_function && self.shares_scope)) {
            part.walk(&mut |path| {
                if let Some(ASTNode::Expr(Expr::Variable(variable, None, place))) = path.last() {
                    let (name, resolved) = (variable.1.as_str(), variable.0.is_some() || !variable.2.is_empty());
                    if !resolved && !part.params.contains(name) && !self.sees(name) {
                        unknown.push((name.to_owned(), *place));
                    }
                }
            });
        }
        unknown
    }

    /// Says whether a name means something everywhere in the script.
    fn sees(&self, name: &str) -> bool {
        AMBIENT.iter().any(|(ambient, _)| *ambient == name)
            || self.functions.iter().any(|function| function.name == name)
            || self.asked_for.contains(name)
    }
}

impl Part {
    /// Visits every node, each with the way to it.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(&[ASTNode<'_>])) {
        self.ast.walk(&mut |path: &[ASTNode<'_>]| {
            visit(path);
            true
        });
    }
}

fn is_closure(expr: &Expr) -> bool {
    matches!(expr, Expr::DynamicConstant(value, _) if value.is_fnptr())
}
