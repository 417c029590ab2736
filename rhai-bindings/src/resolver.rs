//! Imports. A path is taken from the folder of the file that it stands in, and never leaves the folder of the script.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::engine::without_head;
use crate::error::Thrown;
use crate::session::Setup;
use crate::source::Sources;

/// Says that there is no such module.
pub fn no_module(path: &str) -> String {
    format!("cannot import {path:?}: there is no such file")
}

/// Finds the modules of one script.
pub struct Resolver {
    /// The caller's folder, which the names of sources are relative to.
    cwd: PathBuf,
    /// The folder of the script as the caller wrote it.
    folder: PathBuf,
    sources: Arc<Sources>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: HashMap<PathBuf, Shared<Module>>,
    /// The modules that are being loaded, outermost first.
    loading: Vec<PathBuf>,
}

impl Resolver {
    /// Makes the resolver of a script; without a script, modules come from the caller's folder.
    pub fn new(setup: &Setup, sources: Arc<Sources>) -> Self {
        Self::of(setup, setup.script_path.as_deref(), sources)
    }

    /// Makes the resolver of the script of a name.
    pub fn of(setup: &Setup, script: Option<&str>, sources: Arc<Sources>) -> Self {
        let folder = script.map(Path::new).and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        Resolver { cwd: setup.places.cwd.clone(), folder, sources, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the module's real path, and its name for messages.
    ///
    /// # Errors
    /// There is no such file, or a script may not import it.
    pub fn locate(&self, source: Option<&str>, path: &str, place: Position) -> Thrown<(PathBuf, String)> {
        let fail = |problem: &str| {
            Box::new(EvalAltResult::ErrorRuntime(format!("cannot import {path:?}: {problem}").into(), place))
        };
        let root = self.cwd.join(&self.folder).canonicalize().map_err(|error| fail(&error.to_string()))?;
        // What was typed has a name that is no file.
        let importer = source.map(|source| self.cwd.join(source)).filter(|importer| importer.is_file());
        let beside = importer.as_deref().and_then(Path::parent).unwrap_or(&root);
        let mut file = beside.join(path);
        if file.extension().is_none() {
            file.set_extension("rhai");
        }
        let file = file.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Box::new(EvalAltResult::ErrorModuleNotFound(path.to_owned(), place)),
            _ => fail(&error.to_string()),
        })?;
        match file.strip_prefix(&root) {
            Ok(inside) => {
                let name = self.folder.join(inside).display().to_string();
                Ok((file, name))
            }
            Err(_) => Err(fail("it lies outside of the script's folder")),
        }
    }

    fn load(&self, engine: &Engine, file: &Path, name: &str, place: Position) -> Thrown<Shared<Module>> {
        let inside = |error| Box::new(EvalAltResult::ErrorInModule(name.to_owned(), error, place));
        let text = std::fs::read_to_string(file).map_err(|error| inside(format!("cannot read it: {error}").into()))?;
        let text = without_head(&text);
        self.sources.keep(name, text);
        let mut ast = engine.compile(text).map_err(|error| inside(Box::new(error.into())))?;
        ast.set_source(name);
        Ok(Module::eval_ast_as_new(Scope::new(), &ast, engine).map_err(inside)?.into())
    }
}

impl ModuleResolver for Resolver {
    fn resolve(&self, engine: &Engine, source: Option<&str>, path: &str, place: Position) -> Thrown<Shared<Module>> {
        let (file, name) = self.locate(source, path, place)?;
        {
            let mut state = self.lock();
            if let Some(module) = state.loaded.get(&file) {
                return Ok(Arc::clone(module));
            }
            if state.loading.contains(&file) {
                let problem =
                    format!("cannot import {path:?}: it is being imported already, so it would import itself");
                return Err(Box::new(EvalAltResult::ErrorRuntime(problem.into(), place)));
            }
            state.loading.push(file.clone());
        }
        let module = self.load(engine, &file, &name, place);
        let mut state = self.lock();
        state.loading.pop();
        let module = module?;
        state.loaded.insert(file, Arc::clone(&module));
        Ok(module)
    }
}
