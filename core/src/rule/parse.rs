//! From the words of a rule to its meaning, with every mistake found that can be found without a cluster.

use super::lex::{Token, words};
use super::problem::{Problem, Wrong};
use super::variables::{self, Kind, Term, Variable};
use super::{Place, Role};
use crate::version::Version;

/// A part of a rule.
pub(super) enum Part {
    Value(Term),
    Variable(&'static Variable),
    /// The opposite: of a number or of a condition.
    Opposite(Box<Part>),
    /// An operator between two.
    Binary(&'static str, Box<Part>, Box<Part>, Place),
}

const LONGEST: usize = 2_000;
const DEEPEST: usize = 50;

/// Reads a rule.
pub(super) fn parse(text: &str) -> Result<Part, Problem> {
    if text.chars().count() > LONGEST {
        return Err(Wrong::TooLong(LONGEST).at(Place(1)));
    }
    let words = words(text)?;
    if words.is_empty() {
        return Err(Wrong::Empty.at(Place(1)));
    }
    let end = Place(text.chars().count() + 1);
    let mut parser = Parser { words: words.into_iter().peekable(), end, depth: 0 };
    let (part, kind) = parser.expression(0)?;
    if let Some((token, place)) = parser.words.next() {
        return Err(Wrong::NoOperator(token.shown()).at(place));
    }
    if kind != Kind::Condition {
        return Err(Wrong::NoCondition(kind).at(Place(1)));
    }
    Ok(part)
}

struct Parser {
    words: std::iter::Peekable<std::vec::IntoIter<(Token, Place)>>,
    end: Place,
    depth: usize,
}

/// Returns how strongly an operator binds.
fn strength(sign: &str) -> Option<u8> {
    Some(match sign {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" => 3,
        "<" | ">" | "<=" | ">=" => 4,
        "+" | "-" => 5,
        "*" | "/" | "%" => 6,
        _ => return None,
    })
}

/// More than any operator between two parts.
const UNARY: u8 = 7;

type Typed = (Part, Kind);

impl Parser {
    /// Reads on as long as the operators bind at least so strongly.
    fn expression(&mut self, least: u8) -> Result<Typed, Problem> {
        let mut left = self.operand()?;
        while let Some((sign, binds)) = self.operator().filter(|(_, binds)| *binds >= least) {
            let place = self.words.next().map_or(self.end, |(_, place)| place);
            let right = self.expression(binds + 1)?;
            let (kind, left_part, right_part) = join(sign, left, right).map_err(|wrong| wrong.at(place))?;
            left = (Part::Binary(sign, Box::new(left_part), Box::new(right_part), place), kind);
        }
        Ok(left)
    }

    /// Looks at the operator that comes next.
    fn operator(&mut self) -> Option<(&'static str, u8)> {
        match self.words.peek() {
            Some((Token::Sign(sign), _)) => strength(sign).map(|binds| (*sign, binds)),
            _ => None,
        }
    }

    fn operand(&mut self) -> Result<Typed, Problem> {
        self.depth += 1;
        let Some((token, place)) = self.words.next() else { return Err(Wrong::Ends.at(self.end)) };
        if self.depth > DEEPEST {
            return Err(Wrong::TooDeep(DEEPEST).at(place));
        }
        let found = match token {
            Token::Number(number) => (Part::Value(Term::Number(number)), Kind::Number),
            Token::Text(text) => (Part::Value(Term::Text(text)), Kind::Text),
            Token::Name(name) => named(name).map_err(|wrong| wrong.at(place))?,
            Token::Sign("(") => self.inner(place)?,
            Token::Sign(sign @ ("-" | "!")) => {
                let (part, found) = self.expression(UNARY)?;
                let (kind, takes) = if sign == "-" { (Kind::Number, NUMBER) } else { (Kind::Condition, CONDITION) };
                if found != kind {
                    return Err(Wrong::Kind { sign, found, takes }.at(place));
                }
                (Part::Opposite(Box::new(part)), kind)
            }
            sign @ Token::Sign(_) => return Err(Wrong::NoValue(sign.shown()).at(place)),
        };
        self.depth -= 1;
        Ok(found)
    }

    fn inner(&mut self, open: Place) -> Result<Typed, Problem> {
        let inner = self.expression(0)?;
        match self.words.next() {
            Some((Token::Sign(")"), _)) => Ok(inner),
            Some((token, place)) => Err(Wrong::NoOperator(token.shown()).at(place)),
            None => Err(Wrong::OpenParenthesis.at(open)),
        }
    }
}

const NUMBER: &str = "a number";
const NUMBERS: &str = "numbers";
const CONDITION: &str = "a condition";
const CONDITIONS: &str = "conditions";

fn named(name: String) -> Result<Typed, Wrong> {
    match name.as_str() {
        "true" => Ok((Part::Value(Term::Condition(true)), Kind::Condition)),
        "false" => Ok((Part::Value(Term::Condition(false)), Kind::Condition)),
        _ => match variables::find(&name) {
            Some(variable) => Ok((Part::Variable(variable), variable.kind)),
            None => Err(Wrong::Variable(name)),
        },
    }
}

/// Checks what an operator joins, and returns what comes of it.
fn join(sign: &'static str, (left, left_kind): Typed, (right, right_kind): Typed) -> Result<(Kind, Part, Part), Wrong> {
    let both = |kind: Kind, takes: &'static str| match [left_kind, right_kind].into_iter().find(|found| *found != kind)
    {
        Some(found) => Err(Wrong::Kind { sign, found, takes }),
        None => Ok(()),
    };
    match sign {
        "&&" | "||" => both(Kind::Condition, CONDITIONS)?,
        "==" | "!=" | "<" | ">" | "<=" | ">=" => {
            let (left, right) = alike((left, left_kind), (right, right_kind))?;
            let ordered = matches!(left_kind, Kind::Number | Kind::Version) || right_kind == Kind::Version;
            if !ordered && !matches!(sign, "==" | "!=") {
                return Err(Wrong::Kind { sign, found: left_kind, takes: "numbers or versions" });
            }
            return Ok((Kind::Condition, left, right));
        }
        _ => {
            both(Kind::Number, NUMBERS)?;
            if matches!((sign, &right), ("/" | "%", Part::Value(Term::Number(zero))) if *zero == 0.0) {
                return Err(Wrong::DivisionByZero);
            }
            return Ok((Kind::Number, left, right));
        }
    }
    Ok((Kind::Condition, left, right))
}

/// Checks that two parts can be compared. A text beside a version is read as one, and beside a role it has to be one.
fn alike((left, left_kind): Typed, (right, right_kind): Typed) -> Result<(Part, Part), Wrong> {
    match (left_kind, right_kind) {
        (Kind::Version, Kind::Text) => Ok((left, as_version(right)?)),
        (Kind::Text, Kind::Version) => Ok((as_version(left)?, right)),
        (Kind::Role, Kind::Text) => Ok((left, as_role(right)?)),
        (Kind::Text, Kind::Role) => Ok((as_role(left)?, right)),
        (left_kind, right_kind) if left_kind == right_kind => Ok((left, right)),
        (left_kind, right_kind) => Err(Wrong::Compares(left_kind, right_kind)),
    }
}

fn as_version(part: Part) -> Result<Part, Wrong> {
    match part {
        Part::Value(Term::Text(text)) => match Version::parse(&text) {
            Some(version) => Ok(Part::Value(Term::Version(version))),
            None => Err(Wrong::Version(text)),
        },
        _ => Err(Wrong::Compares(Kind::Version, Kind::Text)),
    }
}

fn as_role(part: Part) -> Result<Part, Wrong> {
    match part {
        Part::Value(Term::Text(text)) if Role::ALL.iter().all(|role| role.word() != text) => Err(Wrong::Role(text)),
        part => Ok(part),
    }
}
