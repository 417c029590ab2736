//! What an operation's card says, in Rhai's words: signatures, doc comments and examples.

use std::fmt::Write as _;

use etcdsh_core::args::{Args as _, Kind, Param};
use etcdsh_core::card::{Example, Sample};
use etcdsh_core::catalogue::{CATALOGUE, HAND_WRITTEN};
use etcdsh_core::operation::Entry;
use etcdsh_core::report::{Column, Shape};
use etcdsh_core::subject::AtRest;
use rhai::Engine;

/// Returns the parameters of a function of `arguments` arguments, and its return type last, as Rhai's metadata wants them.
pub fn signature(entry: &Entry, arguments: usize) -> Vec<String> {
    let mut params = vec!["cluster: Cluster".to_owned()];
    params.extend(entry.positional().take(arguments).map(|param| format!("{}: {}", param.name, kind(param.kind))));
    if arguments > entry.positional().count() {
        params.push("options: map".to_owned());
    }
    params.push(returns(entry).to_owned());
    params
}

/// Returns the whole call in one line, for help and menus: `etcd.member_add(name, #{ peer_urls, … })`.
pub fn usage(entry: &Entry) -> String {
    let required = |param: &&Param| param.required && !param.positional;
    let mut words: Vec<String> = entry.positional().map(|param| param.name.to_owned()).collect();
    let mut named: Vec<_> = entry.all_params().filter(required).map(|param| param.name).collect();
    if entry.all_params().any(|param| !param.positional && !param.required) {
        named.push("…");
    }
    if !named.is_empty() {
        words.push(format!("#{{ {} }}", named.join(", ")));
    }
    format!("etcd.{}({}) -> {}", entry.card.identifier(), words.join(", "), returns(entry))
}

fn returns(entry: &Entry) -> &'static str {
    match entry.shape {
        Shape::Record(_) => "map",
        Shape::Maybe(_) => "map or ()",
        Shape::Table(_) => "array",
        Shape::Stream(_) => "Rows",
    }
}

/// Returns the Rhai type that fits a kind.
pub fn kind(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int => "int".to_owned(),
        Kind::Float => "float".to_owned(),
        Kind::Text | Kind::Path | Kind::Member | Kind::Profile => "string".to_owned(),
        Kind::Sandbox | Kind::SandboxMember | Kind::Run { .. } => "string".to_owned(),
        Kind::Octets => "string or blob".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Elapsed => "duration".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Hook => "closure".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" | "),
        Kind::List(item) => format!("array of {}", self::kind(*item)),
        Kind::Record(_) | Kind::Map => "map".to_owned(),
    }
}

/// Returns what a column of a kind holds in Rhai, which has no types of its own for units.
fn held(kind: Kind) -> String {
    match kind {
        Kind::Size => "int (bytes)".to_owned(),
        Kind::Elapsed => "int (nanoseconds)".to_owned(),
        Kind::Time => "string (RFC 3339)".to_owned(),
        Kind::List(item) => format!("array of {}", held(*item)),
        other => self::kind(other),
    }
}

/// Returns the reference of everything that can be called, as a Markdown text.
pub fn reference(engine: &Engine) -> String {
    let mut pages: Vec<_> = CATALOGUE.iter().map(|entry| format!("## {}\n\n{}\n", usage(entry), page(entry))).collect();
    for name in HAND_WRITTEN.iter().filter_map(|(name, _)| name.strip_prefix("rhai: ")) {
        let found = functions(engine, name, false);
        let signatures: Vec<_> = found.iter().map(|(signature, _)| signature.as_str()).collect();
        let page = found.first().map_or("", |(_, page)| page);
        pages.push(format!("## {}\n\n{page}\n", signatures.join(" · ")));
    }
    // The headings of a page stand below the function's own.
    pages.join("\n").replace("\n# ", "\n### ")
}

/// Returns the signatures of the functions of a name that are not of the catalogue, each with its documentation; Rhai's own
/// functions are among them if they are wanted.
pub fn functions(engine: &Engine, name: &str, with_rhais_own: bool) -> Vec<(String, String)> {
    let mut found = engine.collect_fn_metadata(
        None,
        |info| {
            let found = info.metadata;
            (found.name == name).then(|| {
                let page = found.comments.iter().map(|comment| uncomment(comment)).collect::<Vec<_>>().join("\n");
                (found.gen_signature(|kind| kind.into()), page.trim().to_owned())
            })
        },
        with_rhais_own,
    );
    found.sort();
    found.dedup();
    found
}

fn uncomment(comment: &str) -> String {
    let line = |line: &str| {
        let line = line.trim_start().trim_start_matches("///");
        line.strip_prefix(' ').unwrap_or(line).to_owned()
    };
    comment.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the documentation of an operation as a Markdown text.
pub fn page(entry: &Entry) -> String {
    let mut page = entry.card.summary.to_owned();
    if !entry.card.details.is_empty() {
        let _ = write!(page, "\n\n{}", entry.card.details.trim());
    }
    section(&mut page, "Arguments", entry.positional().map(param_line));
    section(&mut page, "Options", entry.all_params().filter(|param| !param.positional).map(param_line));
    section(&mut page, "Returns", std::iter::once(returns(entry).to_owned()));
    section(&mut page, "Columns", entry.shape.columns().iter().map(column_line));
    let _ = write!(page, "\n\n# Example\n```rhai");
    for (about, code) in examples(entry) {
        let _ = write!(page, "\n// {about}\n{code}");
    }
    page.push_str("\n```");
    if entry.card.capability != etcdsh_core::card::Capability::Read {
        let _ = write!(page, "\n\nA script needs `--allow {}`.", entry.card.capability);
    }
    page
}

/// Returns the documentation as a doc comment.
pub fn comment(entry: &Entry) -> String {
    let lines = page(entry);
    lines.lines().map(|line| format!("/// {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn section(page: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        let _ = write!(page, "\n\n# {title}\n{}", lines.join("\n"));
    }
}

fn param_line(param: &Param) -> String {
    let more = match (param.default, param.required) {
        (Some(default), _) => format!(" (default {default})"),
        (None, true) => " (required)".to_owned(),
        (None, false) => String::new(),
    };
    format!("- `{}`: {}. {}{more}", param.name, kind(param.kind), param.doc())
}

fn column_line(column: &Column) -> String {
    let or_nothing = if column.optional { " or ()" } else { "" };
    format!("- `{}`: {}{or_nothing}. {}", column.name, held(column.kind), column.doc.trim())
}

/// Returns the card's examples as code, each with what it shows.
pub fn examples(entry: &Entry) -> Vec<(&'static str, String)> {
    let samples = if entry.card.examples.is_empty() {
        &[Example { about: "Without arguments", args: &[] }]
    } else {
        entry.card.examples
    };
    samples.iter().map(|example| (example.about, code(entry, example))).collect()
}

fn code(entry: &Entry, example: &Example) -> String {
    let positional = |name: &str| entry.positional().any(|param| param.name == name);
    // An example may leave out a place in the middle only by naming what follows it.
    let mut words: Vec<String> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    let mut whole = true;
    for param in entry.positional() {
        match example.args.iter().find(|(name, _)| *name == param.name) {
            Some((_, sample)) if whole => words.push(literal(sample)),
            Some((name, sample)) => named.push(format!("{name}: {}", literal(sample))),
            None => whole = false,
        }
    }
    // What stands in place of the cluster is the receiver.
    let is_file = |name: &str| AtRest::PARAMS.iter().any(|param| param.name == name);
    let file = example.args.iter().find(|(name, _)| is_file(name));
    let receiver = file.map_or_else(|| "etcd".to_owned(), |(_, sample)| format!("open_db({})", literal(sample)));
    let rest = example.args.iter().filter(|(name, _)| !positional(name) && !is_file(name));
    named.extend(rest.map(|(name, sample)| format!("{name}: {}", literal(sample))));
    if !named.is_empty() {
        words.push(format!("#{{ {} }}", named.join(", ")));
    }
    format!("{receiver}.{}({})", entry.card.identifier(), words.join(", "))
}

fn literal(sample: &Sample) -> String {
    match sample {
        Sample::Text(text) => format!("{text:?}"),
        Sample::Int(number) => number.to_string(),
        Sample::On => "true".to_owned(),
        Sample::List(items) => format!("{items:?}"),
        Sample::Hook => "|it| ()".to_owned(),
    }
}
