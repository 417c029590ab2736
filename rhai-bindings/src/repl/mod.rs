//! The interactive shell.

mod complete;
mod help;
mod highlight;
mod history;
mod live;
mod prompt;
mod scan;
mod validate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcdsh_core::profile::Profile;
use etcdsh_core::subject::Subject;
use reedline::{
    DescriptionMode, EditCommand, Emacs, IdeMenu, KeyCode, KeyModifiers, MenuBuilder, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, default_emacs_keybindings,
};
use rhai::{AST, Dynamic, Scope};

use crate::engine::{Failure, Interpreter};
use crate::output::Output;
use crate::show;
use crate::signals::Received;
use crate::stop::Stop;

/// The source that everything typed belongs to; its lines are counted on, so that each has a number of its own.
const SOURCE: &str = "repl";
/// How many rows of a result are shown.
const ROWS: usize = 200;
/// How many rows of a stream are taken when it is shown.
const STREAMED: usize = 1_000;
/// What took longer is told how long it took.
const SLOW: Duration = Duration::from_secs(2);
/// Positions in scripts are 16 bits wide.
const LAST_LINE: usize = 60_000;

/// A running shell.
struct Shell {
    interpreter: Arc<Interpreter>,
    output: Arc<Output>,
    shared: Arc<complete::Shared>,
    scope: Scope<'static>,
    /// The functions of everything typed so far: a closure knows only the name of its body.
    functions: AST,
    /// The text of everything typed so far.
    typed: String,
    /// The imports so far. A module is in reach only of the text that it is imported in, so they are repeated.
    imports: String,
}

/// Runs the shell until its user leaves, and returns the exit code.
///
/// # Errors
/// The terminal cannot be used.
pub fn run(interpreter: Interpreter, output: Arc<Output>, received: &Received) -> std::io::Result<i32> {
    let interpreter = Arc::new(interpreter);
    let shared = complete::Shared::new(Arc::clone(&interpreter))?;
    let mut editor = editor(&interpreter, &shared, &output);
    let (scope, functions) = (Scope::new(), AST::empty());
    let (typed, imports) = Default::default();
    let mut shell = Shell { interpreter, output, shared, scope, functions, typed, imports };
    shell.say(&format!("etcdsh {}. `.help` helps, Tab completes, Ctrl-D leaves.", env!("CARGO_PKG_VERSION")));
    let code = loop {
        if let Some(code) = received.terminated() {
            break code;
        }
        match editor.read_line(&prompt::ClusterPrompt(shell.cluster_name()))? {
            Signal::Success(line) => {
                // Lost history is no reason to stop working.
                let _ = editor.sync_history();
                if let Some(code) = shell.handle(&line, &mut editor) {
                    break code;
                }
            }
            Signal::CtrlD => break 0,
            _ => {}
        }
    };
    let _ = editor.sync_history();
    // The process ends here; see `App::perform`.
    std::mem::forget(shell);
    Ok(code)
}

fn editor(interpreter: &Arc<Interpreter>, shared: &Arc<complete::Shared>, output: &Output) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu("completion".to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Edit(vec![EditCommand::InsertNewline]));
    let menu = IdeMenu::default()
        .with_name("completion")
        .with_marker("> ")
        .with_max_completion_height(12)
        .with_max_description_width(72)
        .with_description_mode(DescriptionMode::PreferRight)
        .with_word_chars("_");
    let editor = Reedline::create()
        .with_ansi_colors(output.colour_errors())
        .with_validator(Box::new(validate::Whole(Arc::clone(interpreter))))
        .with_completer(Box::new(complete::Words::new(Arc::clone(shared))))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_poll_interval(Duration::from_millis(20))
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .use_bracketed_paste(true)
        .with_history_exclusion_prefix(Some(" ".to_owned()));
    let editor = if output.colour_errors() { editor.with_highlighter(Box::new(highlight::Colours)) } else { editor };
    match history::Discreet::open(&interpreter.session.setup.places.state.join("history")) {
        Ok(history) => editor.with_history(Box::new(history)),
        Err(error) => {
            let _ = output.error(&format!("warning: this session keeps no history: {error}"));
            editor
        }
    }
}

/// Says whether a line is for the shell and not for Rhai. No line of Rhai's starts with a dot or has a question mark at
/// either end.
fn is_command(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('.') || topic(line).is_some()
}

/// Returns what a line asks the help of.
fn topic(line: &str) -> Option<&str> {
    let line = line.trim();
    let name = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ' ' | '(' | ')'));
    line.strip_prefix('?').or_else(|| line.strip_suffix('?').filter(name))
}

/// Says whether a line is an import and nothing else.
fn is_import(line: &str) -> bool {
    let pieces = scan::scan(line);
    let word = pieces.first().and_then(|piece| line.get(piece.range.clone()));
    let ends = |piece: &scan::Piece| piece.kind == scan::Kind::Mark(';');
    word == Some("import")
        && !line.trim().contains('\n')
        && pieces.iter().position(ends).is_none_or(|at| at + 1 == pieces.len())
}

impl Shell {
    /// Does what a line says; returns an exit code if it says to leave.
    fn handle(&mut self, line: &str, editor: &mut Reedline) -> Option<i32> {
        let canvas = self.output.canvas(ROWS);
        if let Some(topic) = topic(line) {
            self.say(&help::help(&self.interpreter.engine, topic, canvas));
            return None;
        }
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            // What people type in other shells, where it is no name of their own.
            "quit" | "exit" if rest.is_empty() && !self.scope.contains(command) => return Some(0),
            "help" if rest.is_empty() && !self.scope.contains(command) => {
                self.say(&help::help(&self.interpreter.engine, rest, canvas));
            }
            "" => {}
            ".quit" | ".exit" => return Some(0),
            ".help" => self.say(&help::help(&self.interpreter.engine, rest, canvas)),
            ".vars" => self.say(&self.variables()),
            ".clear" => drop(editor.clear_screen()),
            unknown if unknown.starts_with('.') => {
                let _ = self.output.error(&format!("error: there is no command {unknown}; .help lists them"));
            }
            _ => return self.evaluate(line),
        }
        None
    }

    fn evaluate(&mut self, line: &str) -> Option<i32> {
        let start = Instant::now();
        // A panic is a mistake of ours; the session with its variables is worth keeping all the same.
        let done = catch_unwind(AssertUnwindSafe(|| self.run(line)));
        self.output.erase_progress();
        let leave = match done {
            Ok(Ok(())) => None,
            Ok(Err(Failure::Stopped(Stop::Exit(code)))) => Some(i32::from(code)),
            Ok(Err(failure)) => {
                if matches!(failure, Failure::Stopped(Stop::Interrupted(_))) {
                    self.output.key_was_echoed();
                }
                if let Some(report) = self.interpreter.report(failure) {
                    let _ = self.output.error(&self.interpreter.render(&report, self.output.colour_errors()));
                }
                None
            }
            Err(_) => {
                let _ =
                    self.output.error("error: a mistake inside etcdsh; please report it with what is printed above");
                None
            }
        };
        if start.elapsed() > SLOW {
            self.say(&format!(
                "({})",
                crate::table::span(i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX))
            ));
        }
        let functions = self.functions.iter_functions().filter(|function| !function.name.contains('$'));
        self.shared.update(&self.scope, functions.map(|function| (function.name.to_owned(), function.to_string())));
        leave
    }

    fn run(&mut self, line: &str) -> Result<(), Failure> {
        if self.typed.lines().count() > LAST_LINE {
            self.typed.clear();
        }
        let before = self.typed.lines().count();
        self.typed.push_str(line.trim_end());
        self.typed.push('\n');
        let padded = match before.checked_sub(1) {
            Some(above) => format!("{}{}\n{line}", "\n".repeat(above), self.imports),
            None => line.to_owned(),
        };
        let ast = self.interpreter.compile(SOURCE, &padded);
        self.interpreter.sources.keep(SOURCE, &self.typed);
        self.functions.combine(ast?);
        self.functions.set_source(SOURCE);
        let done = self.interpreter.evaluate(&mut self.scope, &self.functions);
        self.functions.clear_statements();
        let value = done?;
        if is_import(line) {
            self.imports.push_str(line.trim().trim_end_matches(';'));
            self.imports.push_str("; ");
        }
        let session = Arc::clone(&self.interpreter.session);
        let running = session.interrupt.resume();
        let streamed = value.is::<crate::stream::Rows>();
        let value = show::settle(value, STREAMED).map_err(|error| Failure::thrown(SOURCE, error))?;
        drop(running);
        self.show(value, streamed);
        Ok(())
    }

    fn show(&mut self, value: Dynamic, streamed: bool) {
        if value.is_unit() {
            return;
        }
        self.say(&show::text(&value, self.output.canvas(ROWS)));
        if streamed && value.read_lock::<rhai::Array>().is_some_and(|rows| rows.len() == STREAMED) {
            self.say(&format!("the first {STREAMED} rows; a loop or .to_array() reads all"));
        }
        self.scope.set_or_push("ans", value);
    }

    fn variables(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (name, constant, value) in self.scope.iter_raw() {
            let shown = format!("{name}: ");
            if !lines.iter().any(|line| line.starts_with(&shown)) {
                let kind = self.interpreter.engine.map_type_name(value.type_name());
                lines.push(format!("{shown}{kind}{}", if constant { " (constant)" } else { "" }));
            }
        }
        lines.sort();
        lines.join("\n")
    }

    /// Names the cluster that the next line goes to.
    fn cluster_name(&self) -> String {
        match self.interpreter.session.ambient() {
            Ok(Subject::File(file)) => {
                etcdsh_core::units::escape(&file.path.file_name().unwrap_or_default().to_string_lossy())
            }
            Ok(Subject::Cluster(Profile { name: Some(name), .. })) => etcdsh_core::units::escape(&name),
            Ok(Subject::Cluster(Profile { endpoints, .. })) => endpoints
                .first()
                .map_or_else(|| "etcd".to_owned(), |endpoint| format!("{}:{}", endpoint.host(), endpoint.port())),
            Err(_) => "etcd?".to_owned(),
        }
    }

    fn say(&self, text: &str) {
        if !text.is_empty() {
            let _ = (self.interpreter.session.setup.print)(text);
        }
    }
}
