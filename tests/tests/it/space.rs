//! Room in the databases: a cluster that is full, from its alarm to its next write; what is forgotten, and what is given back.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use etcd_client::AlarmType;
use etcdsh_core::error::Error;
use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_core::value::Record;
use etcdsh_tests::{Running, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The quota of the databases; a dozen values of a megabyte fill it.
const QUOTA: i64 = 16 << 20;

fn start(version: &str, members: usize) -> Option<Running> {
    let flags = vec![format!("--quota-backend-bytes={QUOTA}")];
    Running::start(version, Options { members, tls: false, flags, ..Options::default() })
}

fn call(cluster: &Running, name: &str, args: Json) -> Json {
    cluster.call(name, args).unwrap_or_else(|error| panic!("{name}: {error:?} {:?}", error.report()))
}

fn refused(cluster: &Running, name: &str, args: Json) -> Error {
    cluster.call(name, args).unwrap_err()
}

/// Writes values of a megabyte until the cluster takes no more.
fn fill(cluster: &Running, key: impl Fn(usize) -> String) {
    let value = "x".repeat(1 << 20);
    for number in 0..40 {
        if let Err(error) = cluster.etcdctl_reading(&["put", &key(number)], &value) {
            assert!(error.contains("database space exceeded"), "{error}");
            assert!(cluster.etcdctl(&["alarm", "list"]).contains("NOSPACE"), "the alarm was not raised");
            return;
        }
    }
    panic!("the quota was never reached");
}

fn outcomes(report: &Json) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["step"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

/// Before 3.6 the members do not tell their quota.
fn tells_quota(version: &str) -> bool {
    !matches!(version, "3.4" | "3.5")
}

#[rstest]
fn a_cluster_that_is_full_takes_writes_again(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    fill(&cluster, |_| "load/one/key".to_owned());
    let refusal = refused(&cluster, "alarm disarm", json!({}));
    assert_eq!(refusal.code(), "space_not_free", "{refusal:?}");
    let told = if tells_quota(version) { "of its quota of" } else { "who does not tell its quota" };
    assert!(refusal.to_string().contains(told), "{refusal}");
    let refusal = refused(&cluster, "alarm disarm", json!({ "quota": QUOTA }));
    assert_eq!(refusal.code(), "space_not_free", "{refusal:?}");

    let revision = || call(&cluster, "quorum", json!({}))["revision"].clone();
    let before = revision();
    let rehearsed = call(&cluster, "space recover", json!({ "dry_run": true }));
    let compact = rehearsed["plan"].as_array().unwrap().iter().find(|step| step["step"] == "compact").unwrap();
    let eater = compact["reason"].as_str().unwrap();
    assert!(eater.contains("all 1 keys hold 1.0 MB now, most of it below \"load/one/\""), "{eater}");
    assert!(eater.ends_with("the rest are older values"), "{eater}");
    assert_eq!(revision(), before, "a dry run changes nothing");
    assert!(cluster.etcdctl(&["alarm", "list"]).contains("NOSPACE"));

    let warnings = RefCell::new(Vec::new());
    let report = cluster.caller.answer_told(&cluster.profile(), "space recover", Record::new(), &|event| {
        if let Event::Warning { message } = event {
            warnings.borrow_mut().push(message.clone());
        }
    });
    let report = etcdsh_tests::json(&report.unwrap_or_else(|error| panic!("{error:?} {:?}", error.report())));
    let warned = "nothing keeps another change out meanwhile: the cluster has a NOSPACE alarm, and takes no claim";
    assert_eq!(warnings.into_inner(), [warned]);
    let steps = outcomes(&report);
    assert_eq!(report["ok"], true, "{report}");
    for (step, count) in
        [("save_snapshot", 1), ("compact", 1), ("defragment", 3), ("check_space", 2), ("prove_write", 1)]
    {
        assert_eq!(steps.iter().filter(|taken| **taken == (step, "done")).count(), count, "{step}: {report}");
    }
    assert!(steps.iter().any(|(step, _)| *step == "disarm_alarm"), "{report}");
    let freed = report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "defragment");
    let freed: Vec<i64> = freed.map(|step| step["result"]["freed"].as_i64().unwrap()).collect();
    assert!(freed.iter().all(|freed| *freed > 8 << 20), "{freed:?}");
    eprintln!("{version}: freed {freed:?} bytes");
    assert_eq!(cluster.etcdctl(&["alarm", "list"]), "");
    // What could be read before is there, and there is room for more.
    assert_eq!(cluster.etcdctl(&["get", "load/one/key", "--print-value-only"]).trim_end().len(), 1 << 20);
    cluster.etcdctl_reading(&["put", "load/one/key"], &"y".repeat(1 << 20)).unwrap();
    assert_eq!(call(&cluster, "quorum", json!({}))["verdict"], "healthy");
}

#[rstest]
fn what_is_needed_is_not_forgotten(#[values("3.4", "3.7")] version: &str) {
    let Some(cluster) = start(version, 1) else { return };
    // The file grows in leaps, so there is room in it when the quota is reached for the first time.
    for round in 0.. {
        fill(&cluster, |number| format!("live/{round:02}/{number:02}"));
        cluster.etcdctl(&["--command-timeout=60s", "defrag"]);
        let size = call(&cluster, "status", json!({}))[0]["db_size"].as_i64().unwrap();
        if size * 10 >= QUOTA * 9 {
            break;
        }
        cluster.etcdctl(&["alarm", "disarm"]);
    }
    let count = || cluster.etcdctl(&["get", "live/", "--prefix", "--keys-only"]);
    let before = count();
    // It is known before anything is done, and nothing is done.
    let revision = call(&cluster, "quorum", json!({}))["revision"].clone();
    let error = refused(&cluster, "space recover", json!({}));
    assert_eq!(
        (error.code(), error.help().unwrap().split(',').next()),
        ("space_not_free", Some("delete keys")),
        "{error:?}"
    );
    assert!(error.to_string().contains("the newest values alone hold "), "{error}");
    assert_eq!(call(&cluster, "quorum", json!({}))["revision"], revision);
    // Who wants it all the same is told so at the end, and not to go on with the compaction of that time.
    let error = refused(&cluster, "space recover", json!({ "allow": ["space_not_free"] }));
    assert_eq!(error.code(), "space_not_free", "{error:?}");
    let help = error.help().unwrap();
    assert!(!help.contains("change resume"), "{help}");
    assert!(help.starts_with("what fills it is needed now: delete keys, or raise --quota-backend-bytes"), "{help}");
    let report = etcdsh_tests::json(&error.report().unwrap());
    let steps = outcomes(&report);
    assert_eq!(steps.iter().find(|step| step.0 == "check_space"), Some(&("check_space", "failed")), "{report}");
    assert_eq!(steps.last(), Some(&("check_space", "skipped")), "{report}");
    assert!(cluster.etcdctl(&["alarm", "list"]).contains("NOSPACE"), "the alarm stays");
    assert_eq!(count(), before);
    // What it says helps: keys are deleted, and the run is gone on with.
    cluster.etcdctl(&["del", "live/00", "--prefix"]);
    assert_eq!(call(&cluster, "space recover", json!({}))["ok"], true);
    assert_eq!(cluster.etcdctl(&["alarm", "list"]), "");
    cluster.etcdctl(&["put", "live/00", "small"]);
}

#[rstest]
fn compaction_keeps_what_it_was_told_to_keep(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 1) else { return };
    for number in 0..20 {
        cluster.etcdctl(&["put", "key", &number.to_string()]);
    }
    // The first revision is that of the empty store.
    let readable = |revision: i64| {
        let args = ["get", "key", "--print-value-only", &format!("--rev={revision}")];
        match cluster.etcdctl_reading(&args, "") {
            Ok(value) => Some(value.trim().to_owned()),
            Err(error) if error.contains("has been compacted") => None,
            Err(error) => panic!("{error}"),
        }
    };
    let keeps_from = |revision: i64| {
        assert_eq!((readable(revision - 1), readable(revision)), (None, Some((revision - 2).to_string())));
    };
    let age = json!({ "age": "1hr" });
    let unknown = refused(&cluster, "compact", age.clone());
    assert_eq!((unknown.code(), unknown.argument()), ("age_unknown", Some("age")), "{unknown:?}");
    let id = call(&cluster, "quorum", json!({}))["cluster_id"].as_str().unwrap().to_owned();
    let beacons = cluster.places.state.join("beacons");
    // That one looked was written down.
    let path = beacons.join(format!("{id}.txt"));
    assert!(std::fs::read_to_string(&path).unwrap().contains("Z 21 "));
    std::fs::write(&path, "2020-01-01T00:00:00Z 4\n2020-01-01T01:00:00Z 6\n").unwrap();
    let report = call(&cluster, "compact", age.clone());
    assert_eq!(outcomes(&report), [("compact", "done")], "{report}");
    keeps_from(6);
    assert_eq!(outcomes(&call(&cluster, "compact", age)), [("compact", "already")]);
    assert_eq!(outcomes(&call(&cluster, "compact", json!({ "revision": 10 }))), [("compact", "done")]);
    keeps_from(10);
    assert_eq!(outcomes(&call(&cluster, "compact", json!({ "revision": 10 }))), [("compact", "already")]);
    let keep = json!({ "keep": 5, "physical": true });
    assert_eq!(outcomes(&call(&cluster, "compact", keep.clone())), [("compact", "done")]);
    keeps_from(16);
    assert_eq!(outcomes(&call(&cluster, "compact", keep)), [("compact", "already")]);
    assert_eq!(readable(0), Some("19".to_owned()));
}

#[rstest]
fn a_rule_chooses_who_is_defragmented(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    // Eight megabytes may come near the small quota, so this one has the usual quota.
    let options = Options { members: 3, tls: false, ..Options::default() };
    let Some(cluster) = Running::start(version, options) else { return };
    let value = "x".repeat(1 << 20);
    for _ in 0..8 {
        cluster.etcdctl_reading(&["put", "big"], &value).unwrap();
    }
    call(&cluster, "compact", json!({ "keep": 0, "physical": true }));
    // One of them has given its space back already.
    etcdsh_tests::run(cluster.ctl(&cluster.seeded(&["infra2"])).arg("defrag"), "").unwrap();
    let rule = "db_free > 4MB && db_free / db_size > 0.4";
    until("the members tell how much is free", || {
        let plan = call(&cluster, "defrag", json!({ "rule": rule, "dry_run": true }))["plan"].clone();
        // Pages that were freed count with the next write.
        cluster.etcdctl(&["put", "small", "value"]);
        let targets = plan.as_array().unwrap().iter().filter(|step| step["step"] == "defragment").count();
        if targets == 2 { Ok(()) } else { Err(plan.to_string()) }
    });
    let report = call(&cluster, "defrag", json!({ "rule": rule, "wait": "1min" }));
    let defragmented = report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "defragment");
    let mut found: Vec<(&str, &str, bool)> = defragmented
        .map(|step| {
            let name = step["target"].as_str().unwrap().split(' ').next().unwrap();
            (name, step["outcome"].as_str().unwrap(), step["result"]["freed"].as_i64().unwrap() > 4 << 20)
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("infra1", "done", true), ("infra3", "done", true)], "{report}");
    // There is nothing left to choose.
    assert_eq!(call(&cluster, "defrag", json!({ "rule": rule }))["plan"], json!([]));
    let etcd_defrag = call(&cluster, "defrag", json!({ "rule": "dbSizeFree >= 0", "dry_run": true }));
    let named = etcd_defrag["plan"].as_array().unwrap().iter().filter(|step| step["step"] == "defragment").count();
    assert_eq!(named, 3, "{etcd_defrag}");
}

#[test]
fn the_only_member_is_defragmented_too() {
    let cluster = start("3.6", 1).unwrap();
    let value = "x".repeat(1 << 20);
    for _ in 0..4 {
        cluster.etcdctl_reading(&["put", "big"], &value).unwrap();
    }
    call(&cluster, "compact", json!({ "keep": 0, "physical": true }));
    let report = call(&cluster, "defrag", json!({}));
    assert_eq!(outcomes(&report), [("defragment", "done")], "{report}");
    assert!(report["steps"][0]["result"]["freed"].as_i64().unwrap() > 1 << 20, "{report}");
}

/// Waits for a span of time.
fn passes(span: Duration) {
    let start = Instant::now();
    until("a while has passed", || if start.elapsed() < span { Err(String::new()) } else { Ok(()) });
}

/// Of small keys with small values a database holds mostly what etcd says of them.
#[test]
fn small_keys_that_fill_the_quota_are_told_before_anything_is_done() {
    let flags = vec![format!("--quota-backend-bytes={}", 3 << 20)];
    let cluster = Running::start("3.6", Options { members: 1, tls: false, flags, ..Options::default() }).unwrap();
    for round in 0.. {
        let puts: String = (0..128).map(|number| format!("put small/{round:03}{number:03} v\n")).collect();
        if let Err(error) = cluster.etcdctl_reading(&["txn"], &format!("\n{puts}\n\n")) {
            assert!(error.contains("database space exceeded"), "{error}");
            break;
        }
    }
    let rehearsed = call(&cluster, "space recover", json!({ "dry_run": true }));
    assert_eq!(rehearsed["refusals"][0]["code"], "space_not_free", "{rehearsed}");
    let error = refused(&cluster, "space recover", json!({}));
    assert_eq!(error.code(), "space_not_free", "{error:?}");
    assert!(error.to_string().contains("the newest values alone hold "), "{error}");
    let revision = || call(&cluster, "quorum", json!({}))["revision"].clone();
    let before = revision();
    // Who insists gets all that can be had, and is told what to do; the same run cannot do more.
    let error = refused(&cluster, "space recover", json!({ "allow": ["space_not_free"] }));
    assert_eq!(error.code(), "space_not_free", "{error:?}");
    assert_eq!(revision(), before);
    let runs = call(&cluster, "change list", json!({}));
    let error = refused(&cluster, "change resume", json!({ "id": runs[0]["id"] }));
    let run = runs[0]["id"].as_str().unwrap();
    let message = format!("the run {run} had done all that makes room, and there was none");
    assert_eq!((error.code(), error.to_string()), ("run_over", message));
    let help = "what was deleted since has to be compacted too: run `space recover` again";
    assert_eq!(error.help().as_deref(), Some(help));
}

/// The servers free slowly here, and one of them stands still for a while: a member that is defragmented before it has freed
/// everything gives back less.
#[rstest]
fn a_physical_compaction_is_done_when_every_member_has_done_it(#[values("3.6", "3.7")] version: &str) {
    let slowly = ["--compaction-batch-limit=100", "--compaction-sleep-interval=100ms"].map(str::to_owned);
    let options = Options { members: 3, tls: false, flags: slowly.to_vec(), ..Options::default() };
    let Some(cluster) = Running::start(version, options) else { return };
    let overwrite = || (0..20).for_each(|_| cluster.put_hundred(&"x".repeat(2_000)));
    overwrite();
    let late = &cluster.followers()[0];
    let compact = |wait: &str, pause: Duration| {
        let newest = cluster.call("quorum", json!({})).unwrap()["revision"].clone();
        let args = json!({ "revision": newest, "physical": true, "wait": wait });
        std::thread::scope(|scope| {
            let compacted = scope.spawn(|| call(&cluster, "compact", args));
            passes(Duration::from_millis(700));
            cluster.pause(late);
            passes(pause);
            cluster.resume(late);
            compacted.join().unwrap()["steps"][0]["detail"].as_str().unwrap().to_owned()
        })
    };
    assert_eq!(compact("5s", Duration::from_secs(8)), format!("its space may still be taken on: {late}"));
    overwrite();
    assert_eq!(compact("1min", Duration::from_secs(2)), "every member has freed its space");
    let report = call(&cluster, "defrag", json!({ "wait": "1min" }));
    for step in report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "defragment") {
        assert!(step["result"]["db_size_after"].as_i64().unwrap() < 1_000_000, "{report}");
    }
}

#[rstest]
fn a_corrupt_alarm_is_taken_back_by_name(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, 3) else { return };
    cluster.etcdctl(&["put", "key", "value"]);
    cluster.raise(AlarmType::Corrupt, "infra2");
    assert!(cluster.etcdctl(&["alarm", "list"]).contains("CORRUPT"), "the alarm was not raised");
    let unnamed = refused(&cluster, "alarm disarm", json!({ "kind": "corrupt" }));
    assert_eq!((unnamed.code(), unnamed.argument()), ("invalid_argument", Some("member")));
    // Another member's is not taken back with it, and NOSPACE is not the same.
    assert_eq!(call(&cluster, "alarm disarm", json!({ "member": "infra2" }))["steps"], json!([]));
    assert!(cluster.etcdctl(&["alarm", "list"]).contains("CORRUPT"));
    let report = call(&cluster, "alarm disarm", json!({ "member": "infra2", "kind": "corrupt" }));
    assert_eq!(outcomes(&report), [("compare_hashes", "done"), ("disarm_alarm", "done")], "{report}");
    assert_eq!(cluster.etcdctl(&["alarm", "list"]), "");
    cluster.etcdctl(&["put", "key", "other"]);
}
