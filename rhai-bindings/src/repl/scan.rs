//! A rough look at unfinished Rhai: pieces with their places, and what the cursor stands in. It never fails, because what is
//! being typed is wrong most of the time.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number.
    Number,
    /// A string, with its quotes.
    Text,
    /// A comment.
    Comment,
    /// Any other character.
    Mark(char),
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What it is.
    pub(super) kind: Kind,
    /// Where it stands, in bytes.
    pub(super) range: Range<usize>,
    /// Whether it reaches the end of the text without its closing mark.
    pub(super) open: bool,
}

/// Cuts a text into pieces; blanks are left out.
pub(super) fn scan(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(first) = rest.chars().next() else { break };
        let (kind, length, open) = piece(rest, first);
        if let Some(kind) = kind {
            pieces.push(Piece { kind, range: at..at + length, open });
        }
        at += length;
    }
    pieces
}

fn piece(rest: &str, first: char) -> (Option<Kind>, usize, bool) {
    let length_of = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    match first {
        c if c.is_whitespace() => (None, length_of(char::is_whitespace), false),
        c if c.is_alphabetic() || c == '_' => (Some(Kind::Word), length_of(|c| c.is_alphanumeric() || c == '_'), false),
        '0'..='9' => (Some(Kind::Number), length_of(|c| c.is_alphanumeric() || c == '_'), false),
        '"' | '`' | '\'' => {
            let (length, open) = quoted(rest, first);
            (Some(Kind::Text), length, open)
        }
        '/' if rest.starts_with("//") => {
            let length = rest.find('\n').unwrap_or(rest.len());
            // The cursor at its end stands in the comment, but the comment does not go on in the next line.
            (Some(Kind::Comment), length, false)
        }
        '/' if rest.starts_with("/*") => match rest.find("*/") {
            Some(end) => (Some(Kind::Comment), end + 2, false),
            None => (Some(Kind::Comment), rest.len(), true),
        },
        other => (Some(Kind::Mark(other)), other.len_utf8(), false),
    }
}

/// Returns the length of a string with its quotes, and whether it is still open.
fn quoted(rest: &str, quote: char) -> (usize, bool) {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return (at + c.len_utf8(), false),
            // Only a backtick string spans lines.
            '\n' if quote != '`' => return (at, false),
            _ => {}
        }
    }
    (rest.len(), true)
}

/// What the cursor stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spot<'a> {
    /// A string that is an argument; `start` is behind its opening quote.
    Text { start: usize, argument: Option<Argument<'a>> },
    /// Behind the dot after a call of a method, or after one item of what it returned.
    Answer { start: usize, function: &'a str, item: bool },
    /// Behind another dot.
    Method { start: usize, receiver: Option<&'a str> },
    /// A key of the map that is the last argument of a function.
    Option { start: usize, function: &'a str },
    /// A name.
    Word { start: usize, argument: Option<Argument<'a>> },
    /// A place where nothing is to be completed.
    Nowhere,
}

/// Which argument of which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument<'a> {
    /// The name before the dot, where the function is a method of a variable.
    pub(super) receiver: Option<&'a str>,
    /// The function.
    pub(super) function: &'a str,
    /// Its place, counted from zero, or its name in the map of named arguments.
    pub(super) which: Which<'a>,
}

/// How an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which<'a> {
    /// By place.
    Place(usize),
    /// By name.
    Named(&'a str),
}

/// A bracket that is still open.
struct Frame<'a> {
    bracket: char,
    /// The word before a parenthesis, and the word before its dot.
    function: Option<&'a str>,
    receiver: Option<&'a str>,
    commas: usize,
    /// The key whose value is being written, in a map.
    key: Option<&'a str>,
    is_map: bool,
}

/// Finds out what the end of a text stands in.
pub(super) fn spot(text: &str) -> Spot<'_> {
    let mut pieces = scan(text);
    let end = text.len();
    let (start, in_text) = match pieces.last() {
        Some(Piece { kind: Kind::Comment, range, .. }) if range.end == end => return Spot::Nowhere,
        Some(Piece { kind: Kind::Number, range, .. }) if range.end == end => return Spot::Nowhere,
        Some(Piece { kind: Kind::Text, range, open: true }) => (range.start + 1, true),
        Some(Piece { kind: Kind::Word, range, .. }) if range.end == end => (range.start, false),
        _ => (end, false),
    };
    // What is being completed does not explain itself.
    if in_text || start < end {
        pieces.pop();
    }
    let frames = frames(text, &pieces);
    if in_text {
        return Spot::Text { start, argument: argument(&frames) };
    }
    if let [chain @ .., Piece { kind: Kind::Mark('.'), .. }] = pieces.as_slice()
        && let Some((function, item)) = answer(text, chain)
    {
        return Spot::Answer { start, function, item };
    }
    let word = |piece: &Piece| (piece.kind == Kind::Word).then(|| text.get(piece.range.clone())).flatten();
    if let [.., before, Piece { kind: Kind::Mark('.'), .. }] = pieces.as_slice() {
        // `a?.b` is a dot too.
        let before = if before.kind == Kind::Mark('?') { pieces.iter().rev().nth(2) } else { Some(before) };
        let simple = pieces.iter().rev().nth(2).is_none_or(|piece| piece.kind != Kind::Mark('.'));
        return Spot::Method { start, receiver: before.filter(|_| simple).and_then(word) };
    }
    match frames.as_slice() {
        [.., Frame { function: Some(function), .. }, Frame { is_map: true, key: None, .. }] => {
            Spot::Option { start, function }
        }
        _ => Spot::Word { start, argument: argument(&frames) },
    }
}

/// Finds out which method was called last, and whether one item of its answer is taken.
fn answer<'a>(text: &'a str, chain: &[Piece]) -> Option<(&'a str, bool)> {
    let chain = match chain {
        [before @ .., Piece { kind: Kind::Mark('?'), .. }] => before,
        all => all,
    };
    let (call, item) = match chain.last()?.kind {
        Kind::Mark(']') => (before_brackets(chain)?, true),
        _ => (chain, false),
    };
    if call.last()?.kind != Kind::Mark(')') {
        return None;
    }
    match before_brackets(call)? {
        [.., Piece { kind: Kind::Mark('.'), .. }, Piece { kind: Kind::Word, range, .. }] => {
            Some((text.get(range.clone())?, item))
        }
        _ => None,
    }
}

/// Returns what stands before the brackets that end a text.
fn before_brackets(pieces: &[Piece]) -> Option<&[Piece]> {
    let mut open = 0_usize;
    for (at, piece) in pieces.iter().enumerate().rev() {
        match piece.kind {
            Kind::Mark(')' | ']' | '}') => open += 1,
            Kind::Mark('(' | '[' | '{') => open = open.checked_sub(1)?,
            _ => {}
        }
        if open == 0 {
            return pieces.get(..at);
        }
    }
    None
}

fn frames<'a>(text: &'a str, pieces: &[Piece]) -> Vec<Frame<'a>> {
    let mut frames: Vec<Frame<'a>> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let back = |steps: usize| at.checked_sub(steps).and_then(|at| pieces.get(at));
        let word_at = |steps| back(steps).filter(|p| p.kind == Kind::Word).and_then(|p| text.get(p.range.clone()));
        let word = word_at(1);
        match piece.kind {
            Kind::Mark(bracket @ ('(' | '[' | '{')) => frames.push(Frame {
                bracket,
                function: word.filter(|_| bracket == '('),
                receiver: back(2).filter(|piece| piece.kind == Kind::Mark('.')).and_then(|_| word_at(3)),
                commas: 0,
                key: None,
                is_map: bracket == '{' && back(1).is_some_and(|piece| piece.kind == Kind::Mark('#')),
            }),
            Kind::Mark(')' | ']' | '}') => drop(frames.pop()),
            Kind::Mark(',') => {
                if let Some(frame) = frames.last_mut() {
                    (frame.commas, frame.key) = (frame.commas + 1, None);
                }
            }
            Kind::Mark(':') => {
                if let Some(frame) = frames.last_mut().filter(|frame| frame.is_map) {
                    frame.key = word;
                }
            }
            _ => {}
        }
    }
    frames
}

/// Finds out which argument the innermost bracket holds.
fn argument<'a>(frames: &[Frame<'a>]) -> Option<Argument<'a>> {
    // The items of a list stand for the list.
    let frames = match frames {
        [outer @ .., Frame { bracket: '[', .. }] => outer,
        all => all,
    };
    match frames {
        [.., Frame { function: Some(function), receiver, .. }, Frame { is_map: true, key: Some(key), .. }] => {
            Some(Argument { receiver: *receiver, function, which: Which::Named(key) })
        }
        [.., Frame { function: Some(function), receiver, commas, .. }] => {
            Some(Argument { receiver: *receiver, function, which: Which::Place(*commas) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn named<'a>(function: &'a str, name: &'a str) -> Option<Argument<'a>> {
        Some(Argument { receiver: Some("etcd"), function, which: Which::Named(name) })
    }

    fn placed(function: &str, place: usize) -> Option<Argument<'_>> {
        Some(Argument { receiver: Some("etcd"), function, which: Which::Place(place) })
    }

    #[rstest]
    #[case("et", Spot::Word { start: 0, argument: None })]
    #[case("etcd.", Spot::Method { start: 5, receiver: Some("etcd") })]
    #[case("let a = etcd.mem", Spot::Method { start: 13, receiver: Some("etcd") })]
    #[case("a.b.", Spot::Method { start: 4, receiver: None })]
    #[case("f().", Spot::Method { start: 4, receiver: None })]
    #[case("etcd.quorum().", Spot::Answer { start: 14, function: "quorum", item: false })]
    #[case("etcd.get((1), #{ a: [2] })?.va", Spot::Answer { start: 28, function: "get", item: false })]
    #[case("print(c.health()[a(0)].na", Spot::Answer { start: 23, function: "health", item: true })]
    #[case("a.b()[0][1].", Spot::Method { start: 12, receiver: None })]
    #[case(").", Spot::Method { start: 2, receiver: None })]
    #[case("etcd.member_remove(\"in", Spot::Text { start: 20, argument: placed("member_remove", 0) })]
    #[case("etcd.can(\"remove\", ", Spot::Word { start: 19, argument: placed("can", 1) })]
    #[case("etcd.keys(\"\", #{ pre", Spot::Option { start: 17, function: "keys" })]
    #[case("etcd.keys(#{ prefix: \"/a\", ", Spot::Option { start: 27, function: "keys" })]
    #[case("etcd.x(#{ member: \"", Spot::Text { start: 19, argument: named("x", "member") })]
    #[case("etcd.x(#{ members: [\"a\", \"", Spot::Text { start: 26, argument: named("x", "members") })]
    #[case("connect(\"", Spot::Text { start: 9, argument: Some(Argument { receiver: None, function: "connect", which: Which::Place(0) }) })]
    #[case("// etcd.", Spot::Nowhere)]
    #[case("\"etcd.", Spot::Text { start: 1, argument: None })]
    #[case("\"a\\\"b", Spot::Text { start: 1, argument: None })]
    #[case("12", Spot::Nowhere)]
    #[case("if x { et", Spot::Word { start: 7, argument: None })]
    #[case("é.", Spot::Method { start: 3, receiver: Some("é") })]
    fn what_the_cursor_stands_in(#[case] text: &str, #[case] expected: Spot<'_>) {
        assert_eq!(spot(text), expected);
    }

    #[test]
    fn no_text_breaks_the_scanner() {
        let text = "let é = etcd.keys(\"a\\\", #{ prefix: `x ${\"y\"}\n` /* */ }); // \u{1f600}\n'c' 0x1f \\ \u{0}";
        for (end, _) in text.char_indices() {
            let part = text.get(..end).unwrap();
            let _ = spot(part);
            let pieces = scan(part);
            assert!(pieces.iter().all(|piece| part.get(piece.range.clone()).is_some()), "{part:?}");
        }
    }
}
