//! `run`: starting a program from a script. A program is an array of words; nothing ever passes through a shell.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use etcdsh_core::args;
use etcdsh_core::args::{Args as _, Takes};
use etcdsh_core::card::Capability;
use etcdsh_core::error::{Error, Fault, Interrupted, Result};
use etcdsh_core::units::Elapsed;
use etcdsh_core::value::{Value, to_value};
use rhai::{Array, Dynamic, Engine, FuncRegistration, Map, NativeCallContext};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::bind::allow;
use crate::error::{Thrown, throw};
use crate::session::Session;
use crate::value::{Hooks, to_dynamic};

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

args! {
    /// What `run` takes.
    pub struct Options(
        /// The program and its words.
        words: Vec<String>,
    ) {
        /// Text for the program's standard input.
        stdin: Option<String>,
        /// The folder to run it in.
        cwd: Option<std::path::PathBuf>,
        /// How long it may take.
        timeout: Option<Elapsed>,
    }
}

etcdsh_core::record! {
    /// What came of it.
    pub struct Outcome {
        /// Whether it ended with the exit code 0.
        success: bool,
        /// Its exit code; null when a signal ended it.
        status: Option<i64>,
        /// What it wrote to standard output, as text.
        stdout: String,
        /// What it wrote to standard error, as text.
        stderr: String,
    }
}

#[derive(Debug, thiserror::Error)]
enum BadCommand {
    #[error("run was given no program")]
    Empty,
    #[error("cannot start {program}")]
    Start { program: String, source: std::io::Error },
    #[error("lost {program} while it ran")]
    Lost { program: String, source: std::io::Error },
    #[error("{program} did not end within {limit}")]
    Timeout { program: String, limit: Elapsed },
}

impl Fault for BadCommand {
    fn code(&self) -> &'static str {
        match self {
            BadCommand::Empty => "invalid_argument",
            BadCommand::Start { .. } | BadCommand::Lost { .. } => "command_failed",
            BadCommand::Timeout { .. } => "command_timeout",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BadCommand::Empty => Some("give an array: run([\"systemctl\", \"stop\", \"etcd\"])".into()),
            BadCommand::Start { .. } => Some("see that the program and the folder to run it in exist".into()),
            BadCommand::Lost { .. } | BadCommand::Timeout { .. } => None,
        }
    }
}

/// Teaches an engine the function.
pub fn register(engine: &mut Engine, session: &Arc<Session>) {
    let describe = |params: &[&str]| {
        FuncRegistration::new("run")
            .with_params_info(params)
            .with_comments(["/// Starts a program, waits for it, and returns `#{ success, status, stdout, stderr }`. The program\n\
                             /// is an array of words; no shell is involved. Options: `stdin`, `cwd`, `timeout`.\n///\n\
                             /// A script needs `--allow exec`.\n///\n\
                             /// # Example\n/// ```rhai\n/// let version = run([\"etcd\", \"--version\"]).stdout;\n/// ```"])
            .with_volatility(true)
    };
    let shared = Arc::clone(session);
    let call = move |ctx: &NativeCallContext<'_>, words: Array, options: Map| -> Thrown<Dynamic> {
        start(&shared, words, options).map(to_dynamic).map_err(|error| throw(error, &shared, Some(ctx)))
    };
    let short = call.clone();
    describe(&["words: array", "map"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, words: Array| short(&ctx, words, Map::new()));
    describe(&["words: array", "options: map", "map"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, words: Array, options: Map| {
            call(&ctx, words, options)
        });
}

fn start(session: &Session, words: Array, options: Map) -> Result<Value> {
    allow(session, Capability::Exec, "run")?;
    let mut hooks = Hooks::default();
    let words = hooks.take("words", Dynamic::from_array(words))?;
    let given = Takes::of::<Options>().join("run", vec![words], hooks.fields(options)?)?;
    let options = Options::read(etcdsh_core::args::complete(&[Options::PARAMS], given, &|path| {
        session.setup.places.absolute(path)
    })?)?;
    let outcome = session.driver()?.block_on(run(session, options))?;
    to_value(&outcome).map_err(Error::internal)
}

async fn run(session: &Session, options: Options) -> Result<Outcome> {
    let (program, arguments) = options.words.split_first().ok_or(BadCommand::Empty)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(options.cwd.as_ref().unwrap_or(&session.setup.places.cwd))
        .stdin(if options.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own group, so that Ctrl-C reaches it through us, once and in order, and so that its children end with it.
        .process_group(0)
        .kill_on_drop(true);
    let started = command.spawn().map_err(|source| BadCommand::Start { program: program.clone(), source });
    let child = started?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let limit = options.timeout.map(Elapsed::duration);
    let (stop, abandon) = (session.interrupt.token(), session.interrupt.abandoned());
    let mut work = std::pin::pin!(finish(child, options.stdin));
    let ended = tokio::select! {
        done = &mut work => return report(program, done),
        () = stop.cancelled() => Interrupted.into(),
        limit = passes(limit) => Error::from(BadCommand::Timeout { program: program.clone(), limit }),
    };
    signal(group, Signal::TERM);
    tokio::select! {
        _ = &mut work => {}
        () = abandon.cancelled() => signal(group, Signal::KILL),
        _ = passes(Some(GRACE)) => signal(group, Signal::KILL),
    }
    Err(ended)
}

/// Waits until a limit passes; without a limit, for ever.
async fn passes(limit: Option<Duration>) -> Elapsed {
    let never = std::future::pending::<()>();
    match limit {
        Some(limit) => drop(tokio::time::timeout(limit, never).await),
        None => never.await,
    }
    limit.unwrap_or_default().into()
}

/// Feeds the program and waits for its end.
async fn finish(mut child: Child, input: Option<String>) -> std::io::Result<std::process::Output> {
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Beside the reading, because a program may write before it has read everything. That it does not want to read is its
        // own affair.
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    }
    child.wait_with_output().await
}

fn report(program: &str, done: std::io::Result<std::process::Output>) -> Result<Outcome> {
    let output = done.map_err(|source| BadCommand::Lost { program: program.to_owned(), source })?;
    Ok(Outcome {
        success: output.status.success(),
        status: output.status.code().map(i64::from),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may have ended in between.
        let _ = kill_process_group(group, signal);
    }
}
