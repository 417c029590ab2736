//! Every cluster of one to five voters, with and without a learner, in every state of health, against every action: what the
//! guards let through never costs the quorum. The arithmetic is written out a second time here, so that a mistake in the view
//! cannot hide itself.

use std::time::Duration;

use rstest::rstest;

use crate::change::guard::check;
use crate::change::plan::{Action, Who};
use crate::change::server;
use crate::change::view::{ClusterView, Failure, MemberView};
use crate::id::{ClusterId, MemberId, Revision};
use crate::member::Member;
use crate::rpc::Status;

/// How one member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Healthy,
    /// It answers, but serves no linearizable read.
    Cut,
    Down,
    Unstarted,
}

const STATES: [State; 4] = [State::Healthy, State::Cut, State::Down, State::Unstarted];

fn status(id: u64, leader: Option<u64>, learner: bool, lag: i64) -> Status {
    Status {
        cluster_id: ClusterId(1),
        member_id: MemberId(id),
        version: "3.6.16".to_owned(),
        storage_version: None,
        db_size: 0,
        db_in_use: 0,
        db_quota: None,
        leader: leader.map(MemberId),
        raft_term: 2,
        raft_index: 1000,
        raft_applied_index: 1000 - lag,
        is_learner: learner,
        revision: Revision(1),
        errors: Vec::new(),
        downgrade_target: None,
    }
}

/// Builds a member in a certain state.
pub(crate) fn member(id: u64, state: State, learner: bool, leader: Option<u64>, lag: i64) -> MemberView {
    let started = state != State::Unstarted;
    let gone = || Failure::unasked("unreachable", "refused");
    MemberView {
        member: Member {
            id: MemberId(id),
            name: if started { format!("infra{id}") } else { String::new() },
            peer_urls: vec![format!("http://10.0.0.{id}:2380")],
            client_urls: if started { vec![format!("http://10.0.0.{id}:2379")] } else { Vec::new() },
            is_learner: learner,
        },
        endpoint: None,
        status: match state {
            State::Healthy | State::Cut => Some(Ok(status(id, leader, learner, lag))),
            State::Down => Some(Err(gone())),
            State::Unstarted => None,
        },
        serializable: match state {
            State::Healthy | State::Cut => Some(Ok(())),
            State::Down => Some(Err(gone())),
            State::Unstarted => None,
        },
        linearizable: match state {
            State::Healthy if !learner => Some(Ok(())),
            State::Cut | State::Down if !learner => Some(Err(gone())),
            _ => None,
        },
        latency: Some(Duration::from_millis(1)),
    }
}

/// Calls `judge` with every cluster of `voters` voters; the learner, if any, has the id 9.
fn every_cluster(voters: u32, mut judge: impl FnMut(&ClusterView, &[State])) {
    for code in 0..4_usize.pow(voters) {
        let states: Vec<State> = (0..voters).map(|at| STATES[code / 4_usize.pow(at) % 4]).collect();
        let leaders = states.iter().zip(1..).filter(|(s, _)| **s == State::Healthy).map(|(_, id)| Some(id));
        for leader in leaders.chain([None]) {
            for learner in [None, Some((State::Healthy, 0)), Some((State::Healthy, 500)), Some((State::Unstarted, 0))] {
                let mut members: Vec<_> =
                    states.iter().zip(1..).map(|(state, id)| member(id, *state, false, leader, 0)).collect();
                members.extend(learner.map(|(state, lag)| member(9, state, true, leader, lag)));
                let view = ClusterView {
                    cluster_id: ClusterId(1),
                    confirmed: leader.is_some(),
                    members,
                    alarms: vec![],
                    hosting: Default::default(),
                    facts: Default::default(),
                };
                judge(&view, &states);
            }
        }
    }
}

fn stop(id: MemberId) -> Action {
    Action::StopMember { id, name: String::new() }
}

fn every_action(view: &ClusterView) -> Vec<Action> {
    let peer_urls = vec!["http://10.0.0.77:2380".to_owned()];
    let mut actions: Vec<Action> = [true, false]
        .map(|learner| Action::AddMember { name: "new".to_owned(), peer_urls: peer_urls.clone(), learner })
        .to_vec();
    for id in view.members.iter().map(|m| m.member.id) {
        actions.push(Action::RemoveMember { id });
        actions.push(Action::PromoteMember { who: id.into() });
        actions.push(Action::UpdatePeerUrls { id, peer_urls: peer_urls.clone() });
        actions.push(Action::MoveLeader { to: id, from: None });
        actions.push(stop(id));
        actions.push(Action::RestartMember { id, name: String::new() });
        actions.push(Action::Defragment { id });
    }
    actions
}

/// Counts voters, and healthy ones, as they would be afterwards, from the states alone.
fn afterwards(states: &[State], action: &Action, knows_leader: bool) -> (usize, usize) {
    let healthy = |s: &State| *s == State::Healthy && knows_leader;
    let mut voters = states.len();
    let mut alive = states.iter().filter(|s| healthy(s)).count();
    let is_healthy = |id: &MemberId| usize::try_from(id.0 - 1).ok().and_then(|at| states.get(at)).is_some_and(healthy);
    let votes = |id: &MemberId| id.0 <= states.len() as u64;
    match action {
        Action::AddMember { learner: false, .. } => voters += 1,
        Action::RemoveMember { id } if votes(id) => {
            voters -= 1;
            alive -= usize::from(is_healthy(id));
        }
        Action::PromoteMember { who: Who::Id(id) } if !votes(id) => {
            voters += 1;
            alive += 1;
        }
        Action::StopMember { id, .. } | Action::UpdatePeerUrls { id, .. } => alive -= usize::from(is_healthy(id)),
        _ => {}
    }
    (voters, alive)
}

#[rstest]
fn no_approved_step_costs_the_quorum(#[values(1, 2, 3, 4, 5)] voters: u32) {
    let (mut judged, mut approved) = (0, 0);
    every_cluster(voters, |view, states| {
        for action in every_action(view) {
            judged += 1;
            if !check(&action, view).is_empty() {
                continue;
            }
            approved += 1;
            let (left, alive) = afterwards(states, &action, view.leader().is_some());
            assert!(left > 0 && alive > left / 2, "{action:?} in {states:?} leaves {alive} of {left}");
            let next = view.after(&action);
            assert_eq!((next.voters().count(), next.healthy_voters()), (left, alive), "{action:?} in {states:?}");
            // What the server would refuse is never approved either, unless it will not be asked.
            if view.already(&action).is_none() {
                assert_eq!(server::accepts(&action, view), Ok(()), "{action:?} in {states:?}");
            }
        }
    });
    // A test that approves nothing would prove nothing.
    assert!(approved > 0 && approved < judged, "{approved} of {judged} approved");
}

#[rstest]
fn a_healthy_cluster_allows_what_operators_do_every_day(#[values(3, 4, 5)] voters: u64) {
    let mut members: Vec<_> = (1..=voters).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect();
    members.push(member(9, State::Healthy, true, Some(1), 0));
    let view = ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: vec![],
        hosting: Default::default(),
        facts: Default::default(),
    };
    let id = MemberId(2);
    for action in [
        Action::RemoveMember { id },
        stop(id),
        Action::MoveLeader { to: id, from: None },
        Action::PromoteMember { who: MemberId(9).into() },
        Action::RemoveMember { id: MemberId(9) },
    ] {
        assert!(check(&action, &view).is_empty(), "{action:?}: {:?}", check(&action, &view));
    }
}

#[test]
fn a_member_that_is_down_can_be_removed_while_the_others_hold() {
    let members = vec![
        member(1, State::Healthy, false, Some(1), 0),
        member(2, State::Down, false, Some(1), 0),
        member(3, State::Healthy, false, Some(1), 0),
    ];
    let view = ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: vec![],
        hosting: Default::default(),
        facts: Default::default(),
    };
    assert!(check(&Action::RemoveMember { id: MemberId(2) }, &view).is_empty());
    let refusals = check(&Action::RemoveMember { id: MemberId(3) }, &view);
    assert_eq!(refusals[0].code.word(), "quorum_at_risk");
    assert_eq!(refusals[0].message, "removing it would leave 1 of 2 voters healthy; quorum needs 2");
}
