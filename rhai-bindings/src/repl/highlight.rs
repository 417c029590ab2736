//! Colours for what is typed.

use etcdsh_core::catalogue::CATALOGUE;
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};
use rhai::Token;

use super::scan::{Kind, scan};
use crate::engine::AMBIENT;

/// Colours by kind of piece.
pub(super) struct Colours;

impl Highlighter for Colours {
    fn highlight(&self, text: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        let mut at = 0;
        for piece in scan(text) {
            let word = text.get(piece.range.clone()).unwrap_or_default();
            styled.push((Style::new(), text.get(at..piece.range.start).unwrap_or_default().to_owned()));
            styled.push((style(piece.kind, word), word.to_owned()));
            at = piece.range.end;
        }
        styled.push((Style::new(), text.get(at..).unwrap_or_default().to_owned()));
        styled
    }
}

fn style(kind: Kind, word: &str) -> Style {
    match kind {
        Kind::Text => Color::Green.normal(),
        Kind::Comment => Style::new().dimmed(),
        Kind::Number => Color::Purple.normal(),
        Kind::Word if Token::lookup_symbol_from_syntax(word).is_some() => Color::Blue.bold(),
        Kind::Word if AMBIENT.iter().any(|(name, _)| *name == word) => Color::Cyan.bold(),
        Kind::Word if CATALOGUE.iter().any(|entry| entry.card.identifier() == word) => Color::Cyan.normal(),
        Kind::Word | Kind::Mark(_) => Style::new(),
    }
}
