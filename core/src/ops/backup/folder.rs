//! A folder of backups: what lies in it, whose turn it is to write there, and how a backup comes and goes.
//!
//! A snapshot is saved and checked under a name that ends in `.unfinished`, and gets its own when its note lies beside it. It goes
//! the same way back. So whoever is killed, at whatever point, leaves no half of a backup under the name of a whole one, and the
//! next run knows by their names what it may take away.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::BadFolder;
use super::note::{self, Backup, Note, Unread, note_of, part_of};
use crate::error::Result;
use crate::id::ClusterId;

/// How the time stands in the name of a backup, in UTC.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A file that has the name of a backup, or the note of one, and of which nothing can be said. It is never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flawed {
    pub(super) path: PathBuf,
    /// The cluster in its name.
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) problem: String,
}

/// What lies in a folder; the newest backups come first.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) backups: Vec<Backup>,
    pub(super) flawed: Vec<Flawed>,
}

/// Reads a folder. What is neither a backup nor looks like one is passed over.
///
/// # Errors
/// The folder cannot be read: nobody is to believe then that there is nothing.
pub(super) fn read(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    let failed = |source| BadFolder::of("read", folder, source);
    BadFolder::check(folder)?;
    for file in std::fs::read_dir(folder).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let end = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if end == "json" {
            found.flawed.extend(alone(&path));
        }
        if end != "db" {
            continue;
        }
        match path.metadata() {
            Ok(meta) if meta.is_file() => match look(&path) {
                Ok(backup) => found.backups.extend(backup),
                Err(flawed) => found.flawed.push(flawed),
            },
            Ok(meta) => {
                let kind = if meta.is_dir() { "it is a folder" } else { "it is not a file" };
                found.flawed.extend(named(&path, kind));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Where there is no link either, another run has removed it in this moment.
                let link = path.symlink_metadata().is_ok();
                found.flawed.extend(named(&path, "it is a link to what is not there").filter(|_| link));
            }
            Err(error) => return Err(BadFolder::of("read", &path, error).into()),
        }
    }
    let order = |backup: &Backup| (backup.note.time, number_of(&backup.path));
    found.backups.sort_by(|a, b| (order(b), &b.path).cmp(&(order(a), &a.path)));
    found.flawed.sort_by(|a, b| b.path.cmp(&a.path));
    Ok(found)
}

/// Tells of something that has the name of what `backup run` makes, and is none.
fn named(path: &Path, problem: &str) -> Option<Flawed> {
    let name = path.file_name().and_then(OsStr::to_str).and_then(Name::read)?;
    Some(Flawed { path: path.to_owned(), cluster_id: Some(name.cluster_id), problem: problem.to_owned() })
}

/// Tells of a note whose snapshot is not there. While a backup comes or goes, its snapshot has one of two names; when it goes, the
/// note is gone before the second of them is.
fn alone(note: &Path) -> Option<Flawed> {
    let path = note.with_extension("db");
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let has_one = is_there(&unfinished(&path)) || is_there(&path) || is_there(&unfinished(&path));
    named(note, "the snapshot that it is about is not beside it").filter(|_| !has_one && is_there(note))
}

fn look(path: &Path) -> Result<Option<Backup>, Flawed> {
    let name = path.file_name().and_then(OsStr::to_str).and_then(Name::read);
    let cluster_id = name.map(|name| name.cluster_id);
    let flawed = |problem: String| Flawed { path: path.to_owned(), cluster_id, problem };
    let note = match (note::read(path), cluster_id) {
        (Ok(note), _) => note,
        (Err(Unread::Newer(form)), _) => {
            return Err(flawed(format!("its note has form {form}, and this version knows {}", Note::form())));
        }
        // It is somebody else's.
        (Err(_), None) => return Ok(None),
        (Err(Unread::Missing), Some(_)) => return Err(flawed("it has no note beside it".to_owned())),
        (Err(Unread::Unclear(why)), Some(_)) => return Err(flawed(format!("its note cannot be read: {why}"))),
    };
    match path.metadata().map(|meta| meta.len()) {
        Ok(size) if i64::try_from(size) != Ok(note.size) => {
            Err(flawed(format!("it has {size} bytes, and its note says {}", note.size)))
        }
        Ok(_) => Ok(Some(Backup { path: path.to_owned(), note })),
        // Another run has removed it in this moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(flawed(format!("it cannot be read: {error}"))),
    }
}

/// The name of a file that `backup run` makes: cluster, time, a number where a second has several, and what kind of file it is.
#[derive(Clone, Copy)]
struct Name<'n> {
    cluster_id: ClusterId,
    stem: &'n str,
    /// Its place among those of a second, counted from 1.
    number: u32,
    end: &'n str,
}

impl<'n> Name<'n> {
    fn read(name: &'n str) -> Option<Self> {
        let (stem, end) = name.split_once('.')?;
        let (cluster, when) = stem.split_once('-')?;
        let (time, number) = when.split_once('_').unwrap_or((when, "1"));
        let is_hex = cluster.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let cluster_id = u64::from_str_radix(cluster, 16).ok().filter(|_| is_hex)?;
        NaiveDateTime::parse_from_str(time, TIME).ok()?;
        let number = number.parse().ok()?;
        Some(Name { cluster_id: ClusterId(cluster_id), stem, number, end })
    }
}

/// Returns the place of a backup among those of its second.
fn number_of(path: &Path) -> u32 {
    path.file_name().and_then(OsStr::to_str).and_then(Name::read).map_or(1, |name| name.number)
}

/// Returns the path of a new backup. It begins with the cluster, so that several can share a folder; and it comes behind all that the
/// folder has of that second, also where earlier ones were removed.
fn new_path(folder: &Path, cluster_id: ClusterId, time: DateTime<Utc>) -> io::Result<PathBuf> {
    let first = format!("{cluster_id}-{}", time.format(TIME));
    let mut last = 0;
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let name = name.to_str().and_then(Name::read).filter(|name| name.stem.starts_with(&first));
        last = last.max(name.map_or(0, |name| name.number));
    }
    let number = if last == 0 { String::new() } else { format!("_{}", u64::from(last) + 1) };
    Ok(folder.join(format!("{first}{number}.db")))
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("db.unfinished")
}

/// The right to write a cluster's backups into a folder, held until it is dropped.
pub(super) struct Turn<'f> {
    folder: &'f Path,
    cluster_id: ClusterId,
    /// Whether others are really kept out: not every file system can.
    locked: bool,
    _file: File,
}

impl<'f> Turn<'f> {
    /// Makes the folder where it is not there, and takes the right.
    ///
    /// # Errors
    /// Another run has it; the folder cannot be made or written.
    pub(super) fn take(folder: &'f Path, cluster_id: ClusterId) -> Result<Self> {
        BadFolder::check(folder)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| BadFolder::of("make", folder, source))?;
        let path = folder.join(format!(".{cluster_id}.lock"));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| BadFolder::of("write", &path, source))?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(BadFolder::Busy { path: folder.to_owned() }.into()),
            Err(TryLockError::Error(_)) => false,
        };
        Ok(Turn { folder, cluster_id, locked, _file: file })
    }

    /// Says whether others are kept out.
    pub(super) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Takes away what runs left that were killed, and returns the names. Where others are not kept out, it may be theirs.
    ///
    /// # Errors
    /// The folder cannot be read, or something not be removed.
    pub(super) fn sweep(&self) -> Result<Vec<String>> {
        let mut swept = Vec::new();
        if !self.locked {
            return Ok(swept);
        }
        let failed = |source| BadFolder::of("read", self.folder, source);
        for file in std::fs::read_dir(self.folder).map_err(failed)? {
            let name = file.map_err(failed)?.file_name();
            let Some(name) = name.to_str().and_then(Name::read).filter(|name| name.cluster_id == self.cluster_id)
            else {
                continue;
            };
            let path = self.folder.join(format!("{}.db", name.stem));
            match name.end.strip_prefix("db.unfinished") {
                Some("") => clear(&path)?,
                Some(rest) if rest.ends_with(".part") => {
                    remove(&self.folder.join(format!("{}.{}", name.stem, name.end)))?
                }
                _ => continue,
            }
            swept.push(format!("{}.{}", name.stem, name.end));
        }
        Ok(swept)
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn begin(&self, time: DateTime<Utc>) -> Result<Draft> {
        let path = new_path(self.folder, self.cluster_id, time);
        let path = path.map_err(|source| BadFolder::of("read", self.folder, source))?;
        Ok(Draft { unfinished: unfinished(&path), path, done: false })
    }

    /// Removes a backup.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(&self, backup: &Backup) -> Result<()> {
        match std::fs::rename(&backup.path, unfinished(&backup.path)) {
            // Somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => {
                renamed.map_err(|source| BadFolder::of("remove", &backup.path, source))?;
                clear(&backup.path)
            }
        }
    }

    /// Makes sure that what was done in the folder survives a power cut.
    ///
    /// # Errors
    /// The disk does not.
    pub(super) fn flush(&self) -> Result<()> {
        let flushed = File::open(self.folder).and_then(|folder| folder.sync_all());
        Ok(flushed.map_err(|source| BadFolder::of("flush", self.folder, source))?)
    }
}

/// Removes what there is of a backup that has no snapshot under its own name; what tells that it is there goes last.
fn clear(path: &Path) -> Result<()> {
    if !path.exists() {
        remove(&note_of(path))?;
    }
    remove(&part_of(path))?;
    remove(&unfinished(path))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BadFolder::of("remove", path, error).into()),
        _ => Ok(()),
    }
}

/// A backup that is being made. What there is of it goes when this is dropped before its end.
pub(super) struct Draft {
    path: PathBuf,
    unfinished: PathBuf,
    done: bool,
}

impl Draft {
    /// Returns where its snapshot is to be saved.
    pub(super) fn snapshot(&self) -> &Path {
        &self.unfinished
    }

    /// Writes down what is known about it, and makes a backup of it.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub(super) fn finish(mut self, turn: &Turn<'_>, note: Note) -> Result<Backup> {
        let path = self.path.clone();
        note::write(&path, &note).map_err(|source| BadFolder::of("write", &note_of(&path), source))?;
        turn.flush()?;
        let named = match renameat_with(CWD, &self.unfinished, CWD, &path, RenameFlags::NOREPLACE) {
            // Some file systems cannot refuse to replace; the name was free a moment ago.
            Err(rustix::io::Errno::INVAL) => std::fs::rename(&self.unfinished, &path),
            named => named.map_err(io::Error::from),
        };
        named.map_err(|source| BadFolder::of("write", &path, source))?;
        self.done = true;
        turn.flush()?;
        Ok(Backup { path, note })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done {
            // The failure itself is told; what stays all the same is taken away by the next run.
            let _ = clear(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
