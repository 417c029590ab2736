//! What procedures plan, in every state in which they can be begun or gone on with. Nothing here needs a cluster.

use crate::change::Change;
use crate::change::exhaustive::{State, member};
use crate::change::guard::{Code, approve, check};
use crate::change::plan::{Action, Plan, Who};
use crate::change::view::{ClusterView, HostSeen, Hosting, MemberView};
use crate::error::{Error, Fault};
use crate::host::{Data, HostView, Process};
use crate::id::{ClusterId, MemberId};
use crate::member::MemberRef;
use crate::ops::member::replace::{Args, MemberReplace};
use crate::ops::rolling_restart::{self, RollingRestart};
use crate::rpc::{Alarm, AlarmKind};
use crate::tests::shown;
use crate::units::Elapsed;

pub(super) fn url(id: u64) -> String {
    format!("http://10.0.0.{id}:2380")
}

pub(super) fn host(id: u64, process: Process, data: Data) -> HostSeen {
    let view = HostView { name: format!("infra{id}"), process, data, called: Some(format!("infra{id}")) };
    HostSeen { view, peer_urls: Some(vec![url(id)]), about: "a host".to_owned() }
}

pub(super) fn of(member: u64) -> Data {
    Data::Of { member: MemberId(member), cluster: ClusterId(1) }
}

pub(super) fn view(members: Vec<MemberView>, hosts: Vec<HostSeen>) -> ClusterView {
    let hosting = if hosts.is_empty() { Hosting::Nobody } else { Hosting::Drivers(hosts) };
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: vec![],
        hosting,
        facts: Default::default(),
    }
}

/// Two healthy voters, and a second member as it is given.
pub(super) fn with(second: Option<MemberView>, host_of_it: HostSeen) -> ClusterView {
    let mut members = vec![member(1, State::Healthy, false, Some(1), 0), member(3, State::Healthy, false, Some(1), 0)];
    members.extend(second);
    view(members, vec![host(1, Process::Running, of(1)), host_of_it, host(3, Process::Running, of(3))])
}

/// A member with the place of infra2, under an id that it was given when it was added again.
pub(super) fn again(id: u64, state: State, learner: bool) -> MemberView {
    let mut view = member(id, state, learner, Some(1), 0);
    view.member.peer_urls = vec![url(2)];
    if !view.member.name.is_empty() {
        view.member.name = "infra2".to_owned();
    }
    view
}

pub(super) fn args(member: &str) -> Args {
    Args { member: MemberRef(member.to_owned()), name: None, peer_urls: vec![], snapshot: None, host: None }
}

pub(super) fn words(plan: &Plan) -> String {
    plan.steps.iter().map(|step| step.action.word()).collect::<Vec<_>>().join(" ")
}

fn planned(view: &ClusterView, args: Args) -> String {
    MemberReplace::plan(view, args).map_or_else(|error| error.code().to_owned(), |plan| words(&plan))
}

const FINISH: &str = "compare_hashes await_healthy";

#[test]
fn a_member_that_is_down_is_removed_first() {
    let view = with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(2)));
    let all = format!(
        "save_snapshot stop_member remove_member set_data_aside add_member start_member promote_member {FINISH}"
    );
    assert_eq!(planned(&view, args("infra2")), all);
    let plan = MemberReplace::plan(&view, args("infra2")).unwrap();
    assert!(approve(plan.clone(), &view, &[]).is_ok());
    // What is needed to go on when the list does not know it any more.
    let again = |name: &str| plan.again.get(name).cloned();
    assert_eq!(again("member").unwrap().as_text(), Some("2"));
    assert_eq!(again("name").unwrap().as_text(), Some("infra2"));
}

/// Every state in which a replacement can have been interrupted, gone on with by name from another machine, and by what the
/// journal holds.
#[test]
fn what_is_left_to_do_follows_from_the_list_and_the_data() {
    let journalled = || Args {
        member: MemberRef("2".to_owned()),
        name: Some("infra2".to_owned()),
        peer_urls: vec![url(2)],
        snapshot: None,
        host: None,
    };
    let rest = |steps: &str| format!("save_snapshot {steps}{}{FINISH}", if steps.is_empty() { "" } else { " " });
    let cases = [
        (
            "removed",
            with(None, host(2, Process::Stopped, of(2))),
            "set_data_aside add_member start_member promote_member",
        ),
        ("moved aside", with(None, host(2, Process::Stopped, Data::None)), "add_member start_member promote_member"),
        (
            "added",
            with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, Data::None)),
            "start_member promote_member",
        ),
        (
            "started, and died before it told its name: its data stay",
            with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, of(7))),
            "start_member promote_member",
        ),
        (
            "added by hand, over old data",
            with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, of(2))),
            "set_data_aside start_member promote_member",
        ),
        (
            "removed, and started again by its service manager",
            with(None, host(2, Process::Running, of(2))),
            "stop_member set_data_aside add_member start_member promote_member",
        ),
        ("joined", with(Some(again(7, State::Healthy, true)), host(2, Process::Running, of(7))), "promote_member"),
    ];
    for (state, view, left) in cases {
        assert_eq!(planned(&view, args("infra2")), rest(left), "{state}, by name");
        assert_eq!(planned(&view, journalled()), rest(left), "{state}, by its journal");
    }
    // When it votes, the journal knows that this is the new one; by name it is a healthy member like any other.
    let voted = with(Some(again(7, State::Healthy, false)), host(2, Process::Running, of(7)));
    assert_eq!(planned(&voted, journalled()), rest(""));
    let plan = MemberReplace::plan(&voted, args("infra2")).unwrap();
    let refused = approve(plan.clone(), &voted, &[]).unwrap_err();
    assert_eq!(refused.code(), "member_healthy");
    assert!(approve(plan, &voted, &[Code::MemberHealthy]).is_ok());
    insta::assert_snapshot!(shown([Error::from(refused)]), @"
    member_healthy: member replace is refused: nothing is wrong with infra2 (7)
      help: there is nothing to recover. To do it all the same, allow member_healthy
    ");
}

/// The trap of etcd issues 10254, 20269 and 21178: a member that has joined and lost its data never starts again under its id.
#[test]
fn a_member_that_joined_and_lost_its_data_is_removed_and_added_again() {
    let lost = with(Some(again(7, State::Down, true)), host(2, Process::Stopped, Data::None));
    let all = format!("save_snapshot stop_member remove_member add_member start_member promote_member {FINISH}");
    assert_eq!(planned(&lost, args("infra2")), all);
    // And data of a member of the cluster are never moved, whatever a plan says.
    let aside = Action::SetDataAside { name: "infra2".to_owned(), id: Some(MemberId(7)) };
    let codes = |view: &ClusterView| check(&aside, view).into_iter().map(|refusal| refusal.code).collect::<Vec<_>>();
    let started = with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, of(7)));
    assert_eq!(codes(&started), [Code::DataInUse]);
}

#[test]
fn a_member_that_moves_leaves_when_the_new_one_votes() {
    let mut moving = with(Some(member(2, State::Healthy, false, Some(1), 0)), host(2, Process::Running, of(2)));
    let Hosting::Drivers(hosts) = &mut moving.hosting else { unreachable!() };
    hosts.push(HostSeen { peer_urls: None, ..host(4, Process::Stopped, Data::None) });
    let moves = || Args { name: Some("infra4".to_owned()), peer_urls: vec![url(4)], ..args("infra2") };
    let all = format!("save_snapshot add_member start_member promote_member stop_member remove_member {FINISH}");
    assert_eq!(planned(&moving, moves()), all);
    // Under the same name it has to go first: a start configuration cannot hold two members of one name.
    let same_name = || Args { name: None, ..moves() };
    let rest = format!("remove_member set_data_aside add_member start_member promote_member {FINISH}");
    assert_eq!(planned(&moving, same_name()), format!("save_snapshot stop_member {rest}"));
    let by_closure = ClusterView { hosting: Hosting::Closure, ..moving.clone() };
    assert_eq!(planned(&by_closure, same_name()), format!("save_snapshot stop_member {rest}"));
    // Where the driver leads to another machine, the old process is out of reach.
    let there = with(Some(member(2, State::Healthy, false, Some(1), 0)), host(2, Process::Stopped, of(0xdead)));
    assert_eq!(planned(&there, same_name()), format!("save_snapshot {rest}"));
    // A new name on the same machine: one process, which both names lead to.
    let renamed = Args { peer_urls: vec![], ..moves() };
    let Hosting::Drivers(hosts) = &mut moving.hosting else { unreachable!() };
    hosts.retain(|host| host.view.name != "infra4");
    hosts.push(HostSeen { peer_urls: None, ..host(4, Process::Running, of(2)) });
    assert_eq!(planned(&moving, renamed.clone()), format!("save_snapshot stop_member {rest}"));
    let plan = MemberReplace::plan(&moving, renamed).unwrap();
    approve(plan, &moving, &[Code::MemberHealthy]).unwrap();
    let Hosting::Drivers(hosts) = &mut moving.hosting else { unreachable!() };
    hosts.retain(|host| host.view.name != "infra4");
    hosts.push(HostSeen { peer_urls: None, ..host(4, Process::Stopped, Data::None) });
    // The leader hands over before it goes.
    let leader = Args { name: Some("infra4".to_owned()), peer_urls: vec![url(4)], ..args("infra1") };
    let all =
        format!("save_snapshot add_member start_member promote_member move_leader stop_member remove_member {FINISH}");
    assert_eq!(planned(&moving, leader), all);
}

#[test]
fn alarms_of_members_that_are_gone_are_taken_back() {
    let mut down = with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(2)));
    down.alarms = vec![
        Alarm { member_id: MemberId(2), kind: AlarmKind::Corrupt },
        Alarm { member_id: MemberId(3), kind: AlarmKind::NoSpace },
        Alarm { member_id: MemberId(0xdead), kind: AlarmKind::NoSpace },
    ];
    let plan = MemberReplace::plan(&down, args("infra2")).unwrap();
    let disarmed = plan.steps.iter().filter_map(|step| match step.action {
        Action::DisarmAlarm { id, kind } => Some((id.0, kind)),
        _ => None,
    });
    assert_eq!(disarmed.collect::<Vec<_>>(), [(2, AlarmKind::Corrupt), (0xdead, AlarmKind::NoSpace)]);
}

#[test]
fn without_somebody_to_do_it_nothing_is_planned() {
    let members = vec![member(1, State::Healthy, false, Some(1), 0), member(2, State::Down, false, Some(1), 0)];
    let nobody = view(members, vec![]);
    let plan = |args: Args| MemberReplace::plan(&nobody, args).map(drop).unwrap_err();
    let restart = rolling_restart::Args { restart: None, members: None, settle: Elapsed(0) };
    let wrong = rolling_restart::Args { members: Some(vec![MemberRef("infra9".to_owned())]), ..restart.clone() };
    let mut unstarted = nobody.clone();
    unstarted.members.push(member(7, State::Unstarted, true, Some(1), 0));
    let nameless = MemberReplace::plan(&unstarted, args("7")).map(drop).unwrap_err();
    let errors = [
        plan(args("infra2")),
        plan(args("infra5")),
        nameless,
        RollingRestart::plan(&nobody, restart.clone()).map(drop).unwrap_err(),
        RollingRestart::plan(&nobody, wrong).map(drop).unwrap_err(),
        RollingRestart::plan(&view(vec![member(7, State::Unstarted, true, None, 0)], vec![]), restart)
            .map(drop)
            .unwrap_err(),
    ];
    insta::assert_snapshot!(shown(errors), @r#"
    no_host: nothing says how infra2 is stopped and started
      help: say it in the profile, under `hosts`, or give a closure that does it
    member_not_found (member): no member is named "infra5"; the members are infra1 (1), infra2 (2)
      help: name it by its name, its id in hex, or one of its URLs; if its replacement was interrupted after it was removed, say its name and its peer_urls
    invalid_argument (name): the argument name is needed, since 7 has never started and has no name
      help: say the name that it is to start with
    no_host: nothing says how infra2 is stopped and started
      help: say it in the profile, under `hosts`, or give a closure that does it
    member_not_found (members): no member is named "infra9"; the members are infra1 (1), infra2 (2)
      help: name it by its name, its id in hex, or one of its URLs
    invalid_argument (members): the argument members names nobody who has started
      help: `member list` shows which members have started
    "#);
}

#[test]
fn followers_are_restarted_before_the_leader() {
    let members = (1..=3).map(|id| member(id, State::Healthy, false, Some(2), 0)).collect();
    let all = view(members, (1..=3).map(|id| host(id, Process::Running, of(id))).collect());
    let restart = || rolling_restart::Args { restart: None, members: None, settle: Elapsed(0) };
    let plan = RollingRestart::plan(&all, restart()).unwrap();
    let steps: Vec<String> = plan
        .steps
        .iter()
        .map(|step| format!("{} {}: {}", step.action.word(), step.action.target_label(&all), step.reason))
        .collect();
    insta::assert_snapshot!(steps.join("\n"), @"
    restart_member infra1 (1): it follows, and the others are a quorum without it
    restart_member infra3 (3): it follows, and the others are a quorum without it
    move_leader infra1 (1): the leader is about to be away; of the healthy followers this one has the smallest lag, 0 entries
    restart_member infra2 (2): it led when this was planned, so it is the last
    ");
    assert!(approve(plan, &all, &[]).is_ok());
    let only = rolling_restart::Args { members: Some(vec![MemberRef("infra3".to_owned())]), ..restart() };
    assert_eq!(words(&RollingRestart::plan(&all, only).unwrap()), "restart_member");
}

#[test]
fn of_guards_of_what_takes_a_member_away() {
    let healthy = || (1..=3).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect::<Vec<_>>();
    let hosts = |data: Data, process: Process| vec![host(2, process, data)];
    let restart = Action::RestartMember { id: MemberId(2), name: "infra2".to_owned() };
    let defragment = Action::Defragment { id: MemberId(2) };
    let aside = Action::SetDataAside { name: "infra2".to_owned(), id: None };
    let start = Action::StartMember { name: "infra2".to_owned(), peer_urls: vec![url(2)] };
    let stale = |lag: i64| {
        let mut members = healthy();
        members[2] = member(3, State::Healthy, false, Some(1), lag);
        members
    };
    let version = |which: usize, text: &str, mut members: Vec<MemberView>| {
        if let Some(Ok(status)) = &mut members[which].status {
            status.version = text.to_owned();
        }
        members
    };
    let mut sick = healthy();
    sick[2] = member(3, State::Cut, false, Some(1), 0);
    let mut learner = healthy();
    learner[1] = member(2, State::Healthy, true, Some(1), 0);
    let foreign = Data::Of { member: MemberId(9), cluster: ClusterId(7) };
    let cases = [
        (view(sick, vec![]), restart.clone()),
        (view(stale(1001), vec![]), restart.clone()),
        (view(version(0, "3.4.23", healthy()), vec![]), restart),
        (view(version(1, "3.5.4", healthy()), vec![]), defragment.clone()),
        (view(version(1, "3.6.4", stale(1001)), vec![]), defragment.clone()),
        (view(learner, vec![]), defragment),
        (view(healthy(), hosts(of(9), Process::Running)), aside.clone()),
        (view(healthy(), hosts(foreign.clone(), Process::Stopped)), aside.clone()),
        (view(healthy(), hosts(of(2), Process::Stopped)), aside.clone()),
        (view(healthy(), hosts(Data::Unknown("no WAL file can be read".to_owned()), Process::Stopped)), aside),
        (with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, of(2))), start),
        (view(healthy(), vec![]), Action::EnableDowngrade { version: "3.4".to_owned() }),
        (view(version(0, "3.5.30", healthy()), vec![]), Action::EnableDowngrade { version: "3.4".to_owned() }),
    ];
    let mut text = String::new();
    for (view, action) in cases {
        text.push_str(&format!("{} {}\n", action.word(), action.target_label(&view)));
        for refusal in check(&action, &view) {
            text.push_str(&format!("  {}: {}\n    remedy: {}\n", refusal.code.word(), refusal.message, refusal.remedy));
        }
    }
    insta::assert_snapshot!(text, @"
        restart_member infra2 (2)
          others_unhealthy: another voter does not serve: infra3
            remedy: bring it back first; `health` says what is wrong with it, and `rolling-restart` of it alone starts it again
          quorum_at_risk: restarting it would leave 1 of 3 voters healthy; quorum needs 2
            remedy: bring the other voters back first; `health` names those that are down
        restart_member infra2 (2)
          others_lagging: infra3 is 1001 log entries behind; while one is away at most 1000 are safe
            remedy: wait until it has caught up; `status` shows its lag
        restart_member infra2 (2)
          version_skew: members run etcd 3.4 and 3.6
            remedy: etcd supports members of two neighbouring minor versions; upgrade the oldest first
        defragment infra2 (2)
          known_corruption: etcd 3.5.4 can lose entries when it ends while it is defragmented
            remedy: upgrade it to 3.5.6 or newer first
        defragment infra2 (2)
          others_lagging: infra3 is 1001 log entries behind; while one is away at most 1000 are safe
            remedy: wait until it has caught up; `status` shows its lag
          known_corruption: infra3 (3) is catching up, and etcd 3.6.4 can damage data that arrives while it is defragmented
            remedy: wait until it has caught up, or upgrade to 3.5.23 or 3.6.5
        defragment infra2 (2)
          server_would_refuse: the server would answer: etcdserver: rpc not supported for learner
            remedy: promote it first, or leave it out
        set_data_aside infra2
          process_runs: the process of infra2 runs on its host, with its data open
            remedy: stop it first
        set_data_aside infra2
          data_in_use: the data of infra2 on its host belong to another cluster, 7
            remedy: look whether the profile names the right host and data dir
        set_data_aside infra2
          data_in_use: the data of infra2 on its host are those of infra2 (2), which is a member
            remedy: remove that member first; one that has started cannot come back without its data
        set_data_aside infra2
          data_in_use: nobody can tell whose data infra2 has: no WAL file can be read
            remedy: look at its data dir
        start_member infra2
          data_in_use: the data of infra2 on its host are those of member 2 of cluster 1
            remedy: move them aside first
        enable_downgrade 3.4
          server_would_refuse: etcd 3.6.16 can go back to 3.5 only
            remedy: go back by one minor version at a time
        enable_downgrade 3.4
          server_would_refuse: etcd can go back from 3.6 on, and a member runs 3.5.30
            remedy: restore a snapshot that was saved by the older version
        ");
}

#[test]
fn a_member_is_found_by_its_address_and_called_by_its_name() {
    let who = Who::At { name: "infra2".to_owned(), peer_urls: vec![url(2)] };
    let seen = with(Some(again(7, State::Unstarted, true)), host(2, Process::Stopped, Data::None));
    assert_eq!(who.find(&seen).map(|m| m.member.id), Some(MemberId(7)));
    assert_eq!(Action::PromoteMember { who }.target_label(&seen), "infra2");
}
