//! What is read of a snapshot's keys, beside what its server answers.

use std::collections::BTreeMap;

use etcdsh_core::format::bolt::Image;
use etcdsh_core::format::diff::{Asked, Kind, diff};
use etcdsh_core::format::figures::figures;
use etcdsh_core::format::leases::leases;
use etcdsh_core::format::prefix::Grouping;
use etcdsh_core::format::usage::usage;
use etcdsh_core::format::view::{Item, Wanted, rows_of, view};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::Running;
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::keys::base64;

fn asked(cluster: &Running, args: &[&str]) -> Json {
    serde_json::from_str(&cluster.etcdctl(&[args, &["-w", "json"]].concat())).unwrap()
}

/// The keys below a prefix at a revision, as the server has them.
fn theirs(cluster: &Running, prefix: &str, revision: i64) -> Vec<Item> {
    let answer = asked(cluster, &["get", prefix, "--prefix", "--rev", &revision.to_string()]);
    let number = |row: &Json, name: &str| row[name].as_i64().unwrap_or(0);
    let item = |row: &Json| Item {
        key: base64(&row["key"]),
        value: Some(base64(&row["value"])),
        version: number(row, "version"),
        created: number(row, "create_revision"),
        modified: number(row, "mod_revision"),
        lease: number(row, "lease"),
    };
    answer["kvs"].as_array().map(|rows| rows.iter().map(item).collect()).unwrap_or_default()
}

fn ours(image: &Image, prefix: &str, revision: Option<i64>) -> Vec<Item> {
    let mut items = Vec::new();
    view(image, Wanted { revision, ..Wanted::below(prefix.as_bytes()) }, |page| {
        items.extend(page);
        true
    })
    .unwrap();
    items
}

fn change(cluster: &Running, round: i32) {
    for key in 0..15 {
        cluster.etcdctl(&["put", &format!("k/{key:03}"), &format!("value {}", round * (key % 4))]);
    }
    cluster.etcdctl(&["del", &format!("k/00{round}")]);
    cluster
        .etcdctl_reading(&["txn"], &format!("\n\nput /r/{round} one\nput /r/z{round} two\ndel k/010\n\n\n"))
        .unwrap();
}

fn saved(cluster: &Running, name: &str) -> Image {
    let path = cluster.home().join(name);
    cluster.call("snapshot save", json!({ "path": path })).unwrap();
    Image::open(&path).unwrap()
}

fn newest(cluster: &Running) -> i64 {
    asked(cluster, &["get", "nothing"])["header"]["revision"].as_i64().unwrap()
}

#[rstest]
fn keys_of_a_snapshot_are_those_of_the_server(#[values("3.4", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { members: 1, ..Options::default() }) else { return };
    let granted = cluster.etcdctl(&["lease", "grant", "3600"]);
    let lease = granted.split_whitespace().nth(1).unwrap();
    change(&cluster, 0);
    cluster.etcdctl(&["put", "leased", "v", "--lease", lease]);
    cluster.etcdctl_reading(&["put", "large"], &"x".repeat(200_000)).unwrap();
    change(&cluster, 1);
    let middle = newest(&cluster);
    let before = saved(&cluster, "before.db");
    change(&cluster, 2);
    let last = newest(&cluster);
    cluster.etcdctl(&["compact", &(middle / 2).to_string(), "--physical"]);
    let after = saved(&cluster, "after.db");

    for revision in [middle / 2, middle - 7, middle, last - 1, last] {
        for prefix in ["", "k/", "/r/z", "none"] {
            let theirs = theirs(&cluster, prefix, revision);
            assert!(ours(&after, prefix, Some(revision)) == theirs, "{revision} {prefix}");
            assert!(revision > middle || ours(&before, prefix, Some(revision)) == theirs, "{revision} {prefix}");
        }
    }
    let all = ours(&after, "", None);
    let used = usage(&after, Grouping::default(), 1).unwrap();
    let (figures, _) = figures(&after).unwrap();
    assert_eq!((used.total.live_keys, used.total.rows), (figures.keys, figures.changes));
    assert_eq!((used.total.live_keys, used.total.leased_keys), (all.len() as u64, 1));
    assert_eq!(used.largest[0].key.as_deref(), Some(&b"large"[..]));
    let mut versions = Vec::new();
    rows_of(&before, b"k/001", |change, pair| {
        versions.push((change.is_tombstone, pair.version));
        true
    })
    .unwrap();
    assert_eq!(versions, [(false, 1), (false, 2), (true, 0)]);

    let mut bound = Vec::new();
    let told = leases(&after, |part| {
        bound.extend(part);
        true
    });
    let live = asked(&cluster, &["lease", "timetolive", lease, "--keys"]);
    assert_eq!((told.unwrap().strays, bound.len(), bound[0].keys), (0, 1, 1));
    assert_eq!(json!([bound[0].lease.id.0, bound[0].lease.ttl]), json!([live["id"], live["granted-ttl"]]));
    differences_are_those_of_the_server(&cluster, [&before, &after], [middle, last]);
}

fn differences_are_those_of_the_server(cluster: &Running, files: [&Image; 2], revisions: [i64; 2]) {
    let keys = |revision| theirs(cluster, "", revision).into_iter().map(|item| (item.key.clone(), item));
    let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) = (keys(revisions[0]).collect(), keys(revisions[1]).collect());
    let mut found = Vec::new();
    let told = diff(files[0], files[1], &Asked::default(), |difference| {
        found.push(difference);
        true
    });
    assert_eq!(told.unwrap().history.diverged, None);
    let kinds = [Kind::Added, Kind::Removed, Kind::Changed, Kind::Touched];
    assert!(kinds.iter().all(|kind| found.iter().any(|difference| difference.kind == *kind)));
    for difference in &found {
        assert_eq!((a.get(difference.key()), b.get(difference.key())), (difference.a.as_ref(), difference.b.as_ref()));
    }
    let differ =
        a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)).collect::<std::collections::BTreeSet<_>>();
    assert!(differ.into_iter().map(Vec::as_slice).eq(found.iter().map(|difference| difference.key())));
}
