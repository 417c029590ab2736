//! Files that are whole or not there. Data goes into a part file of a random name in the same folder, readable for its owner
//! only; it gets its real name when all of it is checked and on disk; and it is removed when anything fails before that.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use rustix::fs::{AtFlags, CWD, RenameFlags};

use crate::error::{Fault, Result};

/// The length of the SHA-256 that etcd sends behind the data.
const TRAILER: usize = 32;
/// etcd's database consists of pages, whose size is a multiple of this.
const SECTOR: u64 = 512;

/// A file under construction.
pub struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    force: bool,
    done: bool,
    size: u64,
    whole: Digest,
    data: Digest,
    tail: Vec<u8>,
}

/// A file that is whole.
#[derive(Debug)]
pub struct Finished {
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of all of it, in hex.
    pub sha256: String,
}

impl NewFile {
    /// Makes the part file.
    ///
    /// # Errors
    /// A file of that name exists and is not to be replaced; the folder is missing or not writable.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(BadFile::NotAFile { path: path.to_owned() }.into());
        };
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => return Err(BadFile::NotAFile { path: path.to_owned() }.into()),
            Ok(_) if !force => return Err(BadFile::Exists { path: path.to_owned() }.into()),
            _ => {}
        }
        let mut part_name = name.to_owned();
        part_name.push(format!(".{:016x}.part", crate::change::random()));
        let part = folder.join(part_name);
        let mut options = OpenOptions::new();
        // O_EXCL also refuses to follow a link that somebody may have put there.
        let opened = options.write(true).create_new(true).mode(0o600).open(&part);
        let file = opened.map_err(|source| BadFile::from_io("create", &part, source))?;
        Ok(NewFile {
            path: path.to_owned(),
            part,
            file,
            force,
            done: false,
            size: 0,
            whole: Digest::new(&SHA256),
            data: Digest::new(&SHA256),
            tail: Vec::with_capacity(TRAILER),
        })
    }

    /// Returns what removes the part file in any case.
    pub(crate) fn leftover(&self) -> Leftover {
        Leftover(self.part.clone())
    }

    /// Checks that there is room for so many bytes, so that a full disk is known before it is full.
    ///
    /// # Errors
    /// There is not.
    pub fn reserve(&self, size: u64) -> Result<()> {
        let Ok(disk) = rustix::fs::fstatvfs(&self.file) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < size {
            return Err(BadFile::Full { path: self.path.clone(), needed: size, free }.into());
        }
        Ok(())
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| BadFile::from_io("write", &self.part, source))?;
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.whole.update(bytes);
        // What may be the trailer is held back from the digest of the data.
        self.tail.extend_from_slice(bytes);
        let sure = self.tail.len().saturating_sub(TRAILER);
        self.data.update(self.tail.get(..sure).unwrap_or_default());
        self.tail.drain(..sure);
        Ok(())
    }

    /// Checks that the bytes are a whole snapshot, flushes them to disk, and gives the file its name.
    ///
    /// # Errors
    /// The size or the SHA-256 is not what the server announced; the disk failed; or a file of that name has appeared.
    pub fn finish_snapshot(mut self, announced: u64) -> Result<Finished> {
        if self.size != announced {
            return Err(BadFile::Short { got: self.size, announced }.into());
        }
        if self.size % SECTOR != TRAILER as u64 {
            return Err(BadFile::NoTrailer { size: self.size }.into());
        }
        let data = std::mem::replace(&mut self.data, Digest::new(&SHA256)).finish();
        if data.as_ref() != self.tail.as_slice() {
            return Err(BadFile::Checksum { announced: hex(&self.tail), found: hex(data.as_ref()) }.into());
        }
        self.file.sync_all().map_err(|source| BadFile::from_io("flush", &self.part, source))?;
        self.name()?;
        let whole = std::mem::replace(&mut self.whole, Digest::new(&SHA256)).finish();
        Ok(Finished { size: self.size, sha256: hex(whole.as_ref()) })
    }

    /// Gives the part file its real name, and makes sure that the name survives a crash.
    fn name(&mut self) -> Result<()> {
        let flags = if self.force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let renamed = rustix::fs::renameat_with(CWD, &self.part, CWD, &self.path, flags).map_err(io::Error::from);
        let renamed = match renamed {
            // Some file systems cannot refuse to replace; a hard link can, in two steps.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !self.force => {
                rustix::fs::linkat(CWD, &self.part, CWD, &self.path, AtFlags::empty())
                    .map_err(io::Error::from)
                    .and_then(|()| std::fs::remove_file(&self.part))
            }
            other => other,
        };
        renamed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BadFile::Exists { path: self.path.clone() },
            _ => BadFile::from_io("rename", &self.path, source),
        })?;
        self.done = true;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| BadFile::NameUnsure { path: self.path.clone(), source }.into())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.done {
            remove(&self.part);
        }
    }
}

/// Removes the part file when it is dropped, wherever the file itself is at that moment. Whoever hands the file to another
/// thread keeps this, so that nothing is left when the caller hears of a failure, and ends the process perhaps.
pub(crate) struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        // A file that has its real name by now has left this one.
        remove(&self.0);
    }
}

fn remove(part: &Path) {
    // There is nobody left to tell; the random name keeps a leftover from being taken for a snapshot.
    let _ = std::fs::remove_file(part);
}

/// Writes bytes in lower hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// The path is a folder, or none at all.
    #[error("{} is not the path of a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It would replace something.
    #[error("{} exists already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// There is no room.
    #[error("{} does not fit: it needs {needed} bytes, and {free} are free", path.display())]
    Full {
        /// The path.
        path: PathBuf,
        /// How many bytes are needed.
        needed: u64,
        /// How many bytes are free.
        free: u64,
    },
    /// The disk said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is whole and has its name, but the disk may forget the name.
    #[error("{} is whole, but its folder cannot be flushed", path.display())]
    NameUnsure {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The stream ended early.
    #[error("the snapshot ended after {got} of {announced} bytes")]
    Short {
        /// How many bytes came.
        got: u64,
        /// How many were announced.
        announced: u64,
    },
    /// The size cannot be that of a snapshot.
    #[error("{size} bytes are not the size of a snapshot: its SHA-256 is missing at the end")]
    NoTrailer {
        /// How many bytes came.
        size: u64,
    },
    /// The data is not what the server hashed.
    #[error("the snapshot is damaged: its SHA-256 should be {announced} and is {found}")]
    Checksum {
        /// What the server sent.
        announced: String,
        /// What the data has.
        found: String,
    },
}

impl BadFile {
    pub(crate) fn from_io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        BadFile::Io { doing, path: path.to_owned(), source }
    }
}

/// Returns the code of a file that cannot be written.
pub(crate) fn code_of(source: &io::Error) -> &'static str {
    match source.kind() {
        // A file system, or a limit of the process, may not let a single file grow so far.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => "disk_full",
        _ => "file_failed",
    }
}

impl Fault for BadFile {
    fn code(&self) -> &'static str {
        match self {
            BadFile::NotAFile { .. } => "invalid_argument",
            BadFile::Exists { .. } => "file_exists",
            BadFile::Full { .. } => "disk_full",
            BadFile::Io { source, .. } => code_of(source),
            BadFile::NameUnsure { .. } => "file_failed",
            BadFile::Short { .. } => "snapshot_cut",
            BadFile::NoTrailer { .. } | BadFile::Checksum { .. } => "snapshot_corrupt",
        }
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadFile::Short { .. } | BadFile::NoTrailer { .. } | BadFile::Checksum { .. } => None,
            _ => Some("path"),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            BadFile::NotAFile { .. } => "give the path of a file in an existing folder",
            BadFile::Exists { .. } => "choose another name, or give force to replace it",
            BadFile::Full { .. } => "make room, or choose another disk; no file was left",
            BadFile::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "make its folder first; no file was left"
            }
            BadFile::Io { .. } => "no file was left",
            BadFile::NameUnsure { .. } => {
                "the file is there, but a power cut may take it away; copy it to another disk"
            }
            BadFile::Short { .. } => "no file was left; try again, from another member if it happens again",
            BadFile::NoTrailer { .. } | BadFile::Checksum { .. } => {
                "no file was left; take it from another member, and check this one's disk"
            }
        };
        Some(help.to_owned())
    }

    fn retryable(&self) -> bool {
        matches!(self, BadFile::Short { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn snapshot() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..2048_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
        bytes.extend_from_slice(digest.as_ref());
        bytes
    }

    fn save(path: &Path, force: bool, chunk: usize, bytes: &[u8]) -> Result<Finished> {
        let mut file = NewFile::create(path, force)?;
        for chunk in bytes.chunks(chunk) {
            file.write(chunk)?;
        }
        file.finish_snapshot(bytes.len() as u64)
    }

    #[test]
    fn a_whole_snapshot_gets_its_name_whatever_the_chunks() {
        let folder = tempfile::tempdir().unwrap();
        for chunk in [1, 31, 32, 33, 500, 5000] {
            let path = folder.path().join(format!("{chunk}.db"));
            let finished = save(&path, false, chunk, &snapshot()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), snapshot());
            assert_eq!(finished.sha256, hex(aws_lc_rs::digest::digest(&SHA256, &snapshot()).as_ref()));
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_to_be_made_first() {
        let folder = tempfile::tempdir().unwrap();
        let error = save(&folder.path().join("none/a.db"), false, 700, &snapshot()).unwrap_err();
        assert_eq!((error.code(), error.argument()), ("file_failed", Some("path")));
        assert_eq!(error.help().as_deref(), Some("make its folder first; no file was left"));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let good = snapshot();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert_eq!(save(&path, false, 700, &bad).unwrap_err().code(), "snapshot_corrupt", "flip at {at}");
        }
        for cut in 0..good.len() {
            assert!(save(&path, false, 700, &good[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(save(&path, false, 100, &snapshot()).unwrap_err().code(), "file_exists");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        save(&path, true, 100, &snapshot()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), snapshot());
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut file = NewFile::create(&path, false).unwrap();
        file.write(&snapshot()).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let size = snapshot().len() as u64;
        assert_eq!(file.finish_snapshot(size).unwrap_err().code(), "file_exists");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
