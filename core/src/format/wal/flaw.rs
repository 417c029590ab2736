//! What can be wrong with a log.

use crate::format::proto::Malformed;
use crate::format::schema;

/// Damage to a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The folder has no file of a log.
    #[error("it has no file of a log")]
    NoSegments,
    /// A file of the log is not there.
    #[error("the file with the number {wanted} is missing; {found} is the next one there")]
    MissingSegment {
        /// The number that comes next.
        wanted: u64,
        /// The number that is there.
        found: u64,
    },
    /// The end of the log was being written when its member stopped, which etcd repairs when it starts.
    #[error("the last record was not written to its end")]
    Torn,
    /// The length of a record cannot be true.
    #[error("a record of {length} bytes begins where {left} are left")]
    Length {
        /// The length that the record is said to have.
        length: u64,
        /// How many bytes the file has from there on.
        left: u64,
    },
    /// A record is longer than any that etcd writes.
    #[error("a record has {length} bytes; at most {most} are read")]
    TooLong {
        /// Its length.
        length: u64,
        /// The longest that is read.
        most: u64,
    },
    /// A file does not begin as each does.
    #[error("it does not begin with the checksum of the files before it, and whose it is")]
    Headless,
    /// The chain of checksums is broken.
    #[error("the checksum is {found:08x}, and should be {expected:08x}")]
    Checksum {
        /// The checksum in the record.
        expected: u32,
        /// That of the data up to here.
        found: u32,
    },
    /// A record or what it holds is no message.
    #[error("{what} cannot be read")]
    Message {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: Malformed,
    },
    /// A member in the log is none.
    #[error("the member in a change of members cannot be read")]
    Member(#[source] schema::Flaw),
    /// A kind that is not known.
    #[error("{what} is of the kind {found}, which is not known")]
    Kind {
        /// What it is.
        what: &'static str,
        /// The kind.
        found: u64,
    },
    /// The files belong to different members.
    #[error("it says that it belongs to another member than the files before it")]
    OtherMember,
    /// An entry does not follow those before it.
    #[error("entry {found} follows entry {last}")]
    Gap {
        /// The index of the entry before.
        last: u64,
        /// The index of the entry.
        found: u64,
    },
}

impl Flaw {
    pub(in crate::format) fn code(&self) -> &'static str {
        match self {
            Flaw::NoSegments => "no_log",
            Flaw::MissingSegment { .. } | Flaw::Gap { .. } => "log_incomplete",
            Flaw::Torn => "log_torn",
            Flaw::OtherMember => "log_of_another_member",
            _ => "log_damaged",
        }
    }
}

pub(super) fn message(what: &'static str) -> impl Fn(Malformed) -> Flaw {
    move |source| Flaw::Message { what, source }
}
