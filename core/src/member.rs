//! Members of a cluster, and how a user names one.

use serde::{Deserialize, Serialize};

use crate::error::{Fault, suggest};
use crate::id::{ClusterId, MemberId};

/// One member, as the membership list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started for the first time.
    pub client_urls: Vec<String>,
    /// Whether it has no vote yet.
    pub is_learner: bool,
}

impl Member {
    /// Says whether the member has ever started: it publishes its name when it does, and never takes it back.
    pub fn started(&self) -> bool {
        !self.name.is_empty()
    }

    /// Returns the name, or the id of a member that has none yet.
    pub fn label(&self) -> String {
        if self.started() { crate::units::escape_word(&self.name) } else { self.id.to_string() }
    }

    /// Returns the name with the id, or the id alone of a member that has no name yet.
    pub fn label_with_id(&self) -> String {
        if self.started() { format!("{} ({})", self.label(), self.id) } else { self.id.to_string() }
    }
}

/// A membership list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its members, in the order of their ids.
    pub members: Vec<Member>,
    /// Whether a quorum confirmed the list; otherwise it is what one member last knew.
    pub linearizable: bool,
}

impl Membership {
    /// Finds the one member that a user means.
    ///
    /// # Errors
    /// No member, or more than one, is named so; both list the candidates.
    pub fn resolve(&self, wanted: &MemberRef) -> Result<&Member, NoSuchMember> {
        let text = wanted.0.trim();
        let by_id = text.parse::<MemberId>().ok();
        let url = text.trim_end_matches('/');
        // An id is unique, so it goes before a name that happens to look like one.
        if let Some(member) = self.members.iter().find(|member| by_id == Some(member.id)) {
            return Ok(member);
        }
        let named: Vec<_> = self
            .members
            .iter()
            .filter(|m| {
                let has_url = |urls: &[String]| urls.iter().any(|known| known.trim_end_matches('/') == url);
                !text.is_empty() && (m.name == text || has_url(&m.peer_urls) || has_url(&m.client_urls))
            })
            .collect();
        match named.as_slice() {
            [member] => Ok(member),
            [] => Err(NoSuchMember::Unknown {
                wanted: text.to_owned(),
                suggestion: suggest(text, &self.members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>()),
                candidates: candidates(self.members.iter()),
            }),
            several => Err(NoSuchMember::Ambiguous {
                wanted: text.to_owned(),
                candidates: candidates(several.iter().copied()),
            }),
        }
    }
}

fn candidates<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let one = |m: &Member| if m.started() { m.label_with_id() } else { format!("{} (unstarted)", m.id) };
    members.map(one).collect::<Vec<_>>().join(", ")
}

/// How a user names a member: its name, its id in hex, or one of its peer or client URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "$member")]
pub struct MemberRef(pub String);

/// A member could not be told from what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchMember {
    /// There is none.
    #[error("no member is named {wanted:?}; the members are {candidates}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// All members.
        candidates: String,
    },
    /// There are several.
    #[error("several members are named {wanted:?}: {candidates}")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The members that it fits.
        candidates: String,
    },
}

impl NoSuchMember {
    /// Its code, for whoever goes another way when there is none.
    pub(crate) const UNKNOWN: &str = "member_not_found";
}

impl Fault for NoSuchMember {
    fn code(&self) -> &'static str {
        match self {
            NoSuchMember::Unknown { .. } => Self::UNKNOWN,
            NoSuchMember::Ambiguous { .. } => "member_ambiguous",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some("member")
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            NoSuchMember::Unknown { suggestion: Some(near), .. } if !near.is_empty() => format!("did you mean {near}?"),
            NoSuchMember::Unknown { .. } => "name it by its name, its id in hex, or one of its URLs".to_owned(),
            NoSuchMember::Ambiguous { .. } => "name it by its id".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn three() -> Membership {
        let member = |id: u64, name: &str| Member {
            id: MemberId(id),
            name: name.to_owned(),
            peer_urls: vec![format!("http://10.0.0.{id}:2380")],
            client_urls: if name.is_empty() { vec![] } else { vec![format!("http://10.0.0.{id}:2379")] },
            is_learner: false,
        };
        Membership {
            cluster_id: ClusterId(1),
            members: vec![member(0xa, "infra1"), member(0xb, "twin"), member(0xc, "twin"), member(0xd, "")],
            linearizable: true,
        }
    }

    #[rstest]
    #[case("infra1", 0xa)]
    #[case("a", 0xa)]
    #[case("0xb", 0xb)]
    #[case("d", 0xd)]
    #[case("http://10.0.0.12:2379", 0xc)]
    #[case("http://10.0.0.13:2380/", 0xd)]
    fn a_member_is_found_by_name_id_or_url(#[case] wanted: &str, #[case] id: u64) {
        assert_eq!(three().resolve(&MemberRef(wanted.to_owned())).unwrap().id, MemberId(id));
    }

    #[rstest]
    #[case("infra2", "no member is named \"infra2\"; the members are infra1 (a), twin (b), twin (c), d (unstarted)")]
    #[case("twin", "several members are named \"twin\": twin (b), twin (c)")]
    #[case("", "no member is named \"\"; the members are infra1 (a), twin (b), twin (c), d (unstarted)")]
    fn what_cannot_be_told_lists_the_candidates(#[case] wanted: &str, #[case] message: &str) {
        assert_eq!(three().resolve(&MemberRef(wanted.to_owned())).unwrap_err().to_string(), message);
    }
}
