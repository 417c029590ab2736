//! Faults in the middle of a procedure. Each one is seen to fire, and each run ends in the state that was promised, or stops
//! with an error that says what to do, after which `change resume` ends in that state.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use etcdsh_core::endpoint::Endpoint;
use etcdsh_core::error::Error;
use etcdsh_core::event::Event;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::{MemberOptions, Options};
use etcdsh_core::value::Value;
use etcdsh_tests::proxy::{Proxy, Times, Way, What, When};
use etcdsh_tests::{Caller, Ended, Running, column, free_port, json as to_json, record, row, until, until_within};
use serde_json::{Value as Json, json};

use crate::failing::{describe, redacted};

fn plain(members: usize) -> Running {
    Running::start("3.6", Options { members, tls: false, ..Options::default() }).unwrap()
}

/// Does something from within the callback of a call, whose thread must not wait for another call itself.
fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

fn told(cluster: &Running, name: &str, args: Json, events: &dyn Fn(&Event)) -> Result<Json, Error> {
    let answer = cluster.caller.answer_told(&cluster.profile(), name, record(args), events);
    answer.map(|answer| to_json(&answer))
}

/// Waits until all of so many members are healthy.
fn healthy(cluster: &Running, members: usize) {
    until("every member is healthy", || match cluster.call("quorum", json!({})) {
        Ok(quorum) if quorum["verdict"] == "healthy" && quorum["voters"] == members => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn pids(cluster: &Running) -> BTreeMap<String, i64> {
    let members = cluster.sandbox.members().unwrap();
    members.iter().map(|m| (m.name().to_owned(), m.row().unwrap().pid.unwrap_or_default())).collect()
}

fn ids(cluster: &Running) -> BTreeMap<String, String> {
    let list = cluster.call("member list", json!({})).unwrap();
    let text = |field: &Json| field.as_str().unwrap_or_default().to_owned();
    list.as_array().unwrap().iter().map(|member| (text(&member["name"]), text(&member["member_id"]))).collect()
}

/// Goes on with the newest run.
fn resume(cluster: &Running) {
    let runs = cluster.call("change list", json!({})).unwrap();
    let id = runs[0]["id"].as_str().unwrap();
    assert!(matches!(runs[0]["state"].as_str(), Some("stopped" | "interrupted")), "{runs}");
    let report = cluster.call("change resume", json!({ "id": id }));
    let report = report.unwrap_or_else(|error| panic!("{} {:?}", describe(&error), error.report()));
    assert_eq!(report["ok"], true, "{report}");
}

/// Runs an operation during which the leader is killed as soon as the step of this number, counted as they come, is over.
/// Returns who was killed; nobody when there are fewer steps.
fn leader_killed_behind(cluster: &Running, at: usize, name: &str, args: Json) -> (Option<String>, Result<Json, Error>) {
    let (seen, killed) = (Cell::new(0), RefCell::new(None));
    let kill = |event: &Event| {
        if let Event::Outcome { .. } = event {
            seen.set(seen.get() + 1);
            if seen.get() == at {
                let leader = outside(|| {
                    let leader = cluster.leader();
                    cluster.kill(&[&leader]);
                    leader
                });
                killed.replace(Some(leader));
            }
        }
    };
    let ended = told(cluster, name, args, &kill);
    (killed.into_inner(), ended)
}

/// Kills the leader behind each step of a procedure in turn, and checks that it comes to its end. `before` makes something of
/// the cluster that the procedure is for and returns its arguments, `after` looks whether it was done.
fn at_each_boundary(
    cluster: &Running,
    name: &str,
    before: impl Fn() -> Json,
    after: impl Fn(),
) -> (usize, Vec<(usize, String)>) {
    let members = cluster.sandbox.members().unwrap().len();
    let mut stopped = Vec::new();
    for at in 1.. {
        healthy(cluster, members);
        let (killed, ended) = leader_killed_behind(cluster, at, name, before());
        if let Some(killed) = &killed {
            cluster.call("sandbox restart", json!({ "member": killed })).unwrap();
        }
        match ended {
            Ok(report) => assert_eq!(report["ok"], true, "{report}"),
            Err(error) => {
                assert!(killed.is_some(), "nothing was in its way: {}", describe(&error));
                assert!(error.help().is_some_and(|help| !help.is_empty()), "{}", describe(&error));
                stopped.push((at, format!("{}: {}", error.code(), error.in_one_line())));
                resume(cluster);
            }
        }
        healthy(cluster, members);
        after();
        if killed.is_none() {
            return (at - 1, stopped);
        }
    }
    unreachable!("a procedure has an end")
}

#[test]
fn a_replacement_outlives_the_leader_at_each_step() {
    let cluster = plain(5);
    let (victim, old) = (RefCell::new(String::new()), RefCell::new(BTreeMap::new()));
    let before = || {
        let follower = cluster.followers().remove(0);
        old.replace(ids(&cluster));
        cluster.kill(&[&follower]);
        victim.replace(follower.clone());
        json!({ "member": follower, "wait": "30s" })
    };
    let after = || {
        let (victim, old, new) = (victim.borrow(), old.borrow(), ids(&cluster));
        let changed: Vec<_> =
            new.iter().filter(|(name, id)| old.get(*name) != Some(id)).map(|(name, _)| name).collect();
        assert_eq!(changed, [&*victim], "{old:?} {new:?}");
    };
    let (boundaries, stopped) = at_each_boundary(&cluster, "member replace", before, after);
    eprintln!("member replace: the leader was killed behind each of {boundaries} steps; it stopped at {stopped:#?}");
    assert!(boundaries >= 6, "{boundaries}");
}

#[test]
fn a_rolling_restart_outlives_the_leader_at_each_step() {
    let cluster = plain(3);
    let old = RefCell::new(BTreeMap::new());
    let before = || {
        old.replace(pids(&cluster));
        json!({ "settle": "1s", "wait": "6s" })
    };
    let after = || {
        let (old, new) = (old.borrow(), pids(&cluster));
        assert!(new.iter().all(|(name, pid)| old[name] != *pid), "{old:?} {new:?}");
    };
    let (boundaries, stopped) = at_each_boundary(&cluster, "rolling-restart", before, after);
    eprintln!("rolling-restart: the leader was killed behind each of {boundaries} steps; it stopped at {stopped:#?}");
    assert!(boundaries >= 4, "{boundaries}");
    assert!(!stopped.is_empty(), "no leader was missed");
}

#[test]
fn a_member_that_is_frozen_is_seen_before_and_in_the_middle() {
    let cluster = plain(3);
    let frozen = cluster.followers().remove(0);
    cluster.pause(&frozen);
    let before = pids(&cluster);
    let error = cluster.call("rolling-restart", json!({ "settle": "1s" })).unwrap_err();
    assert_eq!(error.code(), "others_unhealthy", "{}", describe(&error));
    assert!(error.to_string().contains(&format!("another voter does not serve: {frozen}")), "{error}");
    assert_eq!(pids(&cluster), before);
    cluster.resume(&frozen);
    healthy(&cluster, 3);

    // It freezes when the first step is over, and is still frozen when the bound has passed.
    let freeze = |thaws: bool| {
        let wait = if thaws { "1min" } else { "8s" };
        let (fired, thawed, steps) = (RefCell::new(None::<String>), Cell::new(false), Cell::new(0));
        let events = |event: &Event| match event {
            Event::Outcome { .. } => {
                steps.set(steps.get() + 1);
                if steps.get() == 1 {
                    let leader = cluster_leader(&cluster);
                    outside(|| cluster.pause(&leader));
                    fired.replace(Some(leader));
                }
            }
            Event::Waiting { what, status, .. } if thaws && !thawed.get() => {
                if let (Some(frozen), true) = (&*fired.borrow(), status.starts_with("another voter does not serve")) {
                    eprintln!("waiting until {what}: {status}");
                    outside(|| cluster.resume(frozen));
                    thawed.set(true);
                }
            }
            _ => {}
        };
        let ended = told(&cluster, "rolling-restart", json!({ "settle": "1s", "wait": wait }), &events);
        let frozen = fired.into_inner().expect("a member was frozen");
        (frozen, thawed.get(), ended)
    };
    let before = pids(&cluster);
    let (frozen, _, ended) = freeze(false);
    let error = ended.unwrap_err();
    eprintln!("{}", describe(&error));
    assert!(error.to_string().contains("rolling-restart stopped after 1 of"), "{error}");
    assert!(error.help().is_some(), "{}", describe(&error));
    cluster.resume(&frozen);
    healthy(&cluster, 3);
    resume(&cluster);
    let after = pids(&cluster);
    assert!(after.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {after:?}");
    // Who goes on in time is waited for.
    healthy(&cluster, 3);
    let (_, thawed, ended) = freeze(true);
    assert!(thawed, "nobody waited for the frozen member");
    assert_eq!(ended.unwrap()["ok"], true);
    healthy(&cluster, 3);
}

fn cluster_leader(cluster: &Running) -> String {
    outside(|| cluster.leader())
}

#[test]
fn a_peer_link_that_is_cut_is_lived_with_or_told() {
    let proxy = Proxy::new();
    let (name, url) = ("infra2", format!("http://127.0.0.1:{}", proxy.port));
    let only = MemberOptions { advertise_peer_url: Some(url.clone()), ..MemberOptions::default() };
    // The proxy must lead there before the member starts, so the flag that comes last says where that is.
    let listen = free_port();
    proxy.lead_to(listen);
    let only = MemberOptions { flags: vec![format!("--listen-peer-urls=http://127.0.0.1:{listen}")], ..only };
    let only = BTreeMap::from([(name.to_owned(), only)]);
    let cluster = Running::start("3.6", Options { tls: false, only, ..Options::default() }).unwrap();
    assert_eq!(row(&cluster.call("member list", json!({})).unwrap(), name)["peer_urls"], json!([url]));
    assert!(proxy.connections() > 0, "the others do not come through the proxy");
    let before = pids(&cluster);
    for operation in ["rolling-restart", "defrag"] {
        let (fired, seen) = (proxy.fired(), Cell::new(0));
        let cut = |event: &Event| {
            if let Event::Outcome { .. } = event {
                seen.set(seen.get() + 1);
                if seen.get() == 1 {
                    proxy.arm(Times::Always, Way::Up, When::After(0), What::Cut);
                    proxy.cut();
                }
            }
        };
        let args = match operation {
            "defrag" => json!({ "wait": "8s" }),
            _ => json!({ "settle": "1s", "wait": "8s" }),
        };
        let ended = told(&cluster, operation, args, &cut);
        until("the others were cut off", || {
            if proxy.fired() > fired { Ok(()) } else { Err("nobody came through the proxy".to_owned()) }
        });
        eprintln!("{operation} with a link that is cut: {:?}", ended.as_ref().map_err(describe));
        proxy.disarm();
        healthy(&cluster, 3);
        match ended {
            Ok(report) => assert_eq!(report["ok"], true, "{report}"),
            Err(error) => {
                assert!(error.help().is_some(), "{}", describe(&error));
                resume(&cluster);
            }
        }
        healthy(&cluster, 3);
    }
    let after = pids(&cluster);
    assert!(after.iter().all(|(name, pid)| before[name] != *pid), "{before:?} {after:?}");
}

/// A cluster whose members clients reach only through a proxy each.
struct Behind {
    cluster: Running,
    proxies: Vec<Proxy>,
}

impl Behind {
    fn start(flags: &[&str]) -> Self {
        let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::new()).collect();
        let only = |(number, proxy): (usize, &Proxy)| {
            let advertise_client_url = Some(format!("http://127.0.0.1:{}", proxy.port));
            (format!("infra{}", number + 1), MemberOptions { advertise_client_url, ..MemberOptions::default() })
        };
        let only = proxies.iter().enumerate().map(only).collect();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let cluster = Running::start("3.6", Options { tls: false, only, flags, ..Options::default() }).unwrap();
        for (endpoint, proxy) in cluster.profile().endpoints.iter().zip(&proxies) {
            proxy.lead_to(endpoint.port());
        }
        Behind { cluster, proxies }
    }

    fn profile(&self) -> Profile {
        let endpoint = |proxy: &Proxy| Endpoint::parse(&format!("127.0.0.1:{}", proxy.port), false).unwrap();
        Profile { endpoints: self.proxies.iter().map(endpoint).collect(), ..self.cluster.profile() }
    }

    fn fired(&self) -> usize {
        self.proxies.iter().map(Proxy::fired).sum()
    }

    /// Runs an operation of which the answer to every changing call of these steps is lost. Returns the steps that were hit,
    /// with how often they were sent and what came of them.
    fn losing(&self, name: &str, args: Json, calls: &[(&str, &str)]) -> (Json, Vec<(String, usize, String)>) {
        let (before, hit) = (Cell::new(None), RefCell::new(Vec::new()));
        let events = |event: &Event| match event {
            Event::Intent { step, .. } => {
                let Some((_, path)) = calls.iter().find(|(of, _)| of == step) else { return };
                before.set(Some(self.fired()));
                self.proxies.iter().for_each(|proxy| proxy.lose_answers(path));
            }
            Event::Outcome { step, outcome, .. } if calls.iter().any(|(of, _)| of == step) => {
                self.proxies.iter().for_each(Proxy::disarm);
                // What there is nothing to do for was not sent.
                if let Some(before) = before.take() {
                    hit.borrow_mut().push((step.clone(), self.fired() - before, outcome.word().to_owned()));
                }
            }
            _ => {}
        };
        let answer = self.cluster.caller.answer_told(&self.profile(), name, record(args), &events);
        let answer = answer.unwrap_or_else(|error| panic!("{} {hit:?} {:?}", describe(&error), error.report()));
        (to_json(&answer), hit.into_inner())
    }
}

fn once(steps: &[&str]) -> Vec<(String, usize, String)> {
    steps.iter().map(|step| ((*step).to_owned(), 1, "done".to_owned())).collect()
}

/// Waits until a change of the membership is accepted: for some seconds after its start a server refuses each, and the loss
/// of a refusal is another matter.
fn takes_members(cluster: &Running) {
    let add = ["member", "add", "probe", "--learner", "--peer-urls=http://127.0.0.1:9"];
    until("a member can be added", || cluster.etcdctl_reading(&add, ""));
    let list = cluster.call("member list", json!({})).unwrap();
    let probe = list.as_array().unwrap().iter().find(|member| member["is_learner"] == true).unwrap();
    cluster.etcdctl(&["member", "remove", probe["member_id"].as_str().unwrap()]);
}

#[test]
fn a_replacement_finds_out_what_the_lost_answers_were() {
    let behind = Behind::start(&[]);
    let cluster = &behind.cluster;
    takes_members(cluster);
    let victim = cluster.followers().remove(0);
    let old = ids(cluster);
    cluster.kill(&[&victim]);
    let calls = [
        ("remove_member", "/etcdserverpb.Cluster/MemberRemove"),
        ("add_member", "/etcdserverpb.Cluster/MemberAdd"),
        ("promote_member", "/etcdserverpb.Cluster/MemberPromote"),
    ];
    let (report, hit) = behind.losing("member replace", json!({ "member": victim }), &calls);
    assert_eq!(hit, once(&["remove_member", "add_member", "promote_member"]), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    healthy(cluster, 3);
    let new = ids(cluster);
    assert_eq!((new.len(), new[&victim] != old[&victim]), (3, true), "{new:?}");
}

#[test]
fn a_full_cluster_is_helped_although_answers_are_lost() {
    let behind = Behind::start(&["--quota-backend-bytes=16777216"]);
    let cluster = &behind.cluster;
    let value = "x".repeat(1 << 20);
    let full = (0..40).find_map(|_| cluster.etcdctl_reading(&["put", "big"], &value).err());
    assert!(full.is_some_and(|error| error.contains("database space exceeded")));
    let calls = [
        ("compact", "/etcdserverpb.KV/Compact"),
        ("defragment", "/etcdserverpb.Maintenance/Defragment"),
        ("disarm_alarm", "/etcdserverpb.Maintenance/Alarm"),
    ];
    let (report, hit) = behind.losing("space recover", json!({}), &calls);
    let mut steps = vec!["compact", "defragment", "defragment", "defragment"];
    // Some of the members have raised an alarm, or all.
    steps.resize(hit.len().max(5), "disarm_alarm");
    assert_eq!(hit, once(&steps), "{report}");
    assert_eq!(report["ok"], true, "{report}");
    cluster.etcdctl_reading(&["put", "big"], &value).unwrap();
}

/// An etcd whose disk is slow, as a program of its own. The tracer is a grandchild, so that the process is still etcd.
#[cfg(target_os = "linux")]
fn slow_etcd(cluster_home: &std::path::Path, etcd: &std::path::Path, trace: &std::path::Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("strace"));
    let strace = found.find(|path| path.exists()).expect("strace is missing: run `cargo xtask setup`");
    let script = cluster_home.join("slow-etcd");
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in --version) exec '{etcd}' --version;; esac\n\
         exec '{strace}' -D -f -qq -A -e signal=none -e trace=fdatasync -e inject=fdatasync:delay_enter=200000 -o '{trace}' '{etcd}' \"$@\"\n",
        etcd = etcd.display(),
        strace = strace.display(),
        trace = trace.display(),
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

#[cfg(target_os = "linux")]
#[test]
fn a_member_with_a_slow_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let tools = etcdsh_tests::etcd("3.6").unwrap();
    let slow = slow_etcd(folder.path(), &tools.program("etcd"), &trace);
    let only = MemberOptions { etcd: Some(slow.to_string_lossy().into_owned()), ..MemberOptions::default() };
    let only = BTreeMap::from([("infra2".to_owned(), only)]);
    let cluster = Running::start("3.6", Options { tls: false, only, ..Options::default() }).unwrap();
    healthy(&cluster, 3);
    let delayed = || std::fs::read_to_string(&trace).unwrap_or_default().matches("(DELAYED)").count();
    let before = (pids(&cluster), ids(&cluster));
    let calls = [
        ("rolling-restart", json!({ "settle": "1s" })),
        ("defrag", json!({})),
        ("member replace", json!({ "member": "infra2", "allow": ["member_healthy"] })),
    ];
    for (operation, args) in calls {
        let (slowed, start) = (delayed(), Instant::now());
        let report =
            cluster.call(operation, args).unwrap_or_else(|error| panic!("{} {:?}", describe(&error), error.report()));
        assert_eq!(report["ok"], true, "{report}");
        let slowed = delayed().saturating_sub(slowed);
        eprintln!("{operation} with a slow disk: {:?}, {slowed} times slowed down", start.elapsed());
        assert!(slowed > 0, "{operation}: the disk was not slow");
        healthy(&cluster, 3);
    }
    let after = (pids(&cluster), ids(&cluster));
    assert!(after.0.iter().all(|(name, pid)| before.0[name] != *pid), "{before:?} {after:?}");
    assert_ne!(after.1["infra2"], before.1["infra2"]);
}

/// Another user's home, from which the same cluster is reached.
fn other_home(cluster: &Running) -> (Caller, Profile) {
    let caller = Caller::new();
    let profile = Profile { hosts: None, ..cluster.profile() };
    (caller, profile)
}

#[test]
fn a_second_operator_waits_and_is_refused_or_goes_on() {
    let cluster = &plain(3);
    let _redacted = redacted(&cluster.caller);
    let follower = cluster.followers().remove(0);
    let (began, has_begun) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let first = scope.spawn(move || {
            let hold = move |_: Value| {
                began.send(()).unwrap();
                goes_on.recv_timeout(Duration::from_secs(120)).unwrap();
                Ok(Value::Null)
            };
            let mut args = record(json!({ "members": [follower], "settle": "1s" }));
            args.insert("restart", Value::Hook(0));
            cluster.caller.answer_hooked(&cluster.profile(), "rolling-restart", args, &|_| {}, &[Box::new(hold)])
        });
        has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
        let (caller, profile) = other_home(cluster);
        let waited = RefCell::new(String::new());
        let start = Instant::now();
        let error = caller.answer_told(&profile, "defrag", record(json!({ "wait": "1s" })), &|event| {
            if let Event::Waiting { what, status, .. } = event {
                waited.replace(format!("{what}: {status}"));
            }
        });
        let error = error.unwrap_err();
        eprintln!("the second operator waited {:?} for {}", start.elapsed(), waited.borrow());
        assert_eq!(error.code(), "change_under_way", "{}", describe(&error));
        assert!(error.to_string().contains("rolling-restart, run "), "{error}");
        assert!(waited.borrow().starts_with("no other change takes members away: rolling-restart, run "), "{waited:?}");
        assert_eq!(error.sent().map(etcdsh_core::error::Sent::word), Some("never"));
        // It begins while the first one still goes on, and waits for its end.
        let told = Cell::new(false);
        let report = caller.answer_told(&profile, "defrag", record(json!({})), &|event| {
            if let (Event::Waiting { .. }, false) = (event, told.get()) {
                told.set(true);
                go_on.send(()).unwrap();
            }
        });
        assert!(told.get(), "nobody was waited for");
        assert_eq!(to_json(&report.unwrap())["ok"], true);
        assert_eq!(to_json(&first.join().unwrap().unwrap())["ok"], true);
    });
    assert_eq!(cluster.etcdctl(&["get", "etcdsh/change"]), "", "the right was given back");
}

#[test]
fn the_right_of_a_holder_that_was_killed_is_taken_over_at_once() {
    let cluster = plain(3);
    let before = pids(&cluster);
    let mut command = cluster.crashing("sandbox", &["step"], None, "rolling-restart", &json!({ "settle": "4s" }));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("it has the right", || match cluster.etcdctl(&["get", "etcdsh/change", "--print-value-only"]) {
        note if note.contains("rolling-restart") => Ok(()),
        other => Err(other),
    });
    // It is not killed between the stop and the start of a member, which would keep everybody from going on.
    until("the first member was restarted", || match (pids(&cluster), cluster.call("quorum", json!({}))) {
        (pids, Ok(quorum)) if pids != before && quorum["verdict"] == "healthy" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(cluster.etcdctl(&["get", "etcdsh/change"]).contains("rolling-restart"), "its right outlives it");
    healthy(&cluster, 3);
    let (caller, profile) = other_home(&cluster);
    let (start, first) = (Instant::now(), Cell::new(None));
    let report = caller.answer_told(&profile, "defrag", record(json!({})), &|event| {
        if let (Event::Step { .. }, None) = (event, first.get()) {
            first.set(Some(start.elapsed()));
        }
    });
    assert_eq!(to_json(&report.unwrap())["ok"], true);
    let first = first.get().expect("a step began");
    eprintln!("the right was taken over within {first:?}");
    assert!(first < Duration::from_secs(20), "it was waited for until it ended by itself: {first:?}");
    // The run of the dead one is known as such, and is gone on with.
    resume(&cluster);
}

#[test]
fn a_run_does_not_go_on_on_another_cluster() {
    let (mine, other) = (plain(3), plain(3));
    let crashed = mine.crash("sandbox", &["step"], Some(2), "rolling-restart", &json!({ "settle": "1s" }));
    assert_eq!(crashed, Ended::Crashed);
    let id = mine.call("change list", json!({})).unwrap()[0]["id"].clone();
    let before = (other.call("member list", json!({})).unwrap(), pids(&other), other.view().unwrap().revision());
    let profile = Profile { hosts: mine.profile().hosts, ..other.profile() };
    let error = mine.caller.call(&profile, "change resume", json!({ "id": id })).unwrap_err();
    assert_eq!(error.code(), "cluster_mismatch", "{}", describe(&error));
    assert_eq!(error.help().as_deref(), Some("check the endpoints; nothing was changed on the other cluster"));
    let after = (other.call("member list", json!({})).unwrap(), pids(&other), other.view().unwrap().revision());
    assert_eq!(before, after);
    resume(&mine);
}

#[test]
fn what_was_planned_for_a_member_that_has_gone_is_not_done() {
    let cluster = plain(4);
    let _redacted = redacted(&cluster.caller);
    for operation in ["rolling-restart", "defrag"] {
        let (members, before) = (ids(&cluster), pids(&cluster));
        let target = cluster.followers().into_iter().find(|name| members.contains_key(name)).unwrap();
        let id = members[&target].clone();
        let gone = Cell::new(false);
        let remove = |event: &Event| {
            if let (Event::Step { .. }, false) = (event, gone.get()) {
                gone.set(true);
                outside(|| {
                    until("the member is removed", || cluster.etcdctl_reading(&["member", "remove", &id], ""));
                });
            }
        };
        let error = told(&cluster, operation, json!({ "members": [target] }), &remove).unwrap_err();
        assert!(gone.get());
        assert_eq!(error.code(), "stale_plan", "{}", describe(&error));
        assert_eq!(
            error.help().as_deref(),
            Some(
                "run it again, so that it is planned for the members that are there. To do it all the same, allow stale_plan"
            )
        );
        assert!(
            error.causes()[0].contains(&format!("{operation} is refused: {id} is not a member any more")),
            "{error:?}"
        );
        let report = to_json(&error.report().unwrap());
        assert_eq!(column(&report["steps"], "outcome"), ["failed"], "{report}");
        let mut after = pids(&cluster);
        // Who was removed ends by itself; nobody starts it again.
        after.insert(target.clone(), before[&target]);
        assert_eq!(before, after);
        cluster.call("sandbox wipe", json!({ "member": target })).ok();
        if operation == "rolling-restart" {
            healthy_without(&cluster, 3);
        }
    }
}

fn healthy_without(cluster: &Running, voters: usize) {
    until_within(Duration::from_secs(60), "the rest is healthy", || match cluster.call("quorum", json!({})) {
        Ok(quorum) if quorum["healthy"] == true && quorum["voters"] == voters => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
