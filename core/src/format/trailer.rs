//! The SHA-256 at the end of a snapshot.
//!
//! | offset | bytes | field |
//! | ------ | ----- | --- |
//! | 0 | pages × page size | the database |
//! | length − 32 | 32 | the SHA-256 of everything before it |
//!
//! etcd takes a file for a snapshot when its length leaves a rest of 32 by 512; a member's own file is a whole number of pages long,
//! since bolt makes it longer by pages only. What is neither was cut or added to. Source: etcd's
//! `server/etcdserver/api/v3rpc/maintenance.go` and `etcdutl/snapshot/v3_snapshot.go`, and bbolt's `db.go`.

use super::bolt::Image;
use super::problem::{Problem, Result};

/// The length of the sum in bytes.
const LENGTH: usize = 32;

/// Why a file is no snapshot that is known to be whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no sum.
    #[error("it has no SHA-256 at its end, so nothing tells whether its values are as they were")]
    Missing,
    /// The file is as long as neither a snapshot nor a member's own file is.
    #[error(
        "it has {length} bytes: no whole number of its pages of {page} bytes, nor that and a SHA-256 of 32; with its data and one it would have {needed}, so it was cut or added to"
    )]
    Length {
        /// The length of the file.
        length: u64,
        /// The size of a page.
        page: u32,
        /// The length of the data and a sum.
        needed: u64,
    },
    /// The sum is another one.
    #[error("its SHA-256 is {found}, and it should be {expected}: it was damaged or changed")]
    Wrong {
        /// The sum at the end of the file, in hex.
        expected: String,
        /// The sum of the file, in hex.
        found: String,
    },
    /// The sum does not follow the data.
    #[error("its data end at byte {data}, and its SHA-256 begins at byte {trailer}")]
    Apart {
        /// Where the data end.
        data: u64,
        /// Where the sum begins.
        trailer: u64,
    },
}

impl Flaw {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Flaw::Missing => "sha256_missing",
            Flaw::Length { .. } => "length_odd",
            Flaw::Wrong { .. } => "sha256_mismatch",
            Flaw::Apart { .. } => "sha256_apart",
        }
    }

    pub(super) fn help(&self) -> &'static str {
        match self {
            Flaw::Missing => "a member's own file or a copy of it has none; `snapshot save` makes one that has",
            Flaw::Length { .. } | Flaw::Wrong { .. } | Flaw::Apart { .. } => {
                "use another backup, because this one is not what etcd sent; `keys` with db and skip_hash_check reads what is whole in it"
            }
        }
    }

    /// Says whether the file may be as etcd wrote it.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Flaw::Missing)
    }
}

/// Returns how many bytes of a file its SHA-256 is taken of: all before the sum, or the data where there is none.
pub fn summed(image: &Image) -> u64 {
    image.trailer().unwrap_or_else(|| image.meta().length())
}

/// Returns where a file's SHA-256 begins.
///
/// # Errors
/// There is none: as in a member's own file, or because the file was cut or added to.
pub fn begin(image: &Image) -> Result<u64> {
    let (length, page, data) = (image.length(), image.meta().page_size, image.meta().length());
    image.trailer().ok_or_else(|| {
        let needed = data.saturating_add(LENGTH as u64);
        let whole = length.is_multiple_of(u64::from(page));
        let flaw = if whole { Flaw::Missing } else { Flaw::Length { length, page, needed } };
        Problem::new(image.place(), flaw)
    })
}

/// Compares the SHA-256 of a file's first [`summed`] bytes with the one at its end.
///
/// # Errors
/// There is none, or it is another one, or it cannot be read.
pub fn compare(image: &Image, sum: &[u8; LENGTH]) -> Result<()> {
    let wrong = |flaw: Flaw| Err(Problem::new(image.place(), flaw));
    let trailer = begin(image)?;
    let mut expected = [0; LENGTH];
    image.read_at(&mut expected, trailer)?;
    let data = image.meta().length();
    if expected != *sum {
        wrong(Flaw::Wrong { expected: hex(&expected), found: hex(sum) })
    } else if trailer != data {
        wrong(Flaw::Apart { data, trailer })
    } else {
        Ok(())
    }
}

/// Writes bytes in lower hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
