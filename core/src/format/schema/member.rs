//! The bucket `members`. The key is the member's id in hex; the value is JSON:
//!
//! `{"id":14819969595620948624,"peerURLs":["http://…"],"isLearner":true,"name":"s1","clientURLs":["http://…"]}`
//!
//! `isLearner`, `name` and `clientURLs` are left out where they are empty. The id is a bare number of 64 bits.

use serde::Deserialize;

use super::flaw::{Flaw, json, member_key};
use crate::id::MemberId;
use crate::member::Member;

/// The JSON of a member, as etcd writes it into the database, the log and the old store.
#[derive(Deserialize)]
struct Json {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Option<Vec<String>>,
    #[serde(rename = "clientURLs")]
    client_urls: Option<Vec<String>>,
    #[serde(default)]
    name: String,
    #[serde(rename = "isLearner", default)]
    is_learner: bool,
}

/// Reads a member's JSON.
///
/// # Errors
/// It is no JSON, or not of a member.
pub fn from_json(bytes: &[u8]) -> Result<Member, Flaw> {
    let Json { id, peer_urls, client_urls, name, is_learner } = json("the member", bytes)?;
    let (peer_urls, client_urls) = (peer_urls.unwrap_or_default(), client_urls.unwrap_or_default());
    Ok(Member { id: MemberId(id), name, peer_urls, client_urls, is_learner })
}

/// Reads a row of the bucket.
pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Member, Flaw> {
    let id = member_key(key)?;
    let member = from_json(value)?;
    if member.id == id { Ok(member) } else { Err(Flaw::Mismatch { key: id.to_string(), found: member.id.to_string() }) }
}
