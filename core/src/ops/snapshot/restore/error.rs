//! Why a whole cluster is not made, or not to its end.

use std::path::PathBuf;

use crate::error::{Error, Fault, Sent};
use crate::id::ClusterId;

/// The cluster that is to be replaced is healthy.
#[derive(Debug, thiserror::Error)]
#[error("the cluster {cluster_id} serves its clients, and would be replaced by an older state of it")]
pub(super) struct Serves {
    pub(super) cluster_id: ClusterId,
}

impl Fault for Serves {
    fn code(&self) -> &'static str {
        "cluster_serves"
    }

    fn help(&self) -> Option<String> {
        let help = "all that was written since the snapshot would be lost. To bring back a single member use `member replace`; to go back in \
                    time all the same, allow cluster_serves";
        Some(help.to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

/// A member of the old cluster is not one of the new one, and runs.
#[derive(Debug, thiserror::Error)]
#[error("somebody answers at {url}, where a member of the old cluster is that has no place in the new one")]
pub(super) struct Left {
    pub(super) url: String,
}

impl Fault for Left {
    fn code(&self) -> &'static str {
        "member_answers"
    }

    fn help(&self) -> Option<String> {
        Some("stop it first, or give it a place with initial_cluster; else allow member_answers".to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

/// Nothing is made of a snapshot that is damaged.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot {} is not sound", path.display())]
pub(super) struct Unsound {
    pub(super) path: PathBuf,
}

impl Fault for Unsound {
    fn code(&self) -> &'static str {
        "snapshot_unsound"
    }

    fn argument(&self) -> Option<&str> {
        Some("file")
    }

    fn help(&self) -> Option<String> {
        Some("`snapshot verify` says what is wrong with it; use another backup. Where there is none, give skip_hash_check".to_owned())
    }
}

/// Nobody can stop and start a member.
#[derive(Debug, thiserror::Error)]
#[error("nothing says how {member} is stopped and started")]
pub(super) struct Hostless {
    pub(super) member: String,
}

impl Fault for Hostless {
    fn code(&self) -> &'static str {
        "no_host"
    }

    fn member(&self) -> Option<String> {
        Some(self.member.clone())
    }

    fn help(&self) -> Option<String> {
        let help =
            "say it in the profile, under `hosts`; or make the data dirs with data_dirs, and put them in place by hand";
        Some(help.to_owned())
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

    fn help(&self) -> Option<String> {
        let go_on = format!(
            "give the same again with initial_cluster_token {}: what is done already stays, and old data lie where they were or aside",
            self.token
        );
        Some(self.source.help().map_or_else(|| go_on.clone(), |help| format!("{help}. Then {go_on}")))
    }
}

/// A member is started with other URLs than the new cluster would have.
#[derive(Debug, thiserror::Error)]
#[error("{member} is to have the peer URLs {given}, and its host has {known}")]
pub(super) struct OtherUrls {
    pub(super) member: String,
    pub(super) given: String,
    pub(super) known: String,
}

impl Fault for OtherUrls {
    fn code(&self) -> &'static str {
        "invalid_argument"
    }

    fn argument(&self) -> Option<&str> {
        Some("initial_cluster")
    }

    fn help(&self) -> Option<String> {
        Some("give the URLs that the members are started with".to_owned())
    }
}

/// The folder for the data dirs has something in it.
#[derive(Debug, thiserror::Error)]
#[error("{} is there already, and is no empty folder", path.display())]
pub(super) struct Taken {
    pub(super) path: PathBuf,
}

impl Fault for Taken {
    fn code(&self) -> &'static str {
        "file_exists"
    }

    fn argument(&self) -> Option<&str> {
        Some("data_dirs")
    }

    fn help(&self) -> Option<String> {
        Some("name a folder that is not there".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostError;
    use crate::tests::shown;

    #[test]
    fn what_is_not_made_says_why() {
        let halfway = |source: Error| Halfway { token: "again".to_owned(), source }.into();
        let errors: [Error; 8] = [
            Left { url: "http://a:1".to_owned() }.into(),
            Serves { cluster_id: ClusterId(0xc) }.into(),
            Unsound { path: "/b.db".into() }.into(),
            Taken { path: "/made".into() }.into(),
            OtherUrls { member: "a".to_owned(), given: "http://a:1".to_owned(), known: "http://b:1".to_owned() }.into(),
            HostError::Occupied { path: "/data/member".to_owned(), place: "root@a".to_owned() }.into(),
            halfway(Hostless { member: "a".to_owned() }.into()),
            halfway(crate::error::Interrupted.into()),
        ];
        insta::assert_snapshot!(shown(errors), @"
        member_answers: somebody answers at http://a:1, where a member of the old cluster is that has no place in the new one
          help: stop it first, or give it a place with initial_cluster; else allow member_answers
        cluster_serves: the cluster c serves its clients, and would be replaced by an older state of it
          help: all that was written since the snapshot would be lost. To bring back a single member use `member replace`; to go back in time all the same, allow cluster_serves
        snapshot_unsound (file): the snapshot /b.db is not sound
          help: `snapshot verify` says what is wrong with it; use another backup. Where there is none, give skip_hash_check
        file_exists (data_dirs): /made is there already, and is no empty folder
          help: name a folder that is not there
        invalid_argument (initial_cluster): a is to have the peer URLs http://a:1, and its host has http://b:1
          help: give the URLs that the members are started with
        host_data_dir: /data/member is there on root@a, where new data are to be put
          help: move it aside by hand, and see who put it there
        no_host: the restore broke off
          because: nothing says how a is stopped and started
          help: say it in the profile, under `hosts`; or make the data dirs with data_dirs, and put them in place by hand. Then give the same again with initial_cluster_token again: what is done already stays, and old data lie where they were or aside
        interrupted: the restore broke off
          because: interrupted
          help: give the same again with initial_cluster_token again: what is done already stays, and old data lie where they were or aside
        ");
    }
}
