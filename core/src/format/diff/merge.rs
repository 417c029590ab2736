//! The keys of two stores side by side, both in the order of keys.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::format::problem::Result;
use crate::format::view::Item;

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only the second side has it.
    Added,
    /// Only the first side has it.
    Removed,
    /// Its value is another one.
    Changed,
    /// Its value is the same; its revisions or its lease are not.
    Touched,
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it differs.
    pub kind: Kind,
    /// What the first side has.
    pub a: Option<Item>,
    /// What the second side has.
    pub b: Option<Item>,
}

impl Difference {
    fn of(a: Option<Item>, b: Option<Item>) -> Option<Self> {
        let kind = match (&a, &b) {
            (Some(a), Some(b)) if a == b => return None,
            (Some(a), Some(b)) if a.value == b.value => Kind::Touched,
            (Some(_), Some(_)) => Kind::Changed,
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
        };
        Some(Difference { kind, a, b })
    }

    /// Returns the key's name.
    pub fn key(&self) -> &[u8] {
        self.a.as_ref().or(self.b.as_ref()).map_or(&[], |item| &item.key)
    }
}

/// Compares the keys of a first side with those of a second one, which are handed over one by one: they may come from anywhere. Both
/// are in the order of keys, and have their values.
pub struct Merge<A: Iterator> {
    first: Peekable<A>,
}

impl<A: Iterator<Item = Result<Item>>> Merge<A> {
    /// Starts with the keys of the first side.
    pub fn new(first: A) -> Self {
        Merge { first: first.peekable() }
    }

    /// Takes the next key of the second side, and tells what differs up to it, until `tell` answers that it wants no more; returns
    /// whether it does.
    ///
    /// # Errors
    /// The first side cannot be read.
    pub fn take(&mut self, item: Item, mut tell: impl FnMut(Difference) -> bool) -> Result<bool> {
        loop {
            let order = match self.first.peek() {
                Some(Ok(first)) => first.key.cmp(&item.key),
                Some(Err(_)) => Ordering::Less,
                None => Ordering::Greater,
            };
            let first = if order.is_le() { self.first.next().transpose()? } else { None };
            if order.is_lt() {
                if !Difference::of(first, None).is_none_or(&mut tell) {
                    return Ok(false);
                }
            } else {
                return Ok(Difference::of(first, Some(item)).is_none_or(&mut tell));
            }
        }
    }

    /// Tells what only the first side has, when the second one is at its end.
    ///
    /// # Errors
    /// The first side cannot be read.
    pub fn end(self, mut tell: impl FnMut(Difference) -> bool) -> Result<()> {
        for first in self.first {
            if !Difference::of(Some(first?), None).is_none_or(&mut tell) {
                break;
            }
        }
        Ok(())
    }
}
