//! The two meta pages. Each transaction writes one of them, so that the one before is there when the newer one is torn.
//!
//! | offset in page | bytes | field |
//! | -------------- | ----- | --- |
//! | 0  | 16 | header as `page` has it: the number of the page, 0x04, no elements, no overflow |
//! | 16 | 4 | magic 0xED0CDAED |
//! | 20 | 4 | version, 2 |
//! | 24 | 4 | size of a page in bytes |
//! | 28 | 4 | flags, 0 |
//! | 32 | 8 | root page of the tree of buckets |
//! | 40 | 8 | sequence of that bucket, 0 |
//! | 48 | 8 | page of the free list, or all ones for none |
//! | 56 | 8 | number of pages; times the page size it is the length of the data |
//! | 64 | 8 | number of the transaction |
//! | 72 | 8 | FNV-1a of the 56 bytes from 16 on |
//!
//! All numbers have the byte order of the machine that wrote them. Source: bbolt's `internal/common/meta.go`.

use super::page::{META, u32_at, u64_at};

const MAGIC_AT: usize = 16;
const VERSION_AT: usize = 20;
const PAGE_SIZE_AT: usize = 24;
const ROOT_AT: usize = 32;
const FREELIST_AT: usize = 48;
const PAGES_AT: usize = 56;
const TRANSACTION_AT: usize = 64;
const CHECKSUM_AT: usize = 72;
/// The length of a meta page's content.
pub(super) const META_END: usize = 80;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// The page of the free list where none is written; etcd never writes one.
pub(super) const NO_FREELIST: u64 = u64::MAX;
/// The page sizes that bolt itself looks for: 1 KiB to 16 MiB.
pub(super) const PAGE_SIZES: std::ops::RangeInclusive<u32> = 1 << 10..=1 << 24;

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// What a meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The size of a page in bytes.
    pub page_size: u32,
    /// The root page of the tree of buckets.
    pub root: u64,
    /// The page of the list of free pages, if there is one; etcd writes none.
    pub freelist: Option<u64>,
    /// The number of pages.
    pub pages: u64,
    /// The number of the transaction that wrote it.
    pub transaction: u64,
}

/// Why a meta page cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMeta {
    /// It lies behind the end of the file.
    #[error("is missing")]
    Missing,
    /// It holds something else.
    #[error("does not begin with bolt's magic number")]
    Magic,
    /// It has the magic number of the other byte order.
    #[error("is of a big-endian machine")]
    BigEndian,
    /// Its format is another one.
    #[error("has the format version {0}, and 2 is known")]
    Version(u32),
    /// Its checksum is wrong.
    #[error("is torn: its checksum is wrong")]
    Checksum,
    /// Its page size cannot be one.
    #[error("has a page size of {0} bytes")]
    PageSize(u32),
    /// The root or the end cannot be one.
    #[error("has the root {root} among {pages} pages")]
    Root {
        /// The root page.
        root: u64,
        /// The number of pages.
        pages: u64,
    },
}

/// Both meta pages, as far as they can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metas {
    /// The one that counts: the valid one of the newer transaction.
    pub chosen: Meta,
    /// On which of the pages 0 and 1 it lies.
    pub page: u64,
    /// The other one.
    pub other: Result<Meta, BadMeta>,
}

impl Meta {
    /// Reads a meta page from its beginning.
    ///
    /// # Errors
    /// It is none, or it is torn, or it cannot be true.
    pub fn read(page: &[u8]) -> Result<Self, BadMeta> {
        let (u32_at, u64_at) = (|at| u32_at(page, at), |at| u64_at(page, at));
        let magic = u32_at(MAGIC_AT).ok_or(BadMeta::Missing)?;
        if magic == MAGIC.swap_bytes() {
            return Err(BadMeta::BigEndian);
        }
        if magic != MAGIC {
            return Err(BadMeta::Magic);
        }
        let version = u32_at(VERSION_AT).ok_or(BadMeta::Missing)?;
        if version != VERSION {
            return Err(BadMeta::Version(version));
        }
        let summed = page.get(MAGIC_AT..CHECKSUM_AT).ok_or(BadMeta::Missing)?;
        if u64_at(CHECKSUM_AT).ok_or(BadMeta::Missing)? != fnv(summed) {
            return Err(BadMeta::Checksum);
        }
        let number = |at| u64_at(at).ok_or(BadMeta::Missing);
        let meta = Meta {
            page_size: u32_at(PAGE_SIZE_AT).ok_or(BadMeta::Missing)?,
            root: number(ROOT_AT)?,
            freelist: Some(number(FREELIST_AT)?).filter(|page| *page != NO_FREELIST),
            pages: number(PAGES_AT)?,
            transaction: number(TRANSACTION_AT)?,
        };
        if !meta.page_size.is_power_of_two() || !PAGE_SIZES.contains(&meta.page_size) {
            return Err(BadMeta::PageSize(meta.page_size));
        }
        if !(2..meta.pages).contains(&meta.root) {
            return Err(BadMeta::Root { root: meta.root, pages: meta.pages });
        }
        Ok(meta)
    }

    /// Returns the length of the data in bytes; where it has no number, the largest there is.
    pub fn length(&self) -> u64 {
        self.pages.saturating_mul(u64::from(self.page_size))
    }
}

impl Metas {
    /// Chooses between the two pages, as bolt does: the valid one with the higher number of a transaction. Which page that is
    /// says nothing: in a snapshot the newer one is always page 0.
    ///
    /// # Errors
    /// Neither is valid.
    pub fn choose(first: Result<Meta, BadMeta>, second: Result<Meta, BadMeta>) -> Result<Self, (BadMeta, BadMeta)> {
        match (first, second) {
            (Ok(first), Ok(second)) if second.transaction > first.transaction => {
                Ok(Metas { chosen: second, page: 1, other: Ok(first) })
            }
            (Ok(chosen), other) => Ok(Metas { chosen, page: 0, other }),
            (other, Ok(chosen)) => Ok(Metas { chosen, page: 1, other }),
            (Err(first), Err(second)) => Err((first, second)),
        }
    }
}

pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_BASIS, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Writes a meta page for one of the numbers 0 and 1, without the zeros at its end.
pub(super) fn write(meta: &Meta, page: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(META_END);
    bytes.extend(page.to_le_bytes());
    bytes.extend(META.to_le_bytes());
    bytes.resize(MAGIC_AT, 0);
    for number in [MAGIC, VERSION, meta.page_size, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [meta.root, 0, meta.freelist.unwrap_or(NO_FREELIST), meta.pages, meta.transaction] {
        bytes.extend(number.to_le_bytes());
    }
    let sum = fnv(bytes.get(MAGIC_AT..).unwrap_or_default());
    bytes.extend(sum.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Meta = Meta { page_size: 4096, root: 3, freelist: None, pages: 5, transaction: 7 };

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!((fnv(b""), fnv(b"foobar")), (FNV_BASIS, 0x8594_4171_f739_67e8));
    }

    #[test]
    fn every_flipped_bit_of_a_meta_page_is_seen() {
        let good = write(&SAMPLE, 0);
        assert_eq!(Meta::read(&good), Ok(SAMPLE));
        for bit in MAGIC_AT * 8..META_END * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::read(&bad).is_err(), "bit {bit}");
        }
        for length in 0..META_END {
            assert_eq!(Meta::read(&good[..length]).map_err(|_| ()), Err(()), "{length}");
        }
    }

    #[test]
    fn what_cannot_be_true_is_refused_although_its_checksum_is_right() {
        let read = |meta: Meta| Meta::read(&write(&meta, 0)).map(|_| ());
        assert_eq!(read(Meta { page_size: 512, ..SAMPLE }), Err(BadMeta::PageSize(512)));
        assert_eq!(read(Meta { page_size: 5000, ..SAMPLE }), Err(BadMeta::PageSize(5000)));
        assert_eq!(read(Meta { root: 1, ..SAMPLE }), Err(BadMeta::Root { root: 1, pages: 5 }));
        assert_eq!(read(Meta { root: 5, ..SAMPLE }), Err(BadMeta::Root { root: 5, pages: 5 }));
        let mut swapped = write(&SAMPLE, 0);
        swapped[MAGIC_AT..VERSION_AT].reverse();
        assert_eq!(Meta::read(&swapped), Err(BadMeta::BigEndian));
    }

    #[test]
    fn the_newer_valid_page_counts_wherever_it_lies() {
        let newer = Meta { transaction: 8, ..SAMPLE };
        let torn = Err(BadMeta::Checksum);
        let chosen = |first, second| Metas::choose(first, second).map(|metas| (metas.page, metas.chosen.transaction));
        assert_eq!(chosen(Ok(SAMPLE), Ok(newer)), Ok((1, 8)));
        assert_eq!(chosen(Ok(newer), Ok(SAMPLE)), Ok((0, 8)));
        assert_eq!(chosen(Ok(SAMPLE), torn), Ok((0, 7)));
        assert_eq!(chosen(torn, Ok(SAMPLE)), Ok((1, 7)));
        assert_eq!(chosen(torn, Err(BadMeta::Magic)), Err((BadMeta::Checksum, BadMeta::Magic)));
    }
}
