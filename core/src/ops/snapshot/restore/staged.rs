//! The folder that data dirs are made in before they get their place.
//!
//! It lies beside the place, as `.NAME.tmp-NONCE`, and is locked as long as its maker lives. Whoever is killed leaves it, and the next one
//! removes what nobody has locked.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file::BadFile;

/// How many digits the nonce has.
const DIGITS: usize = 16;

/// A folder that goes, with all that is in it, unless it gets another name.
pub(super) struct Staged {
    path: PathBuf,
    _locked: File,
}

impl Staged {
    /// Makes one beside a place, and removes those that were left there.
    pub(super) fn beside(place: &Path) -> Result<Self> {
        let begin = format!(".{}.tmp-", place.file_name().unwrap_or_default().to_string_lossy());
        let path = place.with_file_name(format!("{begin}{:0DIGITS$x}", crate::change::random()));
        let made = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            let locked = File::open(&path)?;
            // A file system without locks has nobody who holds one.
            let _ = locked.try_lock();
            Ok(locked)
        };
        let failed = |source: io::Error| Error::from(BadFile::from_io("create", place, source));
        let locked = made().map_err(failed)?;
        let staged = Staged { path, _locked: locked };
        for left in staged.left(&begin) {
            let _ = std::fs::remove_dir_all(left);
        }
        Ok(staged)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns those of others that are not there any more.
    fn left(&self, begin: &str) -> Vec<PathBuf> {
        let beside =
            self.path.parent().and_then(|parent| std::fs::read_dir(parent).ok()).into_iter().flatten().flatten();
        let is_left = |entry: &std::fs::DirEntry| {
            let name = entry.file_name();
            let nonce = name.to_str().and_then(|name| name.strip_prefix(begin));
            let is_ours =
                nonce.is_some_and(|nonce| nonce.len() == DIGITS && nonce.bytes().all(|b| b.is_ascii_hexdigit()));
            is_ours
                && entry.path() != self.path
                && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok())
        };
        beside.filter(is_left).map(|entry| entry.path()).collect()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_goes_with_the_next_one_and_what_is_in_use_stays() {
        let home = tempfile::tempdir().unwrap();
        let names = || {
            let entries = std::fs::read_dir(home.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let place = home.path().join("made");
        let others = [
            ".made.tmp-1234",
            ".made.tmp-000000000000000x",
            ".other.tmp-0000000000000000",
            "made.tmp-0000000000000000",
        ];
        for name in others.iter().chain(&[".made.tmp-0000000000000000"]) {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        let mut expected: Vec<_> = others.map(str::to_owned).into();
        let in_use = Staged::beside(&place).unwrap();
        std::fs::write(in_use.path().join("a"), "").unwrap();
        let next = Staged::beside(&place).unwrap();
        let name = |staged: &Staged| staged.path().file_name().unwrap().to_str().unwrap().to_owned();
        expected.extend([name(&in_use), name(&next)]);
        expected.sort();
        assert_eq!(names(), expected);
        std::fs::rename(next.path(), &place).unwrap();
        drop((in_use, next));
        expected = others.map(str::to_owned).into();
        expected.push("made".to_owned());
        expected.sort();
        assert_eq!(names(), expected);
    }
}
