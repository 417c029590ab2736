//! What the reading operations say of a real cluster, whole and broken.

use std::time::{Duration, Instant};

use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_core::value::{Record, Value};
use etcdsh_tests::{Running, column, row, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

/// The columns, as the design has them.
const COLUMNS: &[(&str, &str)] = &[
    (
        "status",
        "member_id name role endpoint version storage_version db_size db_in_use db_quota raft_term raft_index \
         raft_applied_index lag alarms latency error",
    ),
    ("health", "member_id name role endpoint verdict reachable serializable linearizable alarms latency error"),
    ("quorum", "cluster_id healthy verdict voters healthy_voters quorum tolerance learners leader revision down"),
    ("member list", "member_id name status is_leader is_learner peer_urls client_urls"),
    ("alarm list", "member_id name alarm"),
];

/// Calls an operation, and checks that every row has the design's columns in their order.
fn table(cluster: &Running, profile: &Profile, name: &str) -> Json {
    let answer = cluster.answer(profile, name, Record::new()).unwrap();
    let (_, design) = COLUMNS.iter().find(|(operation, _)| *operation == name).unwrap();
    let design: Vec<&str> = design.split_whitespace().collect();
    let shape = etcdsh_core::catalogue::find(name).unwrap().shape.columns();
    assert_eq!(shape.iter().map(|column| column.name).collect::<Vec<_>>(), design);
    let rows = answer.as_list().map_or(std::slice::from_ref(&answer), |rows| rows);
    for row in rows.iter().filter_map(Value::as_record) {
        assert_eq!(row.iter().map(|(name, _)| name).collect::<Vec<_>>(), design);
    }
    etcdsh_tests::json(&answer)
}

fn now(cluster: &Running, name: &str) -> Json {
    table(cluster, &cluster.profile(), name)
}

/// The same where an answer may take a whole timeout: it must not take more than a tenth longer.
fn within_one_timeout(cluster: &Running, profile: &Profile, name: &str) -> Json {
    let bound = profile.timeout.mul_f64(1.1);
    let mut took = Duration::ZERO;
    // Other tests keep the machine busy, which makes a measurement longer and never shorter.
    for _ in 0..3 {
        let start = Instant::now();
        let answer = table(cluster, profile, name);
        took = start.elapsed();
        if took <= bound {
            return answer;
        }
    }
    panic!("{name} took {took:?}, three times more than {bound:?}");
}

fn names(table: &Json) -> Vec<&str> {
    column(table, "name").into_iter().map(|name| name.as_str().unwrap_or("")).collect()
}

fn hex(number: &Json) -> String {
    format!("{:x}", number.as_u64().unwrap())
}

#[rstest]
fn a_whole_cluster_is_as_etcdctl_shows_it(
    #[values("3.4", "3.5", "3.6", "3.7")] version: &str,
    #[values(true, false)] tls: bool,
) {
    let Some(cluster) = Running::start(version, Options { tls, ..Options::default() }) else { return };
    cluster.settled();
    let leader = cluster.leader();
    let theirs: Json = serde_json::from_str(&cluster.etcdctl(&["member", "list", "-w", "json"])).unwrap();
    let status: Json = serde_json::from_str(&cluster.etcdctl(&["endpoint", "status", "-w", "json"])).unwrap();

    let members = now(&cluster, "member list");
    assert_eq!(names(&members), ["infra1", "infra2", "infra3"]);
    for their in theirs["members"].as_array().unwrap() {
        let ours = row(&members, their["name"].as_str().unwrap());
        let expected = json!({
            "member_id": hex(&their["ID"]), "name": their["name"], "status": "started",
            "is_leader": their["name"] == leader.as_str(), "is_learner": false,
            "peer_urls": their["peerURLs"], "client_urls": their["clientURLs"],
        });
        assert_eq!(*ours, expected);
    }

    let rows = now(&cluster, "status");
    assert_eq!(names(&rows), ["infra1", "infra2", "infra3"]);
    for their in status.as_array().unwrap() {
        let ours = rows.as_array().unwrap().iter().find(|row| row["endpoint"] == their["Endpoint"]).unwrap();
        let theirs = &their["Status"];
        assert_eq!(ours["member_id"], hex(&theirs["header"]["member_id"]));
        assert_eq!(ours["version"], cluster.tools.version.as_str());
        assert_eq!(ours["role"], if ours["name"] == leader.as_str() { "leader" } else { "follower" });
        assert_eq!((&ours["db_size"], &ours["raft_term"]), (&theirs["dbSize"], &theirs["raftTerm"]));
        assert!(ours["raft_index"].as_i64() >= theirs["raftIndex"].as_i64());
        assert!(ours["latency"].as_i64().unwrap() > 0);
        assert_eq!((&ours["alarms"], &ours["error"]), (&json!([]), &Json::Null));
        // From 3.6 on etcd tells these two.
        let tells = !matches!(version, "3.4" | "3.5");
        assert_eq!(ours["storage_version"], if tells { json!(format!("{version}.0")) } else { Json::Null });
        assert_eq!(ours["db_quota"], if tells { json!(2_i64 << 30) } else { Json::Null });
    }

    let health = now(&cluster, "health");
    for row in health.as_array().unwrap() {
        let verdict = ["reachable", "serializable", "linearizable"].map(|column| &row[column]);
        assert_eq!((&row["verdict"], verdict), (&json!("healthy"), [&json!(true); 3]), "{row}");
        assert_eq!((&row["alarms"], &row["error"]), (&json!([]), &Json::Null));
    }
    let quorum = now(&cluster, "quorum");
    let revision = &status[0]["Status"]["header"]["revision"];
    let expected = json!({
        "cluster_id": hex(&theirs["header"]["cluster_id"]), "healthy": true, "verdict": "healthy", "voters": 3,
        "healthy_voters": 3, "quorum": 2, "tolerance": 1, "learners": 0, "leader": leader, "revision": revision, "down": [],
    });
    assert_eq!(quorum, expected);
    assert_eq!(now(&cluster, "alarm list"), json!([]));
    one_seed_is_enough(&cluster, tls);
}

/// The others are found through it, and each member has one row, also when a seed has another name for it.
fn one_seed_is_enough(cluster: &Running, tls: bool) {
    let port = Endpoint::parse(cluster.member("infra2").client_url(), tls).unwrap().port();
    let localhost = Endpoint::parse(&format!("localhost:{port}"), tls).unwrap();
    for seeds in [vec![], vec![localhost.clone()], [vec![localhost], cluster.seeded(&["infra2"]).endpoints].concat()] {
        let named = !seeds.is_empty();
        let endpoints = if named { seeds } else { cluster.seeded(&["infra2"]).endpoints };
        let profile = Profile { endpoints, ..cluster.profile() };
        let health = table(cluster, &profile, "health");
        assert_eq!(names(&health), ["infra1", "infra2", "infra3"], "{health}");
        assert_eq!(column(&health, "verdict"), [&json!("healthy"); 3], "{health}");
        for name in ["infra1", "infra2", "infra3"] {
            assert_eq!(row(&health, name)["endpoint"], cluster.member(name).client_url());
        }
    }
}

#[rstest]
fn a_cluster_of_one(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { members: 1, ..Options::default() }) else { return };
    assert_eq!(column(&now(&cluster, "health"), "verdict"), ["healthy"]);
    assert_eq!(column(&now(&cluster, "status"), "role"), ["leader"]);
    assert_eq!(column(&now(&cluster, "member list"), "is_leader"), [true]);
    let quorum = now(&cluster, "quorum");
    let numbers = ["voters", "healthy_voters", "quorum", "tolerance"].map(|column| quorum[column].as_i64().unwrap());
    assert_eq!((quorum["verdict"].as_str(), numbers), (Some("healthy"), [1, 1, 1, 0]));
    cluster.kill(&["infra1"]);
    let error = cluster.call("health", json!({})).unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error:?}");
}

#[rstest]
fn a_member_without_a_quota_tells_none(#[values("3.6", "3.7")] version: &str) {
    let flags = vec!["--quota-backend-bytes=-1".to_owned()];
    let Some(cluster) = Running::start(version, Options { members: 1, tls: false, flags, ..Options::default() }) else {
        return;
    };
    let member = now(&cluster, "status")[0].clone();
    assert_eq!((&member["db_quota"], &member["error"]), (&json!(null), &json!(null)), "{member}");
}

#[rstest]
fn killed_members_are_down_until_there_is_no_quorum(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let [dead, other] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let leader = cluster.leader();
    cluster.kill(&[&dead]);
    // The dead one is asked first, and costs nothing.
    let profile = cluster.seeded(&[&dead, &other]);
    let start = Instant::now();
    let health = table(&cluster, &profile, "health");
    assert!(start.elapsed() < profile.connect_timeout, "{:?}", start.elapsed());
    assert_eq!(names(&health), ["infra1", "infra2", "infra3"]);
    let gone = row(&health, &dead);
    assert_eq!((&gone["verdict"], &gone["role"], &gone["latency"]), (&json!("down"), &json!("unknown"), &Json::Null));
    assert_eq!(["reachable", "serializable", "linearizable"].map(|column| &gone[column]), [&json!(false); 3]);
    assert_eq!(gone["endpoint"], cluster.member(&dead).client_url());
    assert!(gone["error"].as_str().unwrap().contains("Connection refused"), "{gone}");
    for name in [&leader, &other] {
        assert_eq!(row(&health, name)["verdict"], "healthy", "{health}");
    }
    let status = now(&cluster, "status");
    let gone = row(&status, &dead);
    let unknown =
        ["version", "db_size", "db_in_use", "raft_term", "raft_index", "raft_applied_index", "lag", "latency"];
    assert_eq!(unknown.map(|column| &gone[column]), [&Json::Null; 8]);
    assert!(gone["error"].as_str().unwrap().contains("Connection refused"), "{gone}");
    let quorum = now(&cluster, "quorum");
    let facts = ["healthy", "verdict", "voters", "healthy_voters", "quorum", "tolerance", "leader", "down"];
    let expected = json!([false, "degraded", 3, 2, 2, 0, leader, [dead]]);
    assert_eq!(json!(facts.map(|column| &quorum[column])), expected);
    let members = now(&cluster, "member list");
    assert_eq!(column(&members, "status"), ["started"; 3]);
    assert!(cluster.view().unwrap().confirmed);

    cluster.kill(&[&other]);
    let profile = Profile { timeout: Duration::from_secs(2), ..cluster.profile() };
    // The one that is left leads on until it notices.
    let quorum = until("nobody leads", || match within_one_timeout(&cluster, &profile, "quorum") {
        quorum if quorum["leader"].is_null() => Ok(quorum),
        quorum => Err(quorum.to_string()),
    });
    let down = ["infra1", "infra2", "infra3"];
    let expected = json!([false, "no_quorum", 3, 0, 2, -2, null, down]);
    assert_eq!(json!(facts.map(|column| &quorum[column])), expected);
    assert!(quorum["revision"].as_i64().unwrap() >= 1, "{quorum}");
    let health = within_one_timeout(&cluster, &profile, "health");
    let left = row(&health, &leader);
    let reads = ["reachable", "serializable", "linearizable"].map(|column| &left[column]);
    assert_eq!((&left["verdict"], reads), (&json!("degraded"), [&json!(true), &json!(true), &json!(false)]));
    assert!(left["error"].is_string(), "{left}");
    let status = within_one_timeout(&cluster, &profile, "status");
    assert_eq!(row(&status, &leader)["version"], cluster.tools.version.as_str());
    // The list is what the last member knows, and it says so.
    let members = within_one_timeout(&cluster, &profile, "member list");
    assert_eq!((names(&members), column(&members, "is_leader")), (down.to_vec(), vec![&json!(false); 3]));
    assert!(!cluster.view_with(&profile).unwrap().confirmed);
    let error = cluster.call_with(&profile, "member remove", json!({ "member": dead })).unwrap_err();
    assert_eq!(error.code(), "no_quorum", "{error:?}");
}

#[rstest]
fn a_frozen_member_costs_one_timeout(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let [frozen, other] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let leader = cluster.leader();
    let timeout = Duration::from_secs(2);
    // With connections that exist already, with new ones, and with the frozen one as the first or the only seed to be asked.
    let warm = Profile { timeout, ..cluster.profile() };
    let first = Profile { timeout, ..cluster.seeded(&[&frozen, &leader]) };
    table(&cluster, &warm, "health");
    cluster.pause(&frozen);
    for profile in [&warm, &first] {
        for name in ["health", "status", "quorum"] {
            let answer = within_one_timeout(&cluster, profile, name);
            if name == "quorum" {
                let facts = ["verdict", "healthy_voters", "tolerance", "leader", "down"].map(|column| &answer[column]);
                assert_eq!(json!(facts), json!(["degraded", 2, 0, leader, [frozen]]));
                continue;
            }
            assert_eq!(names(&answer), ["infra1", "infra2", "infra3"]);
            let ill = row(&answer, &frozen);
            assert!(ill["error"].as_str().unwrap().contains("within "), "{ill}");
            assert_eq!((&ill["role"], &ill["latency"]), (&json!("unknown"), &Json::Null));
            if name == "health" {
                assert_eq!(ill["verdict"], "unresponsive", "{ill}");
                assert_eq!(
                    (&row(&answer, &leader)["verdict"], &row(&answer, &other)["verdict"]),
                    (&json!("healthy"), &json!("healthy"))
                );
            }
        }
    }
    cluster.resume(&frozen);
    until("the member is well again", || match now(&cluster, "quorum") {
        quorum if quorum["verdict"] == "healthy" => Ok(()),
        quorum => Err(quorum.to_string()),
    });

    // The others elect a new leader while they are asked.
    let leader = cluster.leader();
    cluster.pause(&leader);
    let health = within_one_timeout(&cluster, &cluster.seeded(&[&leader, &other]), "health");
    assert_eq!(row(&health, &leader)["verdict"], "unresponsive", "{health}");
    let well = health.as_array().unwrap().iter().filter(|row| row["verdict"] == "healthy").count();
    assert_eq!(well, 2, "{health}");
    let quorum = within_one_timeout(&cluster, &warm, "quorum");
    assert_eq!((&quorum["verdict"], &quorum["down"]), (&json!("degraded"), &json!([leader])));
    assert_ne!(quorum["leader"], leader.as_str());
    cluster.resume(&leader);
}

#[rstest]
fn a_learner_is_unstarted_and_then_healthy(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let peer = cluster.free_peer_url();
    let added = cluster.call("member add", json!({ "name": "infra4", "peer_urls": [peer] })).unwrap();
    let id = &added["member_id"];
    let health = now(&cluster, "health");
    let expected = json!({
        "member_id": id, "name": null, "role": "unstarted", "endpoint": null, "verdict": "unstarted", "reachable": false,
        "serializable": false, "linearizable": false, "alarms": [], "latency": null, "error": "it was added, and has never started",
    });
    // Those that have no name yet come last.
    assert_eq!(health[3], expected);
    let status = now(&cluster, "status");
    assert_eq!(json!([status[3]["role"], status[3]["lag"], status[3]["error"]]), json!(["unstarted", null, null]));
    let expected = json!({
        "member_id": id, "name": null, "status": "unstarted", "is_leader": false, "is_learner": true,
        "peer_urls": [peer], "client_urls": [],
    });
    assert_eq!(now(&cluster, "member list")[3], expected);
    let facts = ["verdict", "voters", "healthy_voters", "quorum", "tolerance", "learners", "down"];
    let quorum = now(&cluster, "quorum");
    assert_eq!(json!(facts.map(|column| &quorum[column])), json!(["degraded", 3, 3, 2, 1, 1, [id]]));

    let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
    let joined = cluster.call("sandbox join", json!({ "member": "infra4", "initial_cluster": start })).unwrap();
    let health = now(&cluster, "health");
    let learner = row(&health, "infra4");
    assert_eq!((&learner["member_id"], &learner["endpoint"]), (id, &joined["client_url"]));
    let facts_of_it = ["role", "verdict", "reachable", "serializable", "linearizable", "error"];
    let expected = json!(["learner", "healthy", true, true, false, null]);
    assert_eq!(json!(facts_of_it.map(|column| &learner[column])), expected);
    let quorum = now(&cluster, "quorum");
    assert_eq!(json!(facts.map(|column| &quorum[column])), json!(["healthy", 3, 3, 2, 1, 1, []]));
    let members = now(&cluster, "member list");
    let learner = row(&members, "infra4");
    assert_eq!((&learner["status"], &learner["is_learner"]), (&json!("started"), &json!(true)));
}

#[rstest]
fn a_full_database_raises_an_alarm(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let flags = vec!["--quota-backend-bytes=4194304".to_owned()];
    let Some(cluster) = Running::start(version, Options { flags, ..Options::default() }) else { return };
    let value = "x".repeat(1 << 20);
    let full = (0..10).any(|number| {
        let put = ["put", &format!("big/{number}")];
        cluster.etcdctl_reading(&put, &value).is_err_and(|error| error.contains("database space exceeded"))
    });
    assert!(full, "the database never filled up");
    let raised = || -> Vec<(String, String)> {
        let list: Json = serde_json::from_str(&cluster.etcdctl(&["alarm", "list", "-w", "json"])).unwrap();
        let kind = |alarm: &Json| if alarm["alarm"] == 1 { "nospace".to_owned() } else { alarm.to_string() };
        list["alarms"].as_array().into_iter().flatten().map(|alarm| (hex(&alarm["memberID"]), kind(alarm))).collect()
    };
    // Each member raises its own when it notices.
    let (alarms, mut theirs) = until("both see the same alarms", || {
        let before = raised();
        let ours = now(&cluster, "alarm list");
        let after = raised();
        if before == after && before.len() == ours.as_array().unwrap().len() && !before.is_empty() {
            Ok((ours, before))
        } else {
            Err(format!("{ours} {before:?} {after:?}"))
        }
    });
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let mut ours: Vec<_> =
        alarms.as_array().unwrap().iter().map(|row| (text(&row["member_id"]), text(&row["alarm"]))).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    let health = now(&cluster, "health");
    for row in health.as_array().unwrap() {
        let ill = ours.contains(&(text(&row["member_id"]), "nospace".to_owned()));
        let expected = if ill {
            json!(["degraded", ["nospace"], "it has the alarm NOSPACE"])
        } else {
            json!(["healthy", [], null])
        };
        assert_eq!(json!([row["verdict"], row["alarms"], row["error"]]), expected);
        assert_eq!(row["linearizable"], true);
        assert_eq!(named(&alarms, &row["member_id"]), ill.then(|| row["name"].clone()));
    }
    let status = now(&cluster, "status");
    assert_eq!(column(&status, "alarms"), column(&health, "alarms"));
    let quorum = now(&cluster, "quorum");
    // An alarm costs no vote.
    assert_eq!(json!([quorum["verdict"], quorum["healthy_voters"], quorum["tolerance"]]), json!(["degraded", 3, 1]));
}

fn named(alarms: &Json, id: &Json) -> Option<Json> {
    alarms.as_array().unwrap().iter().find(|alarm| alarm["member_id"] == *id).map(|alarm| alarm["name"].clone())
}

#[rstest]
fn a_member_may_advertise_what_nobody_reaches(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let dead = "http://127.0.0.1:1".to_owned();
    let wrong = MemberOptions { advertise_client_url: Some(dead.clone()), ..MemberOptions::default() };
    let only = [("infra2".to_owned(), wrong)].into();
    let Some(cluster) = Running::start(version, Options { tls: false, only, ..Options::default() }) else { return };
    // Where the caller gives another way to it, that is the way.
    let health = now(&cluster, "health");
    let (verdict, endpoint) = (&row(&health, "infra2")["verdict"], &row(&health, "infra2")["endpoint"]);
    assert_eq!((verdict.as_str(), endpoint.as_str()), (Some("healthy"), Some(cluster.member("infra2").client_url())));
    let health = table(&cluster, &cluster.seeded(&["infra1"]), "health");
    let lost = row(&health, "infra2");
    assert_eq!(json!([lost["verdict"], lost["endpoint"], lost["reachable"]]), json!(["down", dead, false]));
    assert_eq!(
        json!([row(&health, "infra1")["verdict"], row(&health, "infra3")["verdict"]]),
        json!(["healthy", "healthy"])
    );
}
