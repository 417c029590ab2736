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

/// A version as a user names one: a whole line such as 3.6, or one of its releases such as 3.6.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The version; the first of a line that is named as a whole.
    pub version: Version,
    /// Whether that one release is meant.
    pub exact: bool,
}

impl Release {
    /// Reads a version.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, NotAVersion> {
        let plain = text.trim();
        let numbers = plain.split(['-', '+']).next().unwrap_or_default().split('.').count();
        let version = Version::parse(plain).filter(|_| numbers <= 3).ok_or_else(|| NotAVersion(text.to_owned()))?;
        Ok(Release { version, exact: plain.matches('.').count() > 1 })
    }

    /// Returns the line, as etcd writes the version of a cluster.
    pub fn line(self) -> Version {
        Version { patch: 0, ..self.version }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exact { self.version.fmt(f) } else { write!(f, "{}.{}", self.version.major, self.version.minor) }
    }
}

impl<'de> serde::Deserialize<'de> for Release {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Release::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl crate::args::Typed for Release {
    const KIND: crate::args::Kind = crate::args::Kind::Text;
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("should be a version such as 3.6 or 3.6.16, not {0:?}")]
pub struct NotAVersion(String);

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

    #[rstest]
    #[case("3.6", "3.6", (3, 6, 0), false)]
    #[case(" v3.6.16 ", "3.6.16", (3, 6, 16), true)]
    #[case("3.6.0", "3.6.0", (3, 6, 0), true)]
    fn a_line_or_one_of_its_releases(
        #[case] text: &str,
        #[case] shown: &str,
        #[case] (major, minor, patch): (u32, u32, u32),
        #[case] exact: bool,
    ) {
        let release = Release::parse(text).unwrap();
        assert_eq!((release.version, release.exact), (Version::new(major, minor, patch), exact));
        assert_eq!((release.to_string().as_str(), release.line()), (shown, Version::new(major, minor, 0)));
    }

    #[test]
    fn what_is_no_version_is_refused_with_an_example() {
        let read = |value: crate::value::Value| crate::value::from_value::<Release>(value).unwrap_err();
        let told = [read("new".into()), read("3.7.3.1".into()), read(crate::value::Value::Float(3.6))].map(Into::into);
        insta::assert_snapshot!(crate::tests::shown(told), @r#"
        invalid_argument: the value should be a version such as 3.6 or 3.6.16, not "new"
        invalid_argument: the value should be a version such as 3.6 or 3.6.16, not "3.7.3.1"
        invalid_argument: the value should be text, not a float
        "#);
    }
}
