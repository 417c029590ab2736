//! Who the members of the new cluster are: those that are named, those of the cluster that is there, or those of the snapshot.

use crate::error::{Fault, Result};
use crate::member::Member;

/// Returns name and peer URL of each member that is known.
///
/// # Errors
/// A member has no name, the name of another one, or no URL.
pub(super) fn of_members(members: &[Member], whose: &'static str) -> Result<Vec<(String, String)>> {
    if members.is_empty() {
        return Err(NoList { whose, why: "there are none".to_owned() }.into());
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for member in members {
        let unusable = |why: String| Err(NoList { whose, why }.into());
        if member.name.is_empty() {
            return unusable(format!("{} has never started and has no name", member.id));
        }
        if pairs.iter().any(|(name, _)| *name == member.name) {
            return unusable(format!("two of them are named {:?}", member.name));
        }
        if member.peer_urls.is_empty() {
            return unusable(format!("{} has no peer URL", member.label()));
        }
        pairs.extend(member.peer_urls.iter().map(|url| (member.name.clone(), url.clone())));
    }
    pairs.sort();
    Ok(pairs)
}

#[derive(Debug, thiserror::Error)]
#[error("the members of {whose} are no list that a cluster can be made of: {why}")]
struct NoList {
    whose: &'static str,
    why: String,
}

impl Fault for NoList {
    fn code(&self) -> &'static str {
        "invalid_argument"
    }

    fn argument(&self) -> Option<&str> {
        Some("initial_cluster")
    }

    fn help(&self) -> Option<String> {
        Some("give the members of the new cluster, each as NAME=URL, such as infra1=https://10.0.0.1:2380".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MemberId;
    use crate::tests::shown;

    fn member(id: u64, name: &str, urls: &[&str]) -> Member {
        let peer_urls = urls.iter().map(|url| (*url).to_owned()).collect();
        Member { id: MemberId(id), name: name.to_owned(), peer_urls, client_urls: Vec::new(), is_learner: false }
    }

    #[test]
    fn members_that_are_known_make_a_list() {
        let (a, b) = (member(1, "a", &["http://a:1"]), member(2, "b", &["http://b:1", "http://b:2"]));
        let pairs = of_members(&[a.clone(), b], "the snapshot").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, url)| format!("{name}={url}")).collect();
        assert_eq!(pairs, ["a=http://a:1", "b=http://b:1", "b=http://b:2"]);
        let errors = [
            of_members(&[], "the snapshot"),
            of_members(&[a.clone(), member(2, "", &["http://b:1"])], "the cluster"),
            of_members(&[a.clone(), member(2, "a", &["http://b:1"])], "the cluster"),
            of_members(&[a, member(2, "b", &[])], "the cluster"),
        ];
        insta::assert_snapshot!(shown(errors.map(Result::unwrap_err)), @r#"
        invalid_argument (initial_cluster): the members of the snapshot are no list that a cluster can be made of: there are none
          help: give the members of the new cluster, each as NAME=URL, such as infra1=https://10.0.0.1:2380
        invalid_argument (initial_cluster): the members of the cluster are no list that a cluster can be made of: 2 has never started and has no name
          help: give the members of the new cluster, each as NAME=URL, such as infra1=https://10.0.0.1:2380
        invalid_argument (initial_cluster): the members of the cluster are no list that a cluster can be made of: two of them are named "a"
          help: give the members of the new cluster, each as NAME=URL, such as infra1=https://10.0.0.1:2380
        invalid_argument (initial_cluster): the members of the cluster are no list that a cluster can be made of: b has no peer URL
          help: give the members of the new cluster, each as NAME=URL, such as infra1=https://10.0.0.1:2380
        "#);
    }
}
