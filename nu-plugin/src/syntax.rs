//! Writing values as Nushell source: for the examples in the help, and for completions.

use std::borrow::Cow;

use etcdsh_core::args::{Args as _, Kind};
use etcdsh_core::card::{Example, Sample};
use etcdsh_core::operation::Entry;
use etcdsh_core::subject::AtRest;
use etcdsh_core::value::Value;

/// Returns the flag of a parameter, without its dashes.
pub fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

/// Writes a text so that Nushell reads it as that one text. Names come from servers: a member called `x; rm -rf ~` must not
/// become a command when its completion is accepted.
pub fn quote(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '=' | '%');
    if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

/// Writes an example of an operation as a line of Nushell.
pub fn example(entry: &Entry, example: &Example) -> String {
    let mut line = format!("etcd {}", entry.card.name);
    let given = |name: &str| example.args.iter().find(|(known, _)| *known == name).map(|(_, sample)| *sample);
    for param in entry.all_params().chain(AtRest::PARAMS) {
        let Some(sample) = given(param.name) else { continue };
        if !param.positional {
            line.push_str(" --");
            line.push_str(&kebab(param.name));
        }
        if !matches!(sample, Sample::On) {
            line.push(' ');
            line.push_str(&write(param.kind, sample));
        }
    }
    line
}

fn write(kind: Kind, sample: Sample) -> String {
    match sample {
        Sample::Text(text) => match kind.read(text) {
            Value::Elapsed(nanoseconds) => span(nanoseconds),
            // Sizes are written alike everywhere, and must not be quoted.
            Value::Size(_) => text.to_owned(),
            _ => quote(text).into_owned(),
        },
        Sample::Int(number) => number.to_string(),
        Sample::On => "true".to_owned(),
        Sample::List(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
            format!("[{}]", texts.join(", "))
        }
        Sample::Hook => "{|it| null }".to_owned(),
    }
}

/// Writes a span of time in the largest unit that holds it whole.
fn span(nanoseconds: i64) -> String {
    const UNITS: &[(i64, &str)] = &[
        (86_400_000_000_000, "day"),
        (3_600_000_000_000, "hr"),
        (60_000_000_000, "min"),
        (1_000_000_000, "sec"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let fits = UNITS.iter().find(|(size, _)| nanoseconds != 0 && nanoseconds % size == 0);
    let (size, unit) = fits.copied().unwrap_or((1, "ns"));
    format!("{}{unit}", nanoseconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("infra1", "infra1")]
    #[case("http://10.0.0.1:2379", "http://10.0.0.1:2379")]
    #[case("/registry/pods", "/registry/pods")]
    #[case("8e9e05c52164694d", "8e9e05c52164694d")]
    #[case("", "\"\"")]
    #[case("-x", "\"-x\"")]
    #[case("x; rm -rf ~", "\"x; rm -rf ~\"")]
    #[case("a\"b\\c", "\"a\\\"b\\\\c\"")]
    #[case("$x", "\"$x\"")]
    #[case("a\u{1b}b\nc", "\"a\\u{1b}b\\nc\"")]
    fn a_text_is_read_back_as_itself(#[case] text: &str, #[case] source: &str) {
        assert_eq!(quote(text), source);
    }

    #[test]
    fn an_example_gives_an_argument_once() {
        // The connection has a `key` too.
        let get = etcdsh_core::catalogue::find("get").unwrap();
        assert_eq!(example(get, &get.card.examples[0]), "etcd get /config/limit");
    }

    #[rstest]
    #[case("30s", "30sec")]
    #[case("1.5h", "90min")]
    #[case("250ms", "250ms")]
    #[case("2d", "2day")]
    fn spans_are_written_in_nushells_units(#[case] text: &'static str, #[case] source: &str) {
        assert_eq!(write(Kind::Elapsed, Sample::Text(text)), source);
    }
}
