//! What the guards say of single cases: a step that was taken before, one that only needs time, and URLs that lose a member.

use rstest::rstest;

use crate::change::exhaustive::{State, member};
use crate::change::guard::{MAX_LAG, approve, approve_in_time, check};
use crate::change::plan::{Action, Plan};
use crate::change::view::{ClusterView, MemberView};
use crate::error::Fault;
use crate::id::{ClusterId, MemberId};

/// Three healthy voters, and others.
fn three_and(others: impl IntoIterator<Item = MemberView>) -> ClusterView {
    let voters = (1..=3).map(|id| member(id, State::Healthy, false, Some(1), 0));
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members: voters.chain(others).collect(),
        alarms: vec![],
        hosting: Default::default(),
        facts: Default::default(),
    }
}

fn add(name: &str, urls: &[&str], learner: bool) -> Action {
    let peer_urls = urls.iter().map(|url| (*url).to_owned()).collect();
    Action::AddMember { name: name.to_owned(), peer_urls, learner }
}

fn update(id: u64, url: &str) -> Action {
    Action::UpdatePeerUrls { id: MemberId(id), peer_urls: vec![url.to_owned()] }
}

fn codes(action: &Action, view: &ClusterView) -> Vec<&'static str> {
    check(action, view).into_iter().map(|refusal| refusal.code.word()).collect()
}

const NINTH: &str = "http://10.0.0.9:2380";

#[rstest]
#[case::the_same_again(add("infra9", &[NINTH], true), (State::Unstarted, true), &[])]
#[case::a_slash_more(add("infra9", &["http://10.0.0.9:2380/"], true), (State::Unstarted, true), &[])]
#[case::the_same_voter(add("infra9", &[NINTH], false), (State::Unstarted, false), &[])]
#[case::another_kind(add("infra9", &[NINTH], false), (State::Unstarted, true), &["peer_url_in_use", "server_would_refuse"])]
#[case::the_other_kind(add("infra9", &[NINTH], true), (State::Unstarted, false), &["peer_url_in_use", "server_would_refuse"])]
#[case::one_url_more(
    add("infra9", &[NINTH, "http://10.0.0.8:2380"], true), (State::Unstarted, true),
    &["peer_url_in_use", "server_would_refuse"]
)]
#[case::one_that_runs(
    add("infra8", &[NINTH], true), (State::Healthy, true), &["peer_url_in_use", "server_would_refuse"]
)]
#[case::one_that_is_down(add("infra8", &[NINTH], false), (State::Down, false), &["peer_url_in_use", "server_would_refuse"])]
#[case::a_name_that_is_taken(add("infra1", &[NINTH], true), (State::Unstarted, true), &["name_in_use"])]
fn a_member_is_added_once(#[case] action: Action, #[case] there: (State, bool), #[case] expected: &[&str]) {
    let (state, learner) = there;
    let view = three_and([member(9, state, learner, Some(1), 0)]);
    let found = codes(&action, &view);
    assert_eq!(found, expected);
    let again = found.is_empty() || expected == ["name_in_use"];
    let detail = "member 9 with these peer URLs was added before, and has not started yet";
    assert_eq!(view.already(&action), again.then(|| detail.to_owned()));
    // What is there already is not there twice afterwards.
    assert_eq!(view.after(&action).members.len(), if again { 4 } else { 5 });
    // A list that no quorum confirms does not tell.
    assert_eq!(ClusterView { confirmed: false, ..view }.already(&action), None);
}

#[rstest]
#[case::its_own(update(2, "http://10.0.0.2:2380"), &[])]
#[case::a_free_one(update(2, "http://10.0.0.5:2380"), &[])]
#[case::that_of_another(update(2, "http://10.0.0.1:2380"), &["peer_url_in_use", "server_would_refuse"])]
#[case::another_scheme(update(2, "https://10.0.0.2:2380"), &["peer_scheme_differs"])]
fn a_peer_url_that_loses_the_member_is_refused(#[case] action: Action, #[case] expected: &[&str]) {
    assert_eq!(codes(&action, &three_and([])), expected);
}

#[test]
fn a_cluster_that_moves_to_tls_goes_on_as_it_likes() {
    let mut view = three_and([]);
    view.members[0].member.peer_urls = vec!["https://10.0.0.1:2380".to_owned()];
    assert_eq!(codes(&update(2, "https://10.0.0.2:2380"), &view), [""; 0]);
    assert_eq!(codes(&update(1, "http://10.0.0.1:2380"), &view), [""; 0]);
    // The other two agree with each other, so this one is on its own with it.
    assert_eq!(codes(&update(1, "https://10.0.0.5:2380"), &view), ["peer_scheme_differs"]);
}

#[rstest]
#[case::in_time(State::Healthy, MAX_LAG, [true, true])]
#[case::a_little_behind(State::Healthy, MAX_LAG + 1, [false, true])]
#[case::further_than_the_server_allows(State::Healthy, 900, [false, true])]
#[case::it_does_not_answer(State::Down, 0, [false, false])]
#[case::it_never_started(State::Unstarted, 0, [false, false])]
fn a_lag_passes_with_time(#[case] state: State, #[case] lag: i64, #[case] good: [bool; 2]) {
    let view = three_and([member(9, state, true, Some(1), lag)]);
    let plan = || Plan::new("member promote", &view).then(Action::PromoteMember { who: MemberId(9).into() }, "");
    let code =
        |approved: Result<_, crate::change::guard::Refused>| approved.map(drop).map_err(|refused| refused.code());
    let expected = |good: bool| if good { Ok(()) } else { Err("learner_lagging") };
    assert_eq!(code(approve(plan(), &view, &[])), expected(good[0]));
    assert_eq!(code(approve_in_time(plan(), &view, &[])), expected(good[1]));
}

#[test]
fn what_time_does_not_heal_is_refused_at_once_and_with_everything() {
    let mut view = three_and([member(9, State::Healthy, true, Some(1), 500)]);
    view.members[1] = member(2, State::Down, false, Some(1), 0);
    view.members[2] = member(3, State::Cut, false, Some(1), 0);
    let plan = Plan::new("member promote", &view).then(Action::PromoteMember { who: MemberId(9).into() }, "");
    let refused = approve_in_time(plan, &view, &[]).unwrap_err();
    let codes: Vec<_> = refused.refusals.iter().map(|refusal| refusal.code.word()).collect();
    assert_eq!(codes, ["no_quorum", "learner_lagging", "server_would_refuse"]);
}

#[rstest]
#[case::all_ask_for_another_user(&[true, true, true], false)]
#[case::one_does_and_the_others_are_down(&[true, false, false], false)]
#[case::all_are_down(&[false, false, false], true)]
fn a_view_without_the_right_user_says_nothing_of_a_quorum(#[case] asks: &[bool], #[case] admitted: bool) {
    use crate::change::view::Failure;
    let mut view = three_and([]);
    for (member, asks) in view.members.iter_mut().zip(asks) {
        let (code, message) = if *asks { ("unauthenticated", "user name is empty") } else { ("timeout", "no answer") };
        member.linearizable = Some(Err(Failure::unasked(code, message)));
    }
    let one_serves = ClusterView { members: [view.clone().members, three_and([]).members].concat(), ..view.clone() };
    assert_eq!(one_serves.clone().admitted().unwrap(), one_serves);
    assert_eq!(
        view.admitted().map(drop).map_err(|error| error.code()),
        if admitted { Ok(()) } else { Err("unauthenticated") }
    );
}
