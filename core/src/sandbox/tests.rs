//! Real processes. The tests crate holds the rest; these show that a sandbox does what everything else relies on.

use std::time::{Duration, Instant};

use super::*;
use crate::profile::Profile;
use crate::rpc::{Cluster, Consistency};

const BOUND: Duration = Duration::from_secs(60);

/// The places of a test: sandboxes in a folder of its own, etcd from where `cargo xtask setup` puts it.
fn places(home: &Path) -> Places {
    #[expect(clippy::disallowed_methods, reason = "a test is its own front end")]
    let mut places = Places::from_env(home.to_owned(), |name| std::env::var(name).ok());
    places.state = home.join("state");
    places
}

fn options() -> Options {
    Options { detached: false, ..Options::default() }
}

fn names(rows: &[MemberRow]) -> Vec<(&str, ProcessState)> {
    rows.iter().map(|row| (row.name.as_str(), row.state)).collect()
}

async fn serves(sandbox: &Sandbox, member: &str) -> bool {
    let cluster = Cluster::new(sandbox.profile().unwrap()).unwrap();
    let url = sandbox.member(member).unwrap().client_url().to_owned();
    let node = cluster.node(&crate::endpoint::Endpoint::parse(&url, false).unwrap()).unwrap();
    // On a busy machine a password alone takes a server more than half a second to check.
    node.probe(Consistency::Linearizable, Instant::now() + Duration::from_secs(3)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn members_are_killed_paused_resumed_restarted_and_stopped() {
    use ProcessState::{Exited, Paused, Running, Stopped};
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let sandbox = Sandbox::start(&places, "s", options()).await.unwrap().guard();
    assert_eq!(names(&sandbox.rows().unwrap()), [("infra1", Running), ("infra2", Running), ("infra3", Running)]);
    let error = Sandbox::start(&places, "s", options()).await.unwrap_err();
    assert_eq!(error.code(), "sandbox_exists");

    let infra2 = sandbox.member("infra2").unwrap();
    let killed = infra2.kill().await.unwrap();
    assert_eq!((killed.state, killed.pid, killed.exit_code), (Exited, None, Some(137)));
    assert!(!serves(&sandbox, "infra2").await);
    sandbox.wait_ready(&["infra1".to_owned(), "infra3".to_owned()], BOUND).await.unwrap();
    assert_eq!(infra2.pause().await.unwrap_err().code(), "sandbox_state");
    assert_eq!(infra2.restart(BOUND).await.unwrap().state, Running);
    assert!(serves(&sandbox, "infra2").await);

    let infra3 = sandbox.member("infra3").unwrap();
    assert_eq!(infra3.pause().await.unwrap().state, Paused);
    assert!(!serves(&sandbox, "infra3").await);
    assert_eq!(infra3.resume().await.unwrap().state, Running);
    sandbox.wait_ready(&["infra3".to_owned()], BOUND).await.unwrap();

    infra3.pause().await.unwrap();
    let stopped = infra3.stop().await.unwrap();
    assert_eq!((stopped.state, stopped.pid), (Stopped, None));
    assert!(stopped.last_log.is_some());
    infra3.restart(BOUND).await.unwrap();

    let processes: Vec<_> = sandbox.state().unwrap().members.into_iter().filter_map(|m| m.process).collect();
    let rows = sandbox.stop(false).await.unwrap();
    assert_eq!(names(&rows), [("infra1", Stopped), ("infra2", Stopped), ("infra3", Stopped)]);
    assert_eq!(processes.len(), 3);
    for process in processes {
        assert!(matches!(process.condition(), process::Condition::Ended(_)));
    }
    assert!(!sandbox.folder().exists());
    assert!(sandbox.stop(false).await.unwrap().is_empty());
    assert_eq!(sandbox.rows().unwrap_err().code(), "sandbox_not_found");
}

#[rstest::rstest]
#[case("3.4", Breakage::Wiped, 1, "has already been bootstrapped")]
#[case("3.5", Breakage::BadDisk, 2, "invalid database")]
#[case("3.6", Breakage::StaleData, 2, "is out of range [lastIndex(")]
#[case("3.7", Breakage::StaleData, 2, "is out of range [lastIndex(")]
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn a_broken_member_ends_and_says_why(
    #[case] etcd: &str,
    #[case] how: Breakage,
    #[case] exit_code: i64,
    #[case] why: &str,
) {
    let home = tempfile::tempdir().unwrap();
    let options = Options { etcd: Some(etcd.to_owned()), ..options() };
    let sandbox = Sandbox::start(&places(home.path()), "s", options).await.unwrap().guard();
    let row = sandbox.break_member("infra2", how).await.unwrap();
    assert_eq!((row.state, row.exit_code), (ProcessState::Exited, Some(exit_code)), "{row:?}");
    assert!(row.last_log.as_ref().is_some_and(|line| line.contains(why)), "{row:?}");
    assert_eq!(sandbox.break_member("infra1", how).await.unwrap_err().code(), "no_quorum");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn a_start_that_fails_leaves_nothing_but_the_log() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let broken = MemberOptions { flags: vec!["--heartbeat-interval=900".to_owned()], ..MemberOptions::default() };
    let only = [("infra2".to_owned(), broken)].into();
    let error = Sandbox::start(&places, "s", Options { only, ..options() }).await.unwrap_err();
    assert_eq!(error.code(), "sandbox_member_ended");
    let log = places.sandboxes().join("s/logs/infra2.log");
    let message = error.to_string();
    assert!(message.starts_with("infra2 ended with exit code 1"), "{message}");
    assert!(message.contains("--election-timeout") && message.contains(log.to_str().unwrap()), "{message}");
    let left: Vec<_> =
        std::fs::read_dir(places.sandboxes().join("s")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["logs"]);
    assert!(Sandbox::names(&places).is_empty());
    let one = Options { members: 1, tls: false, ..options() };
    Sandbox::start(&places, "s", one).await.unwrap().stop(false).await.unwrap();
    assert!(!log.exists());
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn sandboxes_start_side_by_side_and_a_profile_finds_each() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let names = ["a", "b", "c", "d"];
    let start = async |name: &str| {
        let (tls, auth) = (name < "c", matches!(name, "b" | "d"));
        let options = Options { members: 1, tls, auth, ..options() };
        Sandbox::start(&places, name, options).await.unwrap().guard()
    };
    let started = futures_util::future::join_all(names.map(start)).await;
    assert_eq!(Sandbox::names(&places), names);
    for sandbox in started {
        let flags = [("profile", crate::value::Value::from(sandbox.name()))].into_iter().collect();
        let layers = crate::profile::Layers { flags, env: &|_| None, shell: None };
        assert_eq!(crate::profile::resolve(layers, &places).unwrap(), sandbox.profile().unwrap());
        assert!(serves(&sandbox, "infra1").await);
        let nobody = Profile { user: None, ..sandbox.profile().unwrap() };
        let asks_for_a_user = nobody != sandbox.profile().unwrap();
        assert_eq!(asks_for_a_user, matches!(sandbox.name(), "b" | "d"));
        let cluster = Cluster::new(nobody).unwrap();
        let node = cluster.node(&cluster.seeds()[0]).unwrap();
        let answer = node.scratch().put("key", "value", Instant::now() + BOUND).await;
        assert_eq!(answer.is_err(), asks_for_a_user, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn a_restart_without_a_quorum_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&places(home.path()), "s", options()).await.unwrap().guard();
    sandbox.member("infra2").unwrap().kill().await.unwrap();
    sandbox.member("infra3").unwrap().pause().await.unwrap();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let telling = Sandbox::clone(&sandbox).telling(sender);
    let error = telling.restart(Some("infra1"), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("wait_timeout", true));
    let missing = "1 of 3 members up, a quorum needs 2; not up: infra2 (exited), infra3 (paused)";
    assert_eq!(error.to_string(), format!("infra1 did not serve: {missing}"));
    let remedy =
        "`sandbox restart` without a member starts all of them at once; `sandbox resume` lets a paused one go on";
    assert_eq!(error.help().as_deref(), Some(remedy));
    drop(telling);
    let mut events = Vec::new();
    while let Some(event) = told.recv().await {
        events.push(event.to_string());
    }
    assert!(events.contains(&format!("warning: {missing}; {remedy}")), "{events:?}");
    let (waiting, status) = ("waiting until infra1 served, for ", " s: 1 of 3 members up, a quorum needs 2; infra1: ");
    assert!(events.iter().any(|event| event.starts_with(waiting) && event.contains(status)), "{events:?}");
    sandbox.restart(None, BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn how_a_restarted_member_ended_is_written_down() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&places(home.path()), "s", options()).await.unwrap().guard();
    sandbox.break_member("infra2", Breakage::BadDisk).await.unwrap();
    let error = sandbox.restart(Some("infra2"), BOUND).await.unwrap_err();
    assert_eq!(error.code(), "sandbox_member_ended");
    // The process that started it has taken note, so whoever did not start it finds it too.
    let member = sandbox.state().unwrap().members.swap_remove(1);
    assert_eq!((member.name.as_str(), member.exit_code), ("infra2", Some(2)));
    let row = sandbox.member("infra2").unwrap().row().unwrap();
    assert_eq!((row.state, row.exit_code), (ProcessState::Exited, Some(2)));
    assert!(row.last_log.is_some_and(|line| line.contains("invalid database")));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
async fn ctrl_c_says_what_is_left() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&places(home.path()), "s", options()).await.unwrap().guard();
    let all = ["infra1", "infra2", "infra3"].map(str::to_owned);
    for name in &all {
        sandbox.member(name).unwrap().kill().await.unwrap();
    }
    let (cancel, (sender, mut told)) = (CancellationToken::new(), tokio::sync::mpsc::unbounded_channel());
    let waiting = Sandbox::clone(&sandbox).cancelled_by(&cancel).telling(sender);
    let pressed = async {
        told.recv().await.unwrap();
        cancel.cancel();
        Instant::now()
    };
    let (restarted, pressed) = tokio::join!(waiting.restart(Some("infra1"), BOUND), pressed);
    assert!(pressed.elapsed() < Duration::from_secs(1), "{:?}", pressed.elapsed());
    let error = restarted.unwrap_err();
    let said = (error.code(), error.outcome());
    assert_eq!(said, ("interrupted", Some("infra1 was started, and not waited for".to_owned())));
    let again = Sandbox::named(&sandbox.places, "t").unwrap().cancelled_by(&cancel);
    let error = again.launch(&Options { members: 1, ..options() }).await.unwrap_err();
    assert_eq!(error.outcome().as_deref(), Some("nothing was left running"));
}
