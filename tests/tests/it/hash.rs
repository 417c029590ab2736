//! Whether all members hold the same data, on real clusters; and what is said when one of them really does not.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, column, driver, row, side_by_side, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

fn start(version: &str, members: usize) -> Option<Running> {
    Running::start(version, Options { members, tls: false, ..Options::default() })
}

fn hash(cluster: &Running) -> Json {
    cluster.call("hash", json!({})).unwrap()
}

fn words(report: &Json) -> (&str, Vec<&str>, &str) {
    let minority = report["minority"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    (report["verdict"].as_str().unwrap(), minority, report["reason"].as_str().unwrap())
}

#[rstest]
fn members_that_hold_the_same(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    for number in 0..5 {
        cluster.etcdctl(&["put", "a", &number.to_string()]);
    }
    cluster.etcdctl(&["compact", "3"]);
    let report = hash(&cluster);
    assert_eq!(words(&report), ("consistent", vec![], "all 3 voters gave the same hash"), "{report}");
    assert_eq!(report["revision"], 6);
    let told = if matches!(version, "3.4" | "3.5") { json!(null) } else { json!(6) };
    for member in report["members"].as_array().unwrap() {
        let found = (&member["comparable"], &member["hash_revision"], &member["compact_revision"], &member["error"]);
        assert_eq!(found, (&json!(true), &told, &json!(3), &json!(null)), "{report}");
    }
    // The same hash as etcdctl's.
    let printed = cluster.etcdctl(&["endpoint", "hashkv", "--rev", "6", "-w", "json"]);
    let printed: Json = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed[0]["HashKV"]["hash"], report["members"][0]["hash"]);

    let older = cluster.call("hash", json!({ "revision": 4 })).unwrap();
    assert_eq!((words(&older).0, &older["revision"]), ("consistent", &json!(4)));
    assert_ne!(older["members"][0]["hash"], report["members"][0]["hash"]);
    for (revision, code) in [(2, "compacted"), (1_000, "future_revision")] {
        let error = cluster.call("hash", json!({ "revision": revision })).unwrap_err();
        assert_eq!((error.code(), error.argument()), (code, Some("revision")), "{error:?}");
    }
    let error = cluster.call("hash", json!({ "revision": 0 })).unwrap_err();
    assert_eq!((error.code(), error.argument()), ("invalid_argument", Some("revision")));
}

/// Nothing was written since a compaction to the newest revision: 3.4 hashes nothing then, and a member that was restarted hashes
/// another store than those that remember the hash of the compaction. That is no difference, and is said so.
#[test]
fn a_compaction_to_the_newest_revision_is_told() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, 3).unwrap();
        for number in 0..5 {
            cluster.etcdctl(&["put", "a", &number.to_string()]);
        }
        cluster.etcdctl(&["compact", "6", "--physical"]);
        cluster.call("sandbox restart", json!({ "member": "infra1" })).unwrap();
        until("all are healthy", || match cluster.call("quorum", json!({})) {
            Ok(quorum) if quorum["verdict"] == "healthy" => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let report = hash(&cluster);
        let told =
            "the store is compacted to revision 6, and nothing was written since: compare again after the next write";
        assert_eq!(words(&report), ("not_comparable", vec![], told), "{report}");
        cluster.etcdctl(&["put", "a", "more"]);
        assert_eq!(words(&hash(&cluster)).0, "consistent");
    });
}

#[rstest]
fn while_keys_are_written_and_compacted(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    let (cluster, done, written) = (&cluster, AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let number = written.fetch_add(1, Ordering::Relaxed);
                cluster.etcdctl(&["put", &format!("key{}", number % 7), &number.to_string()]);
                if number % 5 == 4 {
                    cluster.etcdctl(&["compact", &(number - 2).to_string()]);
                }
            }
        });
        for _ in 0..15 {
            let before = written.load(Ordering::Relaxed);
            let report = hash(cluster);
            if words(&report).0 != "consistent" {
                done.store(true, Ordering::Relaxed);
                panic!("{report}");
            }
            until("more is written", || {
                if written.load(Ordering::Relaxed) > before { Ok(()) } else { Err(String::new()) }
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(hash(cluster)["members"][0]["compact_revision"].as_i64() > Some(10), "it was hardly compacted meanwhile");
}

#[rstest]
fn with_tls_and_a_user(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { auth: true, ..Options::default() }) else { return };
    assert_eq!(words(&hash(&cluster)).0, "consistent");
}

/// Stops a member, changes every copy of a value in its database, and starts it again. etcd checks no checksum of a page.
fn corrupt(cluster: &Running, name: &str, value: &[u8]) {
    let member = cluster.member(name);
    driver().block_on(member.stop()).unwrap();
    let database = member.data_dir().join("member/snap/db");
    let mut bytes = std::fs::read(&database).unwrap();
    let places: Vec<_> =
        bytes.windows(value.len()).enumerate().filter(|(_, w)| *w == value).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the value is not in {}", database.display());
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(&database, bytes).unwrap();
    driver().block_on(member.restart(Duration::from_secs(60))).unwrap();
}

const VALUE: &str = "a value that is found again";

#[rstest]
fn a_member_whose_data_differs_is_named(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    cluster.etcdctl(&["put", "a", VALUE]);
    let victim = cluster.followers().remove(0);
    corrupt(&cluster, &victim, VALUE.as_bytes());
    // The fault is there: this member alone serves the other value.
    let served =
        cluster.call_with(&cluster.seeded(&[&victim]), "get", json!({ "key": "a", "serializable": true })).unwrap();
    assert_ne!(served["value"], VALUE, "{served}");
    let report = hash(&cluster);
    let others: Vec<_> = ["infra1", "infra2", "infra3"].into_iter().filter(|name| *name != victim).collect();
    let reason =
        format!("the data of {victim} differs from that of {}, which a majority of the voters has", others.join(", "));
    assert_eq!(words(&report), ("divergent", vec![victim.as_str()], reason.as_str()), "{report}");
    assert_eq!(column(&report["members"], "comparable"), [true, true, true]);
    let [wrong, good, same] = [&victim[..], others[0], others[1]].map(|name| &row(&report["members"], name)["hash"]);
    assert!(wrong != good && good == same, "{report}");
    // Two that differ are seen to differ also when the third is away, but then nobody knows which one is right.
    cluster.kill(&[others[0]]);
    let report = hash(&cluster);
    assert_eq!((words(&report).0, words(&report).1.len()), ("divergent", 0), "{report}");
    assert!(
        words(&report).2.ends_with("no majority of the voters has the same data: the minority is unknown"),
        "{report}"
    );
}

#[rstest]
fn who_gives_no_hash_has_a_row(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    let added =
        cluster.call("member add", json!({ "name": "infra4", "peer_urls": [cluster.free_peer_url()] })).unwrap();
    let initial_cluster = added["start"]["ETCD_INITIAL_CLUSTER"].as_str().unwrap();
    driver().block_on(cluster.sandbox.join("infra4", initial_cluster, Duration::from_secs(60))).unwrap();
    let report = hash(&cluster);
    assert_eq!(words(&report), ("consistent", vec![], "all 3 voters gave the same hash; a learner gives none: infra4"));
    let learner = row(&report["members"], "infra4");
    assert_eq!(
        (&learner["comparable"], &learner["error"]),
        (&json!(false), &json!("a learner gives no hash; ask again when it votes"))
    );
    cluster.kill(&["infra2"]);
    let report = hash(&cluster);
    let reason = "infra2 gave no hash; infra1, infra3 gave the same one; a learner gives none: infra4";
    assert_eq!(words(&report), ("not_comparable", vec![], reason), "{report}");
    let down = row(&report["members"], "infra2");
    assert!(down["error"].as_str().unwrap().contains("cannot connect") && down["hash"].is_null(), "{report}");
}

#[test]
fn while_a_leader_is_elected() {
    side_by_side(MATRIX, |turn| {
        let cluster = Running::start(turn.version, turn.options).unwrap();
        for _ in 0..3 {
            let leader = cluster.leader();
            cluster.pause(&leader);
            let report = hash(&cluster);
            cluster.resume(&leader);
            assert_eq!(report["members"].as_array().unwrap().len(), 3, "{report}");
            assert!(!row(&report["members"], &leader)["error"].is_null(), "{report}");
            until("it is healthy again", || match cluster.call("quorum", json!({})) {
                Ok(quorum) if quorum["verdict"] == "healthy" => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
    });
}
