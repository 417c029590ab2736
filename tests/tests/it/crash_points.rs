//! Procedures whose program dies at every point: before and after each intent, act and outcome. Each is gone on with, with its
//! journal and without, and ends as one that nobody interrupted.

pub(crate) mod procedures;

use std::sync::atomic::{AtomicUsize, Ordering};

use etcdsh_tests::{Ended, Running, Turn, column, driver, side_by_side, until};
use procedures::{
    ADD, COMPACT, DEFRAG, DISARM, GO_BACK, MOVE, PROMOTE, Procedure, RELOCATE, REMOVE, REPLACE, RESTART, SPACE, STAY,
    UPDATE, ids,
};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The events at which a program dies: a step begins, its intent is on disk, it was done, its outcome is on disk.
const KINDS: [&str; 4] = ["step", "intent", "acted", "outcome"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Journal {
    Kept,
    Lost,
}

pub(crate) fn healthy(cluster: &Running) {
    until("the cluster is healthy", || {
        let quorum = cluster.call("quorum", json!({})).map_err(|error| format!("{error:?}"))?;
        let good = quorum["verdict"] == "healthy" && quorum["voters"] == 3 && quorum["learners"] == 0;
        if good { Ok(()) } else { Err(quorum.to_string()) }
    });
}

/// Goes on with what was interrupted.
fn go_on(cluster: &Running, procedure: &Procedure, args: Json, journal: Journal) {
    let operation = procedure.operation;
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
    match cluster.call(operation, args) {
        Ok(report) => assert_eq!(report["ok"], true, "{report}"),
        Err(error) => {
            assert!(procedure.refused.contains(&error.code()), "{error:?}");
            assert!(error.help().is_some_and(|help| !help.is_empty()), "{error:?}");
        }
    }
}

/// Lets a procedure die at one of its points, and goes on. Says whether it died.
fn survive(cluster: &Running, procedure: &Procedure, at: usize, journal: Journal) -> bool {
    let (args, before) = (procedure.before)(cluster);
    let ended = cluster.crash("sandbox", &KINDS, Some(at), procedure.operation, &args);
    let died = match ended {
        Ended::Crashed => true,
        Ended::Done { .. } => false,
        Ended::Failed { error, .. } => panic!("{} at {at}: {error}", procedure.operation),
    };
    if died {
        go_on(cluster, procedure, args, journal);
    }
    (procedure.after)(cluster, &before);
    healthy(cluster);
    died
}

/// Says whether every version gets every point, which takes half an hour, in place of its share of them.
#[expect(clippy::disallowed_methods, reason = "the variable says how much a person wants to be tried")]
fn every_point() -> bool {
    std::env::var("ETCDSH_EVERY_POINT").is_ok()
}

/// The versions share the points of what has many; what has one step dies at each of its points on each version.
#[rstest]
fn a_procedure_is_gone_on_with_from_every_point(
    #[values(
        REPLACE, RESTART, DEFRAG, SPACE, COMPACT, DISARM, ADD, UPDATE, REMOVE, PROMOTE, MOVE, GO_BACK, STAY, RELOCATE
    )]
    procedure: Procedure,
    #[values(Journal::Kept, Journal::Lost)] journal: Journal,
) {
    let died = AtomicUsize::new(0);
    let all = every_point() || procedure.points == 4;
    let versions = side_by_side(procedure.versions, |turn: Turn| {
        let points: &mut dyn Iterator<Item = usize> = if all { &mut (1..) } else { &mut turn.share() };
        let cluster = Running::start(turn.version, turn.options).unwrap();
        healthy(&cluster);
        while points.next().is_some_and(|at| survive(&cluster, &procedure, at, journal)) {
            died.fetch_add(1, Ordering::SeqCst);
        }
    });
    let died = died.into_inner();
    eprintln!("{}, journal {journal:?}: {died} of {died} crash points gone on with", procedure.operation);
    assert!(
        died >= procedure.points * if all { versions } else { 1 },
        "{died} crash points of {}",
        procedure.operation
    );
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
