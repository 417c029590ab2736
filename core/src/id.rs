//! The identities of etcd. They are unsigned 64-bit numbers, which neither face can hold exactly, so everywhere outside this
//! file they are text in lower hex, as etcdctl prints them: a lease with all of its sixteen digits, the others without leading
//! zeros.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! hex_id {
    ($(#[$meta:meta])* $name:ident, $format:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                match u64::from_str_radix(digits, 16) {
                    Ok(id) if plain => Ok($name(id)),
                    _ => Err(NotAnId(text.to_owned())),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// The identity of a member; a member that is removed and added again gets another one.
    MemberId, "{:x}"
}
hex_id! {
    /// The identity of a cluster, made when it was bootstrapped or restored.
    ClusterId, "{:x}"
}
hex_id! {
    /// The identity of a lease.
    LeaseId, "{:016x}"
}

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("should be an id in hex such as 8e9e05c52164694d, not {0:?}")]
pub struct NotAnId(String);

/// A revision of the store: it grows by one with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("8e9e05c52164694d", Some(0x8e9e_05c5_2164_694d))]
    #[case("0x8e9e05c52164694d", Some(0x8e9e_05c5_2164_694d))]
    #[case("ffffffffffffffff", Some(u64::MAX))]
    #[case("1", Some(1))]
    #[case("", None)]
    #[case("+1", None)]
    #[case("infra1", None)]
    #[case("10000000000000000", None)]
    fn ids_are_read_in_hex(#[case] text: &str, #[case] id: Option<u64>) {
        assert_eq!(text.parse::<MemberId>().ok(), id.map(MemberId));
    }

    #[test]
    fn ids_are_written_as_text_that_reads_back() {
        let id = MemberId(u64::MAX - 1);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"fffffffffffffffe\"");
        assert_eq!(id.to_string().parse::<MemberId>().unwrap(), id);
    }

    #[test]
    fn a_lease_is_written_with_all_of_its_digits_and_read_without() {
        let lease = LeaseId(0x1234);
        assert_eq!((lease.to_string(), format!("{lease:?}")), ("0000000000001234".to_owned(), lease.to_string()));
        assert_eq!(serde_json::to_string(&lease).unwrap(), "\"0000000000001234\"");
        for text in ["1234", "0x1234", "0000000000001234"] {
            assert_eq!(text.parse(), Ok(lease));
        }
        assert_eq!(MemberId(0x1234).to_string(), "1234");
        assert_eq!(ClusterId(0x1234).to_string(), "1234");
    }
}
