//! `check`: what can be found wrong with a script without running it. Only certain mistakes are reported: what depends on a
//! value that is not written in the script is left alone.

mod arguments;
mod calls;
mod functions;
mod script;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use etcdsh_core::error::{Error, suggest};
use rhai::{EvalAltResult, OptimizationLevel, Position};

use self::functions::Functions;
use self::script::{Import, Script};
use crate::engine::{AMBIENT, Failure, Interpreter};
use crate::resolver::{Resolver, no_module};

/// The code of what is no script at all.
pub const SYNTAX: &str = "syntax";

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The text that it stands in.
    pub source: String,
    /// What kind of mistake it is, in a word that never changes.
    pub code: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What may have been meant.
    pub help: Option<String>,
    /// Where.
    pub place: Position,
}

/// Looks for mistakes in a script and in everything that it imports. Nothing is run or contacted.
pub fn check(interpreter: &mut Interpreter, source: &str, text: &str) -> Vec<Finding> {
    // The optimizer would drop what can never be reached, with the mistakes in it.
    interpreter.engine.set_optimization_level(OptimizationLevel::None);
    let script = Some(source).filter(|source| interpreter.session.setup.places.cwd.join(source).is_file());
    let resolver = Resolver::of(&interpreter.session.setup, script, Arc::clone(&interpreter.sources));
    let mut checker = Checker {
        functions: Functions::of(&interpreter.engine),
        interpreter,
        resolver,
        modules: HashMap::new(),
        loading: Vec::new(),
        scripts: Vec::new(),
        findings: Vec::new(),
    };
    checker.load(source, text);
    for script in std::mem::take(&mut checker.scripts) {
        checker.look(&script);
    }
    let mut findings = checker.findings;
    // A variable of several closures inside each other is captured by each of them.
    findings.sort_by_key(|found| {
        (found.source != source, found.source.clone(), found.place.line(), found.place.position())
    });
    findings.dedup();
    findings
}

struct Checker<'a> {
    interpreter: &'a Interpreter,
    functions: Functions,
    resolver: Resolver,
    /// What was imported, by its file; nothing is known of what is no script.
    modules: HashMap<PathBuf, Option<Rc<Script>>>,
    /// The files that are being loaded, outermost first.
    loading: Vec<PathBuf>,
    scripts: Vec<Rc<Script>>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    /// Reads a script and everything that it imports.
    fn load(&mut self, source: &str, text: &str) -> Option<Rc<Script>> {
        let ast = match self.interpreter.compile(source, text) {
            Ok(ast) => ast,
            Err(Failure::Syntax { error, .. }) => {
                self.add(source, SYNTAX, error.err_type().to_string(), None, error.position());
                return None;
            }
            Err(_) => return None,
        };
        let mut script = Script::of(source, ast);
        for at in 0..script.imports.len() {
            let module = script.imports.get(at).and_then(|import| self.import(source, import));
            if let Some(import) = script.imports.get_mut(at) {
                import.module = module;
            }
        }
        let script = Rc::new(script);
        self.scripts.push(Rc::clone(&script));
        Some(script)
    }

    fn import(&mut self, source: &str, import: &Import) -> Option<Rc<Script>> {
        let path = import.path.as_deref()?;
        let (file, name) = match self.resolver.locate(Some(source), path, import.place) {
            Ok(found) => found,
            Err(error) => {
                let problem = match *error {
                    EvalAltResult::ErrorRuntime(problem, _) => problem.to_string(),
                    _ => no_module(path),
                };
                self.add(source, "cannot_import", problem, None, import.place);
                return None;
            }
        };
        if let Some(known) = self.modules.get(&file) {
            return known.clone();
        }
        if self.loading.contains(&file) {
            // Inside a function, the import is made when everything is loaded.
            if import.at_once {
                let problem =
                    format!("cannot import {path:?}: it is being imported already, so it would import itself");
                self.add(source, "cannot_import", problem, None, import.place);
            }
            return None;
        }
        self.loading.push(file.clone());
        let module = self.load_file(source, import, &file, &name);
        self.loading.pop();
        self.modules.insert(file, module.clone());
        module
    }

    fn load_file(&mut self, source: &str, import: &Import, file: &Path, name: &str) -> Option<Rc<Script>> {
        match std::fs::read_to_string(file) {
            Ok(text) => self.load(name, &text),
            Err(error) => {
                self.add(source, "cannot_import", format!("cannot import {name}: {error}"), None, import.place);
                None
            }
        }
    }

    /// Looks at the variables and calls of one script.
    fn look(&mut self, script: &Script) {
        for (name, place) in script.unknown_variables() {
            let mut known: Vec<_> = AMBIENT.iter().map(|(name, _)| *name).collect();
            known.extend(script.declared.keys().map(String::as_str));
            let help = match suggest(&name, &known).filter(|near| *near != name) {
                Some(near) => Some(format!("did you mean {near}?")),
                None if script.declared.contains_key(&name) => {
                    Some("it is declared, but not here; a function sees only its parameters".to_owned())
                }
                None => None,
            };
            self.add(&script.source, "unknown_variable", format!("there is no variable named {name}"), help, place);
        }
        self.calls(script);
    }

    fn bad_argument(&mut self, script: &Script, bad: impl Into<Error>, place: Position) {
        let bad = bad.into();
        self.add(&script.source, bad.code(), bad.to_string(), bad.help(), place);
    }

    fn add(&mut self, source: &str, code: &'static str, problem: String, help: Option<String>, place: Position) {
        self.findings.push(Finding { source: source.to_owned(), code, problem, help, place });
    }
}
