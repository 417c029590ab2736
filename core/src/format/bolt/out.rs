//! A database file that is being written: pages behind each other, and the two meta pages at last.
//!
//! | offset | bytes | |
//! | ------ | ----- | --- |
//! | 0 | page size | meta page 0, of the newer transaction |
//! | page size | page size | meta page 1, of the transaction before; the root is the same |
//! | 2 × page size | | pages that were there before, if any, and then those that are appended |
//!
//! Both meta pages are as a member sends them in a snapshot, and neither has a list of free pages: etcd finds them itself.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::meta::{self, Meta};
use crate::format::problem::{FileFlaw, Place, Problem, Result};

/// How full pages are made, in percent, as etcd's own defragmentation does: the rest is for keys that are put between them.
const FILL: usize = 90;
/// The first page that is none of the meta pages.
const FIRST: u64 = 2;
/// What part of a page a bucket may take to lie in its entry.
const INLINE_PART: usize = 4;

/// A database file that is being written.
#[derive(Debug)]
pub struct Out<W> {
    to: W,
    path: PathBuf,
    page_size: u32,
    size: usize,
    fill: usize,
    next: u64,
}

impl<W: Write + Seek> Out<W> {
    /// Starts a file. Its path is what errors name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(to: W, path: &Path, page_size: u32) -> Result<Self> {
        Self::behind(to, path, page_size, FIRST)
    }

    /// Goes on behind the pages of a file.
    pub(super) fn behind(to: W, path: &Path, page_size: u32, pages: u64) -> Result<Self> {
        let size = usize::try_from(page_size).unwrap_or(usize::MAX);
        let fill = size.saturating_mul(FILL) / 100;
        let mut out = Out { to, path: path.to_owned(), page_size, size, fill, next: pages };
        out.seek(pages)?;
        Ok(out)
    }

    fn seek(&mut self, page: u64) -> Result<()> {
        let sought = self.to.seek(SeekFrom::Start(page.saturating_mul(u64::from(self.page_size))));
        sought.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// Appends a page, over several pages where it is long, and returns its number.
    pub(super) fn append(&mut self, draft: &Draft) -> Result<u64> {
        let (id, pages) = (self.next, draft.len().div_ceil(self.size));
        let zeros = vec![0; pages.saturating_mul(self.size).saturating_sub(draft.len())];
        let written = u32::try_from(pages.saturating_sub(1)).map_err(|_| io::ErrorKind::FileTooLarge.into());
        let written = written.and_then(|overflow| draft.head(id, overflow));
        let written = written.and_then(|head| self.to.write_all(&head));
        let written = written.and_then(|()| self.to.write_all(draft.data())).and_then(|()| self.to.write_all(&zeros));
        written.map_err(|error| self.failed(error))?;
        self.next = self.next.saturating_add(pages as u64);
        Ok(id)
    }

    /// Writes the meta pages, and returns what was written to. Only now it is a database.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(mut self, root: u64, transaction: u64) -> Result<W> {
        self.seek(0)?;
        for page in 0..FIRST {
            let transaction = transaction.saturating_add(1).saturating_sub(page);
            let meta = Meta { page_size: self.page_size, root, freelist: None, pages: self.next, transaction };
            let mut bytes = meta::write(&meta, page);
            bytes.resize(self.size, 0);
            self.to.write_all(&bytes).map_err(|error| self.failed(error))?;
        }
        self.to.flush().map_err(|error| self.failed(error))?;
        Ok(self.to)
    }

    /// Returns how long a page is to be at most where another element could go to the next one.
    pub(super) fn fill(&self) -> usize {
        self.fill
    }

    /// Makes pages as full as they can be.
    #[cfg(test)]
    pub(super) fn full(mut self) -> Self {
        self.fill = self.size;
        self
    }

    /// Returns how long a page may be at most without going on in the next one.
    pub(super) fn page_size(&self) -> usize {
        self.size
    }

    /// Returns the length up to which a bucket lies in its entry.
    pub(super) fn inline(&self) -> usize {
        (self.size / INLINE_PART).min(super::bucket::LONGEST_INLINE)
    }

    pub(super) fn failed(&self, error: io::Error) -> Problem {
        Problem::new(Place::file(&self.path), FileFlaw::Write(error))
    }
}
