//! Why the arguments of a call were refused, and what was meant.

use std::borrow::Cow;

use crate::error::{Fault, suggest};

/// Why the arguments of a call were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadArgument {
    /// A required one is missing.
    #[error("the argument {name} is missing")]
    Missing {
        /// The parameter.
        name: &'static str,
        /// What it is for.
        doc: &'static str,
    },
    /// There is no such parameter.
    #[error("there is no argument named {name}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
        /// All names there are.
        known: Vec<&'static str>,
    },
    /// There are more positional arguments than places.
    #[error("too many arguments: {operation} takes {takes} by position, and {given} were given")]
    TooMany {
        /// The operation.
        operation: &'static str,
        /// How many places it has.
        takes: usize,
        /// How many values were given.
        given: usize,
    },
    /// The value is of another kind.
    #[error("{} should be {expected}, not {found}", argument(name))]
    Type {
        /// The parameter.
        name: Option<String>,
        /// The kind that fits.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The value is not in the closed set.
    #[error("{} should be one of {}, not {found:?}", argument(name), expected.join(", "))]
    Choice {
        /// The parameter.
        name: Option<String>,
        /// What was given.
        found: String,
        /// What fits.
        expected: Vec<String>,
    },
    /// The value is of the right kind, but not a good one.
    #[error("{} {problem}", argument(name))]
    Invalid {
        /// The parameter.
        name: Option<String>,
        /// What is wrong with it, to be read after the parameter's name.
        problem: String,
        /// What to do.
        help: Option<String>,
    },
}

/// What stands in place of the name of an argument where a closure has returned the value.
pub const CLOSURE_RESULT: &str = "the closure's result";

fn argument(name: &Option<String>) -> Cow<'static, str> {
    match name {
        Some(name) if name == CLOSURE_RESULT => Cow::Borrowed(CLOSURE_RESULT),
        Some(name) => Cow::Owned(format!("the argument {name}")),
        None => Cow::Borrowed("the value"),
    }
}

impl BadArgument {
    /// Says that an argument of the right kind is not a good one; `problem` is read after "the argument NAME".
    pub fn invalid(name: &str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        BadArgument::Invalid { name: Some(name.to_owned()), problem: problem.into(), help: Some(help.into()) }
    }

    /// Says whose value this is, unless that is known already from deeper inside.
    pub(crate) fn of(mut self, argument: &str) -> Self {
        if let BadArgument::Type { name, .. } | BadArgument::Choice { name, .. } | BadArgument::Invalid { name, .. } =
            &mut self
        {
            name.get_or_insert_with(|| argument.to_owned());
        }
        self
    }
}

impl Fault for BadArgument {
    fn code(&self) -> &'static str {
        "invalid_argument"
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadArgument::Missing { name, .. } => Some(name),
            BadArgument::Unknown { name, .. } => Some(name),
            BadArgument::TooMany { .. } => None,
            BadArgument::Type { name, .. } | BadArgument::Choice { name, .. } | BadArgument::Invalid { name, .. } => {
                name.as_deref()
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BadArgument::Missing { name, doc } => Some(format!("give {name}: {}", doc.trim())),
            BadArgument::Unknown { suggestion: Some(near), .. } => Some(format!("did you mean {near}?")),
            BadArgument::Unknown { known, .. } if known.is_empty() => Some("it takes no named arguments".to_owned()),
            BadArgument::Unknown { known, .. } => Some(format!("it takes {}", known.join(", "))),
            BadArgument::Choice { found, expected, .. } => {
                let words: Vec<_> = expected.iter().map(String::as_str).collect();
                suggest(found, &words).map(|near| format!("did you mean {near}?"))
            }
            BadArgument::Invalid { help, .. } => help.clone(),
            BadArgument::TooMany { .. } | BadArgument::Type { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("remov", Some("did you mean remove?"))]
    #[case("Remove", Some("did you mean remove?"))]
    #[case("move-leader", Some("did you mean move_leader?"))]
    #[case("xyz", None)]
    fn the_nearest_word_of_a_closed_set_is_named(#[case] found: &str, #[case] help: Option<&str>) {
        let expected = ["remove", "move_leader"].map(str::to_owned).to_vec();
        let error = BadArgument::Choice { name: Some("action".to_owned()), found: found.to_owned(), expected };
        assert_eq!(
            error.to_string(),
            format!("the argument action should be one of remove, move_leader, not {found:?}")
        );
        assert_eq!(error.help().as_deref(), help);
    }
}
