//! Rules: one condition over what a member says about itself, such as `db_free > 200MB && !is_leader`. Whether a rule makes
//! sense is known before any member is asked.

mod lex;
mod parse;
mod problem;
#[cfg(test)]
mod tests;
mod variables;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::args::{BadArgument, Kind, Typed};
use crate::change::view::Role;
use parse::Part;
pub use problem::Undecided;
use variables::Term;
pub use variables::Variables;

/// A place in a rule, counted in characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(usize);

/// A condition that holds for a member or does not.
#[derive(Clone)]
pub struct Rule {
    text: String,
    condition: Arc<Part>,
}

impl Rule {
    /// What this is called among the newtypes that `value` knows.
    pub(crate) const NAME: &'static str = "$rule";

    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong with it, where, and what was meant.
    pub fn parse(text: &str) -> Result<Self, BadArgument> {
        let condition = Arc::new(parse::parse(text)?);
        Ok(Rule { text: text.to_owned(), condition })
    }

    /// Says whether the rule holds for a member.
    ///
    /// # Errors
    /// It needs something that is not known of the member, or divides by something that is zero.
    pub fn holds(&self, of: &Variables<'_>) -> Result<bool, Undecided> {
        Ok(self.condition.evaluate(of)? == Term::Condition(true))
    }
}

impl Part {
    fn evaluate(&self, of: &Variables<'_>) -> Result<Term, Undecided> {
        match self {
            Part::Value(value) => Ok(value.clone()),
            Part::Variable(variable) => {
                let unknown = || Undecided::Unknown { variable: variable.name, member: of.label() };
                variable.value(of).ok_or_else(unknown)
            }
            Part::Opposite(part) => Ok(match part.evaluate(of)? {
                Term::Condition(holds) => Term::Condition(!holds),
                Term::Number(number) => Term::Number(-number),
                other => other,
            }),
            Part::Binary(sign, left, right, place) => {
                let left = left.evaluate(of)?;
                // What is decided already needs nothing that may be unknown.
                match (*sign, &left) {
                    ("&&", Term::Condition(false)) | ("||", Term::Condition(true)) => return Ok(left),
                    ("&&" | "||", _) => return right.evaluate(of),
                    _ => {}
                }
                let zero = || Undecided::DivisionByZero { place: place.0, member: of.label() };
                apply(sign, &left, &right.evaluate(of)?).ok_or_else(zero)
            }
        }
    }
}

/// Applies an operator; `None` is a division by zero.
fn apply(sign: &str, left: &Term, right: &Term) -> Option<Term> {
    if let (Term::Number(a), Term::Number(b)) = (left, right) {
        let number = match sign {
            "+" => Some(a + b),
            "-" => Some(a - b),
            "*" => Some(a * b),
            "/" if *b != 0.0 => Some(a / b),
            "%" if *b != 0.0 => Some(a % b),
            "/" | "%" => return None,
            _ => None,
        };
        if let Some(number) = number {
            return Some(Term::Number(number));
        }
    }
    let order = match (left, right) {
        (Term::Number(a), Term::Number(b)) => a.partial_cmp(b),
        (Term::Version(a), Term::Version(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let holds = match sign {
        "==" => left == right,
        "!=" => left != right,
        "<" => order.is_some_and(|order| order.is_lt()),
        ">" => order.is_some_and(|order| order.is_gt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        _ => order.is_some_and(|order| order.is_ge()),
    };
    Some(Term::Condition(holds))
}

/// No size or index comes near 2^53, up to which every whole number has a float.
fn float(number: i64) -> f64 {
    number as f64
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({:?})", self.text)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Typed for Rule {
    const KIND: Kind = Kind::Text;
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Rule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition such as \"db_free > 200MB\"")
            }
            fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, inner: D) -> Result<Rule, D::Error> {
                let text = String::deserialize(inner)?;
                Rule::parse(&text).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_newtype_struct(Rule::NAME, Visitor)
    }
}
