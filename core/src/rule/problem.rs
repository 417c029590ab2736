//! What can be wrong with a rule, and what to do about it.

use super::Place;
use super::variables::{self, Kind};
use crate::args::BadArgument;
use crate::error::{Fault, suggest};
use crate::units::escape_word;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    wrong: Wrong,
    place: Place,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    #[error("has more than {0} parentheses and operators inside one another")]
    TooDeep(usize),
    #[error("has a quote that is never closed")]
    OpenQuote,
    #[error("has a single `=`")]
    SingleEquals,
    #[error("has a single `{0}`")]
    SingleSign(char),
    #[error("has {0:?}, which means nothing in a rule")]
    Letter(char),
    #[error("has {0:?}, which is no number")]
    Number(String),
    #[error("names {0:?}, which is no variable")]
    Variable(String),
    #[error("ends where a value should come")]
    Ends,
    #[error("has `{0}` where a value should come")]
    NoValue(String),
    #[error("has `{0}` where an operator should come")]
    NoOperator(String),
    #[error("has a parenthesis that is never closed")]
    OpenParenthesis,
    #[error("has `{sign}` on {found}, and it takes {takes}")]
    Kind { sign: &'static str, found: Kind, takes: &'static str },
    #[error("compares {0} with {1}")]
    Compares(Kind, Kind),
    #[error("compares a version with {0:?}, which is none")]
    Version(String),
    #[error("compares a role with {0:?}, which is none")]
    Role(String),
    #[error("divides by zero")]
    DivisionByZero,
    #[error("yields {0}, and should be a condition, which holds or does not")]
    NoCondition(Kind),
}

impl Wrong {
    /// Says where.
    pub(super) fn at(self, place: Place) -> Problem {
        Problem { wrong: self, place }
    }

    fn help(&self) -> String {
        let help = match self {
            Wrong::Empty => "write a condition such as db_free > 200MB, or leave it out",
            Wrong::TooLong(_) | Wrong::TooDeep(_) => "write a shorter condition",
            Wrong::OpenQuote => "close the quote; names need none",
            Wrong::SingleEquals => "write == to compare",
            Wrong::SingleSign('&') => "write && for and",
            Wrong::SingleSign(_) => "write || for or",
            Wrong::Letter(_) => "the operators are + - * / % == != < > <= >= && || ! and parentheses",
            Wrong::Number(_) => "write it as 200, 0.5, 200MB or 1GiB",
            Wrong::Variable(name) => return unknown(name),
            Wrong::Ends | Wrong::NoValue(_) => "write a number, a text in quotes, or a variable there",
            Wrong::NoOperator(word) if sign_for(word).is_some() => return unknown(word),
            Wrong::NoOperator(_) => "join conditions with && or ||, and put texts in quotes",
            Wrong::OpenParenthesis => "close it with )",
            Wrong::Kind { .. } => "numbers are added and compared, conditions are joined with && and ||",
            Wrong::Compares(..) => "compare numbers with numbers, and texts with texts",
            Wrong::Version(_) => "write it as \"3.5.6\"",
            Wrong::Role(_) => "the roles are leader, follower, learner, unstarted and unknown",
            Wrong::DivisionByZero => "divide by something else",
            Wrong::NoCondition(_) => "compare it with something, for example db_free > 200MB",
        };
        help.to_owned()
    }
}

/// Returns the operator that other languages write as a word.
fn sign_for(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "and" => Some("&&"),
        "or" => Some("||"),
        "not" => Some("!"),
        _ => None,
    }
}

/// Says what was meant by a name that no variable has.
fn unknown(name: &str) -> String {
    if let Some(sign) = sign_for(name) {
        return format!("write {sign} for {name}");
    }
    let names: Vec<_> = variables::names().collect();
    match suggest(name, &names) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the variables are {}; texts stand in quotes", variables::main_names().join(", ")),
    }
}

impl From<Problem> for BadArgument {
    fn from(Problem { wrong, place }: Problem) -> Self {
        let place = match wrong {
            Wrong::Empty | Wrong::TooLong(_) | Wrong::NoCondition(_) => String::new(),
            _ => format!(", at character {}", place.0),
        };
        let (problem, help) = (escape_word(&wrong.to_string()), wrong.help());
        BadArgument::Invalid { name: None, problem: format!("{problem}{place}"), help: Some(help) }
    }
}

/// Why a rule says nothing about a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// A value that it needs is not known.
    #[error("the rule needs {variable} of {member}, which is not known")]
    Unknown {
        /// The variable, as the rule has it.
        variable: &'static str,
        /// Whose.
        member: String,
    },
    /// It divides by something that is zero for this member.
    #[error("the rule divides by zero at character {place} for {member}")]
    DivisionByZero {
        /// Where in the rule.
        place: usize,
        /// For whom.
        member: String,
    },
}

impl Fault for Undecided {
    fn code(&self) -> &'static str {
        match self {
            Undecided::Unknown { .. } => "rule_value_unknown",
            Undecided::DivisionByZero { .. } => "rule_divides_by_zero",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some("rule")
    }

    fn member(&self) -> Option<String> {
        match self {
            Undecided::Unknown { member, .. } | Undecided::DivisionByZero { member, .. } => Some(member.clone()),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Undecided::Unknown { variable, .. } if variables::needs_quota(variable) => {
                "etcd tells its quota from 3.6 on, if it has one; give the members' --quota-backend-bytes as quota, for example 8GiB"
            }
            Undecided::Unknown { variable: "storage_version", .. } => "etcd tells it from 3.6 on; ask for version",
            Undecided::Unknown { .. } => "see with `status` what each member tells",
            Undecided::DivisionByZero { .. } => "ask first whether it is zero, for example db_size > 0 && …",
        };
        Some(help.to_owned())
    }
}
