//! What procedures refuse by a name of its own, each seen in the state that it is for.

use super::procedures::{again, args, host, of, url, view, with, words};
use crate::change::Change;
use crate::change::exhaustive::{State, member};
use crate::change::guard::{Refusal, approve, check};
use crate::change::plan::Action;
use crate::change::view::{ClusterView, HostSeen, Hosting, MemberView};
use crate::host::{Data, Process};
use crate::id::MemberId;
use crate::ops::alarm::disarm::full;
use crate::ops::member::remove::{self, MemberRemove};
use crate::ops::member::replace::{Args, MemberReplace};
use crate::ops::space::recover::{Args as Space, SpaceRecover};
use crate::rpc::{Alarm, AlarmKind};
use crate::units::Bytes;

fn healthy() -> Vec<MemberView> {
    (1..=3).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect()
}

fn told(refusals: &[Refusal]) -> String {
    let lines = refusals.iter().map(|r| format!("{}: {}\n  remedy: {}\n", r.code.word(), r.message, r.remedy));
    lines.collect()
}

fn with_alarm(mut view: ClusterView, id: u64, kind: AlarmKind) -> ClusterView {
    view.alarms = vec![Alarm { member_id: MemberId(id), kind }];
    view
}

#[test]
fn of_whose_process_and_data_they_are() {
    let restart = Action::RestartMember { id: MemberId(2), name: "infra2".to_owned() };
    let start = Action::StartMember { name: "infra2".to_owned(), peer_urls: vec![url(2)] };
    let stopped = |data| with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, data));
    let swapped = view(healthy(), vec![host(2, Process::Running, of(3))]);
    let stop = Action::StopMember { id: MemberId(2), name: "infra2".to_owned() };
    let stray = Action::StopMember { id: MemberId(0), name: "infra2".to_owned() };
    let aside = Action::SetDataAside { name: "infra2".to_owned(), id: None };
    let unknown = || Data::Unknown("there are files, and none of them is a WAL file".to_owned());
    let calling = |called: Option<&str>, data| {
        let mut seen = host(2, Process::Running, data);
        seen.view.called = called.map(str::to_owned);
        view(healthy(), vec![seen])
    };
    let cases = [
        // The profile names another member's host.
        (swapped, &restart),
        // The data do not tell whose they are, and the process says that it is another one, or nothing.
        (calling(Some("infra3"), unknown()), &restart),
        (calling(None, unknown()), &stop),
        (calling(None, Data::None), &stop),
        // The process is the right one, as far as it says so; or it is that of a member that has gone.
        (calling(Some("infra2"), unknown()), &stop),
        (calling(None, of(9)), &stop),
        // Whose process it is was not known, and it is somebody's who is a member.
        (calling(None, of(3)), &stray),
        // Nor is anybody removed so that its data can be moved.
        (with(None, host(2, Process::Stopped, of(3))), &aside),
        // It has run, and its data dir is empty.
        (stopped(Data::None), &restart),
        (stopped(Data::None), &start),
        // It serves, so its data are somewhere; or it has them; or nobody can tell.
        (view(healthy(), vec![host(2, Process::Running, Data::None)]), &restart),
        (stopped(of(2)), &start),
        (stopped(Data::Unknown("x".to_owned())), &start),
    ];
    let all = cases.map(|(view, action)| told(&check(action, &view))).join("--\n");
    insta::assert_snapshot!(all, @"
    data_in_use: on the host of infra2 runs infra3 (3), and not 2
      remedy: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again
    --
    data_in_use: the process on the host of infra2 calls itself infra3
      remedy: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again
    --
    data_in_use: nobody can tell whose process runs on the host of infra2: there are files, and none of them is a WAL file
      remedy: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again
    --
    data_in_use: nobody can tell whose process runs on the host of infra2: there are no data where the profile says they are
      remedy: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again
    --
    --
    --
    data_in_use: on the host of infra2 runs infra3 (3), and not infra2
      remedy: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again
    --
    data_in_use: the data of infra2 on its host are those of infra3 (3), which is a member
      remedy: look whether the profile names the right host and data dir; that member needs its data
    --
    data_missing: infra2 has run before, and there are no data of it on its host, so it cannot come back
      remedy: `member replace infra2` makes it a new member; if it has data, correct data_dir in the profile
    --
    data_missing: infra2 has run before, and there are no data of it on its host, so it cannot come back
      remedy: `member replace infra2` makes it a new member; if it has data, correct data_dir in the profile
    --
    --
    --
    ");
}

#[test]
fn of_alarms_and_versions_on_their_way() {
    let restart = Action::RestartMember { id: MemberId(2), name: "infra2".to_owned() };
    let defragment = Action::Defragment { id: MemberId(2) };
    let mut frozen = healthy();
    frozen[1] = member(2, State::Down, false, Some(1), 0);
    let mut downgraded = view(healthy(), vec![]);
    if let Some(Ok(status)) = &mut downgraded.members[0].status {
        status.downgrade_target = Some("3.5.0".to_owned());
    }
    let mut ready = downgraded.clone();
    for member in &mut ready.members {
        if let Some(Ok(status)) = &mut member.status {
            status.storage_version = Some("3.5.0".to_owned());
        }
    }
    let corrupt = |id| with_alarm(view(healthy(), vec![]), id, AlarmKind::Corrupt);
    let cases = [
        (corrupt(2), &restart),
        (corrupt(0), &restart),
        (view(frozen.clone(), vec![]), &defragment),
        // Its version is not known.
        (view(frozen, vec![]), &Action::EnableDowngrade { version: "3.5".to_owned() }),
        (downgraded.clone(), &defragment),
        (downgraded.clone(), &Action::RemoveMember { id: MemberId(2) }),
        // Restarts are how the older version comes, when the data are ready for it.
        (downgraded.clone(), &restart),
        (ready, &restart),
    ];
    let all = cases.map(|(view, action)| told(&check(action, &view))).join("--\n");
    insta::assert_snapshot!(all, @"
    corrupt_alarm: infra2 (2) has a CORRUPT alarm, so the members' data differ
      remedy: `hash` shows who differs; replace infra2 first
    --
    corrupt_alarm: a member that nobody could tell has a CORRUPT alarm, so the members' data differ
      remedy: `hash` shows who differs; replace that member first
    --
    not_serving: infra2 does not serve, and only who serves can be defragmented
      remedy: bring it back first; `health` says what is wrong with it
    --
    others_unhealthy: nobody knows which version runs on infra2, and all have to go back together
      remedy: bring it back first; `health` says what is wrong with it
    --
    version_skew: a downgrade to 3.5 is under way
      remedy: finish it, or take it back with `downgrade cancel`
    --
    version_skew: a downgrade to 3.5 is under way
      remedy: finish it, or take it back with `downgrade cancel`
    --
    version_skew: the data of infra1, infra2, infra3 is not known to be ready for 3.5; replace no etcd yet
      remedy: `downgrade status` says when it is ready
    --
    ");
}

fn objections(view: &ClusterView, args: Args) -> String {
    let plan = MemberReplace::plan(view, args).unwrap();
    approve(plan, view, &[]).err().map(|refused| told(&refused.refusals)).unwrap_or_default()
}

#[test]
fn of_who_is_replaced() {
    let mut standing = healthy();
    standing.push(member(4, State::Healthy, true, Some(1), 0));
    let learner = view(standing, (1..=4).map(|id| host(id, Process::Running, of(id))).collect());
    // A run that was stopped before it removed anybody, and is gone on with when its member has moved.
    let mut moved = view(healthy(), vec![host(9, Process::Stopped, Data::None)]);
    let by_id = || Args { name: Some("infra9".to_owned()), peer_urls: vec![url(9)], ..args("dead") };
    let not_removed = objections(&moved, by_id());
    moved.facts.removed = vec![MemberId(0xdead)];
    let lost_host = HostSeen { ..host(2, Process::Unknown, Data::Unknown("ssh said no".to_owned())) };
    let mut gone = with(Some(member(2, State::Down, false, Some(1), 0)), lost_host);
    let Hosting::Drivers(hosts) = &mut gone.hosting else { unreachable!() };
    hosts.push(HostSeen { peer_urls: None, ..host(4, Process::Stopped, Data::None) });
    let elsewhere = Args { name: Some("infra4".to_owned()), peer_urls: vec![url(4)], ..args("infra2") };
    let all =
        [objections(&learner, args("infra4")), not_removed, objections(&moved, by_id()), objections(&gone, elsewhere)];
    insta::assert_snapshot!(all.join("--\n"), @"
    not_a_voter: infra4 (4) is a learner, its replacement would vote, and 4 voters tolerate no more failures than 3 do
      remedy: for a learner that learns anew use `member remove` and `member add`; to give it its vote, `member promote`
    --
    not_a_member: dead is not a member, and 4 voters tolerate no more failures than 3 do
      remedy: see `member list` for the name; to go on with a replacement that was interrupted, use `change resume`; to take a further member in, use `member add`
    --
    --
    process_unknown: nobody can tell whether the process of infra2 runs: ssh said no
      remedy: make its host reachable, or make sure that it is off; then it is removed without being stopped
    ");
}

/// The trap of etcd issues 10254, 20269 and 21178, by what the journal holds: the id that was removed.
#[test]
fn a_member_that_joined_and_lost_its_data_goes_again_by_its_journal_too() {
    let journalled = || Args { name: Some("infra2".to_owned()), peer_urls: vec![url(2)], ..args("2") };
    let all =
        "save_snapshot stop_member remove_member add_member start_member promote_member compare_hashes await_healthy";
    for learner in [true, false] {
        let lost = with(Some(again(7, State::Down, learner)), host(2, Process::Stopped, Data::None));
        assert_eq!(words(&MemberReplace::plan(&lost, journalled()).unwrap()), all);
        let old = with(Some(again(7, State::Down, learner)), host(2, Process::Stopped, of(2)));
        let all = all.replace("add_member", "set_data_aside add_member");
        assert_eq!(words(&MemberReplace::plan(&old, journalled()).unwrap()), all);
        let own = with(Some(again(7, State::Down, learner)), host(2, Process::Stopped, of(7)));
        assert!(!words(&MemberReplace::plan(&own, journalled()).unwrap()).contains("remove_member"));
    }
}

#[test]
fn a_cluster_of_one_moves() {
    let hosts = vec![host(1, Process::Running, of(1)), host(4, Process::Stopped, Data::None)];
    let one = view(vec![member(1, State::Healthy, false, Some(1), 0)], hosts);
    let moves = Args { name: Some("infra4".to_owned()), peer_urls: vec![url(4)], ..args("infra1") };
    let plan = MemberReplace::plan(&one, moves).unwrap();
    let all =
        "save_snapshot add_member start_member promote_member remove_member stop_member compare_hashes await_healthy";
    assert_eq!(words(&plan), all);
    assert_eq!(approve(plan, &one, &[]).map(drop).map_err(|refused| told(&refused.refusals)), Ok(()));
}

#[test]
fn alarms_go_with_their_member() {
    let view = with_alarm(view(healthy(), vec![]), 2, AlarmKind::NoSpace);
    let plan = MemberRemove::plan(&view, remove::Args { member: args("infra2").member }).unwrap();
    assert_eq!(words(&plan), "remove_member disarm_alarm");
    // That of nobody knows whom is not over when a member goes.
    let zero = with_alarm(
        with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(2))),
        0,
        AlarmKind::Corrupt,
    );
    assert!(!words(&MemberReplace::plan(&zero, args("infra2")).unwrap()).contains("disarm_alarm"));
}

/// Sizes and quotas of three members.
fn sized(sizes: [Option<(i64, Option<i64>)>; 3]) -> ClusterView {
    let mut members = healthy();
    for (member, size) in members.iter_mut().zip(sizes) {
        match (&mut member.status, size) {
            (Some(Ok(status)), Some((size, quota))) => (status.db_size, status.db_quota) = (size, quota),
            (status, _) => *status = self::member(9, State::Down, false, None, 0).status,
        }
    }
    view(members, vec![])
}

#[test]
fn of_room_that_nobody_has_seen() {
    let room = Some((10, Some(100)));
    let cases = [sized([room, room, room]), sized([room, None, room]), sized([room, Some((99, None)), room])];
    let all = cases.map(|view| full(&view, None).map_or_else(String::new, |refusal| told(&[refusal]))).join("--\n");
    insta::assert_snapshot!(all, @"
    --
    space_not_free: nobody knows whether there is room on who does not answer: infra2
      remedy: bring it back first; `health` says what is wrong with it
    --
    space_not_free: nobody knows whether there is room on who does not tell its quota: infra2
      remedy: give quota, as their --quota-backend-bytes has it (2 GiB where it has not)
    ");
    assert!(full(&sized([room, Some((99, None)), room]), Some(1000)).is_none());
}

#[test]
fn of_space_that_cannot_be_had() {
    let mut values = sized([Some((95, Some(100))); 3]);
    values.facts.live = Some(91);
    let mut learner = sized([Some((95, Some(100))); 3]);
    learner.members[2].member.is_learner = true;
    let planned = |view: &ClusterView| {
        let plan =
            SpaceRecover::plan(view, Space { keep: 0, quota: None::<Bytes>, snapshot: None, revision: None }).unwrap();
        approve(plan, view, &[]).err().map(|refused| told(&refused.refusals)).unwrap_or_default()
    };
    insta::assert_snapshot!([planned(&values), planned(&learner)].join("--\n"), @"
    space_not_free: the newest values alone hold 91 B of a quota of 100 B
      remedy: delete keys, or raise --quota-backend-bytes on every member; then run this again
    --
    space_not_free: the learner infra3 is full, and etcd defragments no learner
      remedy: promote it first, or remove it and add it again afterwards
    quorum_at_risk: defragmenting it would leave 1 of 2 voters healthy; quorum needs 2
      remedy: so few voters can do without none of them; add one first, with `member add` and `member promote`
    ");
    values.facts.live = Some(80);
    assert_eq!(planned(&values), "");
}

#[test]
fn a_second_learner_is_refused_with_what_to_do_about_the_first() {
    let mut members = healthy();
    members.push(member(4, State::Healthy, true, Some(1), 0));
    let add = Action::AddMember { name: "infra5".to_owned(), peer_urls: vec![url(5)], learner: true };
    insta::assert_snapshot!(told(&check(&add, &view(members, vec![]))), @"
    server_would_refuse: the server would answer: etcdserver: too many learner members in cluster
      remedy: give the learner that there is its vote with `member promote`, or take it out with `member remove`
    ");
}
