//! Replacements whose program dies between the stop of the old process and the vote of the new one, on hosts of every kind. They
//! are gone on with by what is left: the journal, the profile, or only what somebody still knows.

use etcdsh_tests::{Ended, MATRIX, Turn, side_by_side};
use serde_json::{Value as Json, json};

use super::driven::Driven;
use super::fleet::Fleet;
use super::operations::is_another;

/// What is left to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The journal of the run.
    Journal,
    /// A profile that knows the member's peer URLs.
    Profile,
    /// Neither.
    Nothing,
}

/// The steps behind whose end the program dies, and what is left then. A member that has started is known by its name.
const CASES: [(&str, Left); 8] = [
    ("set_data_aside", Left::Journal),
    ("add_member", Left::Profile),
    ("start_member", Left::Journal),
    ("set_data_aside", Left::Nothing),
    ("add_member", Left::Journal),
    ("set_data_aside", Left::Profile),
    ("start_member", Left::Nothing),
    ("add_member", Left::Nothing),
];

#[test]
fn a_replacement_that_dies_half_way_is_gone_on_with() {
    side_by_side(MATRIX, |turn: Turn| {
        let fleet = Fleet::of_turn(&turn, 2);
        fleet.cluster.etcdctl(&["put", "kept", "before"]);
        let cases = turn.share().map_while(|number| CASES.get(number - 1));
        for ((point, left), member) in cases.zip(fleet.names()) {
            survive(&fleet, member, point, *left);
        }
    });
}

/// Where its program dies between the stop and the start, a restart leaves its member down. Whoever does not know why takes nobody
/// else away; whoever goes on brings it back first.
#[test]
fn a_restart_that_dies_while_its_member_is_down_is_gone_on_with() {
    side_by_side(&["3.4", "3.7"], |turn| {
        let fleet = Fleet::of_turn(&turn, 1);
        let (before, leader, followers) = (fleet.pids(), fleet.cluster.leader(), fleet.cluster.followers());
        let (first, args) = (&followers[0], json!({ "settle": "0s", "members": followers }));
        let ended = fleet.cluster.crash("prod", &["intent"], Some(1), "rolling-restart", &args);
        assert_eq!(ended, Ended::Crashed);
        // The intent was the last that it told; the stop was the last that it did.
        Driven::new(&fleet.profile(), &fleet.cluster.places, first).unwrap().stop().unwrap();
        let error = fleet.call("rolling-restart", json!({ "members": [leader] })).unwrap_err();
        assert_eq!(error.code(), "others_unhealthy", "{error:?}");
        assert_eq!((fleet.pid(first), fleet.pid(&leader)), (None, before.get(&leader).copied()));
        let report = resume(&fleet, "rolling-restart");
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["steps"][0]["target"].as_str().unwrap().starts_with(first), "{report}");
        let after = fleet.pids();
        assert!(followers.iter().all(|name| after[name] != before[name]), "{before:?} {after:?}");
        assert_eq!(after[&leader], before[&leader]);
        fleet.healthy();
    });
}

fn survive(fleet: &Fleet, name: &str, point: &str, left: Left) {
    fleet.configure(|name| match left {
        Left::Profile => fleet.entry_with_peer_urls(name),
        _ => fleet.entry(name),
    });
    fleet.damage(name);
    let (old, args) = (fleet.ids(), json!({ "member": name }));
    let dry = fleet.call("member replace", json!({ "member": name, "dry_run": true })).unwrap();
    let steps = dry["plan"].as_array().unwrap();
    let at = steps.iter().position(|step| step["step"] == point).unwrap_or_else(|| panic!("no {point}: {dry}")) + 1;
    let ended = fleet.cluster.crash("prod", &["outcome"], Some(at), "member replace", &args);
    assert_eq!(ended, Ended::Crashed, "behind {point}");
    stands(fleet, name, point);
    let report = match left {
        Left::Journal => resume(fleet, "member replace"),
        Left::Profile => forgotten(fleet, &args).unwrap(),
        Left::Nothing => told_what_to_say(fleet, name, point),
    };
    assert_eq!(report["ok"], true, "{point}, {left:?}: {report}");
    is_another(fleet, name, &old);
    let kept = asides(fleet, name);
    assert!(kept.len() == 1 && fleet.data_dir(name).join(&kept[0]).join("snap/db").is_file(), "{kept:?}");
}

/// Holds that a crash has left what it is to be gone on from.
fn stands(fleet: &Fleet, name: &str, point: &str) {
    let members = fleet.call("member list", json!({})).unwrap();
    let members = members.as_array().unwrap().iter().map(|row| row["is_learner"] == true).collect::<Vec<_>>();
    let learners = members.iter().filter(|learner| **learner).count();
    let found = (members.len(), learners, fleet.pid(name).is_some(), asides(fleet, name).len());
    let expected = match point {
        "set_data_aside" => (2, 0, false, 1),
        "add_member" => (3, 1, false, 1),
        _ => (3, 1, true, 1),
    };
    assert_eq!(found, expected, "members, learners, a process, old data behind {point}");
}

/// Returns the names of the folders with old data.
fn asides(fleet: &Fleet, name: &str) -> Vec<String> {
    let files = std::fs::read_dir(fleet.data_dir(name)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("member.aside-")).collect()
}

fn resume(fleet: &Fleet, operation: &str) -> Json {
    let runs = fleet.call("change list", json!({})).unwrap();
    let run = &runs[0];
    assert_eq!((&run["operation"], &run["state"]), (&json!(operation), &json!("interrupted")), "{run}");
    fleet.call("change resume", json!({ "id": run["id"] })).unwrap()
}

/// Replaces a member with what was said of it, and without the journal.
fn forgotten(fleet: &Fleet, args: &Json) -> etcdsh_core::error::Result<Json> {
    let journals = fleet.cluster.places.state.join("changes");
    if journals.exists() {
        std::fs::remove_dir_all(journals).unwrap();
    }
    fleet.call("member replace", args.clone())
}

/// Where nobody knows the member any more, it is said what has to be said of it, and that is enough.
fn told_what_to_say(fleet: &Fleet, name: &str, point: &str) -> Json {
    let answer = forgotten(fleet, &json!({ "member": name }));
    if point == "start_member" {
        return answer.unwrap();
    }
    let (error, pids) = (answer.unwrap_err(), fleet.pids());
    assert_eq!(error.code(), "member_not_found", "{error:?}");
    let help = error.help().unwrap_or_default();
    assert!(help.contains("say its name and its peer_urls"), "{help}");
    assert_eq!(fleet.pids(), pids);
    forgotten(fleet, &json!({ "member": name, "peer_urls": [fleet.peer_url(name)] })).unwrap()
}
