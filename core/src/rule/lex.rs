//! The words of a rule, each with its place.

use super::Place;
use super::problem::{Problem, Wrong};
use crate::units::parse_size;
use crate::value::Value;

/// One word of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A number, or a size in bytes.
    Number(f64),
    /// A text in quotes.
    Text(String),
    /// The name of a variable, `true` or `false`.
    Name(String),
    /// An operator, or a parenthesis.
    Sign(&'static str),
}

impl Token {
    /// Returns the word for an error message.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Number(number) => number.to_string(),
            Token::Text(text) => format!("{text:?}"),
            Token::Name(name) => name.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// The longer ones go before those that they begin with.
const SIGNS: [&str; 15] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "("];

/// Takes a rule apart.
pub(super) fn words(text: &str) -> Result<Vec<(Token, Place)>, Problem> {
    let (mut words, mut rest, mut place) = (Vec::new(), text, Place(1));
    loop {
        let blank = rest.chars().take_while(|letter| letter.is_whitespace()).count();
        let begin = rest.trim_start();
        place.0 += blank;
        if begin.is_empty() {
            return Ok(words);
        }
        let (token, left) = word(begin).map_err(|wrong| wrong.at(place))?;
        let taken = begin.len() - left.len();
        words.push((token, place));
        place.0 += begin.get(..taken).unwrap_or_default().chars().count();
        rest = left;
    }
}

/// Takes the first word off.
fn word(text: &str) -> Result<(Token, &str), Wrong> {
    let first = text.chars().next().unwrap_or_default();
    if let Some(quoted) = text.strip_prefix(['"', '\'']) {
        let (inside, rest) = quoted.split_once(first).ok_or(Wrong::OpenQuote)?;
        return Ok((Token::Text(inside.to_owned()), rest));
    }
    if first.is_ascii_digit() || first == '.' {
        let (number, rest) = split(text, |letter| letter.is_ascii_alphanumeric() || letter == '.');
        return Ok((Token::Number(read_number(number)?), rest));
    }
    if first.is_alphabetic() || first == '_' {
        let (name, rest) = split(text, |letter| letter.is_alphanumeric() || letter == '_');
        return Ok((Token::Name(name.to_owned()), rest));
    }
    let sign = SIGNS.into_iter().chain([")"]).find(|sign| text.starts_with(sign));
    match sign.and_then(|sign| Some((sign, text.strip_prefix(sign)?))) {
        Some((sign, rest)) => Ok((Token::Sign(sign), rest)),
        None if first == '=' => Err(Wrong::SingleEquals),
        None if first == '&' || first == '|' => Err(Wrong::SingleSign(first)),
        None => Err(Wrong::Letter(first)),
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

/// Reads a number with a fraction, or a size such as `200MB`.
fn read_number(text: &str) -> Result<f64, Wrong> {
    let number = text.parse().ok().filter(|_| !text.contains(|letter: char| letter.is_ascii_alphabetic()));
    let size = || parse_size(&Value::from(text)).map(super::float);
    number.or_else(size).ok_or_else(|| Wrong::Number(text.to_owned()))
}
