//! How a failure is shown to a person: what went wrong, the line it went wrong in, what to do, and how it came to that.

use std::fmt::Write as _;

use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::error::suggest;
use etcdsh_core::units::escape;
use nu_ansi_term::{Color, Style};
use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};
use serde_json::Value as Json;

use crate::check::Finding;
use crate::engine::{AMBIENT, Failure, Interpreter, MAX_CALL_LEVELS};
use crate::error::KIND;
use crate::stop::Stop;
use crate::{docs, show};

/// How many calls are shown at most on the way to the failure.
const MAX_FRAMES: usize = 8;

/// A failure, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    headline: String,
    place: Option<Place>,
    /// Labelled lines below the snippet.
    notes: Vec<(&'static str, String)>,
    /// What a thrown map said, for a program.
    told: serde_json::Map<String, Json>,
}

/// What a program is told of a failure beside its message and its place, as a thrown map names it.
const TOLD: &[&str] =
    &["code", "hint", "member", "endpoint", "sent", "retryable", "outcome", "argument", "causes", "report"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    source: String,
    line: usize,
    /// Counted in characters, from one; a failure may know only its line.
    column: Option<usize>,
}

impl Place {
    fn new(source: &str, position: Position) -> Option<Place> {
        Some(Place { source: source.to_owned(), line: position.line()?, column: position.position() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

impl Report {
    /// Describes a problem that has nothing to do with a script.
    pub fn of(problem: &str) -> Self {
        Report { headline: problem.to_owned(), ..Report::default() }
    }

    /// Returns what a program is told: the fields of a thrown map, each null where there is nothing to say.
    pub fn fields(&self) -> serde_json::Map<String, Json> {
        let mut fields: serde_json::Map<_, _> =
            TOLD.iter().map(|name| ((*name).to_owned(), self.told.get(*name).cloned().unwrap_or_default())).collect();
        let mut set = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
        if !self.told.contains_key("hint") {
            set("hint", self.notes.iter().find(|(label, _)| *label == "help").map(|(_, help)| help.as_str()).into());
        }
        set("message", self.headline.as_str().into());
        set("source", self.place.as_ref().map(|place| place.source.as_str()).into());
        set("line", self.place.as_ref().map(|place| place.line).into());
        set("position", self.place.as_ref().and_then(|place| place.column).into());
        fields
    }
}

impl Interpreter {
    /// Describes a failure; nothing is to be said about a script that ended itself.
    pub fn report(&self, failure: Failure) -> Option<Report> {
        match failure {
            Failure::Syntax { source, error } => Some(Report {
                headline: error.err_type().to_string(),
                place: Place::new(&source, error.position()),
                ..Report::default()
            }),
            Failure::Thrown { source, error } => Some(thrown(&self.engine, source, *error)),
            Failure::Stopped(Stop::Interrupted(map)) => {
                let mut report = Report::of("interrupted");
                if let Some(map) = map {
                    from_map(&mut report, &map);
                }
                Some(report)
            }
            Failure::Stopped(Stop::Unwritable(reason)) => {
                Some(Report::of(&format!("cannot write the output: {reason}")))
            }
            Failure::Stopped(Stop::Exhausted) => Some(Report {
                headline: "the script takes too much memory, and was stopped".to_owned(),
                notes: vec![("help", "go through rows in a loop, and keep of them only what is needed".to_owned())],
                ..Report::default()
            }),
            Failure::Stopped(Stop::Exit(_) | Stop::NoReader) => None,
        }
    }

    /// Describes a mistake that was found without running.
    pub fn describe_finding(&self, finding: Finding) -> Report {
        let mut notes = vec![("code", finding.code.to_owned())];
        notes.extend(finding.help.map(|help| ("help", help)));
        let place = Place::new(&finding.source, finding.place);
        Report { headline: finding.problem, place, notes, ..Report::default() }
    }

    /// Writes a report out, with its snippet.
    pub fn render(&self, report: &Report, colour: bool) -> String {
        let paint = |style: Style, text: &str| if colour { style.paint(text).to_string() } else { text.to_owned() };
        let (red, dim) = (Color::Red.bold(), Style::new().dimmed());
        let mut text = format!("{} {}", paint(red, "error:"), escape(&report.headline));
        let width = report.place.as_ref().map_or(0, |place| place.line.to_string().len());
        let margin = " ".repeat(width);
        if let Some(place) = &report.place {
            let _ = write!(text, "\n{margin}{} {}", paint(dim, "-->"), escape(&place.to_string()));
            if let Some(line) = self.sources.line(&place.source, place.line) {
                let bar = paint(dim, "|");
                let _ =
                    write!(text, "\n{margin} {bar}\n{} {bar} {}", paint(dim, &place.line.to_string()), escape(&line));
                if let Some(marks) = place.column.map(|column| underline(&line, column)) {
                    let _ = write!(text, "\n{margin} {bar} {}", paint(red, &marks));
                }
            }
        }
        for (label, note) in &report.notes {
            let note = escape(note).replace('\n', &format!("\n{margin}   {}", " ".repeat(label.len() + 2)));
            let _ = write!(text, "\n{margin} {} {}: {note}", paint(dim, "="), paint(Style::new().bold(), label));
        }
        text
    }
}

/// Underlines the word that starts at a column.
fn underline(line: &str, column: usize) -> String {
    let start = column.saturating_sub(1);
    let blanks: String = line.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let word = line.chars().skip(start).take_while(|c| c.is_alphanumeric() || *c == '_').count();
    format!("{blanks}{}", "^".repeat(word.max(1)))
}

fn thrown(engine: &Engine, mut source: String, mut error: EvalAltResult) -> Report {
    let mut frames = Vec::new();
    let mut inner = loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(name, inside, next, position) => {
                let name = if name.starts_with("anon$") { "a closure" } else { &name };
                frames.extend(Place::new(&source, position).map(|place| format!("{name}, called at {place}")));
                if !inside.is_empty() {
                    source = inside;
                }
                error = *next;
            }
            EvalAltResult::ErrorInModule(module, next, position) => {
                frames.extend(Place::new(&source, position).map(|place| format!("{module}, imported at {place}")));
                source = module;
                error = *next;
            }
            other => break other,
        }
    };
    let mut report = Report { place: Place::new(&source, inner.position()), ..Report::default() };
    describe(&mut report, engine, &mut inner, !frames.is_empty());
    let more = frames.len().saturating_sub(MAX_FRAMES);
    report.notes.extend(frames.into_iter().rev().take(MAX_FRAMES).map(|frame| ("in", frame)));
    if more > 0 {
        report.notes.push(("in", format!("{more} more calls")));
    }
    report
}

fn describe(report: &mut Report, engine: &Engine, error: &mut EvalAltResult, in_function: bool) {
    match error {
        EvalAltResult::ErrorRuntime(value, _) => from_value(report, value),
        EvalAltResult::ErrorParsing(kind, _) => report.headline = kind.to_string(),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => no_function(report, engine, signature),
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            report.headline = format!("there is no variable named {name}");
            let ambient: Vec<_> = AMBIENT.iter().map(|(name, _)| *name).collect();
            let help = match suggest(name, &ambient) {
                Some(near) => format!("did you mean {near}?"),
                None if in_function => "a function sees only its parameters; pass the value, or write a closure".into(),
                None => return,
            };
            report.notes.push(("help", help));
        }
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            report.headline = format!("there is no field named {name}");
            let columns = CATALOGUE.iter().flat_map(|entry| entry.shape.columns()).map(|column| column.name);
            // Another operation's answer may have a field of just that name.
            let near = suggest(name, &columns.filter(|column| *column != name).collect::<Vec<_>>());
            report.notes.extend(near.map(|near| ("help", format!("did you mean {near}?"))));
        }
        EvalAltResult::ErrorModuleNotFound(path, _) => report.headline = crate::resolver::no_module(path),
        EvalAltResult::ErrorDotExpr(problem, _) => no_property(report, problem),
        EvalAltResult::ErrorStackOverflow(_) => {
            report.headline = format!("functions call each other more than {MAX_CALL_LEVELS} levels deep");
        }
        EvalAltResult::ErrorDataRace(..) => {
            report.headline = "a closure uses the value whose method it was given to".to_owned();
            let help = "call it as a function, and let the closure use its parameter in place of the captured value";
            report.notes.push(("help", help.to_owned()));
        }
        other => {
            other.clear_position();
            report.headline = other.to_string();
        }
    }
}

fn from_value(report: &mut Report, value: &Dynamic) {
    if let Some(map) = value.read_lock::<Map>() {
        from_map(report, &map);
    } else if let Some(text) = value.read_lock::<ImmutableString>() {
        report.headline = text.to_string();
    } else if value.is_unit() {
        report.headline = "thrown without a value".to_owned();
    } else {
        report.headline = format!("thrown: {value:?}");
    }
}

/// Describes a thrown map: one of core's, one of Rhai's own, or one that a script shaped like them.
fn from_map(report: &mut Report, map: &Map) {
    let text = |name: &str| map.get(name).and_then(|value| value.clone().into_string().ok());
    let count = |name: &str| map.get(name).and_then(|value| usize::try_from(value.as_int().ok()?).ok());
    report.headline = text("message").unwrap_or_else(|| format!("thrown: {:?}", Dynamic::from_map(map.clone())));
    if let (Some(source), Some(line)) = (text("source"), count("line")) {
        report.place = Some(Place { source, line, column: count("position") });
    }
    let told = TOLD.iter().filter_map(|name| Some(((*name).to_owned(), show::json(map.get(*name)?))));
    report.told = told.collect();
    let of_core = text("error").is_some_and(|kind| kind == KIND);
    for (label, name) in [("code", "code"), ("member", "member"), ("endpoint", "endpoint"), ("help", "hint")] {
        report.notes.extend(text(name).filter(|_| of_core || name == "hint").map(|note| (label, note)));
    }
    report.notes.extend(text("outcome").filter(|_| of_core).map(|note| ("outcome", note)));
    let causes = map.get("causes").and_then(|causes| causes.clone().into_typed_array::<String>().ok());
    report.notes.extend(causes.unwrap_or_default().into_iter().map(|cause| ("cause", cause)));
}

fn no_function(report: &mut Report, engine: &Engine, signature: &str) {
    let (name, arguments) = signature.split_once(" (").unwrap_or((signature, ""));
    let arguments = arguments.trim_end_matches(')');
    if name.starts_with("anon$") {
        report.headline = "a closure was called with another number of arguments than it takes".to_owned();
        return;
    }
    let arguments =
        arguments.split(", ").map(type_name).filter(|kind| *kind != "Cluster").collect::<Vec<_>>().join(", ");
    if let Some(entry) = CATALOGUE.iter().find(|entry| entry.card.identifier() == name) {
        report.headline = format!("{name} does not take ({arguments})");
        report.notes.push(("help", docs::usage(entry)));
        return;
    }
    let known = function_names(engine);
    if known.iter().any(|known| known == name) {
        report.headline = format!("{name} does not take ({arguments})");
        let forms: Vec<_> = docs::functions(engine, name, false).into_iter().map(|(form, _)| form).collect();
        report.notes.extend(Some(forms.join(", or ")).filter(|forms| !forms.is_empty()).map(|forms| ("help", forms)));
        return;
    }
    report.headline = format!("there is no function named {name}");
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    report.notes.extend(suggest(name, &known).map(|near| ("help", format!("did you mean {near}?"))));
}

/// Returns what a script calls a type of the engine's.
fn type_name(engines: &str) -> &str {
    match engines {
        "&str | ImmutableString | String" => "string",
        "i64" => "int",
        "f64" => "float",
        other => other,
    }
}

/// Explains a field of something that has no fields. The engine tells its name and the type only in words.
fn no_property(report: &mut Report, problem: &str) {
    let quoted: Vec<&str> = problem.split('\'').collect();
    let [_, name, _, kind, _] = quoted.as_slice() else {
        report.headline = problem.to_owned();
        return;
    };
    let kind = type_name(kind);
    report.headline = format!("{kind} has no field named {name}");
    let operation = CATALOGUE.iter().find(|entry| entry.card.identifier() == *name).filter(|_| kind == "Cluster");
    report.notes.extend(match (operation, kind) {
        (Some(entry), _) => Some(("help", format!("it is a function: {}", docs::usage(entry)))),
        (None, "array" | "Rows") => Some(("help", format!("loop over it, and take .{name} of each item"))),
        _ => None,
    });
}

/// Returns the names of all functions that a script can call by name.
pub fn function_names(engine: &Engine) -> Vec<String> {
    let named = |name: &str| name.starts_with(|c: char| c.is_alphabetic() || c == '_') && !name.contains('$');
    let mut names =
        engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()).filter(|name| named(name)), true);
    names.sort();
    names.dedup();
    names
}
