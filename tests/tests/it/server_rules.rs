//! What we say that a server would answer, beside what real servers answer when they are really asked.

use std::time::{Duration, Instant};

use etcdsh_core::change::plan::Who;
use etcdsh_core::change::server::accepts;
use etcdsh_core::change::view::MemberView;
use etcdsh_core::change::{Action, ClusterView};
use etcdsh_core::id::MemberId;
use etcdsh_core::profile::Profile;
use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, run, until};
use rstest::rstest;
use serde_json::json;

/// How long an answer may be one that passes.
const SETTLING: Duration = Duration::from_secs(20);

/// Asks the server for an action, and checks that it answers what we said it would. Returns whether it did it.
fn agree(cluster: &Running, action: &Action) -> bool {
    let start = Instant::now();
    loop {
        let view = cluster.view().unwrap();
        let said = accepts(action, &view);
        let answered = ask(cluster, action, &view);
        match (&said, &answered) {
            (Ok(()), Ok(_)) => return true,
            (Ok(()), Err(error)) if passes(action, error) && start.elapsed() < SETTLING => {}
            (Err(said), Err(answered)) if answered.contains(said) => return false,
            // Whichever of the two bounds passes first.
            (Err(said), Err(answered)) if said.contains("timed out") && answered.contains("deadline exceeded") => {
                return false;
            }
            _ => panic!("{action:?}: we said {said:?}, and the server {answered:?}; {}", state(&view)),
        }
    }
}

/// A server counts a connection only when it is five seconds old, and gives the id of a member that was removed in the same
/// second out again.
fn passes(action: &Action, error: &str) -> bool {
    error.contains("unhealthy cluster")
        || (matches!(action, Action::AddMember { .. }) && error.contains("member not found"))
}

fn state(view: &ClusterView) -> String {
    let one = |m: &MemberView| format!("{} {} {}", name_or_url(&m.member), view.role(m).word(), view.verdict(m).word());
    view.members.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Sends an action with etcdctl to the leader, or else to a member that answers.
fn ask(cluster: &Running, action: &Action, view: &ClusterView) -> Result<String, String> {
    let answering = || view.members.iter().find(|m| m.known().is_some()).unwrap();
    let endpoint = view.leader().filter(|m| m.known().is_some()).unwrap_or_else(answering).endpoint.clone().unwrap();
    let mut etcdctl = cluster.ctl(&Profile { endpoints: vec![endpoint], ..cluster.profile() });
    etcdctl.arg("--command-timeout=3s");
    let hex = |id: &MemberId| id.to_string();
    match action {
        Action::AddMember { name, peer_urls, learner } => {
            etcdctl.args(["member", "add", name, "--peer-urls", &peer_urls.join(",")]);
            etcdctl.args(learner.then_some("--learner"))
        }
        Action::RemoveMember { id } => etcdctl.args(["member", "remove", &hex(id)]),
        Action::PromoteMember { who: Who::Id(id) } => etcdctl.args(["member", "promote", &hex(id)]),
        Action::UpdatePeerUrls { id, peer_urls } => {
            etcdctl.args(["member", "update", &hex(id), "--peer-urls", &peer_urls.join(",")])
        }
        Action::MoveLeader { to, .. } => etcdctl.args(["move-leader", &hex(to)]),
        _ => panic!("no server is asked to stop"),
    };
    run(&mut etcdctl, "")
}

fn add(peer_url: &str, learner: bool) -> Action {
    Action::AddMember { name: "new".to_owned(), peer_urls: vec![peer_url.to_owned()], learner }
}

fn learner(peer_url: &str) -> Action {
    add(peer_url, true)
}

fn voter(peer_url: &str) -> Action {
    add(peer_url, false)
}

/// Returns the id of a member by its name or its peer URL.
fn id(cluster: &Running, member: &str) -> MemberId {
    let view = cluster.view().unwrap();
    let named = |m: &&_| name_or_url(m) == member;
    view.members.iter().map(|m| &m.member).find(named).unwrap_or_else(|| panic!("no {member}")).id
}

fn name_or_url(member: &etcdsh_core::member::Member) -> &str {
    if member.started() { &member.name } else { member.peer_urls.first().map_or("", String::as_str) }
}

fn remove(cluster: &Running, member: &str) -> bool {
    agree(cluster, &Action::RemoveMember { id: id(cluster, member) })
}

fn promote(cluster: &Running, member: &str) -> bool {
    agree(cluster, &Action::PromoteMember { who: id(cluster, member).into() })
}

fn lead(cluster: &Running, member: &str) -> bool {
    agree(cluster, &Action::MoveLeader { to: id(cluster, member), from: None })
}

fn update(cluster: &Running, member: &str, peer_url: &str) -> bool {
    let action = Action::UpdatePeerUrls { id: id(cluster, member), peer_urls: vec![peer_url.to_owned()] };
    agree(cluster, &action)
}

/// Kills a member, and waits until the leader has noticed.
fn kill(cluster: &Running, member: &str) {
    let log = cluster.member(&cluster.leader()).log();
    let gone = format!("\"peer-id\":\"{}\"", id(cluster, member));
    let noticed = || {
        let lines = std::fs::read_to_string(&log).unwrap();
        lines.lines().filter(|line| line.contains("peer became inactive") && line.contains(&gone)).count()
    };
    let before = noticed();
    cluster.kill(&[member]);
    until("the leader has noticed", || if noticed() > before { Ok(()) } else { Err("no line in its log".to_owned()) });
}

#[rstest]
fn three_members_and_what_becomes_of_them(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::three(version) else { return };
    let (cluster, new, newer) = (&cluster, cluster.free_peer_url(), cluster.free_peer_url());
    let [follower, other] = <[String; 2]>::try_from(cluster.followers()).unwrap();
    let by_quorum = version != "3.4";

    // All are up.
    assert!(agree(cluster, &learner(&new)));
    assert!(!agree(cluster, &learner(&newer)));
    assert!(!promote(cluster, &new) && !lead(cluster, &new));
    assert!(remove(cluster, &new));
    assert!(agree(cluster, &voter(&new)));
    assert_eq!(agree(cluster, &learner(&newer)), by_quorum);
    assert_eq!(by_quorum, by_quorum && remove(cluster, &newer));
    assert!(!promote(cluster, &new));
    assert!(update(cluster, &new, &newer));
    assert!(remove(cluster, &newer));
    assert!(!agree(cluster, &voter(cluster.member("infra1").peer_url())));
    assert!(!update(cluster, "infra1", cluster.member("infra2").peer_url()));
    assert!(update(cluster, "infra1", cluster.member("infra1").peer_url()));
    assert!(!promote(cluster, &follower));
    assert!(!agree(cluster, &Action::RemoveMember { id: MemberId(0x1234) }));
    assert!(!agree(cluster, &Action::MoveLeader { to: MemberId(0x1234), from: None }));
    let leader = cluster.leader();
    assert!(lead(cluster, &leader) && lead(cluster, &follower) && lead(cluster, &leader));

    // A learner runs, and becomes the fourth voter.
    let added = cluster.call("member add", json!({ "name": "infra4", "peer_urls": [new] })).unwrap();
    let start = &added["start"]["ETCD_INITIAL_CLUSTER"];
    cluster.call("sandbox join", json!({ "member": "infra4", "initial_cluster": start })).unwrap();
    assert!(!agree(cluster, &learner(&newer)) && !lead(cluster, "infra4"));
    assert!(promote(cluster, "infra4") && !promote(cluster, "infra4"));
    assert!(remove(cluster, "infra4"));

    // One is down.
    kill(cluster, &follower);
    assert!(!agree(cluster, &learner(&newer)) && !agree(cluster, &voter(&newer)));
    assert!(!remove(cluster, &other) && !lead(cluster, &follower) && !promote(cluster, &follower));
    assert!(remove(cluster, &follower));

    two_members_and_what_becomes_of_them(cluster, &other);
}

fn two_members_and_what_becomes_of_them(cluster: &Running, follower: &str) {
    let (new, newer) = (cluster.free_peer_url(), cluster.free_peer_url());
    assert!(agree(cluster, &learner(&new)) && remove(cluster, &new));
    // The third never starts.
    assert!(agree(cluster, &voter(&new)));
    assert!(!agree(cluster, &voter(&newer)) && !agree(cluster, &learner(&newer)));
    assert!(!remove(cluster, follower) && !lead(cluster, &new) && !promote(cluster, &new));
    assert!(remove(cluster, &new));
    assert!(remove(cluster, follower));

    // One is left.
    let last = cluster.leader();
    assert!(!remove(cluster, &last) && !promote(cluster, &last) && lead(cluster, &last));
    assert!(agree(cluster, &learner(&new)) && remove(cluster, &new));
    // The second never starts, and that is the end.
    assert!(agree(cluster, &voter(&new)));
    let lost = || if cluster.view().is_ok_and(|view| view.leader().is_none()) { Ok(()) } else { Err(String::new()) };
    until("nobody leads", lost);
    assert!(!agree(cluster, &voter(&newer)) && !agree(cluster, &learner(&newer)) && !remove(cluster, &new));
}

#[rstest]
fn two_members_of_which_one_dies(#[values("3.4", "3.5", "3.6", "3.7")] version: &str) {
    let Some(cluster) = Running::start(version, Options { members: 2, tls: false, ..Options::default() }) else {
        return;
    };
    let (cluster, follower, new) = (&cluster, cluster.followers().remove(0), cluster.free_peer_url());
    // Its connections are old enough to count.
    assert!(agree(cluster, &learner(&new)) && remove(cluster, &new));
    kill(cluster, &follower);
    let lost = || if cluster.view().is_ok_and(|view| view.leader().is_none()) { Ok(()) } else { Err(String::new()) };
    until("nobody leads", lost);
    assert!(!agree(cluster, &learner(&new)) && !agree(cluster, &voter(&new)) && !remove(cluster, &follower));
}
