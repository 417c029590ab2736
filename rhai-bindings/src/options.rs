//! `options`: what a script was told, held against what it declares. Whatever is not understood is refused, because a script
//! that overlooks a mistyped `--dry-run` carries out what was to be shown.

use std::sync::Arc;

use etcdsh_core::args::BadArgument;
use etcdsh_core::error::{Fault, Result, suggest};
use rhai::{Array, Dynamic, Engine, FuncRegistration, Map, NativeCallContext};

use crate::error::{Thrown, throw};
use crate::session::{Session, Setup};

/// What marks the last of the wanted words as one that stands for all the rest.
const REST: &str = "...";

/// Teaches an engine the function.
pub fn register(engine: &mut Engine, session: &Arc<Session>) {
    let describe = |params: &[&str]| {
        FuncRegistration::new("options")
            .with_params_info(params)
            .with_comments([
                "/// Returns what the script was told, as a map: its options, each with its default where it was not given, and the\n\
                 /// words that it wants. Whatever else it was told is refused by name.\n///\n\
                 /// An option stands behind the script's name, as `--name VALUE` or `--name=VALUE`, or before it, as\n\
                 /// `--set NAME=VALUE`; a `_` in its name may be written `-`. Its default says what it takes: `false` and `true` a\n\
                 /// switch (`--name`, or `--name=false`), an integer an integer, a text any text. `()` is a text that may be left out.\n///\n\
                 /// Each of `words` has to be given. If the last one ends in `...`, it is an array of all words from its place on,\n\
                 /// options among them, and may be empty. A word `--` ends the options of the script.\n///\n\
                 /// # Example\n/// ```rhai\n\
                 /// let given = options([\"folder\"], #{ keep: 0, wait: \"10min\", label: (), dry_run: false });\n\
                 /// if given.dry_run { print(`it would go to ${given.folder}`); }\n/// ```",
            ])
            .with_volatility(true)
    };
    let shared = Arc::clone(session);
    let call = move |ctx: &NativeCallContext<'_>, words: Array, defaults: Map| -> Thrown<Map> {
        read(&shared.setup, words, defaults).map_err(|error| throw(error, &shared, Some(ctx)))
    };
    let short = call.clone();
    describe(&["defaults: map", "map"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, defaults: Map| {
            short(&ctx, Array::new(), defaults)
        });
    describe(&["words: array", "defaults: map", "map"])
        .register_into_engine(engine, move |ctx: NativeCallContext<'_>, words: Array, defaults: Map| {
            call(&ctx, words, defaults)
        });
}

/// What a script declares.
struct Declared {
    options: Vec<Opt>,
    /// The words that it wants, in order.
    words: Vec<String>,
    /// What all words behind those are called, if it wants them.
    rest: Option<String>,
}

/// One option.
struct Opt {
    /// As the script calls it.
    name: String,
    takes: Takes,
    /// What was given, or else the default.
    value: Dynamic,
    given: bool,
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Switch,
    Int,
    Text,
}

/// Why what a script was told is refused.
#[derive(Debug, thiserror::Error)]
enum BadOption {
    #[error("there is no option {given}")]
    Unknown { given: String, near: Option<String>, usage: String },
    #[error("the option {option} should be {expected}, not {found:?}")]
    Value { option: String, expected: &'static str, found: String },
    #[error("the option {option} lacks its value")]
    NoValue { option: String },
    #[error("the option {option} is given twice")]
    Twice { option: String },
    #[error("the word {word} is missing")]
    Missing { word: String, usage: String },
    #[error("there is no place for the word {word:?}")]
    TooMany { word: String, usage: String },
}

impl Fault for BadOption {
    fn code(&self) -> &'static str {
        "invalid_argument"
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadOption::Unknown { given: name, .. }
            | BadOption::Value { option: name, .. }
            | BadOption::NoValue { option: name }
            | BadOption::Twice { option: name }
            | BadOption::Missing { word: name, .. }
            | BadOption::TooMany { word: name, .. } => Some(name),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BadOption::Unknown { near: Some(near), .. } => Some(format!("did you mean {near}?")),
            BadOption::Unknown { usage, .. } | BadOption::Missing { usage, .. } | BadOption::TooMany { usage, .. } => {
                Some(format!("it takes {usage}"))
            }
            BadOption::NoValue { option } => Some(format!("write {option} VALUE, or {option}=VALUE")),
            BadOption::Twice { .. } => Some("give it once, behind the script's name or with --set".to_owned()),
            BadOption::Value { .. } => None,
        }
    }
}

fn read(setup: &Setup, words: Array, defaults: Map) -> Result<Map> {
    let mut declared = Declared::of(words, defaults)?;
    for (name, value) in &setup.opts {
        declared.find(name)?.take(value)?;
    }
    let mut plain: Vec<&str> = Vec::new();
    let (mut told, mut ended) = (setup.args.iter().map(String::as_str), setup.args_ended);
    while let Some(word) = told.next() {
        let name = match word.strip_prefix("--") {
            _ if ended => None,
            Some("") => {
                ended = true;
                continue;
            }
            None if word.starts_with('-') && word != "-" => return Err(declared.unknown(word.to_owned()).into()),
            name => name,
        };
        let Some(name) = name else {
            // The options of a command that is given are the command's.
            ended |= declared.rest.is_some() && plain.len() >= declared.words.len();
            plain.push(word);
            continue;
        };
        let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
        let option = declared.find(name)?;
        let value = match value {
            Some(value) => value,
            None if option.takes == Takes::Switch => "true",
            // What looks like an option is one: its name was forgotten to have a value.
            None => match told.next().filter(|value| !value.starts_with("--")) {
                Some(value) => value,
                None => return Err(BadOption::NoValue { option: flag(name) }.into()),
            },
        };
        option.take(value)?;
    }
    declared.fill(&plain)
}

impl Declared {
    fn of(words: Array, defaults: Map) -> Result<Self, BadArgument> {
        let options = defaults.into_iter().map(|(name, default)| Opt::of(&name, default));
        let options = options.collect::<Result<Vec<_>, _>>()?;
        let mut names = Vec::new();
        for word in words {
            let kind = word.type_name();
            let name = word.into_string().map_err(|_| BadArgument::Type {
                name: Some("words".to_owned()),
                expected: "an array of texts".to_owned(),
                found: format!("one with a value of the type {kind}"),
            })?;
            if names.iter().any(|known: &String| known.ends_with(REST)) {
                let help = format!("only the last word may end in {REST}");
                return Err(BadArgument::invalid("words", format!("has {name:?} behind all the rest"), help));
            }
            if names.contains(&name) || options.iter().any(|option| option.is_called(name.trim_end_matches(REST))) {
                let help = "give each option and each word a name of its own";
                return Err(BadArgument::invalid("words", format!("has {name:?}, which there is already"), help));
            }
            names.push(name);
        }
        let rest = names.pop_if(|name| name.ends_with(REST)).map(|name| name.trim_end_matches(REST).to_owned());
        Ok(Declared { options, words: names, rest })
    }

    fn find(&mut self, name: &str) -> Result<&mut Opt, BadOption> {
        let unknown = self.unknown(format!("--{name}"));
        self.options.iter_mut().find(|option| option.is_called(name)).ok_or(unknown)
    }

    fn unknown(&self, given: String) -> BadOption {
        let known: Vec<&str> = self.options.iter().map(|option| option.name.as_str()).collect();
        let near = suggest(&given.trim_start_matches('-').replace('-', "_"), &known).map(|near| flag(&near));
        BadOption::Unknown { given, near, usage: self.usage() }
    }

    /// Returns what the script can be told, in one line.
    fn usage(&self) -> String {
        let mut parts: Vec<String> = self.words.iter().map(|word| loud(word)).collect();
        parts.extend(self.options.iter().map(|option| match option.takes {
            Takes::Switch => format!("[{}]", flag(&option.name)),
            Takes::Int | Takes::Text => format!("[{} {}]", flag(&option.name), loud(&option.name)),
        }));
        parts.extend(self.rest.iter().map(|rest| format!("[{}{REST}]", loud(rest))));
        if parts.is_empty() { "no words and no options".to_owned() } else { parts.join(" ") }
    }

    /// Gives every plain word its name.
    fn fill(self, plain: &[&str]) -> Result<Map> {
        if let Some(word) = self.words.get(plain.len()) {
            return Err(BadOption::Missing { word: loud(word), usage: self.usage() }.into());
        }
        let (named, rest) = plain.split_at(self.words.len());
        if let (None, Some(word)) = (&self.rest, rest.first()) {
            return Err(BadOption::TooMany { word: (*word).to_owned(), usage: self.usage() }.into());
        }
        let named =
            self.words.iter().zip(named).map(|(name, word)| (name.as_str().into(), Dynamic::from((*word).to_owned())));
        let mut map: Map = named.collect();
        if let Some(name) = self.rest {
            let rest = rest.iter().map(|word| Dynamic::from((*word).to_owned()));
            map.insert(name.into(), Dynamic::from_array(rest.collect()));
        }
        map.extend(self.options.into_iter().map(|option| (option.name.into(), option.value)));
        Ok(map)
    }
}

impl Opt {
    fn of(name: &str, default: Dynamic) -> Result<Self, BadArgument> {
        let value = default.flatten();
        let takes = if value.is_bool() {
            Takes::Switch
        } else if value.is_int() {
            Takes::Int
        } else if value.is_string() || value.is_unit() {
            Takes::Text
        } else {
            let (expected, found) = ("true, false, an integer, a text or ()", value.type_name());
            let (expected, found) = (expected.to_owned(), format!("a value of the type {found}"));
            return Err(BadArgument::Type { name: Some(name.to_owned()), expected, found });
        };
        Ok(Opt { name: name.to_owned(), takes, value, given: false })
    }

    fn is_called(&self, name: &str) -> bool {
        flag(&self.name) == flag(name)
    }

    /// Takes the value that was given.
    fn take(&mut self, text: &str) -> Result<(), BadOption> {
        let option = flag(&self.name);
        if std::mem::replace(&mut self.given, true) {
            return Err(BadOption::Twice { option });
        }
        let value = match self.takes {
            Takes::Switch => text.parse::<bool>().map_err(|_| "true or false").map(Dynamic::from),
            Takes::Int => text.parse::<i64>().map_err(|_| "an integer").map(Dynamic::from),
            Takes::Text => Ok(Dynamic::from(text.to_owned())),
        };
        self.value = value.map_err(|expected| BadOption::Value { option, expected, found: text.to_owned() })?;
        Ok(())
    }
}

/// Returns how an option is written on the command line.
fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// Returns how the place of a value is written in a line of usage.
fn loud(name: &str) -> String {
    name.replace('_', "-").to_uppercase()
}
