//! A database file that is open for reading, and checked as far as its first two pages tell. It is never opened for writing.
//!
//! | offset | bytes | |
//! | ------ | ----- | --- |
//! | 0 | page size | meta page 0 |
//! | page size | page size | meta page 1 |
//! | 2 × page size | | pages of the tree, and free ones |
//! | pages × page size | 32, or none | in a snapshot, the SHA-256 of everything before it |
//! | | | in a member's own file, room for growth |

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::flaw::Flaw;
use super::meta::{BadMeta, META_END, Meta, Metas, PAGE_SIZES};
use crate::format::ahead::Control;
use crate::format::problem::{FileFlaw, Place, Problem, Result};

/// The length of the SHA-256 behind the data of a snapshot.
pub(in crate::format) const TRAILER: u64 = 32;
/// etcd takes a file for a snapshot when its length leaves a rest of 32 by this.
const SECTOR: u64 = 512;
/// How many pages are read: 1 TiB in pages of 4 KiB, which takes 32 MiB of memory to keep account of.
const MOST_PAGES: u64 = 1 << 28;
/// How archives begin that backups are often wrapped into.
const ARCHIVES: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
];

/// What tells whether a file is still the same: where it lies, how long it is and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// The length in bytes.
    pub length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let meta = file.metadata()?;
        let modified = (meta.mtime(), meta.mtime_nsec());
        Ok(Stamp { device: meta.dev(), inode: meta.ino(), length: meta.len(), modified })
    }
}

/// A database file, open for reading.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    /// For pages in the order of the tree.
    file: File,
    /// For the one reading from front to back: the system reads ahead by what one open file asks for in turn.
    front: File,
    stamp: Stamp,
    metas: Metas,
    control: Arc<Control>,
}

impl Image {
    /// Opens a snapshot, or the database of a member that is stopped.
    ///
    /// # Errors
    /// It cannot be read, a running etcd uses it, it is no database, or it is shorter than it says.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Arc::default())
    }

    /// Opens a file as [`Image::open`] does; `control` shows how far its reading is, and can end it.
    ///
    /// # Errors
    /// As for [`Image::open`].
    pub fn open_with(path: &Path, control: Arc<Control>) -> Result<Self> {
        let whole = |flaw: FileFlaw| Problem::new(Place::file(path), flaw);
        let failed = |source| whole(FileFlaw::Read(source));
        // To open a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(whole(FileFlaw::NotAFile));
        }
        let file = File::open(path).map_err(failed)?;
        // A file system without locks has no etcd that holds one.
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock_shared() {
            return Err(whole(FileFlaw::InUse));
        }
        let stamp = Stamp::of(&file).map_err(failed)?;
        let front = File::open(path).map_err(failed)?;
        if Stamp::of(&front).map_err(failed)? != stamp {
            return Err(whole(FileFlaw::Changed));
        }
        let metas = read_metas(path, &file, stamp.length)?;
        let image = Image { path: path.to_owned(), file, front, stamp, metas, control };
        image.whole()?;
        Ok(image)
    }

    fn whole(&self) -> Result<()> {
        let (meta, length) = (self.meta(), self.stamp.length);
        let flaw = if meta.pages > MOST_PAGES {
            Flaw::TooManyPages { pages: meta.pages, most: MOST_PAGES }
        } else if meta.length() > length {
            Flaw::Truncated { length, needed: meta.length() }
        } else {
            return Ok(());
        };
        Err(Problem::new(self.place(), flaw))
    }

    /// Returns the meta page that counts.
    pub fn meta(&self) -> &Meta {
        &self.metas.chosen
    }

    /// Returns both meta pages.
    pub fn metas(&self) -> &Metas {
        &self.metas
    }

    /// Returns where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.stamp.length
    }

    /// Returns where the SHA-256 begins, if etcd would take the file for a snapshot: by its length alone.
    pub fn trailer(&self) -> Option<u64> {
        (self.stamp.length % SECTOR == TRAILER).then(|| self.stamp.length.saturating_sub(TRAILER))
    }

    /// Returns what shows how far the reading of the file is, and can end it.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Names the file as a place.
    pub fn place(&self) -> Place {
        Place::file(&self.path)
    }

    /// Names a page as a place.
    pub(super) fn page_place(&self, page: u64) -> Place {
        let offset = page.checked_mul(u64::from(self.meta().page_size));
        Place { page: Some(page), offset, ..self.place() }
    }

    /// Fills the buffer from an offset on.
    ///
    /// # Errors
    /// The system fails, or the file has become shorter.
    pub(in crate::format) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.failed(offset, self.file.read_exact_at(buffer, offset))
    }

    /// Fills the buffer as [`Image::read_at`] does, for whoever reads the file from front to back.
    pub(in crate::format) fn read_front(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.failed(offset, self.front.read_exact_at(buffer, offset))
    }

    /// Returns the open file of the one who reads from front to back, for advice to the system.
    pub(in crate::format) fn front(&self) -> &File {
        &self.front
    }

    fn failed(&self, offset: u64, read: std::io::Result<()>) -> Result<()> {
        read.map_err(|source| {
            let gone = source.kind() == std::io::ErrorKind::UnexpectedEof;
            let flaw = if gone { FileFlaw::Changed } else { FileFlaw::Read(source) };
            Problem::new(self.place().at(offset), flaw)
        })
    }

    /// Checks that nobody wrote to the file since it was opened.
    ///
    /// # Errors
    /// Somebody did.
    pub fn unchanged(&self) -> Result<()> {
        let now = Stamp::of(&self.file).map_err(|source| Problem::new(self.place(), FileFlaw::Read(source)))?;
        if now == self.stamp { Ok(()) } else { Err(Problem::new(self.place(), FileFlaw::Changed)) }
    }
}

fn read_metas(path: &Path, file: &File, length: u64) -> Result<Metas> {
    let read = |offset: u64| -> Result<std::result::Result<Meta, BadMeta>> {
        let mut page = [0; META_END];
        if offset.saturating_add(META_END as u64) > length {
            return Ok(Err(BadMeta::Missing));
        }
        let failed = |source| Problem::new(Place::file(path).at(offset), FileFlaw::Read(source));
        file.read_exact_at(&mut page, offset).map_err(failed)?;
        Ok(Meta::read(&page))
    };
    let first = read(0)?;
    let second = match first {
        Ok(meta) => read(u64::from(meta.page_size))?.and_then(|second| of_size(second, meta.page_size)),
        Err(_) => probe(read)?,
    };
    Metas::choose(first, second).map_err(|(first, second)| {
        let mut head = [0; 8];
        let archive = file.read_exact_at(&mut head, 0).ok().and_then(|()| archive(&head));
        let flaw = match archive {
            Some(name) => Flaw::Archive(name),
            None if [first, second].contains(&BadMeta::BigEndian) => Flaw::BigEndian,
            None => Flaw::NoMeta { first, second },
        };
        Problem::new(Place::file(path), flaw)
    })
}

/// Looks for the second meta page where the first one does not say how long a page is.
fn probe(
    read: impl Fn(u64) -> Result<std::result::Result<Meta, BadMeta>>,
) -> Result<std::result::Result<Meta, BadMeta>> {
    let sizes = std::iter::successors(Some(*PAGE_SIZES.start()), |size| size.checked_mul(2));
    let mut worst = BadMeta::Missing;
    for size in sizes.take_while(|size| PAGE_SIZES.contains(size)) {
        match read(u64::from(size))?.and_then(|meta| of_size(meta, size)) {
            Ok(meta) => return Ok(Ok(meta)),
            // What has the magic number is told, rather than that other sizes have none.
            Err(bad) if worst == BadMeta::Missing || bad != BadMeta::Magic && bad != BadMeta::Missing => worst = bad,
            Err(_) => {}
        }
    }
    Ok(Err(worst))
}

fn of_size(meta: Meta, size: u32) -> std::result::Result<Meta, BadMeta> {
    if meta.page_size == size { Ok(meta) } else { Err(BadMeta::PageSize(meta.page_size)) }
}

fn archive(head: &[u8]) -> Option<&'static str> {
    ARCHIVES.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}
