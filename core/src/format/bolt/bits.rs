//! One bit per page of a file: which pages were seen. It is what ends a walk through a file whose pages form a circle.

/// A set of page numbers below a fixed end.
#[derive(Debug, Clone)]
pub struct Pages {
    words: Vec<u64>,
    end: u64,
    count: u64,
}

impl Pages {
    /// Makes an empty set of pages below `end`; it takes a bit for each, 32 kB for a file of 1 GB.
    pub fn new(end: u64) -> Self {
        let words = usize::try_from(end.div_ceil(64)).unwrap_or(0);
        Pages { words: vec![0; words], end, count: 0 }
    }

    /// Puts a page in, and returns whether it was not in before; a page beyond the end never is.
    pub(crate) fn insert(&mut self, page: u64) -> bool {
        let Some(word) = self.word(page) else { return false };
        let bit = 1 << (page % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(fresh);
        fresh
    }

    /// Returns whether a page is in.
    pub fn contains(&self, page: u64) -> bool {
        let word = usize::try_from(page / 64).ok().and_then(|index| self.words.get(index));
        page < self.end && word.is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Returns how many pages are in.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn word(&mut self, page: u64) -> Option<&mut u64> {
        let index = usize::try_from(page / 64).ok().filter(|_| page < self.end)?;
        self.words.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_fresh_once_and_none_beyond_the_end() {
        let mut pages = Pages::new(65);
        assert!(pages.insert(64) && !pages.insert(64) && pages.insert(0));
        assert!(!pages.insert(65) && !pages.insert(u64::MAX));
        let inside = [0, 1, 64, 65, u64::MAX].map(|page| pages.contains(page));
        assert_eq!((pages.count(), inside), (2, [true, false, true, false, false]));
    }
}
