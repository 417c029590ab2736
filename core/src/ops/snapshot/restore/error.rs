//! Why a whole cluster is not made, or not to its end.

use std::path::PathBuf;

use crate::error::{Error, Fault, Sent};
use crate::id::ClusterId;
use crate::version::Version;

/// Why nothing is made, or nothing is put on the hosts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The cluster that is to be replaced is healthy.
    #[error("the cluster {cluster_id} serves its clients, and would be replaced by an older state of it")]
    Serves { cluster_id: ClusterId },
    /// No member answers from here, and processes enough for a quorum are there.
    #[error(
        "no member answers here, and the processes of {running} of {members} are there, so the cluster may serve others"
    )]
    MayServe { running: usize, members: usize, source: Error },
    /// A member of the old cluster is not one of the new one, and runs.
    #[error("somebody answers at {url}, where a member of the old cluster is that has no place in the new one")]
    Left { url: String },
    /// Nothing is made of a snapshot that is damaged.
    #[error("the snapshot {} is not sound", path.display())]
    Unsound { path: PathBuf },
    /// The members run an etcd that does not start with these data.
    #[error("{member} runs etcd {etcd}, which does not start with data of {data}")]
    TooNew { member: String, etcd: String, data: String, target: Version },
    /// The new cluster would ask for a user, and there is none.
    #[error("the snapshot's cluster asks for a user, and none is given: nobody would see whether the new one serves")]
    NoUser,
    /// Nobody can stop and start a member.
    #[error("nothing says how {member} is stopped and started")]
    Hostless { member: String },
    /// A member is started with other URLs than the new cluster would have.
    #[error("{member} is to have the peer URLs {given}, and its host has {known}")]
    OtherUrls { member: String, given: String, known: String },
    /// The folder for the data dirs has something in it.
    #[error("{} is there already, and is no empty folder", path.display())]
    Taken { path: PathBuf },
    /// Another call does the same on this machine.
    #[error("another restore is putting data on hosts from this machine")]
    Busy,
}

impl Fault for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Serves { .. } | Refusal::MayServe { .. } => "cluster_serves",
            Refusal::Left { .. } => "member_answers",
            Refusal::Unsound { .. } => "snapshot_unsound",
            Refusal::Hostless { .. } => "no_host",
            Refusal::NoUser => "unauthenticated",
            Refusal::TooNew { .. } | Refusal::OtherUrls { .. } => "invalid_argument",
            Refusal::Taken { .. } => "file_exists",
            Refusal::Busy => "restore_in_progress",
        }
    }

    fn argument(&self) -> Option<&str> {
        match self {
            Refusal::Unsound { .. } => Some("file"),
            Refusal::TooNew { .. } => Some("target_version"),
            Refusal::OtherUrls { .. } => Some("initial_cluster"),
            Refusal::Taken { .. } => Some("data_dirs"),
            _ => None,
        }
    }

    fn member(&self) -> Option<String> {
        match self {
            Refusal::TooNew { member, .. } | Refusal::Hostless { member } | Refusal::OtherUrls { member, .. } => {
                Some(member.clone())
            }
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Refusal::Serves { .. } => {
                "all that was written since the snapshot would be lost. To bring back a single member use `member replace`; to go back in \
                 time all the same, allow cluster_serves"
            }
            Refusal::MayServe { .. } => {
                "see from a machine that reaches them whether they serve; if they do not, allow cluster_serves"
            }
            Refusal::Left { .. } => "stop it first, or give it a place with initial_cluster; else allow member_answers",
            Refusal::Unsound { .. } => {
                "`snapshot verify` says what is wrong with it; use another backup. Where there is none, give skip_hash_check"
            }
            Refusal::TooNew { target, .. } => {
                return Some(format!(
                    "give target_version {}.{}, or upgrade the members first",
                    target.major, target.minor
                ));
            }
            Refusal::NoUser => {
                "give the user in the profile, or as user; it logs in with the password that it had at the time of the snapshot"
            }
            Refusal::Hostless { .. } => {
                "say it in the profile, under `hosts`; or make the data dirs with data_dirs, and put them in place by hand"
            }
            Refusal::OtherUrls { .. } => "give the URLs that the members are started with",
            Refusal::Taken { .. } => "name a folder that is not there",
            Refusal::Busy => "wait until it ends",
        };
        Some(help.to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

/// A restore that broke off when something was done already.
#[derive(Debug, thiserror::Error)]
#[error("the restore broke off")]
pub(super) struct Halfway {
    pub(super) token: String,
    pub(super) source: Error,
}

impl Fault for Halfway {
    fn code(&self) -> &'static str {
        self.source.code()
    }

    fn member(&self) -> Option<String> {
        self.source.member()
    }

    fn outcome(&self) -> Option<String> {
        Some("members may be stopped, or run with the new data; no data are lost: the old ones lie where they were, or aside".to_owned())
    }

    fn help(&self) -> Option<String> {
        let go_on =
            format!("give the same again with initial_cluster_token {}: what is done already stays", self.token);
        Some(self.source.help().map_or_else(|| go_on.clone(), |help| format!("{help}. Then {go_on}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostError;
    use crate::tests::shown;

    #[test]
    fn what_is_not_made_says_why() {
        let halfway = |source: Error| -> Error { Halfway { token: "again".to_owned(), source }.into() };
        let (member, url) = (|| "a".to_owned(), || "http://a:1".to_owned());
        let refusals = [
            Refusal::Left { url: url() },
            Refusal::Serves { cluster_id: ClusterId(0xc) },
            Refusal::MayServe { running: 2, members: 3, source: crate::error::Interrupted.into() },
            Refusal::Unsound { path: "/b.db".into() },
            Refusal::TooNew {
                member: member(),
                etcd: "3.6.16".to_owned(),
                data: "3.7.0".to_owned(),
                target: Version::new(3, 6, 0),
            },
            Refusal::Taken { path: "/made".into() },
            Refusal::OtherUrls { member: member(), given: url(), known: "http://b:1".to_owned() },
            Refusal::NoUser,
            Refusal::Busy,
        ];
        let mut errors: Vec<Error> = refusals.map(Error::from).into();
        errors.push(HostError::Occupied { path: "/data/member".to_owned(), place: "root@a".to_owned() }.into());
        errors.push(halfway(Refusal::Hostless { member: member() }.into()));
        errors.push(halfway(crate::error::Interrupted.into()));
        insta::assert_snapshot!(shown(errors), @"
        member_answers: somebody answers at http://a:1, where a member of the old cluster is that has no place in the new one
          help: stop it first, or give it a place with initial_cluster; else allow member_answers
        cluster_serves: the cluster c serves its clients, and would be replaced by an older state of it
          help: all that was written since the snapshot would be lost. To bring back a single member use `member replace`; to go back in time all the same, allow cluster_serves
        cluster_serves: no member answers here, and the processes of 2 of 3 are there, so the cluster may serve others
          because: interrupted
          help: see from a machine that reaches them whether they serve; if they do not, allow cluster_serves
        snapshot_unsound (file): the snapshot /b.db is not sound
          help: `snapshot verify` says what is wrong with it; use another backup. Where there is none, give skip_hash_check
        invalid_argument (target_version): a runs etcd 3.6.16, which does not start with data of 3.7.0
          help: give target_version 3.6, or upgrade the members first
        file_exists (data_dirs): /made is there already, and is no empty folder
          help: name a folder that is not there
        invalid_argument (initial_cluster): a is to have the peer URLs http://a:1, and its host has http://b:1
          help: give the URLs that the members are started with
        unauthenticated: the snapshot's cluster asks for a user, and none is given: nobody would see whether the new one serves
          help: give the user in the profile, or as user; it logs in with the password that it had at the time of the snapshot
        restore_in_progress: another restore is putting data on hosts from this machine
          help: wait until it ends
        host_data_dir: /data/member is there on root@a, where new data are to be put
          help: move it aside by hand, and see who put it there
        no_host: the restore broke off
          because: nothing says how a is stopped and started
          help: say it in the profile, under `hosts`; or make the data dirs with data_dirs, and put them in place by hand. Then give the same again with initial_cluster_token again: what is done already stays
        interrupted: the restore broke off
          because: interrupted
          help: give the same again with initial_cluster_token again: what is done already stays
        ");
    }
}
