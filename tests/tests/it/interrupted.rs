//! Ctrl-C in the middle of what is done on a host: whoever was taken down is brought back first.

use std::cell::RefCell;

use etcdsh_core::context::Cancel;
use etcdsh_core::event::Event;
use etcdsh_tests::{Ended, MATRIX, Running, column, json as to_json, record, side_by_side};
use serde_json::json;

use crate::failing::describe;
use crate::procedure_faults::{healthy, ids, pids, resume, start};

/// Presses Ctrl-C as soon as the intent of this step is on disk. Returns what was said, and the warnings.
fn interrupted(cluster: &Running, step: &str, name: &str, args: serde_json::Value) -> (String, Vec<String>) {
    let (cancel, warnings) = (Cancel::new(), RefCell::new(Vec::new()));
    let events = |event: &Event| match event {
        Event::Intent { step: begun, .. } if begun == step => cancel.cancel(),
        Event::Warning { message } => warnings.borrow_mut().push(message.clone()),
        _ => {}
    };
    let caller = &cluster.caller;
    let ended = caller.answer_hooked(&cluster.profile(), name, record(args), &events, &[], cancel.clone());
    let error = ended.unwrap_err();
    assert_eq!(error.code(), "interrupted", "{}", describe(&error));
    let report = to_json(&error.report().unwrap());
    assert!(!column(&report["steps"], "outcome").is_empty(), "{report}");
    (describe(&error), warnings.into_inner())
}

#[test]
fn a_member_that_is_being_restarted_comes_back_first() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        let before = pids(&cluster);
        let (said, warnings) = interrupted(&cluster, "restart_member", "rolling-restart", json!({ "settle": "1s" }));
        let after = pids(&cluster);
        let restarted: Vec<&String> =
            after.iter().filter(|(name, pid)| before[*name] != **pid).map(|(n, _)| n).collect();
        let [restarted] = restarted.as_slice() else { panic!("{before:?} {after:?}") };
        assert_eq!(warnings, [format!("interrupted; the restart of {restarted} is brought to its end first")]);
        assert!(said.contains("`change resume "), "{said}");
        // Nobody has to help it: it comes back by itself.
        healthy(&cluster, 3);
        resume(&cluster);
        healthy(&cluster, 3);
        let last = pids(&cluster);
        assert!(last.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {last:?}");
    });
}

/// In every one of these steps the member to be replaced is down, so nothing is lost when it stays so until somebody goes on.
#[test]
fn a_replacement_that_was_interrupted_on_a_host_is_gone_on_with() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        for step in ["stop_member", "set_data_aside", "start_member"] {
            let old = ids(&cluster);
            if step == "stop_member" {
                // It does not serve, and its process is there.
                cluster.pause("infra2");
            } else {
                cluster.call("sandbox break", json!({ "member": "infra2", "how": "stale-data" })).unwrap();
            }
            let (said, _) = interrupted(&cluster, step, "member replace", json!({ "member": "infra2" }));
            assert!(said.contains("`change resume "), "{said}");
            resume(&cluster);
            healthy(&cluster, 3);
            assert_ne!(ids(&cluster)["infra2"], old["infra2"]);
        }
    });
}

/// The program was killed between the stop and the start of a member: a driver does both within one step.
#[test]
fn a_member_that_was_left_down_by_a_restart_is_brought_back_first() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, turn.options);
        let before = pids(&cluster);
        let args = json!({ "settle": "1s" });
        assert_eq!(cluster.crash("sandbox", &["intent"], Some(1), "rolling-restart", &args), Ended::Crashed);
        let runs = cluster.call("change list", json!({})).unwrap();
        let shown = cluster.call("change show", json!({ "id": runs[0]["id"] })).unwrap();
        let name = shown["steps"][0]["action"]["name"].as_str().unwrap().to_owned();
        cluster.kill(&[&name]);
        // Whoever does not know about it takes nobody else away.
        let error = cluster.call("rolling-restart", args).unwrap_err();
        assert_eq!(error.code(), "others_unhealthy", "{}", describe(&error));
        resume(&cluster);
        healthy(&cluster, 3);
        let after = pids(&cluster);
        assert!(after.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {after:?}");
    });
}
