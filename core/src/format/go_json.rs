//! Text in JSON as Go writes it: what would mean something in HTML or to an old browser is escaped too. A file that is to be the
//! same to the byte has to be written so.
//!
//! | character | written as |
//! | --------- | --- |
//! | `"` `\` | with a backslash before |
//! | newline, carriage return, tab | `\n` `\r` `\t` |
//! | other control characters below U+0020 | `\u00` and two hex digits |
//! | `<` `>` `&` | `\u003c` `\u003e` `\u0026` |
//! | U+2028, U+2029 | `\u2028` `\u2029` |
//!
//! Since Go 1.22 two control characters have a short form too, which no name or URL of ours can hold. Source: Go's
//! `encoding/json/encode.go`.

use std::fmt::Write;

/// Writes a text.
pub(crate) fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            _ => json.push(letter),
        }
    }
    json.push('"');
    json
}

/// Writes a list of texts.
pub(crate) fn strings(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| string(text)).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_go_does() {
        let text = "a \"b\" \\ <c>&d \n\r\t\u{1}\u{7f} \u{2028}\u{2029} \u{e4}\u{1f600}";
        assert_eq!(
            string(text),
            "\"a \\\"b\\\" \\\\ \\u003cc\\u003e\\u0026d \\n\\r\\t\\u0001\u{7f} \\u2028\\u2029 \u{e4}\u{1f600}\""
        );
        assert_eq!(serde_json::from_str::<String>(&string(text)).unwrap(), text);
        assert_eq!(strings(&["a".to_owned(), "&".to_owned()]), r#"["a","\u0026"]"#);
    }
}
