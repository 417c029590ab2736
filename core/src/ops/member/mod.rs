//! Membership.

pub mod add;
pub mod list;
pub mod promote;
pub mod remove;
pub mod replace;
pub mod update;

use crate::args::BadArgument;
use crate::change::view::{ClusterView, MemberView};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::member::MemberRef;

/// Finds the member that is meant.
pub(crate) fn find<'v>(view: &'v ClusterView, wanted: &MemberRef) -> Result<&'v MemberView> {
    let id = view.membership().resolve(wanted)?.id;
    view.get(id).ok_or_else(|| crate::Error::internal("a member that was just found is gone"))
}

/// Reads peer URLs. They go into the membership list as they are written, and a wrong one can cost a small cluster its quorum,
/// so each has to say its scheme and its port.
pub(crate) fn peer_urls(given: &[String]) -> Result<Vec<String>, BadArgument> {
    let invalid = |problem: String| {
        let help = "give URLs such as https://host:2380, each with its scheme and port";
        BadArgument::invalid("peer_urls", problem, help)
    };
    let mut urls = Vec::new();
    for url in given.iter().flat_map(|entry| entry.split(',')).map(|url| url.trim().trim_end_matches('/')) {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid(format!("has {url:?} without a scheme")))?;
        if !matches!(scheme, "http" | "https") {
            return Err(invalid(format!("has {url:?} with the scheme {scheme:?}")));
        }
        // The last colon of an IPv6 address in brackets is inside the brackets unless a port follows.
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.contains(']'));
        if Endpoint::parse(url, false).is_err() || !has_port {
            return Err(invalid(format!("has {url:?}, which is not scheme, host and port")));
        }
        if !urls.iter().any(|known| known == url) {
            urls.push(url.to_owned());
        }
    }
    if urls.is_empty() { Err(invalid("is empty".to_owned())) } else { Ok(urls) }
}

/// Reads the name that a member is to start with.
pub(crate) fn new_name(name: String) -> Result<String, BadArgument> {
    let plain = |c: char| !c.is_control() && !matches!(c, ',' | '=' | '/' | '\\' | '"' | '\'') && !c.is_whitespace();
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(plain) {
        // It becomes part of ETCD_INITIAL_CLUSTER, where some characters mean something else, and of paths on its host.
        let help = "give a name without blanks, commas, equals signs, quotes and slashes, such as infra4";
        return Err(BadArgument::invalid("name", format!("cannot be {name:?}"), help));
    }
    Ok(name)
}

/// Chooses who should lead: the healthy voter with the smallest lag, other than the one who leads now. NOSPACE is no hindrance: it
/// is the whole cluster that takes no writes then, whoever leads it.
pub(crate) fn best_transferee(view: &ClusterView) -> Option<&MemberView> {
    let leader = view.leader().map(|m| m.member.id);
    view.voters()
        .filter(|m| Some(m.member.id) != leader && m.serves())
        .filter(|m| !view.is_unfit(m.member.id))
        .min_by_key(|m| (view.lag(m), m.member.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["http://a:1"], &["http://a:1"])]
    #[case(&["https://a:1/,https://[::1]:2"], &["https://a:1", "https://[::1]:2"])]
    #[case(&["http://a:1", "http://a:1"], &["http://a:1"])]
    fn reads(#[case] given: &[&str], #[case] urls: &[&str]) {
        let given: Vec<String> = given.iter().map(|url| (*url).to_owned()).collect();
        assert_eq!(peer_urls(&given).unwrap(), urls);
    }

    #[rstest]
    #[case(&[])]
    #[case(&["a:2380"])]
    #[case(&["http://a"])]
    #[case(&["http://[::1]"])]
    #[case(&["ftp://a:1"])]
    #[case(&["http://a:b"])]
    #[case(&["http://u:p@a:1"])]
    fn refuses(#[case] given: &[&str]) {
        let given: Vec<String> = given.iter().map(|url| (*url).to_owned()).collect();
        let error = crate::Error::from(peer_urls(&given).unwrap_err());
        assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("peer_urls")));
    }
}
