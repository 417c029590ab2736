//! The procedures that die at every point: what each is given, what is seen before, and what has to hold when it is over.

use std::collections::BTreeMap;

use etcd_client::AlarmType;
use etcdsh_tests::{MATRIX, Running, driver, row, until};
use serde_json::{Value as Json, json};

/// A procedure, and what has to hold around it.
pub(super) struct Procedure {
    pub(super) operation: &'static str,
    /// The versions of etcd that have it.
    pub(super) versions: &'static [&'static str],
    /// The fewest points at which it can die.
    pub(super) points: usize,
    /// Brings the cluster into the state in which the procedure is needed; returns its arguments, and what is to be compared
    /// afterwards.
    pub(super) before: fn(&Running) -> (Json, Json),
    /// Holds that the cluster is as the procedure promises, given what was seen before, and clears away what is left.
    pub(super) after: fn(&Running, &Json),
    /// With what it is refused, perhaps, when it was done and nobody knows of it any more.
    pub(super) refused: &'static [&'static str],
}

pub(super) fn ids(cluster: &Running) -> BTreeMap<String, String> {
    let members = cluster.call("member list", json!({})).unwrap();
    let text = |row: &Json, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    members.as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "member_id"))).collect()
}

/// Returns the numbers of the members' processes.
fn processes(cluster: &Running) -> Json {
    let rows = cluster.sandbox.rows().unwrap();
    rows.iter().map(|row| (row.name.clone(), json!(row.pid))).collect::<serde_json::Map<_, _>>().into()
}

fn asides(cluster: &Running) -> usize {
    let files = std::fs::read_dir(cluster.sandbox.folder()).unwrap().flatten();
    files.filter(|file| file.file_name().to_string_lossy().contains("infra2.data.aside")).count()
}

/// Holds that a member has what was written before it came.
pub(crate) fn holds_what_was_kept(cluster: &Running, name: &str) {
    let member = cluster.member(name);
    let kept = cluster.etcdctl(&["--endpoints", member.client_url(), "get", "--print-value-only", "kept"]);
    assert_eq!(kept.trim(), "before");
}

pub(super) const REPLACE: Procedure = Procedure {
    operation: "member replace",
    versions: MATRIX,
    points: 32,
    before: |cluster| {
        cluster.etcdctl(&["put", "kept", "before"]);
        cluster.kill(&["infra2"]);
        (json!({ "member": "infra2" }), json!({ "id": ids(cluster)["infra2"], "asides": asides(cluster) }))
    },
    after: |cluster, before| {
        let id = &ids(cluster)["infra2"];
        assert_ne!(before["id"], id.as_str(), "it is another member");
        assert!(asides(cluster) as u64 > before["asides"].as_u64().unwrap(), "its old data are kept");
        holds_what_was_kept(cluster, "infra2");
        let hash = cluster.call("hash", json!({})).unwrap();
        assert_eq!(hash["verdict"], "consistent", "{hash}");
    },
    // Whoever finds a healthy member does not know that it was to be replaced.
    refused: &["member_healthy"],
};

/// A member that is up goes to another place, back and forth: the new one votes before the old one goes.
pub(super) const RELOCATE: Procedure = Procedure {
    operation: "member replace",
    versions: MATRIX,
    points: 32,
    before: |cluster| {
        cluster.etcdctl(&["put", "kept", "before"]);
        let known = ids(cluster);
        let (old, new) = if known.contains_key("infra2") { ("infra2", "infra4") } else { ("infra4", "infra2") };
        let args = json!({ "member": old, "name": new, "peer_urls": [cluster.free_peer_url()] });
        (args, json!({ "old": old, "new": new }))
    },
    after: |cluster, before| {
        let (known, named) = (ids(cluster), |which: &str| before[which].as_str().unwrap().to_owned());
        assert!(!known.contains_key(&named("old")) && known.contains_key(&named("new")), "{known:?}");
        holds_what_was_kept(cluster, &named("new"));
        let old = cluster.sandbox.rows().unwrap().into_iter().find(|row| row.name == named("old"));
        assert!(old.is_none_or(|row| row.pid.is_none()), "the old one runs on");
    },
    refused: &[],
};

pub(super) const RESTART: Procedure = Procedure {
    operation: "rolling-restart",
    versions: MATRIX,
    points: 16,
    before: |cluster| (json!({ "settle": "0s" }), processes(cluster)),
    after: |cluster, before| {
        let now = processes(cluster);
        for (name, process) in before.as_object().unwrap() {
            assert_ne!(process, &now[name], "{name} was restarted");
        }
    },
    refused: &[],
};

pub(super) const DEFRAG: Procedure = Procedure {
    operation: "defrag",
    versions: MATRIX,
    points: 16,
    before: |cluster| {
        for _ in 0..3 {
            cluster.put_hundred(&"x".repeat(9_000));
        }
        cluster.call("compact", json!({ "keep": 0, "physical": true })).unwrap();
        (json!({}), Json::Null)
    },
    after: |cluster, _| {
        for row in cluster.call("status", json!({})).unwrap().as_array().unwrap() {
            let free = row["db_size"].as_i64().unwrap() - row["db_in_use"].as_i64().unwrap();
            assert!(free < 1_000_000, "{row}");
        }
    },
    refused: &[],
};

pub(super) const SPACE: Procedure = Procedure {
    operation: "space recover",
    versions: MATRIX,
    points: 36,
    before: |cluster| {
        cluster.etcdctl(&["put", "kept", "older"]);
        cluster.etcdctl(&["put", "kept", "newest"]);
        cluster.raise(AlarmType::Nospace, "infra2");
        (json!({ "quota": "2GiB" }), Json::Null)
    },
    after: |cluster, _| {
        assert_eq!(cluster.etcdctl(&["get", "--print-value-only", "kept"]).trim(), "newest");
        assert_eq!(cluster.etcdctl(&["alarm", "list"]), "");
    },
    refused: &[],
};

pub(super) const COMPACT: Procedure = Procedure {
    operation: "compact",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        for value in ["older", "newest"] {
            cluster.etcdctl(&["put", "kept", value]);
        }
        let revision = cluster.call("quorum", json!({})).unwrap()["revision"].clone();
        (json!({ "revision": revision }), revision)
    },
    after: |cluster, before| {
        let at = |revision: i64| {
            let revision = format!("--rev={revision}");
            cluster.etcdctl_reading(&["get", "--print-value-only", &revision, "kept"], "")
        };
        let revision = before.as_i64().unwrap();
        assert_eq!(at(revision).unwrap().trim(), "newest");
        let older = at(revision - 1).unwrap_err();
        assert!(older.contains("required revision has been compacted"), "{older}");
    },
    refused: &[],
};

pub(super) const DISARM: Procedure = Procedure {
    operation: "alarm disarm",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        cluster.raise(AlarmType::Nospace, "infra2");
        assert!(cluster.etcdctl(&["alarm", "list"]).contains("NOSPACE"), "the alarm was not raised");
        (json!({ "quota": "2GiB" }), Json::Null)
    },
    after: |cluster, _| assert_eq!(cluster.etcdctl(&["alarm", "list"]), ""),
    refused: &[],
};

/// Adds a learner that nobody starts, and returns its id.
fn unstarted(cluster: &Running) -> String {
    let known: Vec<String> = ids(cluster).into_values().collect();
    let url = cluster.free_peer_url();
    let add = ["member", "add", "infra4", "--learner", "--peer-urls", &url];
    // For some seconds after its start a server takes no new member.
    until("a member can be added", || cluster.etcdctl_reading(&add, ""));
    ids(cluster).into_values().find(|id| !known.contains(id)).unwrap()
}

fn peer_urls(cluster: &Running) -> BTreeMap<String, String> {
    let members = cluster.call("member list", json!({})).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    members.as_array().unwrap().iter().map(|row| (text(&row["peer_urls"][0]), text(&row["member_id"]))).collect()
}

pub(super) const ADD: Procedure = Procedure {
    operation: "member add",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        // It waits until a member can be added.
        cluster.etcdctl(&["member", "remove", &unstarted(cluster)]);
        let url = cluster.free_peer_url();
        (json!({ "name": "infra4", "peer_urls": [url] }), json!(url))
    },
    after: |cluster, before| {
        let members = peer_urls(cluster);
        assert_eq!(members.len(), 4, "{members:?}");
        cluster.etcdctl(&["member", "remove", &members[before.as_str().unwrap()]]);
    },
    refused: &[],
};

pub(super) const UPDATE: Procedure = Procedure {
    operation: "member update",
    // 3.4 makes a voter of a learner that is updated, so it is refused there.
    versions: &["3.5", "3.6", "3.7"],
    points: 4,
    before: |cluster| {
        let (id, url) = (unstarted(cluster), cluster.free_peer_url());
        (json!({ "member": id, "peer_urls": [url] }), json!({ "id": id, "url": url }))
    },
    after: |cluster, before| {
        let id = before["id"].as_str().unwrap();
        assert_eq!(peer_urls(cluster)[before["url"].as_str().unwrap()], id);
        cluster.etcdctl(&["member", "remove", id]);
    },
    refused: &[],
};

pub(super) const REMOVE: Procedure = Procedure {
    operation: "member remove",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        let id = unstarted(cluster);
        (json!({ "member": id }), json!(id))
    },
    after: |cluster, before| {
        let ids = ids(cluster);
        assert!(ids.len() == 3 && ids.values().all(|id| before != id.as_str()), "{ids:?}");
    },
    // Who is not in the list cannot be told from who was never there.
    refused: &["member_not_found"],
};

pub(super) const PROMOTE: Procedure = Procedure {
    operation: "member promote",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        cluster.kill(&["infra2"]);
        cluster.etcdctl(&["member", "remove", &ids(cluster)["infra2"]]);
        let member = cluster.member("infra2");
        driver().block_on(member.wipe()).unwrap();
        let add = ["member", "add", "infra2", "--learner", "--peer-urls", member.peer_url()];
        let added = until("the member is added", || cluster.etcdctl_reading(&add, ""));
        let start = added.lines().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER=")).unwrap();
        let join = json!({ "member": "infra2", "initial_cluster": start.trim_matches('"') });
        cluster.call("sandbox join", join).unwrap();
        (json!({ "member": "infra2" }), Json::Null)
    },
    after: |cluster, _| {
        let members = cluster.call("member list", json!({})).unwrap();
        assert_eq!(row(&members, "infra2")["is_learner"], false);
    },
    refused: &["invalid_argument"],
};

pub(super) const MOVE: Procedure = Procedure {
    operation: "leader move",
    versions: MATRIX,
    points: 4,
    before: |cluster| {
        let follower = cluster.followers().remove(0);
        (json!({ "member": follower }), json!(follower))
    },
    after: |cluster, before| assert_eq!(before, cluster.leader().as_str()),
    refused: &[],
};

/// Returns the version before the one that runs.
fn older(cluster: &Running) -> &'static str {
    if cluster.tools.version.starts_with("3.6") { "3.5" } else { "3.6" }
}

fn downgrade_is(cluster: &Running, stage: &str) {
    until(stage, || {
        let report = cluster.call("downgrade status", json!({})).map_err(|error| format!("{error:?}"))?;
        if report["stage"] == stage { Ok(()) } else { Err(report.to_string()) }
    });
}

pub(super) const GO_BACK: Procedure = Procedure {
    operation: "downgrade enable",
    versions: &["3.6", "3.7"],
    points: 4,
    before: |cluster| {
        cluster.settled();
        (json!({ "version": older(cluster) }), Json::Null)
    },
    after: |cluster, _| {
        downgrade_is(cluster, "ready");
        cluster.call("downgrade cancel", json!({})).unwrap();
        downgrade_is(cluster, "inactive");
    },
    refused: &[],
};

pub(super) const STAY: Procedure = Procedure {
    operation: "downgrade cancel",
    versions: &["3.6", "3.7"],
    points: 4,
    before: |cluster| {
        cluster.settled();
        cluster.call("downgrade enable", json!({ "version": older(cluster) })).unwrap();
        downgrade_is(cluster, "ready");
        (json!({}), Json::Null)
    },
    after: |cluster, _| downgrade_is(cluster, "inactive"),
    refused: &[],
};
