//! A page that is being made.
//!
//! | offset in page | bytes | |
//! | -------------- | ----- | --- |
//! | 0  | 16 | header, as `page` describes it |
//! | 16 | 16 × count | elements, in the order of their keys |
//! | 16 + 16 × count | | of each element in turn its key and, in a leaf, its value |
//! | | up to the end of the page | zeros |
//!
//! Source: bbolt's `node.go`, `write`.

use std::io;

use super::page::{BRANCH, ELEMENT, HEADER, IS_BUCKET, LEAF};

/// The most elements of a page: bolt stops at one more.
const MOST_ELEMENTS: usize = 0xFFFE;
/// How much room for data is kept from one page to the next, in bytes; what a large value took beyond it is given back.
const KEPT: usize = 1 << 20;
/// Which of a leaf element's four words is where the key begins.
const LEAF_POSITION: usize = 1;
/// Which of a branch element's four words is where the key begins.
const BRANCH_POSITION: usize = 0;

/// A page that is being made.
#[derive(Debug)]
pub(super) struct Draft {
    kind: u16,
    elements: Vec<Element>,
    data: Vec<u8>,
}

/// An element: its words without the place of its key, and where in the data that is.
#[derive(Debug)]
struct Element {
    words: [u32; 4],
    start: usize,
    key: usize,
}

impl Draft {
    pub(super) fn leaf() -> Self {
        Draft { kind: LEAF, elements: Vec::new(), data: Vec::new() }
    }

    pub(super) fn branch() -> Self {
        Draft { kind: BRANCH, elements: Vec::new(), data: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns how many bytes it takes, without zeros at its end.
    pub(super) fn len(&self) -> usize {
        HEADER + self.elements.len() * ELEMENT + self.data.len()
    }

    /// Says whether so many bytes hold it with another element of so many bytes.
    pub(super) fn has_room(&self, bytes: usize, most: usize) -> bool {
        self.elements.len() < MOST_ELEMENTS && self.len().saturating_add(ELEMENT).saturating_add(bytes) <= most
    }

    pub(super) fn first_key(&self) -> &[u8] {
        let length = self.elements.first().map_or(0, |element| element.key);
        self.data.get(..length).unwrap_or_default()
    }

    /// Puts a row behind all others of a leaf.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], is_bucket: bool) -> io::Result<()> {
        let flags = if is_bucket { IS_BUCKET } else { 0 };
        self.element([flags, 0, word(key.len())?, word(value.len())?], key);
        self.data.extend_from_slice(value);
        Ok(())
    }

    /// Puts a child behind all others of a branch.
    pub(super) fn put_child(&mut self, key: &[u8], child: u64) -> io::Result<()> {
        let (low, high) = (child & u64::from(u32::MAX), child >> 32);
        let half = |half| u32::try_from(half).map_err(|_| too_large());
        self.element([0, word(key.len())?, half(low)?, half(high)?], key);
        Ok(())
    }

    fn element(&mut self, words: [u32; 4], key: &[u8]) {
        self.elements.push(Element { words, start: self.data.len(), key: key.len() });
        self.data.extend_from_slice(key);
    }

    /// Forgets what is in it, to make the next page of the kind.
    pub(super) fn clear(&mut self) {
        self.elements.clear();
        self.data.clear();
        self.data.shrink_to(KEPT);
    }

    /// Returns header and elements for a number of the page, and a number of pages that follow it.
    pub(super) fn head(&self, id: u64, overflow: u32) -> io::Result<Vec<u8>> {
        let count = u16::try_from(self.elements.len()).map_err(|_| too_large())?;
        let mut head = Vec::with_capacity(HEADER + self.elements.len() * ELEMENT);
        head.extend(id.to_le_bytes());
        head.extend(self.kind.to_le_bytes());
        head.extend(count.to_le_bytes());
        head.extend(overflow.to_le_bytes());
        let data = HEADER + self.elements.len() * ELEMENT;
        let position_at = if self.kind == LEAF { LEAF_POSITION } else { BRANCH_POSITION };
        for Element { words, start, .. } in &self.elements {
            let mut words = *words;
            if let Some(position) = words.get_mut(position_at) {
                *position = word((data + start).saturating_sub(head.len()))?;
            }
            head.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        Ok(head)
    }

    /// Returns the keys and values.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns it as it lies in the entry of a bucket.
    pub(super) fn inline(&self) -> io::Result<Box<[u8]>> {
        Ok([self.head(0, 0)?.as_slice(), &self.data].concat().into())
    }
}

/// No file that is read has such a page; bolt itself takes values of less than 2 GiB.
fn too_large() -> io::Error {
    io::Error::from(io::ErrorKind::FileTooLarge)
}

fn word(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::super::page::{BranchElement, LeafElement};
    use super::*;

    #[test]
    fn what_is_put_into_a_page_is_read_out_of_it() {
        let mut leaf = Draft::leaf();
        leaf.put(b"a", b"one", false).unwrap();
        leaf.put(b"bc", b"", true).unwrap();
        let page = leaf.inline().unwrap();
        let read = |index| LeafElement::read(&page, index).unwrap();
        assert_eq!((&page[read(0).key], &page[read(0).value]), (&b"a"[..], &b"one"[..]));
        assert_eq!((&page[read(1).key], &page[read(1).value], read(1).is_bucket), (&b"bc"[..], &b""[..], true));
        assert_eq!((page.len(), leaf.first_key()), (leaf.len(), &b"a"[..]));
        let mut branch = Draft::branch();
        branch.put_child(b"a", 0x0001_0000_0002).unwrap();
        let page = branch.inline().unwrap();
        assert_eq!(BranchElement::read(&page, 0).unwrap(), BranchElement { key: 32..33, child: 0x0001_0000_0002 });
    }

    #[test]
    fn a_page_is_full_to_the_byte() {
        let mut leaf = Draft::leaf();
        leaf.put(b"key", b"value", false).unwrap();
        let length = HEADER + ELEMENT + 8;
        assert_eq!(leaf.len(), length);
        assert!(leaf.has_room(4, length + ELEMENT + 4) && !leaf.has_room(5, length + ELEMENT + 4));
    }
}
