//! The part of a file that is in memory: one page, or a run of them where the tree's order is the file's order too. A page is
//! then there already, and costs no call.

use std::ops::Range;

use super::flaw::Flaw;
use super::image::Image;
use crate::format::ahead::Gate;
use crate::format::problem::{Problem, Result};

/// How much is read at once where pages follow each other.
const LONGEST_RUN: usize = 64 << 10;
/// How far behind the last one a page may lie to count as following it: branches lie between leaves.
const GAP: u64 = 64 << 10;
/// The most that one page with everything that belongs to it may take. etcd puts up to four large values into one, and warns of
/// more than 10 MiB for a value.
pub(super) const LARGEST_PAGE: u64 = 64 << 20;

#[derive(Debug, Default)]
pub(in crate::format) struct Window {
    bytes: Vec<u8>,
    start: u64,
    length: usize,
    run: usize,
}

impl Window {
    /// Makes `length` bytes from an offset on available, and returns where they are in [`Window::bytes`].
    ///
    /// # Errors
    /// They are too many, or cannot be read.
    pub(in crate::format) fn load(
        &mut self,
        image: &Image,
        gate: Option<&Gate>,
        offset: u64,
        length: u64,
    ) -> Result<Range<usize>> {
        let too_large = || Problem::new(image.place().at(offset), Flaw::TooLarge { bytes: length, most: LARGEST_PAGE });
        let needed = usize::try_from(length).ok().filter(|_| length <= LARGEST_PAGE).ok_or_else(too_large)?;
        if let Some(range) = self.find(offset, needed) {
            return Ok(range);
        }
        let end = self.start.saturating_add(self.length as u64);
        let follows = (self.start..=end.saturating_add(GAP)).contains(&offset) && self.length > 0;
        self.run = if follows { (self.run * 2).clamp(needed, LONGEST_RUN.max(needed)) } else { needed };
        let rest = usize::try_from(image.meta().length().saturating_sub(offset)).unwrap_or(usize::MAX);
        let size = self.run.min(rest).max(needed);
        if let Some(gate) = gate {
            gate.wait(offset.saturating_add(size as u64));
        }
        // What a large page took is given back when the next one is smaller.
        if size <= LONGEST_RUN && self.bytes.len() > LONGEST_RUN {
            self.bytes = Vec::new();
        }
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        self.length = 0;
        image.read_at(self.bytes.get_mut(..size).unwrap_or_default(), offset)?;
        (self.start, self.length) = (offset, size);
        Ok(0..needed)
    }

    /// Returns what is in memory, for the ranges that [`Window::load`] gave.
    pub(in crate::format) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn find(&self, offset: u64, needed: usize) -> Option<Range<usize>> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = from.checked_add(needed)?;
        (end <= self.length).then_some(from..end)
    }
}
