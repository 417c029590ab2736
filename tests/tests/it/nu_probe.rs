//! The adapter itself: every kind of value, closures, streams that break off, panics. See `nu_plugin_probe`.

use etcdsh_tests::{Caught, Home};
use rstest::rstest;
use serde_json::json;

/// Runs a script that must fail, and returns what it threw.
fn caught(home: &Home, script: &str) -> Caught {
    Caught::by(home, "nu_plugin_probe", script)
}

#[test]
fn every_kind_goes_in_and_comes_back() {
    let script = "etcd echo 0x[00 ff] --switch --int 7 --float 1 --text 12 --size 20kb --at 2024-05-06T07:08:09Z \
                  --path a/b --flavour sweet --texts [x, y] | items {|name, value| {$name: [($value | describe), $value]}} \
                  | reduce {|field, all| $all | merge $field} | to json --raw";
    let home = Home::new();
    let path = home.path().join("a/b");
    let expected = json!({
        "octets": ["binary", [0, 255]],
        "switch": ["bool", true],
        "int": ["int", 7],
        "float": ["float", 1.0],
        "text": ["string", "12"],
        "size": ["filesize", 20_000],
        "span": ["duration", 90_000_000_000_i64],
        "at": ["datetime", "2024-05-06T07:08:09+00:00"],
        "path": ["string", path],
        "flavour": ["string", "sweet"],
        "texts": ["list<string>", ["x", "y"]],
    });
    assert_eq!(home.probe(script).json(), expected);
}

#[test]
fn what_is_left_out_is_null_or_its_default() {
    let row = Home::new().probe("etcd echo key --texts single | to json --raw").json();
    assert_eq!((&row["octets"], &row["texts"]), (&json!("key"), &json!(["single"])));
    assert_eq!((&row["int"], &row["at"], &row["switch"]), (&json!(null), &json!(null), &json!(false)));
    assert_eq!((&row["span"], &row["flavour"]), (&json!(90_000_000_000_i64), &json!("sour")));
}

#[test]
fn defaults_and_closed_sets_are_shown() {
    let help = Home::new().probe("etcd echo --help").out;
    assert!(help.contains("(default: 1min 30sec)"), "{help}");
    let offered = Home::new().probe("'etcd echo x --flavour ' | commandline complete | to json --raw").json();
    assert_eq!(offered, json!(["sour", "sweet"]));
}

#[rstest]
#[case("etcd echo x --flavour bitter", "--flavour bitter", "etcd::invalid_argument")]
#[case("etcd echo x --path ''", "--path ''", "etcd::invalid_argument")]
fn the_label_stands_on_the_culprit(#[case] script: &str, #[case] culprit: &str, #[case] code: &str) {
    let caught = caught(&Home::new(), script);
    assert_eq!((caught.code.as_str(), caught.culprit.as_str()), (code, culprit), "{:#}", caught.details);
}

#[rstest]
#[case("{|row| $row.number * 10 }")]
#[case("{|row: record| $row.number * 10 }")]
#[case("{ $in.number * 10 }")]
#[case("{|| $in.number * 10 }")]
fn a_closure_gets_its_record_twice(#[case] closure: &str) {
    let rows = Home::new().probe(&format!("etcd ask --hook {closure} --times 3 | to json --raw")).json();
    let expected = json!([{"number": 1, "answer": 10}, {"number": 2, "answer": 20}, {"number": 3, "answer": 30}]);
    assert_eq!(rows, expected);
}

#[test]
fn what_a_closure_returns_keeps_its_type() {
    let script = "etcd ask --hook {|row| {size: 1kb, span: 2sec, bytes: 0x[ff], none: null} } | get 0.answer \
                  | values | each { describe } | to json --raw";
    assert_eq!(Home::new().probe(script).json(), json!(["filesize", "duration", "binary", "nothing"]));
}

#[test]
fn a_closure_may_call_the_plugin_again() {
    let script = "1..3 | par-each {|n| etcd ask --hook {|row| etcd ask --times $n --hook {|inner| $inner.number } \
                  | get answer | math sum } | get 0.answer } | sort | to json --raw";
    assert_eq!(Home::new().probe(script).json(), json!([1, 3, 6]));
}

#[test]
fn a_closures_own_error_comes_out_whole() {
    let error = "error make {msg: 'not now', code: 'my::veto', help: 'wait', label: {text: 'here', span: (metadata $row).span}}";
    let Caught { details, .. } = caught(&Home::new(), &format!("etcd ask --hook {{|row| {error} }}"));
    assert_eq!(
        (&details["msg"], &details["code"], &details["help"]),
        (&json!("not now"), &json!("my::veto"), &json!("wait"))
    );
    assert_eq!(details["labels"][0]["text"], "here");
}

#[rstest]
#[case("{|row| ^sh -c 'echo begun; exit 3' }")]
#[case("{|row| ^sh -c 'exit 3'; null }")]
fn a_program_that_fails_in_a_closure_fails_the_closure(#[case] closure: &str) {
    let Caught { details, .. } = caught(&Home::new(), &format!("etcd ask --hook {closure}"));
    assert_eq!(details["code"], "nu::shell::non_zero_exit_code", "{details}");
    let Caught { details, .. } = caught(&Home::new(), &format!("let it = {closure}; etcd ask --hook $it"));
    assert_eq!(details["code"], "nu::shell::non_zero_exit_code", "{details}");
}

#[test]
fn what_a_program_in_a_closure_prints_is_its_answer() {
    let said = Home::new().probe("etcd ask --hook {|row| ^sh -c 'echo out; echo told >&2' } | to json --raw");
    assert_eq!(said.json(), json!([{"number": 1, "answer": "out\n"}]));
    assert_eq!(said.err, "warning: a log gets this where there is no terminal\ntold\n");
}

#[test]
fn a_closure_with_a_second_parameter_is_explained() {
    let Caught { details, .. } = caught(&Home::new(), "let two = {|a, b| $b }; etcd ask --hook $two");
    assert_eq!(details["code"], "etcd::closure_failed", "{details}");
    assert!(details["help"].as_str().unwrap().contains("one record"), "{details}");
}

#[test]
fn a_short_stream_is_a_list_and_fails_the_command() {
    let home = Home::new();
    let rows = home.probe("etcd count 250 | describe").out;
    assert_eq!(rows.trim(), "table<number: int>");
    for swallows in ["length", "first 3", "where number > 1", "each {|row| $row.number }"] {
        let Caught { details, .. } = caught(&home, &format!("etcd count 250 --fail | {swallows}"));
        assert_eq!(details["code"], "etcd::invalid_argument", "{swallows}: {details}");
    }
}

#[test]
fn a_long_stream_flows() {
    let home = Home::new();
    assert_eq!(home.probe("etcd count 5000 | describe").out.trim(), "table<number: int> (stream)");
    assert_eq!(home.probe("etcd count 5000 | length").out.trim(), "5000");
    assert_eq!(home.probe("etcd count 5000 --hang | first 2 | get number | to json --raw").json(), json!([1, 2]));
}

#[test]
fn a_long_stream_that_breaks_off_is_no_short_answer() {
    let home = Home::new();
    let Caught { details, .. } = caught(&home, "etcd count 5000 --fail | to json");
    assert_eq!(details["code"], "etcd::invalid_argument", "{details}");
    let Caught { details, .. } = caught(&home, "etcd count 5000 --panic | to json");
    assert_eq!(details["code"], "etcd::internal", "{details}");
}

#[test]
fn a_panic_is_an_error_and_ends_no_other_call() {
    let script = "let before = plugin list | get 0.pid; let code = try { etcd panic } catch {|e| $e.details.code }; \
                  let pids = [(etcd count 3; plugin list | get 0.pid) (etcd count 3; plugin list | get 0.pid)]; \
                  {code: $code, same: (($pids | uniq | length) == 1)} | to json --raw";
    let said = Home::new().probe(script);
    assert_eq!(said.json(), json!({"code": "etcd::internal", "same": true}), "{}", said.err);
}

#[test]
fn only_warnings_are_said_where_nobody_waits() {
    let said = Home::new().probe("etcd ask --hook {|row| 1 } | to json --raw");
    assert!(said.status.success());
    assert_eq!(
        said.err, "warning: a log gets this where there is no terminal\n",
        "progress belongs on a terminal only"
    );
}
