//! Versions as programs print them.

use std::fmt;
use std::str::FromStr;

/// A release number such as 3.6.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    /// The first number.
    pub(crate) major: u32,
    /// The second number.
    pub(crate) minor: u32,
    /// The third number; 0 where a program prints only two, as protoc does.
    pub(crate) patch: u32,
}

impl Version {
    /// A release number from its parts.
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The first release number in what a program printed, such as `etcd Version: 3.6.16`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| word.parse().ok())
    }

    /// Whether both belong to the same minor release line.
    pub(crate) fn same_minor(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let mut parts = word.strip_prefix('v').unwrap_or(word).split('.');
        let mut next = || parts.next().map(str::parse::<u32>);
        match (next(), next(), next(), next()) {
            (Some(Ok(major)), Some(Ok(minor)), patch, None) => {
                let patch = patch.transpose().map_err(|_| ())?.unwrap_or(0);
                Ok(Self::new(major, minor, patch))
            }
            _ => Err(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_what_programs_print() {
        let etcd = "etcd Version: 3.6.16\nGit SHA: Not provided\nGo Version: go1.26.8\n";
        assert_eq!(Version::find(etcd), Some(Version::new(3, 6, 16)));
        assert_eq!(Version::find("0.115.1\n"), Some(Version::new(0, 115, 1)));
        assert_eq!(Version::find("libprotoc 25.1"), Some(Version::new(25, 1, 0)));
        assert_eq!(Version::find("v3.5.35"), Some(Version::new(3, 5, 35)));
        assert_eq!(Version::find("no version in 1 word, nor in a.b"), None);
        assert_eq!(Version::find("1.2.3.4 3.7.0-rc.0"), None);
    }

    #[test]
    fn orders_by_number_and_compares_minors() {
        assert!(Version::new(3, 5, 9) < Version::new(3, 5, 35));
        assert!(Version::new(3, 10, 0) > Version::new(3, 9, 9));
        assert!(Version::new(0, 115, 0).same_minor(Version::new(0, 115, 1)));
        assert!(!Version::new(0, 115, 1).same_minor(Version::new(0, 116, 1)));
    }
}
