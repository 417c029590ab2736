//! The list of free pages. etcd writes none, and finds the free pages by walking the tree; a file that another tool of bolt has
//! written to may have one. A mistake in it costs no data.
//!
//! | offset in page | bytes | field |
//! | -------------- | ----- | --- |
//! | 8  | 2 | flags, 0x10 |
//! | 10 | 2 | number of entries, or 0xFFFF where the first entry is their number |
//! | 16 | 8 each | numbers of free pages, ascending |
//!
//! Source: bbolt's `internal/freelist/shared.go`.

use super::bits::Pages;
use super::flaw::Flaw;
use super::image::Image;
use super::page::{FREELIST, HEADER, Header, u64_at};
use crate::format::problem::{Problem, Result};

/// The number of entries that says that the first entry is their number.
const MANY: u16 = 0xFFFF;
/// How many bytes of the list are read at a time: a multiple of the length of an entry.
const PIECE: usize = 64 << 10;
const ENTRY: usize = 8;

/// Checks the list of free pages, where there is one, against the pages that belong to the tree.
///
/// # Errors
/// Those of `problem`, which each mistake is handed to, and those of reading the file.
pub fn check_freelist(image: &Image, used: &Pages, mut problem: impl FnMut(Problem) -> Result<()>) -> Result<()> {
    let (Some(page), end) = (image.meta().freelist, image.meta().pages) else { return Ok(()) };
    let at = |page: u64, flaw: Flaw| Problem::new(image.page_place(page), flaw);
    if !(2..end).contains(&page) {
        return problem(at(image.metas().page, Flaw::Freelist("it lies outside of the file")));
    }
    let (entries, own) = match head(image, page)? {
        Ok(head) => head,
        Err(flaw) => return problem(at(page, flaw)),
    };
    let mut free = Pages::new(end);
    read_entries(image, page, entries, |entry| {
        if !(2..end).contains(&entry) {
            problem(at(page, Flaw::FreeOutOfRange { page: entry, end }))
        } else if !free.insert(entry) {
            problem(at(entry, Flaw::FreeTwice))
        } else if used.contains(entry) || own.contains(&entry) {
            problem(at(entry, Flaw::FreeAndUsed))
        } else {
            Ok(())
        }
    })?;
    for lost in (2..end).filter(|page| !free.contains(*page) && !used.contains(*page) && !own.contains(page)) {
        problem(at(lost, Flaw::Lost))?;
    }
    Ok(())
}

/// Where the entries lie in the file, and how many there are.
struct Entries {
    offset: u64,
    count: u64,
}

/// Reads the header, and returns where the entries lie and which pages the list takes.
fn head(image: &Image, page: u64) -> Result<Result<(Entries, std::ops::RangeInclusive<u64>), Flaw>> {
    let size = u64::from(image.meta().page_size);
    let mut bytes = [0; HEADER + ENTRY];
    image.read_at(&mut bytes, page * size)?;
    let Some(header) = Header::read(&bytes) else { return Ok(Err(Flaw::Freelist("it has no header"))) };
    let last = page + u64::from(header.overflow);
    if header.id != page || header.flags != FREELIST || last >= image.meta().pages {
        return Ok(Err(Flaw::Freelist("its page is another one")));
    }
    let many = header.count == MANY;
    let count = if many { u64_at(&bytes, HEADER).unwrap_or(0) } else { u64::from(header.count) };
    let skipped = (HEADER + if many { ENTRY } else { 0 }) as u64;
    let room = ((last - page + 1) * size - skipped) / ENTRY as u64;
    if count > room {
        return Ok(Err(Flaw::Freelist("it counts more pages than it has room for")));
    }
    Ok(Ok((Entries { offset: page * size + skipped, count }, page..=last)))
}

fn read_entries(image: &Image, page: u64, entries: Entries, mut take: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    let (mut offset, mut left) = (entries.offset, entries.count.saturating_mul(ENTRY as u64));
    while left > 0 {
        if image.control().is_stopped() {
            return Err(Problem::new(image.page_place(page), crate::format::problem::FileFlaw::Stopped));
        }
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..size).unwrap_or_default();
        image.read_at(piece, offset)?;
        for at in (0..size).step_by(ENTRY) {
            take(u64_at(piece, at).unwrap_or(0))?;
        }
        (offset, left) = (offset + size as u64, left - size as u64);
    }
    Ok(())
}
