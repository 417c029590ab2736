//! What the binary does: reads the caller's words and surroundings, and runs what was asked for.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use etcdsh_core::places::Places;
use rhai::Dynamic;

use crate::cli::{Cli, Reference, Verb};
use crate::engine::{Failure, Interpreter, on_deep_stack};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::session::{Grants, Session, Setup};
use crate::show::{self, Format, NotShown};
use crate::signals::{self, Leave, Received};
use crate::stop::Stop;
use crate::{check, docs, logging, repl};

/// The exit codes of failures that the script did not choose itself.
const FAILED: i32 = 1;
const MISUSED: i32 = 2;
const NO_READER: i32 = 141;

/// A run of the binary.
struct App {
    output: Arc<Output>,
    interrupt: Arc<Interrupt>,
    received: Arc<Received>,
}

/// What is to be run.
struct Job {
    source: String,
    text: String,
    grants: Grants,
    args: Vec<String>,
    args_ended: bool,
    opts: Vec<(String, String)>,
    script_path: Option<String>,
    show: Option<Format>,
}

/// Runs the binary, and returns its exit code.
pub fn run(leave: Leave) -> i32 {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    let dumb = variable("TERM").is_some_and(|term| term == "dumb");
    let json_events = cli.command.as_ref().is_some_and(Verb::tells_programs);
    let output = Output::new(variable("NO_COLOR").is_some_and(|value| !value.is_empty()), dumb, json_events);
    let done = on_deep_stack(move || {
        main(cli, &words, dumb, &output, leave).unwrap_or_else(|problem| {
            output.problem(&problem);
            MISUSED
        })
    });
    done.unwrap_or(FAILED)
}

fn main(cli: Cli, words: &[OsString], dumb: bool, output: &Arc<Output>, leave: Leave) -> Result<i32, String> {
    logging::start(variable)?;
    if !cli.allow.is_empty() && !matches!(cli.command, None | Some(Verb::Run { .. })) {
        return Err("--allow is for scripts: give it to `run`, or pipe the script in".to_owned());
    }
    let interrupt = Arc::new(Interrupt::default());
    // A terminal that cannot move its cursor is no place for a line editor.
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb;
    let shell = cli.command.is_none() && terminal;
    let received = signals::listen(Arc::clone(&interrupt), shell, leave);
    let received = received.map_err(|error| format!("cannot listen for signals: {error}"))?;
    let app = App { output: Arc::clone(output), interrupt, received };
    let connection = cli.connection.0;
    match cli.command {
        Some(Verb::Docs { format }) => app.docs(format),
        Some(Verb::Check { files }) => app.check(&files),
        Some(Verb::Eval { output, expr, .. }) => {
            let mut job = Job::new("eval", expr, Grants::all());
            job.show = Some(output);
            Ok(app.perform(connection, job))
        }
        Some(Verb::Run { allow, set, print_result, file, args, .. }) => {
            let (source, text) = read(&file)?;
            let mut job = Job::new(&source, text, cli.allow.and(allow).grants());
            job.args_ended = are_behind_a_mark(&args, words);
            (job.args, job.opts) = (args, set);
            job.script_path = Some(file).filter(|file| file != "-");
            job.show = print_result.then_some(Format::Table);
            Ok(app.perform(connection, job))
        }
        None if shell => {
            let session = Session::new(app.setup(connection, Grants::all()), Arc::clone(&app.interrupt));
            let ended = repl::run(Interpreter::new(session), Arc::clone(&app.output), &app.received);
            ended.map_err(|error| format!("cannot use the terminal: {error}"))
        }
        None => {
            let (source, text) = read("-")?;
            Ok(app.perform(connection, Job::new(&source, text, cli.allow.grants())))
        }
    }
}

/// Says whether a word `--` stands right before a script's own words; clap takes it for its own there.
fn are_behind_a_mark(args: &[String], words: &[OsString]) -> bool {
    let before = words.len().checked_sub(args.len() + 1).and_then(|at| words.get(at));
    before.is_some_and(|word| word == "--")
}

impl Job {
    fn new(source: &str, text: String, grants: Grants) -> Self {
        let (source, args, opts) = (source.to_owned(), Vec::new(), Vec::new());
        Job { source, text, grants, args, args_ended: false, opts, script_path: None, show: None }
    }
}

impl App {
    fn setup(&self, flags: etcdsh_core::value::Record, grants: Grants) -> Setup {
        Setup {
            places: Places::from_env(folder(), variable),
            env: Box::new(variable),
            flags,
            grants,
            args: Vec::new(),
            args_ended: false,
            opts: Vec::new(),
            script_path: None,
            memory: None,
            print: self.output.printer(),
            debug: self.output.debugger(),
            events: self.output.events(),
        }
    }

    fn perform(&self, connection: etcdsh_core::value::Record, job: Job) -> i32 {
        let mut setup = self.setup(connection, job.grants);
        (setup.args, setup.args_ended) = (job.args, job.args_ended);
        (setup.opts, setup.script_path) = (job.opts, job.script_path);
        let interpreter = Interpreter::new(Session::new(setup, Arc::clone(&self.interrupt)));
        let done = interpreter.run(&job.source, &job.text);
        self.output.erase_progress();
        let code = match (done, job.show) {
            (Ok(value), Some(format)) => self.show(&interpreter, &job.source, value, format),
            (Ok(_), None) => 0,
            (Err(failure), _) => self.fail(&interpreter, failure),
        };
        // Taking the engine and the runtime apart costs more than many a script, and the process ends here.
        std::mem::forget(interpreter);
        code
    }

    fn show(&self, interpreter: &Interpreter, source: &str, value: Dynamic, format: Format) -> i32 {
        // Rows may still be arriving, so Ctrl-C has to be heard here too.
        let running = interpreter.session.interrupt.resume();
        let mut out = io::BufWriter::new(io::stdout().lock());
        let done = show::write(&mut out, value, format, self.output.canvas(usize::MAX));
        // What came before a failure is an answer too.
        let done = out.flush().map_err(NotShown::from).and(done);
        drop(running);
        drop(out.into_parts());
        match done {
            Ok(()) => 0,
            Err(NotShown::Thrown(error)) => self.fail(interpreter, Failure::thrown(source, error)),
            Err(NotShown::Io(error)) => self.not_written(&error),
        }
    }

    /// Says why a result was not written, unless its reader has left, and returns the exit code.
    fn not_written(&self, error: &io::Error) -> i32 {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return NO_READER;
        }
        self.output.problem(&format!("cannot write the output: {error}"));
        FAILED
    }

    /// Tells the user about a failure, and returns the exit code.
    fn fail(&self, interpreter: &Interpreter, failure: Failure) -> i32 {
        let code = match &failure {
            Failure::Syntax { .. } => MISUSED,
            Failure::Thrown { .. } => FAILED,
            Failure::Stopped(Stop::Exit(code)) => i32::from(*code),
            Failure::Stopped(Stop::Interrupted(_)) => {
                self.output.key_was_echoed();
                self.received.exit_code()
            }
            Failure::Stopped(Stop::NoReader) => NO_READER,
            Failure::Stopped(Stop::Unwritable(_) | Stop::Exhausted) => FAILED,
        };
        if let Some(report) = interpreter.report(failure) {
            let _ = self.output.failed(&report, &interpreter.render(&report, self.output.colour_errors()));
        }
        code
    }

    fn check(&self, files: &[PathBuf]) -> Result<i32, String> {
        let session = Session::new(self.setup(Default::default(), Grants::all()), Arc::clone(&self.interrupt));
        let mut interpreter = Interpreter::new(session);
        let mut worst = 0;
        for file in files {
            let (source, text) = match read(&file.to_string_lossy()) {
                Ok(found) => found,
                Err(problem) => {
                    worst = MISUSED;
                    let _ = self.output.error(&format!("error: {problem}"));
                    continue;
                }
            };
            for finding in check::check(&mut interpreter, &source, &text) {
                worst = worst.max(if finding.code == check::SYNTAX { MISUSED } else { FAILED });
                let report = interpreter.describe_finding(finding);
                let _ = self.output.error(&interpreter.render(&report, self.output.colour_errors()));
            }
        }
        Ok(worst)
    }

    fn docs(&self, format: Reference) -> Result<i32, String> {
        let session = Session::new(self.setup(Default::default(), Grants::all()), Arc::clone(&self.interrupt));
        let engine = Interpreter::documented(session).engine;
        let text = match format {
            Reference::Markdown => docs::reference(&engine),
            Reference::Json => engine.gen_fn_metadata_to_json(true).map_err(|error| error.to_string())?,
        };
        Ok(writeln!(io::stdout(), "{text}").map_or_else(|error| self.not_written(&error), |()| 0))
    }
}

/// Reads a script, and names it for messages.
fn read(file: &str) -> Result<(String, String), String> {
    let text = if file == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let name = if file == "-" { "stdin" } else { file };
    text.map(|text| (name.to_owned(), text)).map_err(|error| format!("cannot read {name}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "a front end reads the caller's environment, here and nowhere else")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the process was started in its caller's folder")]
fn folder() -> PathBuf {
    // In a folder that was deleted, only absolute paths make sense.
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}
