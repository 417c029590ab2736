//! One operation in a process of its own, which ends without a word when a certain event is told: as the operator's machine
//! does when its power is cut. What it prints otherwise is one JSON text.
//!
//! `crash_at [--kinds step,intent,acted,outcome --at N] [--SETTING VALUE …] OPERATION [ARGUMENTS]`
//!
//! The settings are those of a connection, such as `--profile sandbox`; the arguments are a JSON object; the places come from
//! the environment. Events are told apart by the name that they carry in JSON.
#![expect(clippy::disallowed_methods, reason = "it is a front end: it reads the environment and hands it to core")]

use std::cell::RefCell;
use std::process::ExitCode;

use etcdsh_core::blocking::{Call, Driver};
use etcdsh_core::context::Cancel;
use etcdsh_core::error::Result;
use etcdsh_core::event::Event;
use etcdsh_core::places::Places;
use etcdsh_core::profile::Layers;
use etcdsh_core::report::Answer;
use etcdsh_core::subject::Subject;
use etcdsh_core::value::{Record, Value};
use etcdsh_tests::record;
use serde_json::json;

/// What the command line asks for.
struct Asked {
    kinds: Vec<String>,
    /// Which of the events of these kinds is the last; none for running to the end.
    at: Option<usize>,
    settings: Record,
    operation: String,
    args: serde_json::Value,
}

fn main() -> ExitCode {
    let asked = match read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(problem) => {
            eprintln!("crash_at: {problem}");
            return ExitCode::from(2);
        }
    };
    no_core_file();
    let told = RefCell::new(Vec::new());
    let events = |event: &Event| {
        let kind = kind(event);
        if asked.kinds.contains(&kind) {
            told.borrow_mut().push(kind);
            if asked.at == Some(told.borrow().len()) {
                // Nothing is dropped and nothing is flushed.
                std::process::abort();
            }
        }
    };
    let (code, mut said) = match run(&asked, &events) {
        Ok(report) => (ExitCode::SUCCESS, json!({ "report": report })),
        Err(error) => {
            let report = error.report().map(|report| etcdsh_tests::json(&report));
            let error = json!({
                "code": error.code(),
                "message": error.to_string(),
                "causes": error.causes(),
                "help": error.help(),
                "sent": error.sent().map(|sent| sent.word()),
                "report": report,
            });
            (ExitCode::FAILURE, json!({ "error": error }))
        }
    };
    if let Some(said) = said.as_object_mut() {
        said.insert("told".to_owned(), json!(told.into_inner()));
    }
    println!("{said}");
    code
}

/// Returns the name that an event carries in JSON.
fn kind(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap_or_default();
    json.get("event").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned()
}

fn run(asked: &Asked, events: &dyn Fn(&Event)) -> Result<serde_json::Value> {
    let variable = |name: &str| std::env::var(name).ok();
    let folder = std::env::current_dir().map_err(etcdsh_core::Error::internal)?;
    let places = Places::from_env(folder, variable);
    let entry = etcdsh_core::catalogue::find(&asked.operation)
        .ok_or_else(|| etcdsh_core::Error::internal(format!("there is no operation {:?}", asked.operation)))?;
    let settings = Layers { flags: asked.settings.clone(), env: &|_| None, shell: None };
    let (args, cancel) = (record(asked.args.clone()), Cancel::new());
    let subject = entry.card.target.is_asked(&args).then(|| Subject::resolve(settings, &places)).transpose()?;
    let call = Call { entry, args, subject, places: &places, hooks: &[], events, cancel };
    let value = match Driver::new()?.call(call)? {
        Answer::Value(value) => value,
        Answer::Stream(stream) => Value::List(stream.collect::<Result<Vec<_>>>()?),
    };
    Ok(etcdsh_tests::json(&value))
}

fn read(mut words: impl Iterator<Item = String>) -> std::result::Result<Asked, String> {
    let mut asked = Asked {
        kinds: ["step", "intent", "acted", "outcome"].map(str::to_owned).to_vec(),
        at: None,
        settings: Record::new(),
        operation: String::new(),
        args: json!({}),
    };
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            asked.operation = word;
            break;
        };
        let value = words.next().ok_or_else(|| format!("--{flag} lacks its value"))?;
        match flag {
            "kinds" => asked.kinds = value.split(',').map(str::to_owned).collect(),
            "at" => asked.at = Some(value.parse().map_err(|_| format!("--at is a number, not {value}"))?),
            setting => asked.settings.insert(setting.replace('-', "_"), Value::Text(value)),
        }
    }
    if asked.operation.is_empty() {
        return Err("which operation?".to_owned());
    }
    if let Some(args) = words.next() {
        asked.args = serde_json::from_str(&args).map_err(|error| format!("the arguments are not JSON: {error}"))?;
    }
    match words.next() {
        Some(more) => Err(format!("{more:?} is one word too many")),
        None => Ok(asked),
    }
}

/// A crash that is wanted needs no file to find out about it.
fn no_core_file() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Where the system refuses this, it writes the file.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
