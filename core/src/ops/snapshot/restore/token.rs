//! The token of a restore on hosts. A call that is gone on with finds by the ids in the data which members are done, and the ids follow from
//! the token. So the token says what the data were made of: with another file, another bump or another option the ids are other ones, and no
//! member is taken for done that has other data than the rest.
//!
//! It is `BASE-BUMP-PRINT`, where the print is the first 8 digits of a SHA-256 of the file's sum, the bump and the options. The bump
//! stands there because what is recommended may be more by the time the call is made again.

use aws_lc_rs::digest::{SHA256, digest};

use crate::format::trailer::hex;
use crate::version::Version;

/// How many digits the print has.
const DIGITS: usize = 8;

/// What the data are made of, beside the bump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'c> {
    /// The SHA-256 of the file's data, in hex.
    pub(super) sha256: &'c str,
    pub(super) target_version: Option<Version>,
    pub(super) scrub_alarms: bool,
}

impl Content<'_> {
    fn print(&self, bump: u64) -> String {
        let Content { sha256, target_version, scrub_alarms } = self;
        let target = target_version.map_or_else(String::new, |version| version.to_string());
        let sum = digest(&SHA256, format!("{sha256} {bump} {target} {scrub_alarms}").as_bytes());
        hex(sum.as_ref()).chars().take(DIGITS).collect()
    }

    /// Returns the token for this content.
    pub(super) fn token(&self, base: &str, bump: u64) -> String {
        format!("{base}-{bump}-{}", self.print(bump))
    }

    /// Returns the bump in a token of an earlier call that made the same.
    pub(super) fn bump_in(&self, token: &str, given: Option<u64>) -> Option<u64> {
        let (rest, print) = token.rsplit_once('-')?;
        let bump = rest.rsplit_once('-')?.1.parse().ok()?;
        (print == self.print(bump) && given.is_none_or(|given| given == bump)).then_some(bump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_gone_on_with_for_the_same_data_only() {
        let content = Content { sha256: "ab", target_version: None, scrub_alarms: false };
        let token = content.token("again", 1_000_000_000);
        assert!(token.starts_with("again-1000000000-") && token.len() == "again-1000000000-".len() + DIGITS, "{token}");
        assert_eq!([None, Some(1_000_000_000)].map(|given| content.bump_in(&token, given)), [Some(1_000_000_000); 2]);
        assert_eq!(content.bump_in(&token, Some(7)), None);
        let others = [
            Content { sha256: "ac", ..content },
            Content { target_version: Some(Version::new(3, 6, 0)), ..content },
            Content { scrub_alarms: true, ..content },
        ];
        assert!(others.iter().all(|other| other.bump_in(&token, None).is_none()));
        assert!(["again", "a-b", "a-1-b", "", "--"].iter().all(|text| content.bump_in(text, None).is_none()));
    }
}
