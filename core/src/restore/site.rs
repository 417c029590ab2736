//! Where a data dir is made: whole or not at all. Everything is built in a folder beside its place, flushed, and gets its name last.
//!
//! | path | |
//! | ---- | --- |
//! | `DATA/.member.tmp-NONCE/member/` | what becomes `DATA/member` with the last rename |
//! | `DATA/.member.tmp-NONCE/wal` | with a WAL dir of its own: device and inode of that folder |
//! | `WAL/../.NAME.tmp-NONCE/` | what becomes the WAL dir with the rename before |
//!
//! Whoever dies on the way leaves such folders, and perhaps a WAL dir, and no `DATA/member`. The next one to make that data dir removes
//! them: those that have the same nonce, and a WAL dir only if it is the one whose device and inode were noted. The data dir is locked
//! meanwhile, so that nobody removes what another one is just building.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use super::RestoreError;
use super::raft::{WAL_NAME, WAL_SIZE};
use crate::error::Result;
use crate::file::BadFile;

const DATA_DIR: &str = "data_dir";
const WAL_DIR: &str = "wal_dir";
/// How the name of a folder begins that is being built.
const BUILT: &str = ".member.tmp-";
/// How many digits follow.
const NONCE_DIGITS: usize = 16;
/// The name of the note about the WAL dir.
const NOTE: &str = "wal";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A data dir that is being made. What was not finished goes with it.
#[derive(Debug)]
pub(super) struct Site {
    data_dir: PathBuf,
    /// Held until the end.
    locked: File,
    made: bool,
    built: PathBuf,
    wal: Option<WalSite>,
    done: bool,
}

/// A WAL dir that lies elsewhere.
#[derive(Debug)]
struct WalSite {
    named: PathBuf,
    built: PathBuf,
    has_name: bool,
}

impl Site {
    /// Checks that a data dir can be made there, removes what was left there of another try, and makes the folders to build in.
    pub(super) fn prepare(data_dir: &Path, wal_dir: Option<&Path>, size: u64) -> Result<Self> {
        let within = |wal: &&Path| wal.starts_with(data_dir);
        if wal_dir.filter(within).is_some_and(|wal| parent(wal) != data_dir || wal == data_dir.join("member")) {
            return Err(RestoreError::WalWithin { path: data_dir.to_owned() }.into());
        }
        let made = !data_dir.exists();
        make_folder(data_dir).map_err(failed("create", data_dir, DATA_DIR))?;
        let locked = File::open(data_dir).map_err(failed("open", data_dir, DATA_DIR))?;
        // A file system without locks has nobody who holds one.
        if let Err(TryLockError::WouldBlock) = locked.try_lock() {
            return Err(RestoreError::Busy { path: data_dir.to_owned() }.into());
        }
        let nonce = format!("{:0NONCE_DIGITS$x}", crate::change::random());
        let built = data_dir.join(format!("{BUILT}{nonce}"));
        let wal =
            wal_dir.map(|named| WalSite { named: named.to_owned(), built: beside(named, &nonce), has_name: false });
        // From here on, what was made is removed when something fails.
        let site = Site { data_dir: data_dir.to_owned(), locked, made, built, wal, done: false };
        for leftover in leftovers(data_dir, wal_dir)? {
            remove_leftover(&leftover, wal_dir);
        }
        if let Some(wal) = wal_dir.filter(|wal| wal.symlink_metadata().is_ok()) {
            return Err(RestoreError::WalExists { path: wal.to_owned() }.into());
        }
        site.make_folders(size)?;
        Ok(site)
    }

    fn make_folders(&self, size: u64) -> Result<()> {
        let needed = size.saturating_add(if self.wal.is_none() { WAL_SIZE } else { 0 });
        reserve(&self.locked, &self.data_dir, needed).map_err(|error| error.for_argument(DATA_DIR))?;
        for folder in [self.built.clone(), self.built.join("member"), self.snap_dir()] {
            make_folder(&folder).map_err(failed("create", &folder, DATA_DIR))?;
        }
        let wal_dir = self.wal_dir();
        let Some(wal) = &self.wal else {
            return make_folder(&wal_dir).map_err(failed("create", &wal_dir, DATA_DIR));
        };
        make_folder(&wal_dir).map_err(failed("create", &wal.named, WAL_DIR))?;
        let folder = File::open(&wal_dir).map_err(failed("open", &wal.named, WAL_DIR))?;
        reserve(&folder, &wal.named, WAL_SIZE).map_err(|error| error.for_argument(WAL_DIR))?;
        let note = Identity::of(&wal_dir).map_err(failed("read", &wal.named, WAL_DIR))?.to_string();
        self.write(&self.built.join(NOTE), |file| {
            (&mut &*file).write_all(note.as_bytes()).map_err(failed("write", &self.built, DATA_DIR))
        })
    }

    /// Returns the folder for the database and the `.snap` file.
    pub(super) fn snap_dir(&self) -> PathBuf {
        self.built.join("member/snap")
    }

    /// Returns the folder for the log.
    pub(super) fn wal_dir(&self) -> PathBuf {
        self.wal.as_ref().map_or_else(|| self.built.join("member/wal"), |wal| wal.built.clone())
    }

    /// Makes a file with what is written to it, and flushes it.
    pub(super) fn write<T>(&self, path: &Path, write: impl FnOnce(&File) -> Result<T>) -> Result<T> {
        let argument = if path.starts_with(&self.built) { DATA_DIR } else { WAL_DIR };
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path);
        let file = opened.map_err(failed("create", path, argument))?;
        let written = write(&file)?;
        file.sync_all().map_err(failed("flush", path, argument))?;
        Ok(written)
    }

    /// Flushes the folders, and gives everything its name.
    pub(super) fn finish(mut self) -> Result<()> {
        self.name_wal()?;
        self.name_member()
    }

    /// Gives the WAL dir its name, if it lies elsewhere. Before that all is on disk but names.
    fn name_wal(&mut self) -> Result<()> {
        let wal_dir = self.wal_dir();
        for folder in [&wal_dir, &self.snap_dir(), &self.built.join("member"), &self.built, &self.data_dir] {
            flush(folder).map_err(failed("flush", folder, DATA_DIR))?;
        }
        if self.made {
            flush(parent(&self.data_dir)).map_err(failed("flush", &self.data_dir, DATA_DIR))?;
        }
        let Some(wal) = &mut self.wal else { return Ok(()) };
        rename(&wal.built, &wal.named).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RestoreError::WalExists { path: wal.named.clone() }.into(),
            _ => failed("rename", &wal.named, WAL_DIR)(error),
        })?;
        wal.has_name = true;
        flush(parent(&wal.named)).map_err(failed("flush", &wal.named, WAL_DIR))
    }

    /// Gives the member its name. From then on the data dir is whole.
    fn name_member(mut self) -> Result<()> {
        let member = self.data_dir.join("member");
        rename(&self.built.join("member"), &member).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => not_empty(&self.data_dir, "member"),
            _ => failed("rename", &member, DATA_DIR)(error),
        })?;
        self.done = true;
        // The note is of no use any more, and nobody minds it.
        let _ = std::fs::remove_dir_all(&self.built);
        flush(&self.data_dir).map_err(|source| BadFile::NameUnsure { path: member, source }.into())
    }

    /// Leaves everything as it is, as whoever is killed does.
    #[cfg(test)]
    fn die(mut self) {
        self.done = true;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // There is nobody left to tell. What stays is removed by the next try.
        if let Some(wal) = &self.wal {
            let _ = std::fs::remove_dir_all(if wal.has_name { &wal.named } else { &wal.built });
        }
        let _ = std::fs::remove_dir_all(&self.built);
        if self.made {
            // Only where nothing is in it.
            let _ = std::fs::remove_dir(&self.data_dir);
        }
    }
}

/// Which folder of which disk something is.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = path.symlink_metadata()?;
        Ok(Identity { device: meta.dev(), inode: meta.ino() })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x} {:x}", self.device, self.inode)
    }
}

/// Returns what another try has left in a data dir, where there is nothing else. A WAL dir may be there too, which is looked at later.
fn leftovers(data_dir: &Path, wal_dir: Option<&Path>) -> Result<Vec<PathBuf>> {
    let wal = |name: &OsStr| {
        let beside = wal_dir.map(|wal| beside(wal, ""));
        let built = beside.as_deref().and_then(Path::file_name).map(OsStr::as_encoded_bytes);
        let built = built.is_some_and(|built| name.as_encoded_bytes().starts_with(built));
        wal_dir.is_some_and(|wal| parent(wal) == data_dir && (wal.file_name() == Some(name) || built))
    };
    let (mut leftovers, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(data_dir).map_err(failed("read", data_dir, DATA_DIR))? {
        let name = entry.map_err(failed("read", data_dir, DATA_DIR))?.file_name();
        let nonce = name.to_str().and_then(|name| name.strip_prefix(BUILT));
        if nonce.is_some_and(|nonce| nonce.len() == NONCE_DIGITS && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            leftovers.push(data_dir.join(name));
        } else if !wal(&name) {
            others.push(name.to_string_lossy().into_owned());
        }
    }
    others.sort();
    match others.first() {
        Some(name) => Err(not_empty(data_dir, name)),
        None => Ok(leftovers),
    }
}

/// Removes what another try has left. What cannot be removed stays, and is in nobody's way: each try has names of its own.
fn remove_leftover(leftover: &Path, wal_dir: Option<&Path>) {
    let name = leftover.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let nonce = name.strip_prefix(BUILT).unwrap_or_default();
    let noted = std::fs::read_to_string(leftover.join(NOTE)).ok();
    if let Some(named) = wal_dir {
        let built = beside(named, nonce);
        let is_noted = Identity::of(named).is_ok_and(|identity| Some(identity.to_string()) == noted);
        for folder in [Some(named).filter(|_| is_noted), Some(&built)].into_iter().flatten() {
            if holds_at_most_one_log(folder) {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
    let _ = std::fs::remove_dir_all(leftover);
}

fn holds_at_most_one_log(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).map(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())));
    entries.is_ok_and(|mut entries| entries.all(|name| name.is_ok_and(|name| name == WAL_NAME)))
}

/// Returns the folder in which a WAL dir is built.
fn beside(named: &Path, nonce: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(named.file_name().unwrap_or_default());
    name.push(format!(".tmp-{nonce}"));
    parent(named).join(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Checks that there is room for so many bytes, so that a full disk is known before it is full.
pub(super) fn reserve(folder: &File, path: &Path, needed: u64) -> Result<()> {
    let Ok(disk) = rustix::fs::fstatvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        return Err(BadFile::Full { path: path.to_owned(), needed, free }.into());
    }
    Ok(())
}

fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Renames a folder to a name that is free.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        // Some file systems cannot refuse to replace. None replaces a folder that has something in it.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && to.symlink_metadata().is_err() => {
            std::fs::rename(from, to)
        }
        other => other,
    }
}

fn not_empty(data_dir: &Path, name: &str) -> crate::Error {
    RestoreError::NotEmpty { path: data_dir.to_owned(), holds: name.to_owned() }.into()
}

pub(super) fn failed<'p>(
    doing: &'static str,
    path: &'p Path,
    argument: &'static str,
) -> impl FnOnce(io::Error) -> crate::Error + 'p {
    move |source| crate::Error::from(BadFile::from_io(doing, path, source)).for_argument(argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn begun(data: &Path, wal: Option<&Path>) -> Site {
        let site = Site::prepare(data, wal, 1).unwrap();
        site.write(&site.wal_dir().join(WAL_NAME), |_| Ok(())).unwrap();
        site.write(&site.snap_dir().join("db"), |_| Ok(())).unwrap();
        site
    }

    #[test]
    fn whoever_dies_at_any_point_is_in_nobodys_way() {
        let home = tempfile::tempdir().unwrap();
        for (name, wal) in [("a", None), ("b", Some("wal")), ("c", Some("c/log"))] {
            let (data, wal) = (home.path().join(name), wal.map(|wal| home.path().join(wal)));
            let wal = wal.as_deref();
            // Before the first rename, between both, and once more, with what those left.
            begun(&data, wal).die();
            let mut site = begun(&data, wal);
            site.name_wal().unwrap();
            assert!(wal.is_none_or(Path::exists));
            site.die();
            begun(&data, wal).die();
            begun(&data, wal).finish().unwrap();
            assert_eq!(names(&data), if name == "c" { vec!["log", "member"] } else { vec!["member"] });
            assert_eq!(names(&data.join("member")), if wal.is_some() { vec!["snap"] } else { vec!["snap", "wal"] });
            assert!(wal.is_none_or(|wal| names(wal) == [WAL_NAME]));
        }
        assert_eq!(names(home.path()), ["a", "b", "c", "wal"]);
    }

    #[test]
    fn a_wal_dir_that_is_another_one_by_now_is_not_removed() {
        let home = tempfile::tempdir().unwrap();
        let (data, wal) = (home.path().join("data"), home.path().join("wal"));
        let mut site = begun(&data, Some(&wal));
        site.name_wal().unwrap();
        site.die();
        // A member has written to it meanwhile.
        std::fs::write(wal.join("0000000000000001-0000000000000005.wal"), "").unwrap();
        let refused = Site::prepare(&data, Some(&wal), 1).unwrap_err();
        assert_eq!((refused.code(), refused.argument()), ("file_exists", Some("wal_dir")));
        assert_eq!(names(&wal).len(), 2);
    }

    #[test]
    fn one_that_fails_leaves_nothing_and_one_at_a_time_builds() {
        let home = tempfile::tempdir().unwrap();
        let (data, wal) = (home.path().join("a/data"), home.path().join("wal"));
        let mut site = begun(&data, Some(&wal));
        let busy = Site::prepare(&data, None, 1).unwrap_err();
        let full = Site::prepare(&home.path().join("b"), None, u64::MAX / 2).unwrap_err();
        site.name_wal().unwrap();
        drop(site);
        assert_eq!((names(home.path()), names(&home.path().join("a"))), (vec!["a".to_owned()], vec![]));
        let told = crate::tests::shown([busy]).replace(&home.path().display().to_string(), "HOME");
        insta::assert_snapshot!(told, @r"
        restore_in_progress (data_dir): another restore is making HOME/a/data
          help: wait until it ends, or choose another folder
        ");
        assert_eq!((full.code(), full.argument()), ("disk_full", Some("data_dir")));
        // Somebody was faster.
        let site = begun(&data, Some(&wal));
        std::fs::create_dir(data.join("member")).unwrap();
        assert_eq!(site.finish().unwrap_err().code(), "file_exists");
        assert_eq!((names(home.path()), names(&data)), (vec!["a".to_owned()], vec!["member".to_owned()]));
    }
}
