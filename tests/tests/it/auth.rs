//! Clusters that ask who somebody is.

use etcdsh_core::error::{Error, Sent};
use etcdsh_core::profile::{Profile, Secret, User};
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, calls, column, until};
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::failing::files;

/// What looks at a cluster without looking at its data, for which every user will do.
const LOOKS: [&str; 5] = ["health", "status", "quorum", "member list", "alarm list"];

/// A cluster that asks for users; passwords are cheap to check, and one that is wrong can be told in any text.
fn start(version: &str, options: Options) -> Option<Running> {
    let flags = ["--auth-token-ttl=1", "--bcrypt-cost=4", "--log-level=debug"];
    let flags = flags.map(str::to_owned).to_vec();
    Running::start(version, Options { auth: true, flags, ..options })
}

fn one() -> Options {
    Options { members: 1, tls: false, ..Options::default() }
}

fn user(cluster: &Running, name: &str, password: &str) -> Profile {
    let password = Secret::new(password.to_owned());
    Profile { user: Some(User { name: name.to_owned(), password }), ..cluster.profile() }
}

fn fails(cluster: &Running, profile: &Profile, name: &str, args: &Json) -> Error {
    let error = cluster.call_with(profile, name, args.clone()).unwrap_err();
    if let Some(user) = &profile.user {
        assert!(!format!("{error:?} {error} {:?}", error.report()).contains(user.password.expose()), "{error:?}");
    }
    error
}

/// What needs a permission, with arguments.
fn needs_permission(cluster: &Running) -> Vec<(&'static str, Json)> {
    vec![
        ("get", json!({ "key": "other/b" })),
        ("keys", json!({})),
        ("keys", json!({ "from": "app/" })),
        ("keys", json!({ "prefix": "app" })),
        ("snapshot save", json!({ "path": "denied.db" })),
        ("member add", json!({ "name": "infra9", "peer_urls": [cluster.free_peer_url()], "wait": "1s" })),
        ("member remove", json!({ "member": cluster.followers()[0], "wait": "1s" })),
        ("leader move", json!({ "wait": "1s" })),
    ]
}

#[rstest]
fn users_may_do_what_they_may(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, Options::default()) else { return };
    let cluster = &cluster;
    for command in [
        "user add plain:plain-canary",
        "role add reader",
        "role grant-permission reader --prefix=true read app/",
        "user grant-role plain reader",
        "put app/a 1",
        "put app/b 2",
        "put other/b 3",
    ] {
        cluster.etcdctl(&command.split(' ').collect::<Vec<_>>());
    }
    let root = cluster.profile();
    let members = cluster.call("member list", json!({})).unwrap();

    // Whoever gives a wrong name or a wrong password learns nothing.
    for stranger in [user(cluster, "root", "wrong-canary"), user(cluster, "nobody", "wrong-canary")] {
        for (name, args) in LOOKS.map(|name| (name, json!({}))).into_iter().chain(needs_permission(cluster)) {
            let error = fails(cluster, &stranger, name, &args);
            assert_eq!(error.code(), "unauthenticated", "{name}: {error:?}");
        }
    }

    // Whoever may read some keys may look at the cluster, and read those keys.
    let plain = user(cluster, "plain", "plain-canary");
    let read = |name: &str, args: Json| cluster.call_with(&plain, name, args).unwrap();
    assert_eq!(read("member list", json!({})), members);
    assert_eq!(read("quorum", json!({})), cluster.call("quorum", json!({})).unwrap());
    assert_eq!(column(&read("health", json!({})), "verdict"), ["healthy"; 3]);
    assert_eq!(column(&read("status", json!({})), "error"), [&Json::Null; 3]);
    assert_eq!(read("alarm list", json!({})), json!([]));
    assert_eq!(read("can", json!({ "action": "restart", "member": "infra2" }))["allowed"], true);
    assert_eq!(read("get", json!({ "key": "app/a" }))["value"], "1");
    assert_eq!(read("get", json!({ "key": "app/none" })), Json::Null);
    let keys = read("keys", json!({ "prefix": "app/" }));
    assert_eq!(column(&keys, "key"), ["app/a", "app/b"]);
    assert_eq!(keys, cluster.call("keys", json!({ "prefix": "app/" })).unwrap());
    // A member would be down before that shows.
    let member = cluster.followers().remove(0);
    for (name, args) in [
        ("rolling-restart", json!({ "members": [member], "wait": "2s" })),
        ("member replace", json!({ "member": member, "wait": "2s", "allow": ["member_healthy", "no_snapshot"] })),
    ] {
        let pids = crate::procedure_faults::pids(cluster);
        let error = fails(cluster, &plain, name, &args);
        assert_eq!(error.code(), "permission_denied", "{name}: {error:?}");
        assert!(error.help().unwrap().contains("root") && error.sent().map(Sent::word) == Some("never"), "{error:?}");
        assert_eq!(crate::procedure_faults::pids(cluster), pids, "{name}");
    }
    for (name, args) in needs_permission(cluster) {
        // A server of 3.4 lets everybody move its leader.
        if (version, name) != ("3.4", "leader move") {
            let error = fails(cluster, &plain, name, &args);
            assert_eq!(error.code(), "permission_denied", "{name}: {error:?}");
        }
    }

    // Without a user, the name in the client's certificate counts, and no user is named so.
    let unnamed = Profile { user: None, ..root.clone() };
    assert_eq!(column(&cluster.call_with(&unnamed, "health", json!({})).unwrap(), "verdict"), ["healthy"; 3]);
    for (name, args) in needs_permission(cluster) {
        if (version, name) != ("3.4", "leader move") {
            let error = fails(cluster, &unnamed, name, &args);
            let expected = if matches!(name, "get" | "keys") { "permission_denied" } else { "unauthenticated" };
            assert_eq!(error.code(), expected, "{name}: {error:?}");
        }
    }
    assert_eq!(column(&cluster.call("member list", json!({})).unwrap(), "member_id"), column(&members, "member_id"));
    assert!(!files(cluster.home()).iter().any(|file| file.contains("denied.db")));

    // A password that was changed counts at once, also where a token was had for the old one.
    cluster.etcdctl_reading(&["user", "passwd", "plain", "--interactive=false"], "newer-canary\n").unwrap();
    let error = fails(cluster, &plain, "get", &json!({ "key": "app/a" }));
    assert_eq!(error.code(), "unauthenticated", "{error:?}");
    let renewed = user(cluster, "plain", "newer-canary");
    assert_eq!(cluster.call_with(&renewed, "get", json!({ "key": "app/a" })).unwrap()["value"], "1");
    root_changes_everything(cluster);
}

fn root_changes_everything(cluster: &Running) {
    let call = |name: &str, args: Json| cluster.call(name, args).unwrap();
    let done = |report: &Json| {
        assert!(column(&report["steps"], "outcome").iter().all(|outcome| **outcome == "done"), "{report}");
        let journal = std::fs::read_to_string(report["journal"].as_str().unwrap()).unwrap();
        let password = cluster.profile().user.unwrap().password;
        assert!(!journal.contains(password.expose()), "{journal}");
    };
    let added = call("member add", json!({ "name": "infra4", "peer_urls": [cluster.free_peer_url()] }));
    let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
    call("sandbox join", json!({ "member": "infra4", "initial_cluster": start }));
    let promoted = call("member promote", json!({ "member": "infra4" }));
    assert_eq!(promoted["after"]["healthy_voters"], 4, "{promoted}");
    let moved = call("leader move", json!({}));
    let removed = call("member remove", json!({ "member": added["member_id"] }));
    for report in [&added, &promoted, &moved, &removed] {
        done(report);
    }
    let saved = call("snapshot save", json!({ "path": "root.db" }));
    assert!(files(cluster.home()).contains(&"root.db".to_owned()), "{saved}");
}

#[rstest]
fn a_token_that_has_expired_is_fetched_again(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = start(version, one()) else { return };
    let cluster = &cluster;
    cluster.etcdctl(&["put", "a", "1"]);
    let url = cluster.member("infra1").client_url().to_owned();
    let log = cluster.member("infra1").log();
    let expired = || std::fs::read_to_string(&log).unwrap().matches("deleted a simple token").count();
    let read = || cluster.call("get", json!({ "key": "a" })).unwrap();
    let fetched = |made: &[String]| made.iter().filter(|made| *made == "Authenticate").count();
    read();
    let (_, made) = calls(&url, read);
    assert_eq!(fetched(&made), 0, "the token is used again: {made:?}");

    let peer_url = cluster.free_peer_url();
    let add = || cluster.call("member add", json!({ "name": "infra9", "peer_urls": [peer_url] }));
    let keys = || cluster.call("keys", json!({}));
    let remove = || cluster.call("member remove", json!({ "member": peer_url }));
    let save = || cluster.call("snapshot save", json!({ "path": "after.db" }));
    let uses: [(&str, &dyn Fn() -> etcdsh_core::Result<Json>); 4] =
        [("keys", &keys), ("member add", &add), ("member remove", &remove), ("snapshot save", &save)];
    for (name, used) in uses {
        // Nobody uses it meanwhile, and the server says in its log when it forgets it.
        let before = expired();
        until("the token has expired", || if expired() > before { Ok(()) } else { Err("it has not".to_owned()) });
        let (answer, made) = calls(&url, used);
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(fetched(&made), 1, "{name}: {made:?} {answer}");
    }

    // Without any user a server of 3.4 shows who is there, and the others nothing at all.
    let unnamed = Profile { user: None, ..cluster.profile() };
    let knows_nobody = |name: &str, args: &Json| {
        let error = fails(cluster, &unnamed, name, args);
        assert_eq!(error.code(), "unauthenticated", "{name}: {error:?}");
        assert!(error.in_one_line().contains("user name is empty"), "{name}: {error:?}");
        let help = "the cluster asks for a user; give user as NAME:PASSWORD, or in the profile; where none is chosen, ETCDCTL_USER counts";
        assert_eq!(error.help().as_deref(), Some(help), "{name}: {error:?}");
    };
    for name in LOOKS.into_iter().filter(|name| *name != "quorum") {
        if version != "3.4" {
            knows_nobody(name, &json!({}));
        } else if name == "health" {
            let health = cluster.call_with(&unnamed, name, json!({})).unwrap();
            assert_eq!(column(&health, "verdict"), ["degraded"]);
            assert!(health[0]["error"].as_str().unwrap().contains("user name is empty"), "{health}");
        } else {
            cluster.call_with(&unnamed, name, json!({})).unwrap();
        }
    }
    // Nothing is said of a quorum that this user cannot see.
    for (name, args) in [
        ("quorum", json!({})),
        ("can", json!({ "action": "restart", "member": "infra1" })),
        ("get", json!({ "key": "a" })),
        ("keys", json!({})),
        ("snapshot save", json!({ "path": "denied.db" })),
        ("snapshot save", json!({ "path": "denied.db", "member": "infra1" })),
        ("member add", json!({ "name": "infra9", "peer_urls": [peer_url], "wait": "1s" })),
        ("member add", json!({ "name": "infra9", "peer_urls": [peer_url], "dry_run": true })),
        ("leader move", json!({})),
    ] {
        knows_nobody(name, &args);
    }
}

#[rstest]
fn a_user_is_no_harm_where_nobody_is_asked(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, one()) else { return };
    cluster.etcdctl(&["put", "a", "1"]);
    let root = user(&cluster, "root", "any-canary");
    for name in LOOKS {
        cluster.call_with(&root, name, json!({})).unwrap();
    }
    assert_eq!(cluster.call_with(&root, "get", json!({ "key": "a" })).unwrap()["value"], "1");
    assert_eq!(column(&cluster.call_with(&root, "keys", json!({})).unwrap(), "key"), ["a"]);
    let peer_url = cluster.free_peer_url();
    cluster.call_with(&root, "member add", json!({ "name": "infra9", "peer_urls": [peer_url] })).unwrap();
    cluster.call_with(&root, "member remove", json!({ "member": peer_url })).unwrap();
    cluster.call_with(&root, "snapshot save", json!({ "path": "all.db" })).unwrap();
}
