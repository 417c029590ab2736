//! What operators mistake, and what must not happen then. Nothing here needs a cluster.

use super::procedures::{args, host, of, url, with};
use crate::change::Change;
use crate::change::exhaustive::{State, member};
use crate::change::guard::{Code, approve, check};
use crate::change::plan::Action;
use crate::change::view::ClusterView;
use crate::error::{Error, Result};
use crate::host::{Data, Process};
use crate::id::MemberId;
use crate::ops::compact::{self, Compact};
use crate::ops::member::replace::{Args, MemberReplace};
use crate::ops::rolling_restart::{self, RollingRestart};
use crate::ops::space::recover::{self, SpaceRecover};
use crate::tests::shown;
use crate::units::{Bytes, Elapsed};

fn replaced(view: &ClusterView, args: Args) -> Result<()> {
    let plan = MemberReplace::plan(view, args)?;
    approve(plan, view, &[]).map(drop).map_err(Error::from)
}

fn three() -> ClusterView {
    with(Some(member(2, State::Healthy, false, Some(1), 0)), host(2, Process::Running, of(2)))
}

#[test]
fn a_replacement_takes_nobodys_place_by_mistake() {
    let mut view = three();
    let crate::change::Hosting::Drivers(hosts) = &mut view.hosting else { unreachable!() };
    hosts.push(host(4, Process::Stopped, of(0xdead)));
    let to = |name: &str, urls: &[u64]| Args {
        name: Some(name.to_owned()),
        peer_urls: urls.iter().map(|id| url(*id)).collect(),
        ..args("infra3")
    };
    let moved_twice = args("infra4");
    let mistyped = Args { member: crate::member::MemberRef("infr2".to_owned()), ..to("infra4", &[4]) };
    let errors = [
        replaced(&view, to("infra4", &[1])).unwrap_err(),
        replaced(&view, Args { name: None, ..to("", &[1]) }).unwrap_err(),
        replaced(&view, moved_twice).unwrap_err(),
        replaced(&view, mistyped).unwrap_err(),
        replaced(&view, to("", &[4])).unwrap_err(),
        replaced(&view, to("a,b=c", &[4])).unwrap_err(),
        replaced(&view, to("../../evil", &[4])).unwrap_err(),
        replaced(&view, to("-x", &[4])).unwrap_err(),
    ];
    insta::assert_snapshot!(shown(errors), @r#"
    invalid_argument (peer_urls): the argument peer_urls is where infra1 (1) is reached
      help: give the new member an address of its own
    invalid_argument (peer_urls): the argument peer_urls is where infra1 (1) is reached
      help: give the new member an address of its own
    not_a_member: member replace is refused: infra4 is not a member, and 4 voters tolerate no more failures than 3 do
      help: see `member list` for the name; to go on with a replacement that was interrupted, use `change resume`; to take a further member in, use `member add`. To do it all the same, allow not_a_member
    not_a_member: member replace is refused: infr2 is not a member, and 4 voters tolerate no more failures than 3 do
      help: see `member list` for the name; to go on with a replacement that was interrupted, use `change resume`; to take a further member in, use `member add`. To do it all the same, allow not_a_member
    invalid_argument (name): the argument name cannot be ""
      help: give a name without blanks, commas, equals signs, quotes and slashes, such as infra4
    invalid_argument (name): the argument name cannot be "a,b=c"
      help: give a name without blanks, commas, equals signs, quotes and slashes, such as infra4
    invalid_argument (name): the argument name cannot be "../../evil"
      help: give a name without blanks, commas, equals signs, quotes and slashes, such as infra4
    invalid_argument (name): the argument name cannot be "-x"
      help: give a name without blanks, commas, equals signs, quotes and slashes, such as infra4
    "#);
    // Two of a name: neither of them has gone.
    let mut twins = three();
    twins.members.iter_mut().filter(|m| m.member.id == MemberId(3)).for_each(|m| m.member.name = "infra2".to_owned());
    let ambiguous = replaced(&twins, args("infra2")).unwrap_err();
    // A learner that waits for its start takes the place of a voter that has gone, and here none has.
    let mut waits = three();
    waits.members.push(member(4, State::Unstarted, true, Some(1), 0));
    let crate::change::Hosting::Drivers(hosts) = &mut waits.hosting else { unreachable!() };
    hosts.push(host(4, Process::Stopped, Data::None));
    let mut grows = args("4");
    grows.name = Some("infra4".to_owned());
    let grows = replaced(&waits, grows).unwrap_err();
    insta::assert_snapshot!(shown([ambiguous, grows]), @r#"
    member_ambiguous (member): several members are named "infra2": infra2 (3), infra2 (2)
      help: name it by its id
    not_a_voter: member replace is refused: 4 is a learner, its replacement would vote, and 4 voters tolerate no more failures than 3 do
      help: for a learner that learns anew use `member remove` and `member add`; to give it its vote, `member promote`. To do it all the same, allow not_a_voter
    "#);
    // Where one has gone, it is plausible that it is the one that is named.
    let gone = with(None, host(2, Process::Stopped, of(2)));
    assert!(replaced(&gone, args("infra2")).is_ok());
}

#[test]
fn a_stranger_is_not_stopped_in_place_of_a_member() {
    let view = three();
    let stop = |id: u64| Action::StopMember { id: MemberId(id), name: "infra2".to_owned() };
    assert!(check(&stop(2), &view).is_empty());
    let refusals = check(&stop(9), &view).into_iter().map(|refusal| {
        Error::from(crate::change::guard::Refused { operation: "member replace", refusals: vec![refusal] })
    });
    insta::assert_snapshot!(shown(refusals), @"
    data_in_use: member replace is refused: on the host of infra2 runs infra2 (2), and not 9
      help: look whether the profile names the right host and folders; if the member was replaced meanwhile, run it again. To do it all the same, allow data_in_use
    ");
    // Somebody else's old data are no member's.
    let old = with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(0xdead)));
    assert!(check(&stop(2), &old).is_empty());
    let none = with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, Data::None));
    assert!(check(&stop(2), &none).is_empty());
}

#[test]
fn who_is_told_that_there_is_no_quorum_is_told_what_is_missing() {
    let remove = Action::RemoveMember { id: MemberId(2) };
    let refused = |view: &ClusterView| {
        let refusals = check(&remove, view).into_iter().filter(|refusal| refusal.code == Code::NoQuorum).collect();
        Error::from(crate::change::guard::Refused { operation: "member remove", refusals })
    };
    let unconfirmed = ClusterView { confirmed: false, ..three() };
    let mut down = with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(2)));
    down.members.retain(|m| m.member.id != MemberId(3));
    insta::assert_snapshot!(shown([refused(&unconfirmed), refused(&down)]), @"
    no_quorum: member remove is refused: 3 of 3 voters are healthy, but no quorum has confirmed in time who the members are
      help: run it again; if it is refused again, see what `quorum` says. To do it all the same, allow no_quorum
    no_quorum: member remove is refused: 1 of 2 voters are healthy; a change needs a quorum of 2
      help: bring voters back first; `health` names those that are down. To do it all the same, allow no_quorum
    ");
}

#[test]
fn whom_we_have_taken_down_is_brought_back_first() {
    let down = || with(Some(member(2, State::Down, false, Some(1), 0)), host(2, Process::Stopped, of(2)));
    let restart = |view: &ClusterView| {
        let args = rolling_restart::Args { restart: None, members: None, settle: Elapsed(0) };
        let plan = RollingRestart::plan(view, args).unwrap();
        let first = plan.steps[0].action.target().unwrap().0;
        approve(plan, view, &[]).map(|_| first)
    };
    // Whoever finds it down does not know why, and takes nobody else away.
    let refused = restart(&down()).unwrap_err();
    insta::assert_snapshot!(shown([refused.into()]), @"
    others_unhealthy: rolling-restart is refused: another voter does not serve: infra2; restarting it would leave 1 of 3 voters healthy; quorum needs 2
      help: bring it back first; `health` says what is wrong with it, and `rolling-restart` of it alone starts it again; bring the other voters back first; `health` names those that are down. To do it all the same, allow others_unhealthy, quorum_at_risk
    ");
    let mut view = down();
    view.facts.taken_down = Some(MemberId(2));
    assert_eq!(restart(&view).unwrap(), 2);
    // It does not make up for another one.
    view.facts.taken_down = Some(MemberId(3));
    assert!(restart(&view).is_err());
}

#[test]
fn numbers_that_make_no_sense_are_not_made_up_for() {
    let view = three();
    let recover = |keep, revision, quota: i64| {
        let args = recover::Args { keep, quota: Some(Bytes(quota)), snapshot: None, revision };
        SpaceRecover::plan(&view, args).map(drop).unwrap_err()
    };
    let compact = |revision| {
        let args = compact::Args { revision: Some(revision), keep: None, age: None, physical: false };
        Compact::plan(&view, args).map(drop).unwrap_err()
    };
    let nobody = rolling_restart::Args { restart: None, members: Some(Vec::new()), settle: Elapsed(0) };
    let errors = [
        recover(-1, None, 1),
        recover(0, Some(1_000_000), 1),
        recover(0, Some(0), 1),
        recover(0, None, 0),
        compact(0),
        compact(-5),
        RollingRestart::plan(&view, nobody).map(drop).unwrap_err(),
    ];
    insta::assert_snapshot!(shown(errors), @"
    invalid_argument (keep): the argument keep cannot be less than nothing
      help: give how many revisions stay
    invalid_argument (revision): the argument revision is 1000000, and the newest is 1
      help: give one that the cluster has reached
    invalid_argument (revision): the argument revision is 0, and revisions begin at 1
      help: give the oldest revision that is to stay
    invalid_argument (quota): the argument quota is no size
      help: give it as --quota-backend-bytes has it (2 GiB where it has not)
    invalid_argument (revision): the argument revision is 0, and revisions begin at 1
      help: give the oldest revision that is to stay
    invalid_argument (revision): the argument revision is -5, and revisions begin at 1
      help: give the oldest revision that is to stay
    invalid_argument (members): the argument members names nobody who has started
      help: `member list` shows which members have started
    ");
}

#[test]
fn what_came_between_is_told() {
    use crate::change::failed::Alarmed;
    use crate::change::guard::Refused;
    use crate::rpc::AlarmKind;
    let alarmed = |alarm| Alarmed { member: "infra2".to_owned(), alarm };
    let errors: [Error; 3] = [
        Refused::stale("member replace").into(),
        alarmed(AlarmKind::NoSpace).into(),
        alarmed(AlarmKind::Corrupt).into(),
    ];
    insta::assert_snapshot!(shown(errors), @"
    stale_plan: member replace is refused: the members are not those any more for which it was planned
      help: run it again, so that it is planned for the members that are there. To do it all the same, allow stale_plan
    member_alarmed: infra2 has the alarm NOSPACE
      help: its database has outgrown the quota, as after many old values were copied: `space recover` makes room
    member_alarmed: infra2 has the alarm CORRUPT
      help: `hash` shows whose data differ; `member replace` makes a new member of it
    ");
}
