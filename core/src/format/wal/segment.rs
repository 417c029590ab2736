//! The files of a log.
//!
//! A file's name is `SEQUENCE-INDEX.wal`, each of 16 hex digits: its number among the files, and the index of its first entry.
//! `0.tmp` and `1.tmp` are made in advance and hold nothing; `*.broken` is what etcd kept when it repaired a file.

use std::path::{Path, PathBuf};

use super::flaw::Flaw;
use crate::format::problem::{FileFlaw, Place, Problem, Result};

/// How many digits each part of a name has.
const DIGITS: usize = 16;

/// A file of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Its number.
    pub sequence: u64,
    /// The index of its first entry.
    pub index: u64,
    /// Where it lies.
    pub path: PathBuf,
}

/// Returns the files of the log in a folder, in order. The first ones may be gone, since etcd removes what it does not need.
///
/// # Errors
/// The folder cannot be read, has no file of a log, or one in the middle is missing.
pub fn segments(folder: &Path) -> Result<Vec<Segment>> {
    let failed = |source| Problem::new(Place::file(folder), FileFlaw::Read(source));
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| parse(name, ".wal"));
        if let Some((sequence, index)) = name {
            segments.push(Segment { sequence, index, path });
        }
    }
    segments.sort();
    if segments.is_empty() {
        return Err(Problem::new(Place::file(folder), Flaw::NoSegments));
    }
    for (before, after) in segments.iter().zip(segments.iter().skip(1)) {
        let wanted = before.sequence.saturating_add(1);
        if after.sequence != wanted {
            let flaw = Flaw::MissingSegment { wanted, found: after.sequence };
            return Err(Problem::new(Place::file(folder), flaw));
        }
    }
    Ok(segments)
}

/// Reads a name of two numbers in hex and an ending.
pub(crate) fn parse(name: &str, ending: &str) -> Option<(u64, u64)> {
    let (first, second) = name.strip_suffix(ending)?.split_once('-')?;
    let number = |text: &str| {
        let is_hex = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
    };
    Some((number(first)?, number(second)?))
}
