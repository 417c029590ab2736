//! `snapshot restore plan`: a whole cluster out of one snapshot, shown, made, and put on its hosts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{MATRIX, Running, Said, Seat, Started, column, program, run, side_by_side};
use serde_json::{Value as Json, json};

use crate::at_rest::{fill, filled, saved};
use crate::failing::describe;
use crate::procedure_faults::{healthy, pids, plain, start};

fn plan(cluster: &Running, args: Json) -> Json {
    let made = cluster.call("snapshot restore plan", args);
    made.unwrap_or_else(|error| panic!("{}\n{:?}", describe(&error), error.causes()))
}

fn texts(table: &Json, name: &str) -> Vec<String> {
    column(table, name).into_iter().map(|text| text.as_str().unwrap_or("null").to_owned()).collect()
}

/// Returns what a key has; nothing where it is not there.
fn value(cluster: &Running, key: &str) -> String {
    cluster.etcdctl(&["get", key, "--print-value-only"]).trim().to_owned()
}

/// Holds that the cluster has what the snapshot has and nothing newer, under a revision that nobody has seen, and takes writes.
fn is_restored(cluster: &Running, report: &Json) {
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(texts(&report["checks"], "check"), ["cluster_id", "members", "revision", "alarms", "hash"], "{report}");
    let ok = column(&report["checks"], "ok");
    assert_eq!(ok[..4], [true; 4], "{report}");
    // A server of 3.4 cannot hash before something was written, which is told.
    let etcd = cluster.call("status", json!({})).unwrap()[0]["version"].as_str().unwrap().to_owned();
    let hashed = if etcd.starts_with("3.4.") { Json::Null } else { json!(true) };
    assert_eq!((ok[4], report["advice"].to_string().contains("run `hash`")), (&hashed, hashed.is_null()), "{report}");
    healthy(cluster, 3);
    assert_eq!((value(cluster, "/k/07/x").as_str(), value(cluster, "later").as_str()), ("value 2", ""));
    let quorum = cluster.call("quorum", json!({})).unwrap();
    assert_eq!(quorum["cluster_id"], report["cluster_id"]);
    assert!(quorum["revision"].as_i64() >= report["revision"].as_i64(), "{quorum} {report}");
    cluster.etcdctl(&["put", "after", "1"]);
    let hash = cluster.call("hash", json!({})).unwrap();
    assert_eq!(hash["verdict"], "consistent", "{hash}");
}

#[test]
fn a_cluster_without_quorum_is_made_again_on_its_hosts() {
    side_by_side(MATRIX, |turn| {
        let cluster = start(turn.version, Options { members: 3, ..turn.options });
        fill(&cluster);
        let file = saved(&cluster, "backup.db");
        cluster.etcdctl(&["put", "later", "1"]);
        let before = pids(&cluster);
        let shown = plan(&cluster, json!({ "file": file }));
        assert_eq!((&shown["executed"], &shown["ok"], &shown["checks"]), (&json!(false), &Json::Null, &json!([])));
        assert_eq!(texts(&shown["members"], "name"), ["infra1", "infra2", "infra3"], "{shown}");
        let live = plan(&cluster, json!({ "file": file, "live": true, "initial_cluster_token": shown["token"] }));
        assert_eq!(live["cluster_id"], shown["cluster_id"], "{live}");
        let error = cluster.call("snapshot restore plan", json!({ "file": file, "hosts": true })).unwrap_err();
        assert_eq!(error.code(), "cluster_serves", "{}", describe(&error));
        assert_eq!(pids(&cluster), before);

        // Whoever cannot reach the members does not know whether they serve others.
        cluster.pause("infra1");
        cluster.pause("infra2");
        cluster.pause("infra3");
        let error = cluster.call("snapshot restore plan", json!({ "file": file, "hosts": true })).unwrap_err();
        let told = (
            "cluster_serves",
            "no member answers here, and the processes of 3 of 3 are there, so the cluster may serve others",
        );
        assert_eq!((error.code(), error.to_string().as_str()), told, "{}", describe(&error));
        ["infra1", "infra2", "infra3"].iter().for_each(|name| cluster.resume(name));
        healthy(&cluster, 3);

        cluster.kill(&["infra1", "infra3"]);
        let report = plan(&cluster, json!({ "file": file, "hosts": true, "initial_cluster_token": "again" }));
        assert_eq!(texts(&report["members"], "outcome"), ["restored"; 3], "{report}");
        for aside in texts(&report["members"], "data_dir_aside") {
            assert!(std::path::Path::new(&aside).exists(), "{report}");
        }
        assert_eq!(report["bump_revision"], 1_000_000_000, "{report}");
        is_restored(&cluster, &report);

        // Who is called again with the same token finds everything done; a member that is down is started.
        let pids_of_new = pids(&cluster);
        cluster.kill(&["infra2"]);
        let args = json!({ "file": file, "hosts": true, "initial_cluster_token": report["token"] });
        let again = plan(&cluster, args.clone());
        assert_eq!(texts(&again["members"], "outcome"), ["already"; 3], "{again}");
        healthy(&cluster, 3);
        assert_eq!((value(&cluster, "after").as_str(), pids(&cluster)["infra1"]), ("1", pids_of_new["infra1"]));
        // With other data nobody has them, and a cluster that serves is left alone.
        let mut other = args;
        other["bump_revision"] = json!(7);
        let error = cluster.call("snapshot restore plan", other.clone()).unwrap_err();
        assert_eq!(error.code(), "cluster_serves", "{}", describe(&error));
        other["allow"] = json!(["cluster_serves"]);
        let other = plan(&cluster, other);
        assert_eq!(texts(&other["members"], "outcome"), ["restored"; 3], "{other}");
        assert_eq!((value(&cluster, "after").as_str(), &other["bump_revision"]), ("", &json!(7)));
    });
}

/// It is killed behind one event after the other, and gone on with.
#[test]
fn a_restore_on_hosts_that_is_killed_is_gone_on_with() {
    let cluster = plain(3);
    fill(&cluster);
    let file = saved(&cluster, "backup.db");
    cluster.etcdctl(&["put", "later", "1"]);
    let (mut kills, mut at) = (0, 1);
    loop {
        let token = format!("try-{at}");
        let expression = format!(
            "etcd.snapshot_restore_plan({:?}, #{{ hosts: true, initial_cluster_token: {token:?}, bump_revision: 1000000000, \
             allow: [\"cluster_serves\"] }})",
            file.display().to_string()
        );
        let mut command = cluster.command(program("etcdsh"));
        command.args(["eval", "--events", "--profile", cluster.sandbox.name(), &expression]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stderr.take().unwrap());
        let seen = events.lines().map_while(Result::ok).take(at).count();
        let is_killed = seen == at && child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if !is_killed {
            break;
        }
        kills += 1;
        let args = json!({
            "file": file, "hosts": true, "initial_cluster_token": token, "bump_revision": 1_000_000_000,
            "allow": ["cluster_serves"],
        });
        let report = plan(&cluster, args);
        eprintln!("killed behind event {at}: {:?}", texts(&report["members"], "outcome"));
        is_restored(&cluster, &report);
        cluster.etcdctl(&["put", "later", "1"]);
        at += at.div_ceil(3);
    }
    assert!(kills >= 4, "it was killed {kills} times");
    // Who was killed leaves nothing that the next one does not remove.
    let names = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut left = names(&cluster.caller.places.state);
    left.extend(cluster.sandbox.members().unwrap().iter().flat_map(|member| names(&member.data_dir())));
    assert!(left.iter().all(|name| !name.contains(".tmp-") && !name.contains(".etcdsh-")), "{left:?}");
}

#[test]
fn data_dirs_are_made_all_or_none() {
    let cluster = filled("3.6", Options { members: 1, ..Options::default() });
    let file = saved(&cluster, "backup.db");
    let seats = Seat::some(3, &cluster.home().join("made"), false);
    let list: Vec<String> = seats.iter().map(|seat| format!("{}={}", seat.name, seat.peer_url)).collect();
    let by_nu = cluster.nu(&format!(
        "etcd snapshot restore plan {} --initial-cluster [{}] --initial-cluster-token again | to json --raw",
        file.display(),
        list.join(" ")
    ));
    let expression = format!(
        "etcd.snapshot_restore_plan({:?}, #{{ initial_cluster: {list:?}, initial_cluster_token: \"again\", data_dirs: {:?} }})",
        file.display().to_string(),
        cluster.home().join("made").display().to_string(),
    );
    let mut command = cluster.command(program("etcdsh"));
    let (shown, made) = (by_nu.json(), Said::by(command.args(["eval", "-o", "json", &expression])).json());
    for same in ["cluster_id", "token", "revision", "advice", "recommended_bump", "reason"] {
        assert_eq!(shown[same], made[same], "{same}");
    }
    assert_eq!((&shown["executed"], &made["executed"], &made["ok"]), (&json!(false), &json!(true), &Json::Null));
    let dirs: Vec<_> = seats.iter().map(|seat| seat.data_dir.display().to_string()).collect();
    assert_eq!(
        (texts(&made["members"], "data_dir"), texts(&made["members"], "outcome")),
        (dirs, vec!["made".to_owned(); 3])
    );
    let tools = cluster.tools.clone();
    let started = Started::all(&seats, &tools);
    let got = started.etcdctl(&["get", "/k/07/x", "--print-value-only"]).unwrap();
    assert_eq!(got.trim(), "value 2");
    shown_and_refused(&cluster, &file, &seats, &list, &shown);
}

/// What an operator reads, while the new members run.
fn shown_and_refused(cluster: &Running, file: &std::path::Path, seats: &[Seat], list: &[String], shown: &Json) {
    let hidden = |text: String| {
        let home = cluster.home().display().to_string();
        seats
            .iter()
            .enumerate()
            .fold(text, |text, (at, seat)| text.replace(&seat.peer_url, &format!("http://10.0.0.{at}:2380")))
            .replace(&home, "HOME")
            .replace(cluster.member("infra1").peer_url(), "URL")
    };
    let first = &shown["members"][0];
    let told = [first["command"].as_str().unwrap(), shown["reason"].as_str().unwrap(), &first["start"].to_string()];
    insta::assert_snapshot!(hidden(told.join("\n")), @r#"
    etcdutl snapshot restore HOME/backup.db --name m1 --initial-cluster m1=http://10.0.0.0:2380,m2=http://10.0.0.1:2380,m3=http://10.0.0.2:2380 --initial-cluster-token again --initial-advertise-peer-urls http://10.0.0.0:2380 --data-dir HOME/m1.etcd --bump-revision 1000000000 --mark-compacted
    the snapshot has revision 66, and nothing tells how far the old cluster went on; 1000000000 is enough for a week of 1500 writes per second
    {"ETCD_INITIAL_ADVERTISE_PEER_URLS":"http://10.0.0.0:2380","ETCD_INITIAL_CLUSTER":"m1=http://10.0.0.0:2380,m2=http://10.0.0.1:2380,m3=http://10.0.0.2:2380","ETCD_INITIAL_CLUSTER_STATE":"existing","ETCD_INITIAL_CLUSTER_TOKEN":"again","ETCD_NAME":"m1"}
    "#);
    // The command is right: with it etcd's own program makes the same log, so the same member of the same cluster.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", first["command"].as_str().unwrap()]).env("PATH", &cluster.tools.folder);
    run(&mut shell, "").unwrap();
    let log = |data_dir: std::path::PathBuf| {
        std::fs::read(data_dir.join("member/wal/0000000000000000-0000000000000000.wal")).unwrap()
    };
    assert!(log(cluster.home().join("m1.etcd")) != log(seats[1].data_dir.clone()));
    let made = seats[0].data_dir.clone();
    // The new member has written on in its own; what it began with is the same.
    let (theirs, ours) = (log(cluster.home().join("m1.etcd")), log(made));
    let begin = theirs.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(begin > 100 && theirs[..=begin] == ours[..=begin]);
    let with = |more: Json| {
        let mut args = json!({ "file": file, "initial_cluster": list, "data_dirs": cluster.home().join("other") });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        describe(&cluster.call("snapshot restore plan", args).unwrap_err())
    };
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(7).position(|window| window == b"value 2").unwrap();
    bytes[at] ^= 1;
    let flipped = cluster.home().join("flipped.db");
    std::fs::write(&flipped, bytes).unwrap();
    let refused = [
        with(json!({})),
        with(json!({ "data_dirs": cluster.home().join("made"), "allow": ["member_answers"] })),
        with(json!({ "hosts": true })),
        with(json!({ "live": true })),
        with(json!({ "initial_cluster": ["a=http://10.0.0.1:2380", "../b=http://10.0.0.2:2380"] })),
        with(json!({ "file": flipped })),
        with(json!({ "data_dirs": null, "hosts": true, "allow": ["cluster_serves"] })),
        with(json!({ "data_dirs": null, "hosts": true, "allow": ["cluster_serves", "member_answers"] })),
        with(json!({
            "data_dirs": null, "hosts": true, "allow": ["cluster_serves", "member_answers"],
            "initial_cluster": ["infra1=http://10.0.0.1:2380"],
        })),
        describe(&cluster.call("snapshot restore plan", json!({ "file": file, "hosts": true })).unwrap_err()),
    ];
    let id = cluster.call("quorum", json!({})).unwrap()["cluster_id"].as_str().unwrap().to_owned();
    let refused: Vec<_> = refused.into_iter().map(|text| hidden(text).replace(&id, "ID")).collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    member_answers: somebody answers at http://10.0.0.0:2380, where a member of the new cluster is to be reached
        help: stop the old members first: they would talk to the new ones, and clients to both. If it is no etcd of that cluster, allow member_answers
        sent: never
    file_exists: HOME/made is there already, and is no empty folder
        help: name a folder that is not there
        argument: data_dirs
        sent: never
    invalid_argument: the argument data_dirs is given together with hosts
        help: give one of them: the hosts are given data dirs that are made in a folder of their own
        argument: data_dirs
    invalid_argument: the argument initial_cluster is given together with live
        help: give one of them: both say who the members are
        argument: initial_cluster
    invalid_argument: the argument initial_cluster has the name "../b", which no folder can have
        help: give it another name with initial_cluster
        argument: initial_cluster
    snapshot_unsound: the snapshot HOME/flipped.db is not sound
        help: `snapshot verify` says what is wrong with it; use another backup. Where there is none, give skip_hash_check
        argument: file
        sent: never
    member_answers: somebody answers at URL, where a member of the old cluster is that has no place in the new one
        help: stop it first, or give it a place with initial_cluster; else allow member_answers
        sent: never
    no_host: nothing says how m1 is stopped and started
        help: say it in the profile, under `hosts`; or make the data dirs with data_dirs, and put them in place by hand
        sent: never
    invalid_argument: infra1 is to have the peer URLs http://10.0.0.1:2380, and its host has URL
        help: give the URLs that the members are started with
        argument: initial_cluster
        sent: never
    cluster_serves: the cluster ID serves its clients, and would be replaced by an older state of it
        help: all that was written since the snapshot would be lost. To bring back a single member use `member replace`; to go back in time all the same, allow cluster_serves
        sent: never
    "#);
    let left: Vec<_> = std::fs::read_dir(cluster.home()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    let parts = left.iter().filter(|name| name.to_string_lossy().contains(".tmp-") || *name == "other");
    assert_eq!(parts.count(), 0, "{left:?}");
}
