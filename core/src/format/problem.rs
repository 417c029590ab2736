//! What is wrong with a file, and where. Every reader below gives a [`Problem`]: the place, as exact as it is known, and one
//! [`Flaw`] of the area that found it. Reading strictly ends with the first; a check goes on and collects them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{bolt, mvcc, proto, schema, snap, trailer, wal};
use crate::error::Fault;

/// What a reader of a file returns.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Where in a file something is. Whatever is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Option<PathBuf>,
    /// The bucket, as text.
    pub bucket: Option<String>,
    /// The page's number.
    pub page: Option<u64>,
    /// The element of that page, counted from zero.
    pub element: Option<u32>,
    /// The offset in the file, in bytes.
    pub offset: Option<u64>,
}

impl Place {
    /// Names a file as a whole.
    pub fn file(path: &Path) -> Self {
        Place { file: Some(path.to_owned()), ..Place::default() }
    }

    /// Returns the same place with an offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Returns the same place within a bucket.
    #[must_use]
    pub fn in_bucket(mut self, name: &[u8]) -> Self {
        self.bucket = Some(shown(name));
        self
    }

    /// Describes the place within its file; an empty text is the file as a whole.
    pub fn within(&self) -> String {
        let page = self.page.map(|page| format!("page {page}"));
        let element = self.element.map(|element| format!("element {element}"));
        let offset = self.offset.map(|offset| format!("byte {offset}"));
        let bucket = self.bucket.as_ref().map(|bucket| format!("bucket {bucket}"));
        [bucket, page, element, offset].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let within = Some(self.within()).filter(|within| !within.is_empty());
        f.write_str(&file.into_iter().chain(within).collect::<Vec<_>>().join(", "))
    }
}

/// Shows a name out of a file as ASCII: what else it holds is escaped, and it is cut where it is too long to be read.
pub(crate) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 64;
    let cut = name.get(..LONGEST).map_or("", |_| "…");
    format!("{}{cut}", name.get(..LONGEST).unwrap_or(name).escape_ascii())
}

/// What is wrong, by the area that found it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file cannot be read at all, or not any longer.
    #[error(transparent)]
    File(#[from] FileFlaw),
    /// The structure of a database file is damaged.
    #[error(transparent)]
    Bolt(#[from] bolt::Flaw),
    /// The SHA-256 of a snapshot is wrong or missing.
    #[error(transparent)]
    Trailer(#[from] trailer::Flaw),
    /// A row of the store is not what etcd writes.
    #[error(transparent)]
    Row(#[from] mvcc::Flaw),
    /// A record of etcd's own is not what etcd writes.
    #[error(transparent)]
    Record(#[from] schema::Flaw),
    /// The write-ahead log is damaged.
    #[error(transparent)]
    Wal(#[from] wal::Flaw),
    /// A `.snap` file is damaged.
    #[error(transparent)]
    Snap(#[from] snap::Flaw),
    /// A protobuf message is damaged.
    #[error(transparent)]
    Proto(#[from] proto::Malformed),
}

/// What stands in the way of reading a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileFlaw {
    /// The system refused.
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    /// The system refused, for a file that is being made.
    #[error("it cannot be written")]
    Write(#[source] std::io::Error),
    /// It is no ordinary file.
    #[error("it is not a file")]
    NotAFile,
    /// A running etcd holds the lock.
    #[error("it is in use by a running etcd")]
    InUse,
    /// Its size, time or identity was another one at the end.
    #[error("it was changed while it was read")]
    Changed,
    /// The caller gave up.
    #[error("interrupted")]
    Stopped,
}

/// One thing that is wrong with a file.
#[derive(Debug)]
pub struct Problem(Box<(Place, Flaw)>);

impl Problem {
    /// Puts a place and a flaw together.
    pub fn new(place: Place, flaw: impl Into<Flaw>) -> Self {
        Problem(Box::new((place, flaw.into())))
    }

    /// Returns where it is.
    pub fn place(&self) -> &Place {
        &self.0.0
    }

    /// Returns what it is.
    pub fn flaw(&self) -> &Flaw {
        &self.0.1
    }

    /// Returns what it is, and forgets where.
    #[cfg(test)]
    pub(crate) fn into_flaw(self) -> Flaw {
        self.0.1
    }

    /// Says whether every row of the file is there and as it was written, as far as that can be known.
    pub fn is_harmless(&self) -> bool {
        match self.flaw() {
            Flaw::Bolt(flaw) => flaw.is_harmless(),
            Flaw::Trailer(flaw) => flaw.is_harmless(),
            _ => false,
        }
    }

    /// Says whether the file could not be read on, so that going on would only meet the same again.
    pub fn ends_reading(&self) -> bool {
        matches!(self.flaw(), Flaw::File(_))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place().to_string();
        let colon = if place.is_empty() { "" } else { ": " };
        write!(f, "{place}{colon}{}", self.flaw())
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.flaw().source()
    }
}

impl Fault for Problem {
    fn code(&self) -> &'static str {
        match self.flaw() {
            Flaw::File(FileFlaw::Read(_)) => "file_unreadable",
            Flaw::File(FileFlaw::Write(source)) => crate::file::code_of(source),
            Flaw::File(FileFlaw::NotAFile) => "not_a_file",
            Flaw::File(FileFlaw::InUse) => "file_in_use",
            Flaw::File(FileFlaw::Changed) => "file_changed",
            Flaw::File(FileFlaw::Stopped) => "interrupted",
            Flaw::Bolt(flaw) => flaw.code(),
            Flaw::Trailer(flaw) => flaw.code(),
            Flaw::Row(flaw) => flaw.code(),
            Flaw::Record(flaw) => flaw.code(),
            Flaw::Wal(flaw) => flaw.code(),
            Flaw::Snap(flaw) => flaw.code(),
            Flaw::Proto(_) => "protobuf_damaged",
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self.flaw() {
            Flaw::File(FileFlaw::InUse) => "stop that etcd first, or take a snapshot of it with `snapshot save`",
            Flaw::File(FileFlaw::Write(_)) => "nothing was left of it; make room or choose another disk, and try again",
            Flaw::File(FileFlaw::Changed) => {
                "read it again when nothing writes to it; a copy of a live database is no backup"
            }
            Flaw::Bolt(flaw) => flaw.help()?,
            Flaw::Trailer(flaw) => flaw.help(),
            _ => return None,
        };
        Some(help.to_owned())
    }
}
