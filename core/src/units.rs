//! Quantities with a unit. Each serialises as a named newtype, so that a face can show a size as a size while JSON sees the
//! plain number; the names are part of the contract between this file and `value`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename = "$bytes")]
pub struct Bytes(pub i64);

/// A span of time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename = "$elapsed")]
pub struct Elapsed(pub i64);

/// A point in time, in nanoseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename = "$time")]
pub struct Timestamp(pub i64);

/// A callback of the caller's; run it with `Context::call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "$hook")]
pub struct Hook(pub(crate) u64);

/// A key or a value of the store: shown as text when it is clean UTF-8, as bytes otherwise; given as either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Octets(pub Vec<u8>);

impl Bytes {
    /// Makes a size out of an unsigned count; a count beyond what a signed number holds is shown as the largest.
    pub fn new(bytes: u64) -> Self {
        Bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Bytes {
    /// Shows three digits at most, which is what a person reads.
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
        match units.into_iter().find(|(_, unit)| self.0.unsigned_abs() as f64 >= *unit) {
            Some((name, unit)) => write!(f, "{:.1} {name}", self.0 as f64 / unit),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl Elapsed {
    /// Returns the span as a duration; a negative span counts as none.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Elapsed {
    /// Keeps whole microseconds: nothing that is measured here is more exact, and a table shows every digit there is.
    fn from(span: Duration) -> Self {
        Elapsed(i64::try_from(span.as_micros()).unwrap_or(i64::MAX).saturating_mul(1000))
    }
}

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

impl Timestamp {
    /// Returns the time now.
    pub fn now() -> Self {
        Timestamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX))
    }
}

/// Writes a point in time as RFC 3339 in UTC.
pub fn rfc3339(nanoseconds: i64) -> String {
    chrono::DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match clean_text(&self.0) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or binary data")
            }
            fn visit_str<E>(self, text: &str) -> Result<Octets, E> {
                Ok(Octets(text.as_bytes().to_vec()))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Octets, E> {
                Ok(Octets(bytes.to_vec()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Returns bytes as text when a terminal can show them as they are: UTF-8 without control characters other than tab and
/// line feed, and without the characters that reorder text. Everything else stays bytes, so that a key of a hostile writer
/// can neither drive the terminal nor look like another key.
pub fn clean_text(bytes: &[u8]) -> Option<&str> {
    // Plain ASCII is the common case in a scan of a million keys, and needs no decoding.
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e | b'\t' | b'\n');
    let text = std::str::from_utf8(bytes).ok()?;
    (bytes.iter().all(plain) || !text.chars().any(unsafe_to_show)).then_some(text)
}

/// Escapes what [`clean_text`] would not let through, so that a text of several lines can be shown.
pub fn escape(text: &str) -> String {
    escape_if(text, unsafe_to_show)
}

/// Escapes line feeds and tabs too; used for every word that came from a server, such as a name, a URL or a version, so that it
/// cannot pass for more than one.
pub fn escape_word(text: &str) -> String {
    escape_if(text, |character| character.is_control() || unsafe_to_show(character))
}

/// Escapes within JSON what no terminal should be shown, in JSON's own way, so that the text means the same as before.
pub fn escape_json(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    for character in json.chars() {
        if unsafe_to_show(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            clean.push(character);
        }
    }
    clean
}

fn escape_if(text: &str, escaped: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if escaped(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

fn unsafe_to_show(character: char) -> bool {
    (character.is_control() && !matches!(character, '\t' | '\n'))
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Reads a size: a count of bytes, or text such as `10MB`, `1MiB`, `512`.
pub(crate) fn parse_size(value: &Value) -> Option<i64> {
    match value {
        Value::Int(bytes) | Value::Size(bytes) => Some(*bytes).filter(|bytes| *bytes >= 0),
        Value::Text(text) => {
            let (number, unit) = split_unit(text)?;
            let factor = match unit.to_ascii_lowercase().as_str() {
                "" | "b" => 1.0,
                "k" | "kb" => 1e3,
                "m" | "mb" => 1e6,
                "g" | "gb" => 1e9,
                "ki" | "kib" => 1024.0,
                "mi" | "mib" => 1024.0 * 1024.0,
                "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
                _ => return None,
            };
            whole(number * factor)
        }
        _ => None,
    }
}

/// Reads a span of time: seconds as a number, or text such as `250ms`, `30s`, `5min`, `1h`.
pub(crate) fn parse_elapsed(value: &Value) -> Option<i64> {
    match value {
        Value::Elapsed(nanoseconds) => Some(*nanoseconds).filter(|span| *span >= 0),
        Value::Int(seconds) => seconds.checked_mul(1_000_000_000).filter(|span| *span >= 0),
        Value::Float(seconds) => whole(seconds * 1e9),
        Value::Text(text) => {
            let (number, unit) = split_unit(text)?;
            let factor = match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" | "sec" => 1e9,
                "m" | "min" => 60e9,
                "h" | "hr" => 3600e9,
                "d" | "day" => 86400e9,
                _ => return None,
            };
            whole(number * factor)
        }
        _ => None,
    }
}

/// Reads a point in time: one of a face's own, or text in RFC 3339.
pub(crate) fn parse_time(value: &Value) -> Option<i64> {
    match value {
        Value::Time(nanoseconds) => Some(*nanoseconds),
        Value::Text(text) => chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt(),
        _ => None,
    }
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it a float no longer holds every whole number, and no size or span that a person writes comes near it.
    if !(0.0..=9_007_199_254_740_992.0).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked in the line above")]
    Some(number.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("30s", Some(30_000_000_000))]
    #[case("250ms", Some(250_000_000))]
    #[case("5min", Some(300_000_000_000))]
    #[case("5m", Some(300_000_000_000))]
    #[case("1.5h", Some(5_400_000_000_000))]
    #[case("30", None)]
    #[case("s", None)]
    #[case("-5s", None)]
    #[case("1 fortnight", None)]
    #[case("99999999999d", None)]
    fn spans(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse_elapsed(&text.into()), expected);
    }

    #[rstest]
    #[case(Value::Int(2), Some(2_000_000_000))]
    #[case(Value::Int(-1), None)]
    #[case(Value::Int(i64::MAX), None)]
    #[case(Value::Elapsed(-1), None)]
    #[case(Value::Float(0.25), Some(250_000_000))]
    #[case(Value::Float(-0.25), None)]
    #[case(Value::Float(f64::NAN), None)]
    #[case(Value::Float(f64::INFINITY), None)]
    fn a_span_is_never_negative_nor_endless(#[case] given: Value, #[case] expected: Option<i64>) {
        assert_eq!(parse_elapsed(&given), expected);
    }

    #[rstest]
    #[case("1970-01-01T00:00:01Z", Some(1_000_000_000))]
    #[case("1970-01-01T01:00:00.5+01:00", Some(500_000_000))]
    #[case("yesterday", None)]
    fn times(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse_time(&text.into()), expected);
    }

    #[rstest]
    #[case("1MiB", Some(1_048_576))]
    #[case("10 MB", Some(10_000_000))]
    #[case("512", Some(512))]
    #[case("1TB", None)]
    #[case("", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse_size(&text.into()), expected);
    }

    #[test]
    fn a_size_is_never_negative() {
        assert_eq!((parse_size(&Value::Int(-1)), parse_size(&Value::Int(1))), (None, Some(1)));
    }

    #[rstest]
    #[case(b"/registry/pods/a", true)]
    #[case("é\ttab\n".as_bytes(), true)]
    #[case(b"\x1b[2J", false)]
    #[case("\u{9b}2J".as_bytes(), false)]
    #[case("abc\u{202e}def".as_bytes(), false)]
    #[case(b"\xff\xfe", false)]
    #[case(b"\r", false)]
    #[case(b"\x7f", false)]
    fn only_what_a_terminal_shows_harmlessly_is_text(#[case] bytes: &[u8], #[case] is_text: bool) {
        assert_eq!(clean_text(bytes).is_some(), is_text);
    }

    #[test]
    fn escaping_leaves_no_control_character() {
        assert_eq!(escape("a\x1b[2Jb\u{202e}\n"), "a\\u{1b}[2Jb\\u{202e}\n");
        assert_eq!(escape_word("a\x1b[2Jb\u{202e}\n\t"), "a\\u{1b}[2Jb\\u{202e}\\n\\t");
    }
}
