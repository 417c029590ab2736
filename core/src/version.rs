//! etcd versions, as far as rules depend on them.

use std::fmt;

/// A version such as 3.6.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number; rules and storage change with it.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Makes a version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Version { major, minor, patch }
    }

    /// Reads a version; what follows the third number, such as `-rc.1`, is passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().trim_start_matches('v').splitn(3, '.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next().unwrap_or("0");
        let digits = patch.find(|c: char| !c.is_ascii_digit()).map_or(patch, |end| patch.split_at(end).0);
        Some(Version { major, minor, patch: digits.parse().ok()? })
    }

    /// Says whether a change that landed in several minor lines is in this version. `since` names the first patch of each
    /// line; every line after the last one named has it.
    pub fn has(self, since: &[Version]) -> bool {
        let line = since.iter().find(|v| (v.major, v.minor) == (self.major, self.minor));
        line.map_or_else(|| since.iter().all(|v| self > *v), |first| self >= *first)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("3.6.16", Some(Version::new(3, 6, 16)))]
    #[case("v3.5.0", Some(Version::new(3, 5, 0)))]
    #[case("3.8.0-alpha.0", Some(Version::new(3, 8, 0)))]
    #[case("3.6", Some(Version::new(3, 6, 0)))]
    #[case("", None)]
    #[case("3", None)]
    #[case("3.x.1", None)]
    fn reads(#[case] text: &str, #[case] version: Option<Version>) {
        assert_eq!(Version::parse(text), version);
    }

    #[rstest]
    #[case("3.4.23", false)]
    #[case("3.5.30", false)]
    #[case("3.5.31", true)]
    #[case("3.6.11", false)]
    #[case("3.6.12", true)]
    #[case("3.7.0", true)]
    fn a_backported_change_is_known_by_line(#[case] version: &str, #[case] has: bool) {
        let since = [Version::new(3, 5, 31), Version::new(3, 6, 12)];
        assert_eq!(Version::parse(version).unwrap().has(&since), has);
    }
}
