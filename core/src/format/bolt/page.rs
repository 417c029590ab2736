//! One page of a tree, as bytes: its header and its elements. Nothing is read that the bytes do not hold.
//!
//! | offset in page | bytes | field |
//! | -------------- | ----- | --- |
//! | 0  | 8 | number of the page |
//! | 8  | 2 | flags: 0x01 branch, 0x02 leaf, 0x04 meta, 0x10 list of free pages |
//! | 10 | 2 | number of elements |
//! | 12 | 4 | how many pages follow that belong to this one and have no header |
//! | 16 | 16 each | elements |
//!
//! | offset in element | bytes | leaf | branch |
//! | ----------------- | ----- | --- | --- |
//! | 0  | 4 | flags: 0x01 the value is a bucket | where the key begins, counted from this element |
//! | 4  | 4 | where the key begins, counted from this element | length of the key |
//! | 8  | 4 | length of the key | page of the child, 8 bytes |
//! | 12 | 4 | length of the value, which follows the key | |
//!
//! Source: bbolt's `internal/common/page.go`.

use std::ops::Range;

use super::flaw::Flaw;

/// The length of a page's header.
pub(super) const HEADER: usize = 16;
/// The length of an element.
pub(super) const ELEMENT: usize = 16;
pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
pub(super) const META: u16 = 0x04;
pub(super) const FREELIST: u16 = 0x10;
/// The flag of a leaf's element whose value is a bucket.
pub(super) const IS_BUCKET: u32 = 0x01;
/// The longest key that bolt takes, in bytes.
const LONGEST_KEY: u32 = 32768;

/// What a page says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    pub(super) flags: u16,
    pub(super) count: u16,
    pub(super) overflow: u32,
}

impl Header {
    pub(super) fn read(page: &[u8]) -> Option<Self> {
        let id = u64_at(page, 0)?;
        let flags = u16_at(page, 8)?;
        let count = u16_at(page, 10)?;
        Some(Header { id, flags, count, overflow: u32_at(page, 12)? })
    }

    /// Says whether so many bytes can hold as many elements.
    pub(super) fn fits(&self, bytes: usize) -> Result<(), Flaw> {
        let table = usize::from(self.count) * ELEMENT + HEADER;
        if table > bytes { Err(Flaw::TooManyElements { count: self.count }) } else { Ok(()) }
    }
}

/// An element of a leaf: where its key and value lie in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeafElement {
    pub(super) is_bucket: bool,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl LeafElement {
    pub(super) fn read(page: &[u8], index: u16) -> Result<Self, Flaw> {
        let [flags, position, key, value] = words(page, index)?;
        let (key, value) = ranges(page, index, position, key, value)?;
        Ok(LeafElement { is_bucket: flags & IS_BUCKET != 0, key, value })
    }
}

/// An element of a branch: where its key lies in the page, and which page it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BranchElement {
    pub(super) key: Range<usize>,
    pub(super) child: u64,
}

impl BranchElement {
    pub(super) fn read(page: &[u8], index: u16) -> Result<Self, Flaw> {
        let [position, key, low, high] = words(page, index)?;
        let (key, _) = ranges(page, index, position, key, 0)?;
        Ok(BranchElement { key, child: u64::from(low) | u64::from(high) << 32 })
    }
}

/// How many bytes of a page are left for keys and values. bolt writes those of one element behind those of another, so that each
/// byte belongs to one of them; if elements could share bytes, a page of a few megabytes would have rows of hundreds of gigabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room(usize);

impl Room {
    /// All that lies behind the elements of a page.
    pub(super) fn of(page: &[u8], count: u16) -> Self {
        Room(page.len().saturating_sub(start(count)))
    }

    /// Takes the room of an element's key and value.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Flaw> {
        self.0 = self.0.checked_sub(bytes).ok_or(Flaw::Overlap)?;
        Ok(())
    }
}

/// Returns where an element begins.
fn start(index: u16) -> usize {
    HEADER + usize::from(index) * ELEMENT
}

fn words(page: &[u8], index: u16) -> Result<[u32; 4], Flaw> {
    let start = start(index);
    let word = |number: usize| u32_at(page, start + number * 4).ok_or(Flaw::TooManyElements { count: index });
    Ok([word(0)?, word(1)?, word(2)?, word(3)?])
}

fn ranges(page: &[u8], index: u16, position: u32, key: u32, value: u32) -> Result<(Range<usize>, Range<usize>), Flaw> {
    let out = || Flaw::OutOfPage { position, key, value };
    let size = |length: u32| usize::try_from(length).map_err(|_| out());
    let from = start(index).checked_add(size(position)?).ok_or_else(out)?;
    let middle = from.checked_add(size(key)?).ok_or_else(out)?;
    let end = middle.checked_add(size(value)?).filter(|end| *end <= page.len()).ok_or_else(out)?;
    if !(1..=LONGEST_KEY).contains(&key) {
        return Err(Flaw::KeyLength { length: key });
    }
    Ok((from..middle, middle..end))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A page of 64 bytes with one element of the four words.
    fn page(words: [u32; 4]) -> Vec<u8> {
        let mut page = vec![0; HEADER];
        page[10] = 1;
        page.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        page.resize(64, 0);
        page
    }

    #[test]
    fn an_element_points_from_itself_on() {
        let leaf = LeafElement::read(&page([1, 16, 3, 5]), 0).unwrap();
        assert_eq!(leaf, LeafElement { is_bucket: true, key: 32..35, value: 35..40 });
        let branch = BranchElement::read(&page([16, 3, 7, 1]), 0).unwrap();
        assert_eq!(branch, BranchElement { key: 32..35, child: 0x1_0000_0007 });
    }

    #[rstest]
    #[case([0, 16, 3, 30])]
    #[case([0, 45, 3, 1])]
    #[case([0, u32::MAX, 3, 1])]
    #[case([0, u32::MAX, u32::MAX, u32::MAX])]
    fn no_element_reaches_out_of_its_page(#[case] words: [u32; 4]) {
        assert!(matches!(LeafElement::read(&page(words), 0), Err(Flaw::OutOfPage { .. })));
    }

    #[test]
    fn keys_have_a_length_and_elements_lie_within_the_page() {
        assert!(matches!(LeafElement::read(&page([0, 16, 0, 1]), 0), Err(Flaw::KeyLength { length: 0 })));
        assert!(matches!(LeafElement::read(&page([0, 16, 1, 1]), 3), Err(Flaw::TooManyElements { .. })));
        let header = Header { id: 2, flags: LEAF, count: 3, overflow: 0 };
        assert!(header.fits(64).is_ok() && header.fits(63).is_err());
    }

    #[test]
    fn elements_share_a_page_and_none_of_its_bytes() {
        let page = page([0, 16, 3, 5]);
        let mut room = Room::of(&page, 1);
        assert!(room.take(30).is_ok() && room.take(3).is_err() && room.take(2).is_ok());
        assert!(Room::of(&page, 9).take(1).is_err());
    }
}
