//! Every message that a user can see stands in a test as it is seen. Whoever adds one, or changes one, shows it there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::boundaries::sources;

/// What stands in the sources as text.
#[derive(Default)]
struct Texts {
    /// In errors, their helps and refusals, with the file.
    told: Vec<(PathBuf, String)>,
    /// In tests.
    shown: Vec<String>,
}

/// Where a text stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Test,
    Message,
    Elsewhere,
}

/// Functions whose arguments are told.
const TELLERS: [&str; 3] = ["help", "refusal", "invalid"];
/// What a text is called before it is told.
const NAMES: [&str; 4] = ["help", "problem", "message", "remedy"];

impl Texts {
    fn read(&mut self, file: &Path, stream: TokenStream, place: Place) {
        let mut tokens = stream.into_iter().peekable();
        let (mut next_is_test, mut word, mut function) = (false, String::new(), String::new());
        // A text may have a name before it is told.
        let mut place = place;
        let outside = place;
        while let Some(token) = tokens.next() {
            let called = std::mem::take(&mut word);
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    tokens.next_if(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '!'));
                    let Some(TokenTree::Group(attribute)) = tokens.next() else { continue };
                    let text = attribute.stream().to_string();
                    next_is_test |= text == "cfg (test)";
                    if text.starts_with("error") && place != Place::Test {
                        self.read(file, attribute.stream(), Place::Message);
                    } else if text.starts_with("case") {
                        self.read(file, attribute.stream(), Place::Test);
                    }
                }
                TokenTree::Group(group) => {
                    let block = group.delimiter() == Delimiter::Brace;
                    let message = if block { function == "help" } else { TELLERS.contains(&called.as_str()) };
                    let inner = match place {
                        Place::Elsewhere if next_is_test => Place::Test,
                        Place::Elsewhere if message => Place::Message,
                        outer => outer,
                    };
                    self.read(file, group.stream(), inner);
                    if block {
                        (next_is_test, function) = (false, String::new());
                    }
                }
                TokenTree::Literal(literal) => {
                    let Ok(syn::Lit::Str(text)) = syn::parse_str(&literal.to_string()) else { continue };
                    match place {
                        Place::Test => self.shown.push(text.value()),
                        Place::Message => self.told.push((file.to_owned(), text.value())),
                        Place::Elsewhere => {}
                    }
                }
                TokenTree::Ident(name) => {
                    word = name.to_string();
                    if called == "fn" {
                        function.clone_from(&word);
                    }
                }
                TokenTree::Punct(mark) => match mark.as_char() {
                    ';' => (next_is_test, place) = (false, outside),
                    '=' if NAMES.contains(&called.as_str()) && place == Place::Elsewhere => place = Place::Message,
                    _ => {}
                },
            }
        }
    }
}

/// Returns the fixed parts of a text with places for values.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = parts.last_mut().unwrap();
        match letter {
            '{' | '}' if depth == 0 && letters.next_if_eq(&letter).is_some() => last.push(letter),
            '{' => {
                depth += 1;
                parts.push(String::new());
            }
            '}' => depth -= 1,
            _ if depth == 0 => last.push(letter),
            _ => {}
        }
    }
    parts
}

fn holds(line: &str, parts: &[String]) -> bool {
    let rest = parts.iter().try_fold(line, |rest, part| rest.split_once(part.as_str()).map(|(_, rest)| rest));
    rest.is_some()
}

/// What no test can bring about: a program that is lost while it runs, and mistakes of ours.
const UNSEEN: [&str; 3] =
    ["lost {program} while it ran", "the keys of a record must be text", "this operation was called without a cluster"];

#[test]
fn no_message_is_missing_from_the_tests() {
    let mut texts = Texts::default();
    for folder in ["core/src", "nu-plugin/src", "rhai-bindings/src", "tests/tests"] {
        for (path, text) in
            sources(folder).into_iter().filter(|(path, _)| !path.ends_with("messages.rs") || path.starts_with("core"))
        {
            let test = ["tests", "tests.rs", "exhaustive.rs"].iter().any(|name| path.iter().any(|part| part == *name));
            texts.read(&path, text.parse().unwrap(), if test { Place::Test } else { Place::Elsewhere });
        }
    }
    let lines: BTreeSet<&str> = texts.shown.iter().flat_map(|text| text.lines()).collect();
    // A few words may stand anywhere; they are parts of others.
    let told = texts.told.iter().filter(|(_, text)| text.split_whitespace().count() > 2);
    let told: Vec<_> = told.flat_map(|(file, text)| text.lines().map(move |line| (file, line.trim()))).collect();
    assert!(told.len() > 200 && lines.len() > 1_000, "{} messages, {} lines in tests", told.len(), lines.len());
    let missing: BTreeSet<_> = told
        .into_iter()
        .filter(|(_, line)| !UNSEEN.contains(line))
        .filter(|(_, line)| !lines.iter().any(|shown| holds(shown, &parts(line))))
        .map(|(file, line)| format!("{}: {line}", file.display()))
        .collect();
    assert!(missing.is_empty(), "no test shows these as a user sees them:\n{}", Vec::from_iter(missing).join("\n"));
}
