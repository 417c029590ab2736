//! Snapshots that are used: `snapshot restore` as a user gives it, a cluster of three out of one snapshot, each member by another
//! face.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, Said, Seat, Started, program};
use serde_json::{Value as Json, json};

use crate::failing::describe;

#[test]
fn a_cluster_of_three_is_made_of_a_snapshot() {
    let cluster = Running::start("3.6", Options { members: 1, ..Options::default() }).unwrap();
    for number in 0..30 {
        cluster.etcdctl(&["put", &format!("/k/{number:02}"), "v"]);
    }
    let file = cluster.home().join("backup.db");
    cluster.call("snapshot save", json!({ "path": file })).unwrap();
    let seats = Seat::some(3, &cluster.home().join("made"), false);
    let list: Vec<String> = seats.iter().map(|seat| format!("{}={}", seat.name, seat.peer_url)).collect();
    let args = |at: usize| {
        let seat = &seats[at];
        json!({
            "file": file, "name": seat.name, "initial_cluster": list, "initial_cluster_token": "again",
            "data_dir": seat.data_dir, "bump_revision": 1000, "mark_compacted": true, "scrub_alarms": true,
        })
    };
    let (named, dir) = (|at: usize| (&seats[at].name, seats[at].data_dir.display()), list.join(" "));
    let (name, data_dir) = named(0);
    let by_nu = cluster.nu(&format!(
        "etcd snapshot restore {} --name {name} --initial-cluster [{dir}] --initial-cluster-token again --data-dir {data_dir} \
         --bump-revision 1000 --mark-compacted --scrub-alarms | to json --raw",
        file.display()
    ));
    let (name, data_dir) = named(1);
    let expression = format!(
        "etcd.snapshot_restore({:?}, #{{ name: {name:?}, initial_cluster: {list:?}, initial_cluster_token: \"again\", data_dir: \"{data_dir}\", \
         bump_revision: 1000, mark_compacted: true, scrub_alarms: true }})",
        file.display().to_string()
    );
    let mut command = cluster.command(program("etcdsh"));
    let by_rhai = Said::by(command.args(["eval", "-o", "json", &expression])).json();
    let by_core = cluster.call("snapshot restore", args(2)).unwrap();
    let made = [by_nu.json(), by_rhai, by_core];
    for report in &made {
        let same = ["cluster_id", "token", "members", "revision", "snapshot_revision", "advice"];
        assert!(same.iter().all(|column| report[*column] == made[0][*column]), "{report}");
        assert_eq!((&report["advice"], report["revision"].as_i64()), (&json!([]), Some(1031)), "{report}");
    }
    let tools = cluster.tools.clone();
    let started = Started::all(&seats, &tools);
    assert_eq!(
        started
            .etcdctl(&["get", "/k/", "--prefix", "--count-only", "-w", "fields"])
            .unwrap()
            .matches("\"Count\" : 30")
            .count(),
        1
    );
    refused(&cluster, &seats, &args);
}

/// Returns name and peer URL of each, as etcd takes them.
fn list(seats: &[Seat]) -> String {
    seats.iter().map(|seat| format!("{}={}", seat.name, seat.peer_url)).collect::<Vec<_>>().join(",")
}

/// What is not made, and why: while the new members run.
fn refused(cluster: &Running, seats: &[Seat], args: &dyn Fn(usize) -> Json) {
    let with = |name: &str, value: Json| {
        let mut args = args(0);
        args["data_dir"] = json!(cluster.home().join("other"));
        args[name] = value;
        args
    };
    let mut elsewhere = with("name", json!("../../esc"));
    elsewhere.as_object_mut().unwrap().remove("data_dir");
    let told = [
        with("name", json!(seats[0].name)),
        with("initial_cluster_token", Json::Null),
        with("initial_cluster_token", json!("")),
        with("initial_cluster", json!([""])),
        with("initial_cluster", json!([format!("{},", list(seats))])),
        elsewhere,
        with("initial_cluster", json!(["infra1"])),
        with("bump_revision", json!(-1)),
        with("target_version", json!("3.4")),
        with("data_dir", json!(seats[0].data_dir)),
    ]
    .map(|args| {
        let mut args = args;
        if args["data_dir"] == json!(seats[0].data_dir) {
            args["allow"] = json!(["member_answers"]);
        }
        let told = describe(&cluster.call("snapshot restore", args).unwrap_err());
        let told = told.replace(&seats[0].data_dir.display().to_string(), "/DIR");
        seats.iter().fold(told, |told, seat| told.replace(&seat.peer_url, "URL"))
    });
    let hidden = told
        .join("\n")
        .lines()
        .map(|line| match line.split_once("etcdsh-") {
            Some((before, _)) => format!("{before}etcdsh-…\n"),
            None => format!("{line}\n"),
        })
        .collect::<String>();
    insta::assert_snapshot!(hidden, @r#"
    member_answers: somebody answers at URL, where a member of the new cluster is to be reached
        help: stop the old members first: they would talk to the new ones, and clients to both. If it is no etcd of that cluster, allow member_answers
        sent: never
    invalid_argument: the argument initial_cluster_token is needed for several members
        help: every member has to be restored with the same; a fresh one is etcdsh-…
        argument: initial_cluster_token
    invalid_argument: the argument initial_cluster_token is empty
        help: leave it out for one that no other cluster has, or give the one of the other members; an empty one is often a variable that is not set
        argument: initial_cluster_token
    invalid_argument: the argument initial_cluster has an empty item
        help: leave it out for a member alone; an empty one is often a variable that is not set
        argument: initial_cluster
    invalid_argument: the argument initial_cluster has an empty item
        help: leave it out for a member alone; an empty one is often a variable that is not set
        argument: initial_cluster
    invalid_argument: the argument name is "../../esc", which no folder can have
        help: give data_dir too, or another name
        argument: name
    invalid_argument: the argument initial_cluster has "infra1", which is no NAME=URL
        help: give NAME=URL for each, such as infra1=https://10.0.0.1:2380
        argument: initial_cluster
    invalid_argument: the argument bump_revision is negative
        help: give a number above 0, such as 1000000000
        argument: bump_revision
    invalid_argument: the argument target_version is 3.4.0, and a database can be made for 3.5.0, 3.6.0, 3.7.0
        help: 3.4 starts with what is made for 3.5
        argument: target_version
    file_exists: /DIR is not empty: there is member
        help: name a folder that is empty or not there; move the data of an old member aside first
        argument: data_dir
    "#);
    assert!(!cluster.home().join("other").exists());
}
