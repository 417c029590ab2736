//! What is said of hashes that agree, differ, or cannot be compared.

use rstest::rstest;

use super::judge::{Asked, judge, own, passes, refusal};
use super::*;
use crate::change::exhaustive::{State, member};
use crate::id::ClusterId;
use crate::rpc::HashKv;

/// A cluster of so many voters, with what makes its members differ.
fn cluster(voters: u64, change: impl Fn(&mut Vec<MemberView>)) -> ClusterView {
    let mut members = (1..=voters).map(|id| member(id, State::Healthy, false, Some(1), 0)).collect();
    change(&mut members);
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: Vec::new(),
        hosting: Default::default(),
        facts: Default::default(),
    }
}

fn runs(members: &mut [MemberView], versions: &[&str]) {
    for (member, version) in members.iter_mut().zip(versions) {
        if let Some(Ok(status)) = &mut member.status {
            (*version).clone_into(&mut status.version);
        }
    }
}

fn gave(id: u64, hash: u32, compacted: i64) -> Asked {
    let compact_revision = Some(Revision(compacted)).filter(|revision| revision.0 > 0);
    let id = MemberId(id);
    Asked { id, answer: Ok(HashKv { member_id: id, hash, hash_revision: Some(Revision(9)), compact_revision }) }
}

/// A server before 3.6 does not say which revision it hashed.
fn old(mut asked: Asked) -> Asked {
    if let Ok(hash) = &mut asked.answer {
        hash.hash_revision = None;
    }
    asked
}

fn failed(id: u64, code: &'static str) -> Asked {
    Asked { id: MemberId(id), answer: Err(Failure::unasked(code, "no answer within 1s")) }
}

fn told(view: &ClusterView, answers: &[Asked]) -> String {
    let report = judge(view, Some(Revision(9)), answers);
    let compared: String = report.members.iter().map(|row| if row.comparable { '=' } else { '-' }).collect();
    let errors: Vec<_> = report.members.iter().filter_map(|row| row.error.clone()).collect();
    assert_eq!(report.members.len(), view.members.len());
    let errors = if errors.is_empty() { String::new() } else { format!("  {}\n", errors.join("; ")) };
    format!("{} {compared} {:?}: {}\n{errors}", report.verdict, report.minority, report.reason)
}

#[test]
fn verdicts() {
    let down = |members: &mut Vec<MemberView>| members[2] = member(3, State::Down, false, None, 0);
    let learner = |members: &mut Vec<MemberView>| members.push(member(4, State::Healthy, true, Some(1), 0));
    let unstarted = |members: &mut Vec<MemberView>| members[2] = member(3, State::Unstarted, false, None, 0);
    let mixed = |members: &mut Vec<MemberView>| runs(members, &["3.5.15", "3.5.35", "3.5.35"]);
    let three = cluster(3, |_| ());
    let all = [
        told(&three, &[gave(1, 7, 5), gave(2, 7, 5), gave(3, 7, 5)]),
        told(&three, &[old(gave(1, 7, 5)), gave(2, 7, 5), old(gave(3, 7, 5))]),
        told(&cluster(1, |_| ()), &[gave(1, 7, 0)]),
        told(&cluster(3, learner), &[gave(1, 7, 5), gave(2, 7, 5), gave(3, 7, 5)]),
        told(&three, &[gave(1, 8, 5), gave(2, 7, 5), gave(3, 7, 5)]),
        told(&cluster(5, |_| ()), &[gave(1, 8, 5), gave(2, 7, 5), gave(3, 7, 5), gave(4, 9, 5), gave(5, 7, 5)]),
        told(&cluster(2, |_| ()), &[gave(1, 8, 5), gave(2, 7, 5)]),
        told(&three, &[gave(1, 8, 5), gave(2, 7, 5), failed(3, "timeout")]),
        told(&three, &[gave(1, 7, 5), gave(2, 7, 5), failed(3, "timeout")]),
        told(&cluster(3, down), &[gave(1, 7, 5), gave(2, 7, 5)]),
        told(&cluster(3, unstarted), &[gave(1, 7, 5), gave(2, 7, 5)]),
        told(&three, &[gave(1, 7, 5), failed(2, "timeout"), failed(3, "timeout")]),
        told(&three, &[failed(1, "timeout"), failed(2, "timeout"), failed(3, "timeout")]),
        told(&three, &[gave(1, 7, 5), gave(2, 7, 5), gave(3, 8, 0)]),
        told(&three, &[gave(1, 8, 5), gave(2, 7, 5), gave(3, 7, 6)]),
        told(&cluster(3, mixed), &[gave(1, 8, 5), gave(2, 7, 5), gave(3, 7, 5)]),
        told(&cluster(3, mixed), &[gave(1, 8, 5), gave(2, 7, 5), gave(3, 9, 5)]),
        told(&cluster(3, mixed), &[gave(1, 8, 0), gave(2, 7, 0), gave(3, 7, 0)]),
    ];
    insta::assert_snapshot!(all.concat(), @r#"
    consistent === []: all 3 voters gave the same hash
    consistent === []: all 3 voters gave the same hash
    consistent - []: a single voter has nothing to be compared with
    consistent ===- []: all 3 voters gave the same hash; a learner gives none: infra4
      a learner gives no hash; ask again when it votes
    divergent === ["infra1"]: the data of infra1 differs from that of infra2, infra3, which a majority of the voters has
    divergent ===== ["infra1", "infra4"]: the data of infra1, infra4 differs from that of infra2, infra3, infra5, which a majority of the voters has
    divergent == []: infra1 and infra2 differ, and no majority of the voters has the same data: the minority is unknown
    divergent ==- []: infra1 and infra2 differ, and no majority of the voters has the same data: the minority is unknown
      no answer within 1s
    not_comparable ==- []: infra3 gave no hash; infra1, infra2 gave the same one
      no answer within 1s
    not_comparable ==- []: infra3 gave no hash; infra1, infra2 gave the same one
      refused
    not_comparable ==- []: 3 gave no hash; infra1, infra2 gave the same one
      it was added, and has never started
    not_comparable --- []: infra2, infra3 gave no hash; only infra1 did
      no answer within 1s; no answer within 1s
    not_comparable --- []: infra1, infra2, infra3 gave no hash; nobody did
      no answer within 1s; no answer within 1s; no answer within 1s
    not_comparable ==- []: their stores are not compacted alike: infra1 to 5, infra2 to 5, infra3 never
    divergent ==- []: infra1 and infra2 differ, and no majority of the voters has the same data: the minority is unknown
    not_comparable === []: infra1 and infra2, infra3 compact by different rules, because of their versions, so their hashes differ even where their data does not; ask again when all run one version
    divergent === []: infra1 and infra2, infra3 differ, and no majority of the voters has the same data: the minority is unknown
    divergent === ["infra1"]: the data of infra1 differs from that of infra2, infra3, which a majority of the voters has
    "#);
    // Compacted to the newest revision: nothing can be compared before the next write.
    let edge = [
        told(&three, &[gave(1, 7, 5), gave(2, 7, 5), gave(3, 8, 9)]),
        told(&three, &[failed(1, "compacted"), failed(2, "compacted"), failed(3, "compacted")]),
    ];
    insta::assert_snapshot!(edge.concat(), @"
    not_comparable ==- []: the store is compacted to revision 9, and nothing was written since: compare again after the next write
    not_comparable --- []: the store is compacted to revision 9, and nothing was written since: compare again after the next write
      no answer within 1s; no answer within 1s; no answer within 1s
    ");
    insta::assert_snapshot!(told(&cluster(1, |members| members[0].status = None), &[]), @"
    not_comparable - []: infra1 gave no hash; nobody did
      it was added, and has never started
    ");
}

#[test]
fn a_hash_of_another_member_does_not_count() {
    let hash = gave(2, 7, 5).answer.unwrap();
    assert_eq!(own(MemberId(2), hash), Ok(hash));
    let refused = own(MemberId(3), hash).unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), ("wrong_member", "member 2 answered in its place"));
}

#[test]
fn the_revision_is_one_that_every_voter_has() {
    let view = cluster(3, |members| {
        members.push(member(4, State::Healthy, true, Some(1), 0));
        for (member, revision) in members.iter_mut().zip([12, 10, 11, 3]) {
            if let Some(Ok(status)) = &mut member.status {
                status.revision = Revision(revision);
            }
        }
    });
    assert_eq!(view.common_revision(), Some(Revision(10)));
    let silent = cluster(3, |members| members.iter_mut().for_each(|member| member.status = None));
    assert_eq!(silent.common_revision(), None);
}

#[rstest]
#[case(&[gave(1, 7, 5), gave(2, 7, 5)], false, false)]
#[case(&[gave(1, 7, 5), gave(2, 8, 5)], false, false)]
#[case(&[gave(1, 7, 5), old(gave(2, 7, 5))], false, false)]
#[case(&[gave(1, 7, 5), gave(2, 7, 6)], true, true)]
#[case(&[gave(1, 7, 5), failed(2, "future_revision")], true, true)]
#[case(&[gave(1, 7, 5), failed(2, "compacted")], true, true)]
#[case(&[failed(1, "compacted"), failed(2, "compacted")], true, false)]
#[case(&[gave(1, 7, 5), failed(2, "timeout")], false, false)]
fn what_passes_is_asked_again(#[case] answers: &[Asked], #[case] by_itself: bool, #[case] with_revision: bool) {
    assert_eq!((passes(answers, Revision(9), false), passes(answers, Revision(9), true)), (by_itself, with_revision));
}

#[rstest]
#[case(&[failed(1, "compacted"), failed(2, "compacted")], None, Some("compacted"))]
#[case(&[failed(1, "permission_denied"), failed(2, "permission_denied")], Some("permission_denied"), Some("permission_denied"))]
#[case(&[failed(1, "timeout"), failed(2, "timeout")], None, None)]
#[case(&[failed(1, "compacted"), gave(2, 7, 5)], None, None)]
#[case(&[], None, None)]
fn what_all_refuse_is_an_error(
    #[case] answers: &[Asked],
    #[case] by_itself: Option<&str>,
    #[case] with_revision: Option<&str>,
) {
    let code = |given| refusal(answers, given).map(|failure| failure.code);
    assert_eq!((code(false), code(true)), (by_itself, with_revision));
}
