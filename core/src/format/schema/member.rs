//! The bucket `members`. The key is the member's id in hex; the value is JSON:
//!
//! `{"id":14819969595620948624,"peerURLs":["http://…"],"isLearner":true,"name":"s1","clientURLs":["http://…"]}`
//!
//! `isLearner`, `name` and `clientURLs` are left out where they are empty. The id is a bare number of 64 bits.

use serde::Deserialize;

use super::flaw::{Flaw, json, member_key};
use crate::format::go_json;
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

impl Member {
    /// Reads a member's JSON.
    ///
    /// # Errors
    /// It is no JSON, or not of a member.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Flaw> {
        let Json { id, peer_urls, client_urls, name, is_learner } = json("the member", bytes)?;
        let (peer_urls, client_urls) = (peer_urls.unwrap_or_default(), client_urls.unwrap_or_default());
        Ok(Member { id: MemberId(id), name, peer_urls, client_urls, is_learner })
    }

    /// Writes a member's JSON, to the byte as etcd does.
    pub fn to_json(&self) -> String {
        let list = |name: &str, urls: &[String]| format!("{}:{}", go_json::string(name), go_json::strings(urls));
        let fields = [
            Some(format!("\"id\":{}", self.id.0)),
            Some(list("peerURLs", &self.peer_urls)),
            self.is_learner.then(|| "\"isLearner\":true".to_owned()),
            (!self.name.is_empty()).then(|| format!("\"name\":{}", go_json::string(&self.name))),
            (!self.client_urls.is_empty()).then(|| list("clientURLs", &self.client_urls)),
        ];
        format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

/// Reads a row of the bucket.
pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Member, Flaw> {
    let id = member_key(key)?;
    let member = Member::from_json(value)?;
    if member.id == id { Ok(member) } else { Err(Flaw::Mismatch { key: id.to_string(), found: member.id.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_written_as_etcd_writes_it() {
        let urls = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let bare = Member {
            id: MemberId(14_819_969_595_620_948_624),
            name: String::new(),
            peer_urls: urls(&["http://a:1", "http://b:2"]),
            client_urls: Vec::new(),
            is_learner: false,
        };
        let full =
            Member { name: "a<b".to_owned(), client_urls: urls(&["http://c:3"]), is_learner: true, ..bare.clone() };
        insta::assert_snapshot!([bare.to_json(), full.to_json()].join("\n"), @r#"
        {"id":14819969595620948624,"peerURLs":["http://a:1","http://b:2"]}
        {"id":14819969595620948624,"peerURLs":["http://a:1","http://b:2"],"isLearner":true,"name":"a\u003cb","clientURLs":["http://c:3"]}
        "#);
        assert_eq!([&bare, &full].map(|member| Member::from_json(member.to_json().as_bytes()).unwrap()), [bare, full]);
    }
}
