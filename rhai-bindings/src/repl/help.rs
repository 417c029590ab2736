//! `?name`, `name?` and `.help`.

use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::error::suggest;
use nu_ansi_term::{Color, Style};
use rhai::Engine;

use crate::docs;
use crate::engine::AMBIENT;
use crate::table::Canvas;

const ABOUT: &str = "\
etcd.health()           what the cluster says of itself; `etcd` is the cluster of --profile or the environment
let c = connect(\"name\") another cluster
?name, name?            the help of a function; a word finds what it is about
ans                     the last result
.vars  .clear  .quit    the variables; an empty screen; leave (Ctrl-D too)

Tab completes. Enter runs what is whole and goes on with what is not; Alt-Enter always goes on. Ctrl-C clears the line, \
or stops what runs. A line that starts with a blank is not kept in the history, nor is one that may hold a password.
";

/// What the text of a word above is indented with.
const TEXT: &str = "                        ";

/// Returns the help for a topic; without one, what there is.
pub(super) fn help(engine: &Engine, topic: &str, canvas: Canvas) -> String {
    let topic = topic.trim().trim_start_matches("etcd.").trim_end_matches("()");
    if topic.is_empty() {
        let mut about = Vec::new();
        ABOUT
            .lines()
            .for_each(|line| wrap(line, if line.contains("  ") { TEXT } else { "" }, width(canvas), &mut about));
        return format!("{}\n\n{}", about.join("\n"), list(canvas, |_| true));
    }
    if let Some(entry) = CATALOGUE.iter().find(|entry| entry.card.identifier() == topic || entry.card.name == topic) {
        return format!("{}\n\n{}", bold(&docs::usage(entry), canvas), paint(&docs::page(entry), canvas));
    }
    if let Some((name, about)) = AMBIENT.iter().find(|(name, _)| *name == topic) {
        return format!("{}: {about}", bold(name, canvas));
    }
    let functions = docs::functions(engine, topic, true);
    if !functions.is_empty() {
        let shown =
            functions.iter().map(|(signature, page)| format!("{}\n\n{}", bold(signature, canvas), paint(page, canvas)));
        return shown.collect::<Vec<_>>().join("\n\n");
    }
    let about = list(canvas, |entry| {
        let card = &entry.card;
        let words = [card.name, card.summary, card.details]
            .iter()
            .any(|text| text.to_lowercase().contains(&topic.to_lowercase()));
        words || card.search.iter().any(|word| word.contains(topic))
    });
    if !about.is_empty() {
        return about;
    }
    let names: Vec<_> = CATALOGUE.iter().map(|entry| entry.card.identifier()).collect();
    let near = suggest(topic, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("there is no help for {topic}{near}")
}

fn list(canvas: Canvas, wanted: impl Fn(&etcdsh_core::operation::Entry) -> bool) -> String {
    let found: Vec<_> = CATALOGUE.iter().filter(|entry| wanted(entry)).collect();
    let width = found.iter().map(|entry| entry.card.identifier().len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for entry in found {
        let line = format!("etcd.{:width$}  {}", entry.card.identifier(), entry.card.summary);
        wrap(&line, &" ".repeat(width + 7), self::width(canvas), &mut lines);
    }
    lines.join("\n")
}

fn bold(text: &str, canvas: Canvas) -> String {
    if canvas.colour { Style::new().bold().paint(text).to_string() } else { text.to_owned() }
}

/// Shows Markdown: headings bold, code coloured, fences left out, long lines broken between words.
fn paint(page: &str, canvas: Canvas) -> String {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            let line = format!("  {line}");
            lines.push(if canvas.colour { Color::Cyan.paint(line).to_string() } else { line });
        } else if let Some(title) = line.strip_prefix("# ") {
            lines.push(bold(title, canvas));
        } else {
            let indent = if line.starts_with("- ") { "  " } else { "" };
            wrap(&line.replace('`', ""), indent, width(canvas), &mut lines);
        }
    }
    lines.join("\n")
}

fn width(canvas: Canvas) -> usize {
    canvas.width.map_or(usize::MAX, usize::from)
}

/// Breaks a line between words; what follows stands below its text.
fn wrap(line: &str, indent: &str, width: usize, lines: &mut Vec<String>) {
    let mut current = String::new();
    for word in line.split(' ') {
        if !current.trim().is_empty() && current.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut current, format!("{indent}{word}")));
        } else {
            current.push_str(if current.is_empty() { "" } else { " " });
            current.push_str(word);
        }
    }
    lines.push(current);
}
