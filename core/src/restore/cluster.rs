//! The members that a restored cluster has, and their ids. All members are restored one by one with the same list, and meet because
//! the ids follow from it.
//!
//! | id | first 8 bytes, big-endian, of the SHA-1 of |
//! | -- | --- |
//! | of a member | its peer URLs in the order of their letters, one behind the other, and the token |
//! | of the cluster | the members' ids in their order, 8 bytes big-endian each |
//!
//! Source: etcd's `server/etcdserver/api/membership/member.go` and `cluster.go`.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::url::peer_url;
use crate::args::BadArgument;
use crate::id::{ClusterId, MemberId};
use crate::member::Member;

const NAME: &str = "name";
const CLUSTER: &str = "initial_cluster";
const TOKEN: &str = "initial_cluster_token";
const ADVERTISED: &str = "initial_advertise_peer_urls";

/// A cluster that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCluster {
    /// Its id.
    pub id: ClusterId,
    /// Its members, in the order of their ids.
    pub members: Vec<Member>,
    /// The member whose data dir is made.
    pub local: MemberId,
}

impl NewCluster {
    /// Makes it of what etcd is told at its start too: this member's name, name and URL of each member (one that has several URLs
    /// is there several times), the cluster's token, and this member's URLs once more.
    ///
    /// # Errors
    /// They contradict each other, or etcd would not take them.
    pub fn of(
        name: &str,
        cluster: &[(String, String)],
        token: &str,
        advertised: &[String],
    ) -> Result<Self, BadArgument> {
        if token.is_empty() {
            let help = "leave it out for one that no other cluster has, or give the one of the other members; an empty one is often a \
                        variable that is not set";
            return Err(BadArgument::invalid(TOKEN, "is empty", help));
        }
        let urls = members(cluster)?;
        let Some(own) = urls.get(name) else {
            let names = urls.keys().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            let problem = format!("is {name:?}, and the members of {CLUSTER} are {names}");
            return Err(BadArgument::invalid(NAME, problem, "give the name that the member has in that list"));
        };
        check_advertised(name, own, advertised)?;
        let mut members = Vec::new();
        let mut local = MemberId(0);
        for (member, urls) in &urls {
            let peer_urls: Vec<String> = urls.iter().cloned().collect();
            let id = MemberId(first_bytes(format!("{}{token}", peer_urls.concat()).as_bytes()));
            if member == name {
                local = id;
            }
            let name = member.clone();
            members.push(Member { id, name, peer_urls, client_urls: Vec::new(), is_learner: false });
        }
        members.sort_by_key(|member| member.id);
        check_ids(&members)?;
        let ids: Vec<u8> = members.iter().flat_map(|member| member.id.0.to_be_bytes()).collect();
        Ok(NewCluster { id: ClusterId(first_bytes(&ids)), members, local })
    }
}

/// Returns the URLs of each member.
fn members(cluster: &[(String, String)]) -> Result<BTreeMap<String, BTreeSet<String>>, BadArgument> {
    let invalid = |problem: String| {
        BadArgument::invalid(CLUSTER, problem, "give each member as NAME=URL, with a URL such as https://host:2380")
    };
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (name, text) in cluster {
        if name.is_empty() || name.contains([',', '=']) || name.chars().any(char::is_control) {
            return Err(invalid(format!("has the name {name:?}, which etcd cannot be given")));
        }
        let url = peer_url(text).map_err(|problem| invalid(format!("has {text:?}, which {problem}")))?;
        if let Some(owner) = owners.insert(url.clone(), name) {
            return Err(invalid(format!("has {url} twice: for {owner} and for {name}")));
        }
        members.entry(name.clone()).or_default().insert(url);
    }
    if members.is_empty() { Err(invalid("is empty".to_owned())) } else { Ok(members) }
}

/// Checks that a member's URLs are those that the list has for it. etcd looks up their hosts where they differ, for up to half a
/// minute, and takes other names of the same hosts; here both have to be the same text.
fn check_advertised(name: &str, own: &BTreeSet<String>, advertised: &[String]) -> Result<(), BadArgument> {
    let help = "give the same URLs in both";
    let mut urls = BTreeSet::new();
    for text in advertised {
        let url = peer_url(text);
        let url =
            url.map_err(|problem| BadArgument::invalid(ADVERTISED, format!("has {text:?}, which {problem}"), help))?;
        urls.insert(url);
    }
    if urls == *own {
        return Ok(());
    }
    let list = |urls: &BTreeSet<String>| match urls.len() {
        0 => "none".to_owned(),
        _ => urls.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    let problem = format!("has {}, and {CLUSTER} has {} for {name:?}", list(&urls), list(own));
    Err(BadArgument::invalid(ADVERTISED, problem, help))
}

fn check_ids(members: &[Member]) -> Result<(), BadArgument> {
    let another = "give another initial_cluster_token: the ids are made of it";
    if let Some(member) = members.iter().find(|member| member.id.0 == 0) {
        let problem = format!("makes 0 the id of {:?}, which means nobody", member.name);
        return Err(BadArgument::invalid(CLUSTER, problem, another));
    }
    for (one, other) in members.iter().zip(members.iter().skip(1)) {
        if one.id == other.id {
            let problem = format!("makes {} the id of {:?} and of {:?}", one.id, one.name, other.name);
            return Err(BadArgument::invalid(CLUSTER, problem, another));
        }
    }
    Ok(())
}

fn first_bytes(text: &[u8]) -> u64 {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, text);
    u64::from_be_bytes(sum.as_ref().first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, members: &[(&str, &str)], token: &str, urls: &[&str]) -> Result<NewCluster, BadArgument> {
        let members: Vec<_> = members.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect();
        let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
        NewCluster::of(name, &members, token, &urls)
    }

    #[test]
    fn ids_are_those_that_etcd_makes() {
        let one = |url, token| cluster("a", &[("a", url)], token, &[url]).unwrap();
        let default = one("http://localhost:2380", "etcd-cluster");
        assert_eq!(
            (default.local.to_string(), default.id.to_string()),
            ("8e9e05c52164694d".to_owned(), "cdf818194e3a8c32".to_owned())
        );
        assert_eq!(one("http://127.0.0.1:23801", "tok1").local.to_string(), "5485ed9a2f08260c");
        // As etcdutl 3.5.35 restored it: URLs in any order, and members in the order of their ids.
        let list = [("m1", "http://a:2380"), ("m2", "https://b:2381"), ("m2", "http://b:2380"), ("m3", "unix://c:23")];
        let three = cluster("m2", &list, "etcd-cluster", &["http://b:2380", "https://b:2381"]).unwrap();
        let names: Vec<_> = three.members.iter().map(|member| (member.name.as_str(), member.id.0)).collect();
        assert_eq!(
            names,
            [("m2", 0x4cc0_24ca_f5cd_245e), ("m1", 0x60fe_503b_d8a4_7dc9), ("m3", 0x9dab_349a_f15e_d700)]
        );
        assert_eq!((three.local.0, three.members[0].peer_urls.len()), (0x4cc0_24ca_f5cd_245e, 2));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let two = [("a", "http://a:1"), ("b", "http://b:1")];
        let same =
            Member { id: MemberId(7), name: "a".to_owned(), peer_urls: vec![], client_urls: vec![], is_learner: false };
        let other = Member { name: "b".to_owned(), ..same.clone() };
        let zero = Member { id: MemberId(0), ..same.clone() };
        let refused = [
            cluster("a", &two, "", &["http://a:1"]).map(|_| ()),
            cluster("a", &[], "t", &[]).map(|_| ()),
            cluster("c", &two, "t", &["http://c:1"]).map(|_| ()),
            cluster("a", &[("", "http://a:1")], "t", &[]).map(|_| ()),
            cluster("a", &[("a\n", "http://a:1")], "t", &[]).map(|_| ()),
            cluster("a", &[("a", "http://a:1/x")], "t", &[]).map(|_| ()),
            cluster("a", &[("a", "http://a:1"), ("b", "http://a:1")], "t", &[]).map(|_| ()),
            cluster("a", &two, "t", &[]).map(|_| ()),
            cluster("a", &two, "t", &["a:1"]).map(|_| ()),
            cluster("a", &two, "t", &["http://a:1", "http://a:2"]).map(|_| ()),
            check_ids(&[same.clone(), other]),
            check_ids(&[zero]),
        ];
        let told = refused.map(|refused| refused.unwrap_err().into());
        insta::assert_snapshot!(crate::tests::shown(told), @r#"
        invalid_argument (initial_cluster_token): the argument initial_cluster_token is empty
          help: leave it out for one that no other cluster has, or give the one of the other members; an empty one is often a variable that is not set
        invalid_argument (initial_cluster): the argument initial_cluster is empty
          help: give each member as NAME=URL, with a URL such as https://host:2380
        invalid_argument (name): the argument name is "c", and the members of initial_cluster are "a", "b"
          help: give the name that the member has in that list
        invalid_argument (initial_cluster): the argument initial_cluster has the name "", which etcd cannot be given
          help: give each member as NAME=URL, with a URL such as https://host:2380
        invalid_argument (initial_cluster): the argument initial_cluster has the name "a\n", which etcd cannot be given
          help: give each member as NAME=URL, with a URL such as https://host:2380
        invalid_argument (initial_cluster): the argument initial_cluster has "http://a:1/x", which has a path
          help: give each member as NAME=URL, with a URL such as https://host:2380
        invalid_argument (initial_cluster): the argument initial_cluster has http://a:1 twice: for a and for b
          help: give each member as NAME=URL, with a URL such as https://host:2380
        invalid_argument (initial_advertise_peer_urls): the argument initial_advertise_peer_urls has none, and initial_cluster has http://a:1 for "a"
          help: give the same URLs in both
        invalid_argument (initial_advertise_peer_urls): the argument initial_advertise_peer_urls has "a:1", which has no scheme
          help: give the same URLs in both
        invalid_argument (initial_advertise_peer_urls): the argument initial_advertise_peer_urls has http://a:1, http://a:2, and initial_cluster has http://a:1 for "a"
          help: give the same URLs in both
        invalid_argument (initial_cluster): the argument initial_cluster makes 7 the id of "a" and of "b"
          help: give another initial_cluster_token: the ids are made of it
        invalid_argument (initial_cluster): the argument initial_cluster makes 0 the id of "a", which means nobody
          help: give another initial_cluster_token: the ids are made of it
        "#);
    }
}
