//! What can be wrong with a record of etcd's own, and the few forms that all of them share.

use std::str::FromStr;

use crate::format::proto::Malformed;
use crate::id::MemberId;

/// Why a record is none that etcd writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A number has another length than eight bytes.
    #[error("{what} has {length} bytes, and should have {expected}")]
    Length {
        /// What it is.
        what: &'static str,
        /// The length that it has, in bytes.
        length: usize,
        /// The length that it should have, in bytes.
        expected: usize,
    },
    /// A message cannot be read.
    #[error("{what} cannot be read")]
    Message {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: Malformed,
    },
    /// JSON cannot be read.
    #[error("{what} cannot be read")]
    Json {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Text is no text.
    #[error("{what} is no text")]
    Text {
        /// What it is.
        what: &'static str,
    },
    /// A revision is none.
    #[error("{what} is no revision")]
    Revision {
        /// What it is.
        what: &'static str,
    },
    /// A member's id is none.
    #[error("the key {0:?} is no id of a member")]
    MemberKey(String),
    /// Key and value name different things.
    #[error("the entry of {key} says that it is {found}")]
    Mismatch {
        /// What the key names.
        key: String,
        /// What the value names.
        found: String,
    },
    /// A number that stands for something stands for nothing.
    #[error("{what} is {found}, which means nothing")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// The number.
        found: u64,
    },
    /// More records than are read at once.
    #[error("members, users, roles and alarms take more than {0} bytes")]
    TooMany(usize),
}

impl Flaw {
    pub(in crate::format) fn code(&self) -> &'static str {
        match self {
            Flaw::TooMany(_) => "too_large",
            _ => "record_damaged",
        }
    }
}

pub(super) fn number(what: &'static str, bytes: &[u8]) -> Result<u64, Flaw> {
    let length = |_| Flaw::Length { what, length: bytes.len(), expected: 8 };
    Ok(u64::from_be_bytes(bytes.try_into().map_err(length)?))
}

pub(super) fn text(what: &'static str, bytes: &[u8]) -> Result<String, Flaw> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Flaw::Text { what })
}

pub(super) fn json<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Flaw> {
    serde_json::from_slice(bytes).map_err(|source| Flaw::Json { what, source })
}

pub(super) fn message(what: &'static str) -> impl Fn(Malformed) -> Flaw {
    move |source| Flaw::Message { what, source }
}

/// Reads a key of `members` or `members_removed`.
pub(super) fn member_key(key: &[u8]) -> Result<MemberId, Flaw> {
    let id = std::str::from_utf8(key).ok().and_then(|text| MemberId::from_str(text).ok());
    id.ok_or_else(|| Flaw::MemberKey(crate::format::problem::shown(key)))
}
