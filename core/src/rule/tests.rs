//! What rules mean, and what is said about those that mean nothing.

use rstest::rstest;

use super::*;
use crate::change::exhaustive::{State, member};
use crate::change::view::{ClusterView, MemberView};
use crate::id::ClusterId;
use crate::tests::shown;
use crate::units::Bytes;
use crate::value::{Record, Value, from_record, from_value};

/// A leader with 100 of 400 MB in use, and a follower that lags by 20 and tells no quota; and one that is down.
fn cluster() -> ClusterView {
    let mut members = vec![
        member(1, State::Healthy, false, Some(1), 0),
        member(2, State::Healthy, false, Some(1), 20),
        member(3, State::Down, false, None, 0),
        member(4, State::Healthy, true, Some(1), 0),
    ];
    for (view, quota) in members.iter_mut().zip([Some(800_000_000), None, None, None]) {
        if let Some(Ok(status)) = &mut view.status {
            (status.db_size, status.db_in_use, status.db_quota) = (400_000_000, 100_000_000, quota);
        }
    }
    if let Some(Ok(status)) = &mut members[3].status {
        (status.db_size, status.db_in_use, status.version) = (0, 0, "3.5.9".to_owned());
    }
    ClusterView {
        cluster_id: ClusterId(1),
        confirmed: true,
        members,
        alarms: Vec::new(),
        hosting: Default::default(),
        facts: Default::default(),
    }
}

fn holds(rule: &str, member: usize) -> Result<bool, Undecided> {
    let view = cluster();
    Rule::parse(rule).unwrap().holds(&Variables::of(&view, &view.members[member], None))
}

#[rstest]
#[case("true", true)]
#[case("!true || false", false)]
#[case("1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", true)]
#[case("7 % 4 == 3 && 7 / 2 == 3.5", true)]
#[case("10 - 4 - 3 == 3 && 100 / 10 / 5 == 2", true)]
#[case("-1 < 0 && - -1 > 0 && 2 > -1", true)]
#[case("1 < 2 == true && 2 >= 2 && 2 <= 2 && 1 != 2", true)]
#[case("true || true && false", true)]
#[case("!(1 > 2)", true)]
#[case("200MB == 200 * 1000 * 1000 && 1GiB == 1024 * 1024 * 1024 && 1.5k == 1500 && .5 < 1", true)]
#[case("db_size == 400MB && db_in_use == 100MB && db_free == 300MB", true)]
#[case("db_quota == 800MB && quota_usage == 0.5", true)]
#[case("dbSize == db_size && dbSizeInUse == db_in_use && dbSizeFree == db_free", true)]
#[case("dbQuota == db_quota && dbQuotaUsage == quota_usage", true)]
// The examples of etcd-defrag's own documentation.
#[case("dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024", true)]
#[case("dbSize > dbQuota*80/100 && dbSize - dbSizeInUse > 200*1024*1024", false)]
#[case("(dbSize - dbSizeInUse) * 100 / dbSize > 50", true)]
#[case("is_leader && role == 'leader' && role != \"follower\" && !is_learner", true)]
#[case("name == \"infra1\" && member_id == \"1\" && name != 'infra2'", true)]
#[case("version == '3.6.16' && version > \"3.6.9\" && '3.5' < version", true)]
#[case("lag == 0 && raft_term == 2 && raft_index == raft_applied_index", true)]
fn of_the_leader(#[case] rule: &str, #[case] expected: bool) {
    assert_eq!(holds(rule, 0), Ok(expected));
}

#[rstest]
#[case("lag > 10 && role == \"follower\" && !is_leader", 1)]
#[case("is_learner && role == 'learner' && version < '3.5.10'", 3)]
#[case("role == 'unknown' && name == 'infra3'", 2)]
// What is decided already needs nothing that is unknown.
#[case("db_free > 1 || quota_usage > 0.5", 1)]
#[case("!(db_size == 0 && quota_usage > 0.5)", 1)]
#[case("db_size == 0 || db_in_use / db_size < 0.5", 3)]
fn of_others(#[case] rule: &str, #[case] member: usize) {
    assert_eq!(holds(rule, member), Ok(true));
}

#[test]
fn a_quota_that_is_given_stands_in_for_one_that_is_not_told() {
    let view = cluster();
    let rule = Rule::parse("db_quota == 500MB && quota_usage == 0.8").unwrap();
    let of = |member: &MemberView, quota| rule.holds(&Variables::of(&view, member, quota));
    assert_eq!(of(&view.members[1], Some(Bytes(500_000_000))), Ok(true));
    assert_eq!(of(&view.members[0], Some(Bytes(500_000_000))), Ok(false));
}

#[test]
fn what_cannot_be_decided() {
    let cases = [
        ("db_quota > 1", 1),
        ("dbQuotaUsage > 0.5", 1),
        ("storage_version == '3.6.0'", 0),
        ("db_size > 1", 2),
        ("db_in_use / db_size < 0.5", 3),
        ("1 == 7 % db_size", 3),
    ];
    insta::assert_snapshot!(shown(cases.map(|(rule, member)| holds(rule, member).unwrap_err().into())), @"
    rule_value_unknown (rule): the rule needs db_quota of infra2, which is not known
      help: etcd tells its quota from 3.6 on, if it has one; give the members' --quota-backend-bytes as quota, for example 8GiB
    rule_value_unknown (rule): the rule needs quota_usage of infra2, which is not known
      help: etcd tells its quota from 3.6 on, if it has one; give the members' --quota-backend-bytes as quota, for example 8GiB
    rule_value_unknown (rule): the rule needs storage_version of infra1, which is not known
      help: etcd tells it from 3.6 on; ask for version
    rule_value_unknown (rule): the rule needs db_size of infra3, which is not known
      help: see with `status` what each member tells
    rule_divides_by_zero (rule): the rule divides by zero at character 11 for infra4
      help: ask first whether it is zero, for example db_size > 0 && …
    rule_divides_by_zero (rule): the rule divides by zero at character 8 for infra4
      help: ask first whether it is zero, for example db_size > 0 && …
    ");
}

#[test]
fn what_is_no_rule() {
    let long = format!("{}true", " ".repeat(2_000));
    let deep = format!("{}true{}", "(".repeat(51), ")".repeat(51));
    let cases = [
        "",
        &long,
        &deep,
        "name == \"infra1",
        "db_size = 1",
        "true & false",
        "true | false",
        "db_size > $1",
        "db_free > 200TB",
        "db_size > 1.2.3",
        "dbsize > 1",
        "db_fre > 1",
        "is_leader and true",
        "not true",
        "zzz > 1",
        "name == infra1",
        "db_size >",
        "> 1",
        "db_size > )",
        "db_size 1",
        "(db_size > 1",
        "(db_size > 1 true)",
        "db_size + is_leader > 1",
        "db_size && true",
        "!db_size",
        "-true",
        "name < \"a\"",
        "db_size == \"1\"",
        "version == 3.6",
        "version == 'new'",
        "version == name",
        "role == 'boss'",
        "1 < 2 < 3",
        "1 / 0 > 1",
        "é == 1",
        "db_size / 2",
        "\"\u{1b}[2J\" == 1 + \u{1b}",
    ];
    let told = cases.map(|rule| Rule::parse(rule).unwrap_err().into());
    insta::assert_snapshot!(shown(told), @r#"
    invalid_argument: the value is empty
      help: write a condition such as db_free > 200MB, or leave it out
    invalid_argument: the value is longer than 2000 characters
      help: write a shorter condition
    invalid_argument: the value has more than 50 parentheses and operators inside one another, at character 51
      help: write a shorter condition
    invalid_argument: the value has a quote that is never closed, at character 9
      help: close the quote; names need none
    invalid_argument: the value has a single `=`, at character 9
      help: write == to compare
    invalid_argument: the value has a single `&`, at character 6
      help: write && for and
    invalid_argument: the value has a single `|`, at character 6
      help: write || for or
    invalid_argument: the value has '$', which means nothing in a rule, at character 11
      help: the operators are + - * / % == != < > <= >= && || ! and parentheses
    invalid_argument: the value has "200TB", which is no number, at character 11
      help: write it as 200, 0.5, 200MB or 1GiB
    invalid_argument: the value has "1.2.3", which is no number, at character 11
      help: write it as 200, 0.5, 200MB or 1GiB
    invalid_argument: the value names "dbsize", which is no variable, at character 1
      help: did you mean db_size?
    invalid_argument: the value names "db_fre", which is no variable, at character 1
      help: did you mean db_free?
    invalid_argument: the value has `and` where an operator should come, at character 11
      help: write && for and
    invalid_argument: the value names "not", which is no variable, at character 1
      help: write ! for not
    invalid_argument: the value names "zzz", which is no variable, at character 1
      help: the variables are db_size, db_in_use, db_free, db_quota, quota_usage, lag, raft_term, raft_index, raft_applied_index, role, is_leader, is_learner, name, member_id, version, storage_version; texts stand in quotes
    invalid_argument: the value names "infra1", which is no variable, at character 9
      help: the variables are db_size, db_in_use, db_free, db_quota, quota_usage, lag, raft_term, raft_index, raft_applied_index, role, is_leader, is_learner, name, member_id, version, storage_version; texts stand in quotes
    invalid_argument: the value ends where a value should come, at character 10
      help: write a number, a text in quotes, or a variable there
    invalid_argument: the value has `>` where a value should come, at character 1
      help: write a number, a text in quotes, or a variable there
    invalid_argument: the value has `)` where a value should come, at character 11
      help: write a number, a text in quotes, or a variable there
    invalid_argument: the value has `1` where an operator should come, at character 9
      help: join conditions with && or ||, and put texts in quotes
    invalid_argument: the value has a parenthesis that is never closed, at character 1
      help: close it with )
    invalid_argument: the value has `true` where an operator should come, at character 14
      help: join conditions with && or ||, and put texts in quotes
    invalid_argument: the value has `+` on a condition, and it takes numbers, at character 9
      help: numbers are added and compared, conditions are joined with && and ||
    invalid_argument: the value has `&&` on a number, and it takes conditions, at character 9
      help: numbers are added and compared, conditions are joined with && and ||
    invalid_argument: the value has `!` on a number, and it takes a condition, at character 1
      help: numbers are added and compared, conditions are joined with && and ||
    invalid_argument: the value has `-` on a condition, and it takes a number, at character 1
      help: numbers are added and compared, conditions are joined with && and ||
    invalid_argument: the value has `<` on a text, and it takes numbers or versions, at character 6
      help: numbers are added and compared, conditions are joined with && and ||
    invalid_argument: the value compares a number with a text, at character 9
      help: compare numbers with numbers, and texts with texts
    invalid_argument: the value compares a version with a number, at character 9
      help: compare numbers with numbers, and texts with texts
    invalid_argument: the value compares a version with "new", which is none, at character 9
      help: write it as "3.5.6"
    invalid_argument: the value compares a version with a text, at character 9
      help: compare numbers with numbers, and texts with texts
    invalid_argument: the value compares a role with "boss", which is none, at character 6
      help: the roles are leader, follower, learner, unstarted and unknown
    invalid_argument: the value compares a condition with a number, at character 7
      help: compare numbers with numbers, and texts with texts
    invalid_argument: the value divides by zero, at character 3
      help: divide by something else
    invalid_argument: the value names "é", which is no variable, at character 1
      help: the variables are db_size, db_in_use, db_free, db_quota, quota_usage, lag, raft_term, raft_index, raft_applied_index, role, is_leader, is_learner, name, member_id, version, storage_version; texts stand in quotes
    invalid_argument: the value yields a number, and should be a condition, which holds or does not
      help: compare it with something, for example db_free > 200MB
    invalid_argument: the value has '\u{1b}', which means nothing in a rule, at character 15
      help: the operators are + - * / % == != < > <= >= && || ! and parentheses
    "#);
}

#[derive(serde::Deserialize, Debug)]
struct RuleArgs {
    rule: Option<Rule>,
}

#[test]
fn as_an_argument() {
    let read = |rule: Value| from_record::<RuleArgs>([("rule", rule)].into_iter().collect::<Record>());
    assert_eq!(read(Value::from("lag > 1")).unwrap().rule.unwrap().to_string(), "lag > 1");
    assert_eq!(read(Value::Null).unwrap().rule, None);
    let fits = from_value::<Option<Rule>>(Value::from("lga > 1")).map_err(|bad| bad.of("rule"));
    let told = [fits.map(drop), read(Value::from("lga > 1")).map(drop), read(Value::Int(1)).map(drop)];
    insta::assert_snapshot!(shown(told.map(|bad| bad.unwrap_err().into())), @r#"
    invalid_argument (rule): the argument rule names "lga", which is no variable, at character 1
      help: the variables are db_size, db_in_use, db_free, db_quota, quota_usage, lag, raft_term, raft_index, raft_applied_index, role, is_leader, is_learner, name, member_id, version, storage_version; texts stand in quotes
    invalid_argument (rule): the argument rule names "lga", which is no variable, at character 1
      help: the variables are db_size, db_in_use, db_free, db_quota, quota_usage, lag, raft_term, raft_index, raft_applied_index, role, is_leader, is_learner, name, member_id, version, storage_version; texts stand in quotes
    invalid_argument (rule): the argument rule should be a condition such as "db_free > 200MB", not the integer 1
    "#);
}

#[test]
fn no_text_upsets_it() {
    // A small generator of numbers, so that the same texts are tried in every run.
    let mut seed = 1_u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).unwrap() % below
    };
    let parts = [
        "db_size", "(", ")", "&&", "!", "-", " ", "1MB", "'", "==", "<", "/", "0", "é", "\"", ".", "%", "role", "true",
    ];
    let view = cluster();
    let mut good = 0;
    for _ in 0..100_000 {
        let length = 1 + next(8);
        let text: String = (0..length).map(|_| parts[next(parts.len())]).collect();
        if let Ok(rule) = Rule::parse(&text) {
            good += 1;
            let _ = rule.holds(&Variables::of(&view, &view.members[0], None));
        }
    }
    assert!(good > 100, "{good} of the texts are rules");
}
