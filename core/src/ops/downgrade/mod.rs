//! Going back by one minor version.

pub mod cancel;
pub mod enable;
pub mod status;
#[cfg(test)]
mod tests;
pub mod validate;

use crate::change::ClusterView;
use crate::change::guard::{Code, Refusal};
use crate::change::view::MemberView;
use crate::version::Version;

/// From this version on etcd goes back to the line before. A server of 3.5 has the calls already: it carries out what is asked,
/// answers with a timeout all the same, and its members do not tell in their status.
pub(crate) const SINCE: Version = Version::new(3, 6, 0);

/// Says why the members cannot go back together, where a server does not say so: one before 3.6 would carry the call out, and one
/// that is newer looks at the version of the cluster, which is that of its oldest member, and would make the data of all ready.
pub(crate) fn objection(view: &ClusterView) -> Option<Refusal> {
    let oldest = view.oldest_version()?;
    let newest = view.members.iter().filter_map(MemberView::version).max()?;
    let refuse = |code, message, remedy: &str| Some(Refusal { code, message, remedy: remedy.to_owned() });
    if oldest < SINCE {
        let message = format!("etcd can go back from 3.6 on, and a member runs {oldest}");
        return refuse(Code::ServerWouldRefuse, message, "restore a snapshot that was saved by the older version");
    }
    if (newest.major, newest.minor) > (oldest.major, oldest.minor) {
        let message =
            format!("members run etcd {oldest} and {newest}, and only members of one minor version go back together");
        return refuse(
            Code::VersionSkew,
            message,
            "finish the upgrade first, or put those that run the newer version back",
        );
    }
    None
}
