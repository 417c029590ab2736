//! The texts that were compiled, for the snippets in error messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts by the name of their source.
#[derive(Debug, Default)]
pub struct Sources(Mutex<HashMap<String, Arc<str>>>);

impl Sources {
    /// Remembers a text.
    pub fn keep(&self, source: &str, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned(), text.into());
    }

    /// Returns a line, counted from one.
    pub fn line(&self, source: &str, line: usize) -> Option<String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(source)?.lines().nth(line.checked_sub(1)?).map(str::to_owned)
    }
}
