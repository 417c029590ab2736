//! The engine: Rhai with the catalogue bound, its limits stated, and nothing in it that a script could escape with.

use std::sync::Arc;

use etcdsh_core::catalogue::CATALOGUE;
use rhai::{AST, Dynamic, Engine, EvalAltResult, EvalContext, LexError, ParseError, Scope, Token};

use crate::cluster::Cluster;
use crate::error::Thrown;
use crate::resolver::Resolver;
use crate::session::Session;
use crate::source::Sources;
use crate::stop::Stop;
use crate::{bind, functions, json, memory, options, sized, stream};

/// The stack of the thread that scripts run on. A call level of Rhai's costs tens of kilobytes of it in a debug build.
pub const STACK: usize = 64 << 20;

/// How deep script functions may call each other.
pub const MAX_CALL_LEVELS: usize = 128;
/// How deep expressions may nest outside of functions, and in them.
const MAX_EXPR_DEPTHS: (usize, usize) = (256, 128);
/// How many modules a script may import.
const MAX_MODULES: usize = 64;

/// An engine with its session.
pub struct Interpreter {
    /// The engine.
    pub engine: Engine,
    /// What its functions share.
    pub session: Arc<Session>,
    /// The texts that were compiled.
    pub sources: Arc<Sources>,
    etcd: Arc<Ambient>,
}

/// Why a script did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// It is not a script.
    Syntax {
        /// Where it came from.
        source: String,
        /// What is wrong.
        error: ParseError,
    },
    /// It threw.
    Thrown {
        /// Where it came from.
        source: String,
        /// What it threw.
        error: Box<EvalAltResult>,
    },
    /// It was told to stop.
    Stopped(Stop),
}

impl Failure {
    /// Tells an error from a stop.
    pub fn thrown(source: &str, error: Box<EvalAltResult>) -> Self {
        match Stop::of(&error) {
            Some(stop) => Failure::Stopped(stop),
            None => Failure::Thrown { source: source.to_owned(), error },
        }
    }
}

/// The values that every function and closure sees, without their being passed.
struct Ambient {
    /// Made anew for every evaluation, so that one evaluation never changes the cluster halfway, and the next one sees new
    /// settings.
    etcd: std::sync::Mutex<Cluster>,
    args: Dynamic,
    opts: Dynamic,
    script_path: Dynamic,
}

impl Ambient {
    fn new(session: &Arc<Session>) -> Self {
        let setup = &session.setup;
        let opts = setup.opts.iter().map(|(name, value)| (name.as_str().into(), value.clone().into()));
        Ambient {
            etcd: std::sync::Mutex::new(Cluster::ambient(session)),
            args: Dynamic::from_array(setup.args.iter().cloned().map(Dynamic::from).collect()),
            opts: Dynamic::from_map(opts.collect()),
            script_path: setup.script_path.clone().map_or(Dynamic::UNIT, Dynamic::from),
        }
    }

    fn get(&self, name: &str) -> Option<Dynamic> {
        match name {
            "etcd" => Some(Dynamic::from(self.lock().clone())),
            "args" => Some(self.args.clone()),
            "opts" => Some(self.opts.clone()),
            "script_path" => Some(self.script_path.clone()),
            _ => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cluster> {
        self.etcd.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The names of the ambient values, each with what it is.
pub const AMBIENT: &[(&str, &str)] = &[
    ("etcd", "the cluster that the command line, the environment or config.toml names"),
    ("args", "the words after the script's name, as an array of strings"),
    ("opts", "what --set NAME=VALUE said, as a map of strings"),
    ("script_path", "the script's file, or ()"),
];

impl Interpreter {
    /// Makes an engine.
    pub fn new(session: Arc<Session>) -> Self {
        Self::make(session, false)
    }

    /// Makes an engine whose operations carry their documentation in Rhai's own form.
    pub fn documented(session: Arc<Session>) -> Self {
        Self::make(session, true)
    }

    fn make(session: Arc<Session>, documented: bool) -> Self {
        let mut engine = Engine::new();
        let sources = Arc::new(Sources::default());
        let ambient = Arc::new(Ambient::new(&session));
        limit(&mut engine);
        refuse_long_numbers(&mut engine);
        engine.register_type_with_name::<Cluster>("Cluster");
        bind::register(&mut engine, CATALOGUE, documented);
        stream::register(&mut engine);
        functions::register(&mut engine, &session);
        options::register(&mut engine, &session);
        sized::register(&mut engine);
        json::register(&mut engine, &session);
        engine.set_module_resolver(Resolver::new(&session.setup, Arc::clone(&sources)));
        connect_output(&mut engine, &session);
        watch_interrupt(&mut engine, &session);
        resolve_variables(&mut engine, &ambient);
        Interpreter { engine, session, sources, etcd: ambient }
    }

    /// Compiles a script, and remembers its text for error messages. A first line that starts with `#!` is for the system.
    ///
    /// # Errors
    /// It is not a script.
    pub fn compile(&self, source: &str, text: &str) -> Result<AST, Failure> {
        let text = without_head(text);
        self.sources.keep(source, text);
        let mut ast =
            self.engine.compile(text).map_err(|error| Failure::Syntax { source: source.to_owned(), error })?;
        ast.set_source(source);
        Ok(ast)
    }

    /// Runs a script to its end.
    ///
    /// # Errors
    /// It is not a script, it threw, or it was told to stop.
    pub fn run(&self, source: &str, text: &str) -> Result<Dynamic, Failure> {
        let ast = self.compile(source, text)?;
        self.evaluate(&mut Scope::new(), &ast)
    }

    /// Evaluates what was compiled.
    ///
    /// # Errors
    /// It threw, or it was told to stop.
    pub fn evaluate(&self, scope: &mut Scope<'_>, ast: &AST) -> Result<Dynamic, Failure> {
        *self.etcd.lock() = Cluster::ambient(&self.session);
        let _running = self.session.interrupt.begin();
        let _watched = memory::watch(&self.session);
        let value = self
            .engine
            .eval_ast_with_scope::<Dynamic>(scope, ast)
            .map_err(|error| Failure::thrown(ast.source().unwrap_or_default(), error))?;
        // No operation follows the last one, so nothing has looked at it yet.
        self.session.unwritable().map_or(Ok(value), |lost| Err(Failure::Stopped(lost)))
    }

    /// Returns the ambient cluster of the last evaluation, for completion.
    pub fn cluster(&self) -> Cluster {
        self.etcd.lock().clone()
    }
}

/// Blanks out what is not the script's: the mark that some editors begin a file with, and a first line that is meant for the
/// system. The count of lines stays.
pub(crate) fn without_head(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with("#!") { text.find('\n').and_then(|end| text.get(end..)).unwrap_or_default() } else { text }
}

fn limit(engine: &mut Engine) {
    engine
        .set_max_call_levels(MAX_CALL_LEVELS)
        .set_max_expr_depths(MAX_EXPR_DEPTHS.0, MAX_EXPR_DEPTHS.1)
        .set_max_modules(MAX_MODULES)
        // See `memory`, which bounds what a script holds.
        .set_max_string_size(0)
        .set_max_array_size(0)
        .set_max_map_size(0)
        .set_max_operations(0)
        .set_fail_on_invalid_map_property(true)
        .disable_symbol("eval");
}

/// Refuses an integer of too many digits. Rhai would read it as a float, and an id that was rounded names another member.
#[expect(deprecated, reason = "rhai marks the function as one that may still change, and the version is pinned")]
fn refuse_long_numbers(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match &token {
        Token::FloatConstant(number) if number.1.chars().all(|c| c.is_ascii_digit() || c == '-') => {
            let problem = format!("{} does not fit an integer; write an id as text, a float with a dot", number.1);
            Token::LexError(LexError::Runtime(problem).into())
        }
        _ => token,
    });
}

fn connect_output(engine: &mut Engine, session: &Arc<Session>) {
    let out = Arc::clone(session);
    engine.on_print(move |text| out.print(text));
    let out = Arc::clone(session);
    engine.on_debug(move |text, source, position| {
        let place = match (source, position.line()) {
            (Some(source), Some(line)) => format!("{source}:{line}: "),
            (None, Some(line)) => format!("line {line}: "),
            _ => String::new(),
        };
        out.debug(&format!("{place}{text}"));
    });
}

/// Looks at Ctrl-C between two operations of a script.
fn watch_interrupt(engine: &mut Engine, session: &Arc<Session>) {
    let session = Arc::clone(session);
    engine.on_progress(move |_| session.stop().map(Dynamic::from));
}

/// Serves the ambient values, and lends out captured handles.
#[expect(deprecated, reason = "rhai marks the function as one that may still change, and the version is pinned")]
fn resolve_variables(engine: &mut Engine, ambient: &Arc<Ambient>) {
    let ambient = Arc::clone(ambient);
    engine.on_var(move |name, index, context| {
        Ok(captured_handle(name, index, &context).or_else(|| {
            let own = index > 0 || context.scope().contains(name);
            if own { None } else { ambient.get(name) }
        }))
    });
}

/// Returns a copy of a handle that a closure has captured. Rhai would lock the captured variable for as long as a method of it
/// runs, so that a closure given to the method could not use the handle itself.
fn captured_handle(name: &str, index: usize, context: &EvalContext<'_, '_, '_, '_, '_, '_>) -> Option<Dynamic> {
    let mut variables = context.scope().iter_raw();
    let value = match index {
        0 => variables.find(|(known, ..)| *known == name)?.2,
        _ => variables.nth(index - 1)?.2,
    };
    if !value.is_shared() {
        return None;
    }
    let copy = value.flatten_clone();
    (copy.is::<Cluster>() || copy.is::<stream::Rows>()).then_some(copy)
}

/// Runs work on a thread whose stack is deep enough for scripts, and waits for it.
///
/// # Errors
/// The system refused a thread, or the work panicked.
pub fn on_deep_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Thrown<T> {
    let failed = |problem: String| Box::new(EvalAltResult::from(problem));
    let thread = std::thread::Builder::new().name("script".to_owned()).stack_size(STACK).spawn(work);
    let thread = thread.map_err(|error| failed(format!("cannot start a thread: {error}")))?;
    thread.join().map_err(|_| failed("a mistake inside etcdsh: the script's thread panicked".to_owned()))
}
