//! Procedures whose program dies at every point: before and after each intent, act and outcome. Each is gone on with, with its
//! journal and without, and ends as one that nobody interrupted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Ended, Running, column, driver, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The events at which a program dies: a step begins, its intent is on disk, it was done, its outcome is on disk.
const KINDS: [&str; 4] = ["step", "intent", "acted", "outcome"];
/// How many clusters are used side by side; most of the time is waiting.
const SIDE_BY_SIDE: usize = 4;

/// A procedure, and what has to hold around it.
struct Procedure {
    operation: &'static str,
    args: Json,
    /// Brings the cluster into the state in which the procedure is needed, and returns what is to be compared afterwards.
    before: fn(&Running) -> Json,
    /// Holds that the cluster is as the procedure promises.
    after: fn(&Running, &Json),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Journal {
    Kept,
    Lost,
}

fn healthy(cluster: &Running) {
    until("the cluster is healthy", || {
        let quorum = cluster.call("quorum", json!({})).map_err(|error| format!("{error:?}"))?;
        let good = quorum["verdict"] == "healthy" && quorum["voters"] == 3 && quorum["learners"] == 0;
        if good { Ok(()) } else { Err(quorum.to_string()) }
    });
}

fn ids(cluster: &Running) -> BTreeMap<String, String> {
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

fn replace() -> Procedure {
    Procedure {
        operation: "member replace",
        args: json!({ "member": "infra2" }),
        before: |cluster| {
            cluster.etcdctl(&["put", "kept", "before"]);
            cluster.kill(&["infra2"]);
            json!({ "id": ids(cluster)["infra2"], "asides": asides(cluster) })
        },
        after: |cluster, before| {
            let id = &ids(cluster)["infra2"];
            assert_ne!(before["id"], id.as_str(), "it is another member");
            assert!(asides(cluster) as u64 > before["asides"].as_u64().unwrap(), "its old data are kept");
            let member = cluster.member("infra2");
            let kept = cluster.etcdctl(&["--endpoints", member.client_url(), "get", "--print-value-only", "kept"]);
            assert_eq!(kept.trim(), "before");
            let hash = cluster.call("hash", json!({})).unwrap();
            assert_eq!(hash["verdict"], "consistent", "{hash}");
        },
    }
}

fn restart() -> Procedure {
    Procedure {
        operation: "rolling-restart",
        args: json!({ "settle": "0s" }),
        before: processes,
        after: |cluster, before| {
            let now = processes(cluster);
            for (name, process) in before.as_object().unwrap() {
                assert_ne!(process, &now[name], "{name} was restarted");
            }
        },
    }
}

fn defrag() -> Procedure {
    Procedure {
        operation: "defrag",
        args: json!({}),
        before: |cluster| {
            for _ in 0..3 {
                cluster.etcdctl_reading(&["put", "large"], &"x".repeat(900_000)).unwrap();
            }
            cluster.call("compact", json!({ "keep": 0, "physical": true })).unwrap();
            Json::Null
        },
        after: |cluster, _| {
            for row in cluster.call("status", json!({})).unwrap().as_array().unwrap() {
                let free = row["db_size"].as_i64().unwrap() - row["db_in_use"].as_i64().unwrap();
                assert!(free < 1_000_000, "{row}");
            }
        },
    }
}

fn space() -> Procedure {
    Procedure {
        operation: "space recover",
        args: json!({}),
        before: |cluster| {
            cluster.etcdctl(&["put", "kept", "older"]);
            cluster.etcdctl(&["put", "kept", "newest"]);
            Json::Null
        },
        after: |cluster, _| assert_eq!(cluster.etcdctl(&["get", "--print-value-only", "kept"]).trim(), "newest"),
    }
}

/// Goes on with what was interrupted.
fn go_on(cluster: &Running, procedure: &Procedure, journal: Journal) {
    let Procedure { operation, args, .. } = procedure;
    if journal == Journal::Kept {
        let runs = cluster.call("change list", json!({})).unwrap();
        let run = &runs[0];
        assert_eq!((&run["operation"], &run["state"]), (&json!(operation), &json!("interrupted")), "{run}");
        let report = cluster.call("change resume", json!({ "id": run["id"] })).unwrap();
        assert_eq!((&report["ok"], &report["operation"]), (&json!(true), &json!(operation)), "{report}");
        let runs = cluster.call("change list", json!({})).unwrap();
        assert_eq!((&runs[0]["state"], &runs[1]["state"]), (&json!("done"), &json!("resumed")), "{runs}");
        return;
    }
    std::fs::remove_dir_all(cluster.places.state.join("changes")).unwrap();
    match cluster.call(operation, args.clone()) {
        Ok(report) => assert_eq!(report["ok"], true, "{report}"),
        // Whoever finds a healthy member does not know that it was to be replaced, and says so.
        Err(error) => assert_eq!(error.code(), "member_healthy", "{error:?}"),
    }
}

/// Lets a procedure die at one of its points, and goes on. Says whether it died.
fn survive(cluster: &Running, procedure: &Procedure, at: usize, journal: Journal) -> bool {
    let before = (procedure.before)(cluster);
    let ended = cluster.crash("sandbox", &KINDS, Some(at), procedure.operation, &procedure.args);
    let died = match ended {
        Ended::Crashed => true,
        Ended::Done { .. } => false,
        Ended::Failed { error, .. } => panic!("{} at {at}: {error}", procedure.operation),
    };
    if died {
        go_on(cluster, procedure, journal);
    }
    healthy(cluster);
    (procedure.after)(cluster, &before);
    died
}

#[rstest]
fn a_procedure_is_gone_on_with_from_every_point(
    #[values(replace(), restart(), defrag(), space())] procedure: Procedure,
    #[values(Journal::Kept, Journal::Lost)] journal: Journal,
) {
    let (next, died) = (AtomicUsize::new(1), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let work = || {
            let cluster = Running::start("3.6", Options::default()).unwrap();
            healthy(&cluster);
            while survive(&cluster, &procedure, next.fetch_add(1, Ordering::SeqCst), journal) {
                died.fetch_add(1, Ordering::SeqCst);
            }
        };
        let all: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
    let died = died.into_inner();
    eprintln!("{}, journal {journal:?}: {died} of {died} crash points gone on with", procedure.operation);
    assert!(died >= 12, "{died} crash points of {}", procedure.operation);
}

/// A few points on every other version: what differs between versions are the answers of servers, not the points.
#[rstest]
fn a_replacement_is_gone_on_with_on_every_version(#[values("3.4", "3.5", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { auth: true, ..Options::default() }) else { return };
    healthy(&cluster);
    for at in [8, 14, 20, 26] {
        assert!(survive(&cluster, &replace(), at, if at % 8 == 0 { Journal::Kept } else { Journal::Lost }), "{at}");
    }
}

/// The trap of etcd issues 10254, 20269 and 21178: the new member has joined, and its data are lost once more. Whoever starts it
/// under its id gets a member that panics; it has to be removed and added again.
#[rstest]
fn a_new_member_that_loses_its_data_gets_another_id(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    cluster.kill(&["infra2"]);
    cluster.call("member replace", json!({ "member": "infra2" })).unwrap();
    let joined = ids(&cluster)["infra2"].clone();
    let member = cluster.member("infra2");
    driver().block_on(member.stop()).unwrap();
    driver().block_on(member.wipe()).unwrap();
    let report = cluster.call("member replace", json!({ "member": "infra2" })).unwrap();
    let steps = column(&report["steps"], "step");
    assert!(steps.contains(&&json!("remove_member")) && steps.contains(&&json!("add_member")), "{report}");
    assert_ne!(ids(&cluster)["infra2"], joined);
    healthy(&cluster);
}
