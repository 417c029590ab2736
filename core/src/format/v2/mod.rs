//! The old store, which etcd keeps in its `.snap` files as JSON. Up to 3.5 it decides who is a member; 3.6 still reads it, and does
//! not start where users have put anything into it; 3.7 does not read it.
//!
//! | path | holds |
//! | ---- | --- |
//! | `/0/members/ID/raftAttributes` | `{"peerURLs":[…],"isLearner":true}` |
//! | `/0/members/ID/attributes` | `{"name":"…","clientURLs":[…]}`, once the member was started |
//! | `/0/removed_members/ID` | |
//! | `/0/version` | version that the cluster agreed on |
//! | `/1/…` | what users put there |
//! | `/2/…` | users and roles of the old interface |
//!
//! A node is `{"Path":…,"CreatedIndex":…,"ModifiedIndex":…,"ExpireTime":…,"Value":…,"Children":{NAME: node}}`, with `null` for the
//! children of a node that holds a value. Source: etcd's `server/etcdserver/api/v2store/store.go` and
//! `api/membership/storev2.go`.

mod write;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::snap::Flaw;
use crate::id::MemberId;
use crate::member::Member;

pub use write::fresh;

/// What the old store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldStore {
    /// The members, in the order of their ids.
    pub members: Vec<Member>,
    /// The members that were removed, in the order of their ids.
    pub removed: Vec<MemberId>,
    /// The version that the whole cluster had agreed on.
    pub cluster_version: Option<String>,
    /// How many nodes users have put there; with any, 3.6 does not start.
    pub user_nodes: u64,
    /// How many nodes there are of users and roles; with any, 3.6 does not start.
    pub auth_nodes: u64,
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "Root")]
    root: Node,
}

/// A node. How deep they may lie in each other is bounded by the reader of JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    #[serde(rename = "Value")]
    value: String,
    #[serde(rename = "Children")]
    children: Option<BTreeMap<String, Node>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RaftAttributes {
    #[serde(rename = "peerURLs")]
    peer_urls: Option<Vec<String>>,
    #[serde(rename = "isLearner")]
    is_learner: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    name: String,
    #[serde(rename = "clientURLs")]
    client_urls: Option<Vec<String>>,
}

impl OldStore {
    /// Reads the JSON of a `.snap` file.
    ///
    /// # Errors
    /// It is none, or a member in it is none that etcd writes.
    pub fn parse(json: &[u8]) -> Result<Self, Flaw> {
        let Json { root } = serde_json::from_slice(json).map_err(Flaw::Store)?;
        let mut store = OldStore {
            cluster_version: root.at(&["0", "version"]).map(|node| node.value.clone()),
            user_nodes: root.at(&["1"]).map_or(0, Node::below),
            auth_nodes: root.at(&["2"]).map_or(0, Node::below),
            ..OldStore::default()
        };
        for (name, node) in root.children_at(&["0", "members"]) {
            store.members.push(member(name, node)?);
        }
        for (name, _) in root.children_at(&["0", "removed_members"]) {
            store.removed.push(id("removed_members", name)?);
        }
        store.members.sort_by_key(|member| member.id);
        store.removed.sort();
        Ok(store)
    }
}

impl Node {
    fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.children.as_ref()?.get(*name))
    }

    fn children_at(&self, path: &[&str]) -> impl Iterator<Item = (&String, &Node)> {
        self.at(path).and_then(|node| node.children.as_ref()).into_iter().flatten()
    }

    /// Counts the nodes below.
    fn below(&self) -> u64 {
        let mut count = 0;
        let mut rest: Vec<&Node> = vec![self];
        while let Some(node) = rest.pop() {
            let children = node.children.iter().flatten();
            count += children.clone().count() as u64;
            rest.extend(children.map(|(_, child)| child));
        }
        count
    }
}

fn member(name: &str, node: &Node) -> Result<Member, Flaw> {
    let wrong =
        |what: &str| Flaw::Node { path: format!("/0/members/{}/{what}", super::problem::shown(name.as_bytes())) };
    let raft = node.at(&["raftAttributes"]).ok_or_else(|| wrong("raftAttributes"))?;
    let raft: RaftAttributes = serde_json::from_str(&raft.value).map_err(|_| wrong("raftAttributes"))?;
    let started: Attributes = match node.at(&["attributes"]) {
        Some(node) => serde_json::from_str(&node.value).map_err(|_| wrong("attributes"))?,
        None => Attributes::default(),
    };
    Ok(Member {
        id: id("members", name)?,
        name: started.name,
        peer_urls: raft.peer_urls.unwrap_or_default(),
        client_urls: started.client_urls.unwrap_or_default(),
        is_learner: raft.is_learner,
    })
}

fn id(folder: &str, name: &str) -> Result<MemberId, Flaw> {
    MemberId::from_str(name)
        .map_err(|_| Flaw::Node { path: format!("/0/{folder}/{}", super::problem::shown(name.as_bytes())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, value: &str, children: &str) -> String {
        let value = serde_json::to_string(value).unwrap();
        format!(
            r#""{}":{{"Path":"{path}","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":{value},"Children":{children}}}"#,
            path.rsplit('/').next().unwrap()
        )
    }

    fn store(members: &str, removed: &str, users: &str) -> String {
        let zero = [
            node("/0/members", "", members),
            node("/0/removed_members", "", removed),
            node("/0/version", "3.5.0", "null"),
        ];
        let root = [node("/0", "", &format!("{{{}}}", zero.join(","))), node("/1", "", users)];
        format!(
            r#"{{"Root":{{"Path":"/","Value":"","Children":{{{}}}}},"WatcherHub":{{}},"CurrentIndex":5}}"#,
            root.join(",")
        )
    }

    #[test]
    fn members_are_read() {
        let learner = node("/0/members/2/raftAttributes", r#"{"peerURLs":["http://b:2380"],"isLearner":true}"#, "null");
        let raft = node("/0/members/1f/raftAttributes", r#"{"peerURLs":["http://a:2380"]}"#, "null");
        let names = node("/0/members/1f/attributes", r#"{"name":"s1","clientURLs":["http://a:2379"]}"#, "null");
        let members = [
            node("/0/members/1f", "", &format!("{{{raft},{names}}}")),
            node("/0/members/2", "", &format!("{{{learner}}}")),
        ];
        let removed = format!("{{{}}}", node("/0/removed_members/3", "removed", "null"));
        let users = format!("{{{}}}", node("/1/a", "", &format!("{{{}}}", node("/1/a/b", "c", "null"))));
        let store = OldStore::parse(store(&format!("{{{}}}", members.join(",")), &removed, &users).as_bytes()).unwrap();
        insta::assert_debug_snapshot!(store, @r#"
        OldStore {
            members: [
                Member {
                    id: 2,
                    name: "",
                    peer_urls: [
                        "http://b:2380",
                    ],
                    client_urls: [],
                    is_learner: true,
                },
                Member {
                    id: 1f,
                    name: "s1",
                    peer_urls: [
                        "http://a:2380",
                    ],
                    client_urls: [
                        "http://a:2379",
                    ],
                    is_learner: false,
                },
            ],
            removed: [
                3,
            ],
            cluster_version: Some(
                "3.5.0",
            ),
            user_nodes: 2,
            auth_nodes: 0,
        }
        "#);
    }

    #[test]
    fn what_is_no_store_is_refused() {
        let lonely = store(&format!("{{{}}}", node("/0/members/2", "", "null")), "{}", "{}");
        let deep = format!("{}{}", r#"{"Root":{"Children":{"a":"#, r#"{"Children":{"a":"#.repeat(100_000));
        let files = ["", "[]", "{}", r#"{"Root":7}"#, &lonely, &deep];
        let told = files.map(|json| format!("{}\n", OldStore::parse(json.as_bytes()).unwrap_err()));
        insta::assert_snapshot!(told.concat(), @r"
        the old store in it cannot be read
        the old store in it cannot be read
        the old store in it cannot be read
        the old store in it cannot be read
        /0/members/2/raftAttributes of the old store is not what etcd writes
        the old store in it cannot be read
        ");
    }
}
