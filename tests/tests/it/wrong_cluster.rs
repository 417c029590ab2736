//! Endpoints that lead to another cluster in the middle of a procedure: nothing is done there.

use std::cell::Cell;

use etcdsh_core::event::Event;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, Turn, json as to_json, record, side_by_side, until};
use serde_json::json;

use crate::failing::describe;
use crate::lost_answers::Behind;
use crate::procedure_faults::{healthy, pids, resume, start};

/// What can be seen of a cluster that was changed.
fn state(cluster: &Running) -> (serde_json::Value, Option<i64>, Vec<(String, i64)>) {
    let revision = cluster.view().unwrap().revision().map(|revision| revision.0);
    (cluster.call("member list", json!({})).unwrap(), revision, pids(cluster).into_iter().collect())
}

#[test]
fn a_run_stops_when_its_endpoints_lead_to_another_cluster() {
    side_by_side(MATRIX, |turn| {
        // With users, the other cluster would not know them, and would be told apart by that already.
        let options = Options { tls: false, auth: false, ..turn.options };
        let other = start(turn.version, Options { members: 1, ..options.clone() });
        let behind = Behind::start(Turn { options, ..turn }, &[]);
        healthy(&behind.cluster, 3);
        for operation in ["defrag", "rolling-restart"] {
            let before = state(&other);
            let (theirs, led) = (other.profile().endpoints[0].port(), Cell::new(false));
            let events = |event: &Event| {
                if matches!(event, Event::Outcome { .. }) && !led.replace(true) {
                    behind.lead_to(|_| theirs);
                }
            };
            let args = record(json!({ "wait": "8s" }));
            let ended = behind.cluster.caller.answer_told(&behind.profile(), operation, args, &events);
            let error = ended.unwrap_err();
            assert!(led.get(), "{operation}: {}", describe(&error));
            assert_eq!(error.code(), "cluster_mismatch", "{}", describe(&error));
            let report = to_json(&error.report().unwrap());
            assert_eq!(report["steps"][0]["outcome"], "done", "{report}");
            assert_eq!(state(&other), before);
            behind.lead_back();
            healthy(&behind.cluster, 3);
            resume(&behind.cluster);
            healthy(&behind.cluster, 3);
            // For some seconds what was seen of the other cluster speaks against these endpoints.
            until("the endpoints are taken for this cluster's", || {
                behind.cluster.call_with(&behind.profile(), "quorum", json!({})).map_err(|error| describe(&error))
            });
        }
    });
}
