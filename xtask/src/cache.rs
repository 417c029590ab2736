//! The cache folder. Each piece is made under `tmp` and renamed into place, so that an interrupted setup leaves
//! nothing half made; a lock lets one setup at a time write.
//!
//! ```text
//! protoc/{bin/protoc,include}
//! nu/0.115.1/nu
//! etcd/3.6.16/{etcd,etcdctl,etcdutl}    one folder per version
//! etcd/3.4.23.missing                   the reason why this version is not tested, where it cannot be had
//! ```

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::setup::say;
use crate::version::Version;

/// Where the cached protoc is.
pub(crate) fn protoc(cache: &Path) -> PathBuf {
    cache.join("protoc")
}

/// The folder of a cached nu.
pub(crate) fn nu(cache: &Path, version: Version) -> PathBuf {
    cache.join("nu").join(version.to_string())
}

/// The folder of a cached etcd.
pub(crate) fn etcd(cache: &Path, version: Version) -> PathBuf {
    cache.join("etcd").join(version.to_string())
}

/// The note that takes the place of an etcd which cannot be had. It says why.
pub(crate) fn missing(cache: &Path, version: Version) -> PathBuf {
    etcd(cache, version).with_added_extension("missing")
}

/// The cache, locked for writing until this is dropped.
#[derive(Debug)]
pub(crate) struct Cache {
    /// The cache folder.
    pub(crate) root: PathBuf,
    _lock: File,
}

impl Cache {
    /// Makes the folder if need be, waits for any other setup, and clears what an interrupted one left.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("create the cache folder", root))?;
        let path = root.join("lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say("cache", "waiting for another setup to finish");
                file.lock().map_err(Error::io("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let cache = Self { root: root.to_owned(), _lock: file };
        cache.clear()?;
        Ok(cache)
    }

    /// An empty folder in which to make a piece.
    pub(crate) fn stage(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("tmp").join(name);
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(folder)
    }

    /// Puts a finished piece in its place, instead of what was there.
    pub(crate) fn publish(&self, made: &Path, place: &Path) -> Result<()> {
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        remove(place)?;
        fs::rename(made, place).map_err(Error::io("create", place))
    }

    /// Removes what the making of pieces left.
    pub(crate) fn clear(&self) -> Result<()> {
        remove(&self.root.join("tmp"))
    }

    /// Makes `place` a link to `target`, unless it is one already, or is the target itself: the caller's `PATH` and
    /// `ETCDSH_ETCD_DIR` may well name this cache.
    pub(crate) fn link(&self, target: &Path, place: &Path) -> Result<()> {
        let real = target.canonicalize().map_err(Error::io("find", target))?;
        if place.canonicalize().is_ok_and(|found| found == real) {
            return Ok(());
        }
        let link = self.stage("link")?.join("link");
        symlink(&real, &link).map_err(Error::io("create", &link))?;
        self.publish(&link, place)
    }
}

/// Whether this folder and all these files in it are the cache's own, not links to someone else's.
pub(crate) fn holds(folder: &Path, files: &[&str]) -> bool {
    let own = |file: &&str| folder.join(file).symlink_metadata().is_ok_and(|found| found.is_file());
    !folder.is_symlink() && files.iter().all(own)
}

/// Removes a file, a link or a folder, if there is one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let Ok(found) = path.symlink_metadata() else {
        return Ok(());
    };
    if found.is_dir() {
        fs::remove_dir_all(path).map_err(Error::io("remove", path))
    } else {
        fs::remove_file(path).map_err(Error::io("remove", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_replace_each_other_whole() {
        let root = std::env::temp_dir().join(format!("xtask-cache-{}", std::process::id()));
        fs::create_dir_all(root.join("tmp/leftover")).unwrap();
        let cache = Cache::open(&root).unwrap();
        assert!(!root.join("tmp").exists());

        let place = etcd(&root, Version::new(3, 6, 16));
        let made = cache.stage("piece").unwrap();
        fs::write(made.join("etcd"), "").unwrap();
        cache.publish(&made, &place).unwrap();
        assert!(holds(&place, &["etcd"]));
        assert!(!holds(&place, &["etcd", "etcdctl"]));

        let elsewhere = root.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("etcd"), "").unwrap();
        cache.link(&elsewhere, &place).unwrap();
        cache.link(&elsewhere, &place).unwrap();
        assert!(place.join("etcd").is_file());
        assert!(!holds(&place, &["etcd"]), "a link is not the cache's own folder");

        let made = cache.stage("piece").unwrap();
        cache.publish(&made, &place).unwrap();
        cache.link(&place, &place).unwrap();
        assert!(holds(&place, &[]), "a piece is never linked to itself");
        assert!(elsewhere.join("etcd").is_file(), "what was linked to stays as it is");
        fs::remove_dir_all(&root).unwrap();
    }
}
