//! What is said of a downgrade at each of its stages.

use super::status::{Progress, Stage, progress};
use crate::change::exhaustive::{State, member};
use crate::change::view::ClusterView;
use crate::id::ClusterId;

/// Three members with their versions, the versions of their data, and what they know of a downgrade.
fn cluster(members: [(&str, Option<&str>, Option<&str>); 3]) -> ClusterView {
    let view = |(id, (version, storage, target)): (u64, (&str, Option<&str>, Option<&str>))| {
        let mut view = member(id, State::Healthy, false, Some(1), 0);
        if let Some(Ok(status)) = &mut view.status {
            version.clone_into(&mut status.version);
            (status.storage_version, status.downgrade_target) = (storage.map(Into::into), target.map(Into::into));
        }
        view
    };
    let members = (1..).zip(members).map(view).collect();
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: Vec::new(),
        hosting: Default::default(),
        facts: Default::default(),
    }
}

#[test]
fn stages() {
    let (new, old, down) = (Some("3.6.0"), Some("3.5.0"), Some("3.5.0"));
    let mut silent = cluster([("3.6.16", old, down); 3]);
    silent.members[2] = member(3, State::Down, false, None, 0);
    let views = [
        cluster([("3.6.16", new, None); 3]),
        cluster([("3.5.35", None, None); 3]),
        cluster([("3.6.16", new, down); 3]),
        cluster([("3.6.16", old, down), ("3.6.16", new, down), ("3.6.16", old, down)]),
        silent,
        // An upgrade was under way.
        cluster([("3.6.16", old, down), ("3.7.3", old, down), ("3.6.16", old, down)]),
        cluster([("3.6.16", old, down); 3]),
        cluster([("3.5.35", None, None), ("3.6.16", old, down), ("3.6.16", old, down)]),
        cluster([("3.6.16", old, None), ("3.5.35", None, down), ("3.5.35", None, None)]),
        cluster([("3.5.35", None, down), ("3.5.35", None, None), ("3.5.35", None, None)]),
    ];
    let told = views.map(|view| {
        let Progress { stage, target, reason, members } = progress(&view);
        assert_eq!((members.len(), target.is_some()), (3, !matches!(stage, Stage::Inactive | Stage::Unknown)));
        format!("{stage} {target:?}: {reason}\n")
    });
    insta::assert_snapshot!(told.concat(), @r#"
    inactive None: no member knows of a downgrade
    unknown None: only members of 3.6 or later tell of a downgrade, and can be downgraded
    preparing Some("3.5.0"): the data of infra1, infra2, infra3 is not known to be ready for 3.5; replace no etcd yet
    preparing Some("3.5.0"): the data of infra2 is not known to be ready for 3.5; replace no etcd yet
    preparing Some("3.5.0"): the data of infra3 is not known to be ready for 3.5; replace no etcd yet
    preparing Some("3.5.0"): infra2 runs more than one minor version above 3.5, and would not start beside it; take this back with `downgrade cancel`
    ready Some("3.5.0"): the data of every member is ready for 3.5; restart one after another with it
    ready Some("3.5.0"): 1 of 3 members run 3.5; infra2, infra3 still to go
    ready Some("3.5.0"): 2 of 3 members run 3.5; infra1 still to go
    ready Some("3.5.0"): every member runs 3.5; the cluster notices by itself, in some seconds
    "#);
}

#[test]
fn who_cannot_go_back() {
    let told = |versions: [&str; 3]| {
        let objection = super::objection(&cluster(versions.map(|version| (version, None, None))));
        objection
            .map_or_else(String::new, |found| format!("{}: {}\n  {}\n", found.code.word(), found.message, found.remedy))
    };
    assert_eq!(told(["3.6.16"; 3]) + &told(["3.7.2", "3.7.3", "3.7.3"]), "");
    insta::assert_snapshot!(told(["3.5.35"; 3]) + &told(["3.6.16", "3.7.3", "3.6.16"]), @"
    server_would_refuse: etcd can go back from 3.6 on, and a member runs 3.5.35
      restore a snapshot that was saved by the older version
    version_skew: members run etcd 3.6.16 and 3.7.3, and only members of one minor version go back together
      finish the upgrade first, or put those that run the newer version back
    ");
}
