//! Keys by their folder: what several questions about a store are answered by.

use std::collections::HashMap;

/// How many prefixes are told apart.
const MOST: usize = 100_000;
/// How many bytes their names may take.
const MOST_BYTES: usize = 8 << 20;

/// How keys are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// What separates the parts of a key.
    pub separator: Vec<u8>,
    /// How many parts make a prefix.
    pub depth: usize,
}

impl Default for Grouping {
    fn default() -> Self {
        Grouping { separator: b"/".to_vec(), depth: 2 }
    }
}

impl Grouping {
    /// Returns the prefix of a key: its first parts, each with the separator behind it. A separator at the very beginning separates
    /// nothing. Where a key has fewer parts, its prefix ends with its last separator.
    pub fn prefix<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let mut end = 0;
        if self.depth == 0 || self.separator.is_empty() {
            return &[];
        }
        if key.starts_with(&self.separator) {
            end = self.separator.len();
        }
        for _ in 0..self.depth {
            let Some(part) = self.find(key.get(end..).unwrap_or_default()) else { break };
            end += part + self.separator.len();
        }
        key.get(..end).unwrap_or_default()
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self.separator.as_slice() {
            [byte] => bytes.iter().position(|found| found == byte),
            separator => bytes.windows(separator.len()).position(|window| window == separator),
        }
    }
}

/// Something about each prefix. Of more than 100,000 prefixes, or of names of more than 8 MB, those that came last share one entry.
#[derive(Debug)]
pub(super) struct Groups<T> {
    grouping: Grouping,
    names: HashMap<Box<[u8]>, usize>,
    /// The first entry is that of all prefixes that have none of their own.
    entries: Vec<T>,
    bytes: usize,
    most: usize,
}

/// The entry of all prefixes that have none of their own.
pub(super) const REST: usize = 0;

impl<T: Default> Groups<T> {
    pub(super) fn new(grouping: Grouping) -> Self {
        Self::with(grouping, MOST)
    }

    pub(super) fn with(grouping: Grouping, most: usize) -> Self {
        Groups { grouping, names: HashMap::new(), entries: vec![T::default()], bytes: 0, most }
    }

    /// Returns the number of the entry of a key; it stays the same.
    pub(super) fn number(&mut self, key: &[u8]) -> usize {
        let prefix = self.grouping.prefix(key);
        if let Some(number) = self.names.get(prefix) {
            return *number;
        }
        let bytes = self.bytes.saturating_add(prefix.len());
        if self.names.len() >= self.most || bytes > MOST_BYTES {
            return REST;
        }
        let number = self.entries.len();
        self.entries.push(T::default());
        self.names.insert(prefix.into(), number);
        self.bytes = bytes;
        number
    }

    pub(super) fn entry(&mut self, number: usize) -> Option<&mut T> {
        self.entries.get_mut(number)
    }

    /// Returns the entries in the order of their prefixes, and the one of those that have none of their own.
    pub(super) fn end(self) -> (Vec<(Vec<u8>, T)>, T) {
        let mut names: Vec<_> = self.names.into_iter().collect();
        names.sort_unstable_by_key(|(_, number)| *number);
        let mut entries = self.entries.into_iter();
        let rest = entries.next().unwrap_or_default();
        let mut named: Vec<_> = names.into_iter().map(|(name, _)| name.into()).zip(entries).collect();
        named.sort_unstable_by(|(one, _): &(Vec<u8>, T), (other, _)| one.cmp(other));
        (named, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/registry/pods/default/web", "/", 2, "/registry/pods/")]
    #[case("/registry/pods/default/web", "/", 1, "/registry/")]
    #[case("/registry/pods/default/web", "/", 9, "/registry/pods/default/")]
    #[case("registry/pods/x", "/", 2, "registry/pods/")]
    #[case("/registry/x", "/", 2, "/registry/")]
    #[case("/x", "/", 2, "/")]
    #[case("x", "/", 2, "")]
    #[case("", "/", 2, "")]
    #[case("a//b/c", "/", 2, "a//")]
    #[case("//b/c", "/", 1, "//")]
    #[case("a::b::c", "::", 1, "a::")]
    #[case("a:::b", "::", 2, "a::")]
    #[case("/a/b", "/", 0, "")]
    #[case("/a/b", "", 2, "")]
    fn a_prefix_is_a_number_of_parts(
        #[case] key: &str,
        #[case] separator: &str,
        #[case] depth: usize,
        #[case] prefix: &str,
    ) {
        let grouping = Grouping { separator: separator.as_bytes().to_vec(), depth };
        assert_eq!(grouping.prefix(key.as_bytes()).escape_ascii().to_string(), prefix);
    }

    #[test]
    fn prefixes_beyond_the_most_share_an_entry() {
        let mut groups = Groups::<u32>::with(Grouping::default(), 2);
        for key in ["b/1/x", "a/1/y", "b/1/z", "c/1/x", "d/1/x", "a/1/q"] {
            let number = groups.number(key.as_bytes());
            *groups.entry(number).unwrap() += 1;
        }
        assert_eq!(groups.end(), (vec![(b"a/1/".to_vec(), 2), (b"b/1/".to_vec(), 2)], 2));
        let mut groups = Groups::<u32>::new(Grouping::default());
        let long = [vec![b'x'; MOST_BYTES], b"/y".to_vec()].concat();
        assert!(groups.number(&long) == REST && groups.number(b"a/b") != REST);
    }
}
