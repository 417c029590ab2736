//! What a program is told of a failure, with `--events`.

use rstest::rstest;
use serde_json::{Value as Json, json};

use super::{Folder, done, folder};

/// Returns the only line that a failing run writes to standard error, without its time.
fn failed(folder: &Folder, args: &[&str]) -> (i32, Json) {
    let (code, out, err) = done(&mut folder.etcdsh(args));
    assert_eq!((out.as_str(), err.lines().count()), ("", 1), "{err}");
    let mut event: Json = serde_json::from_str(&err).unwrap();
    let fields = event.as_object_mut().unwrap();
    assert!(fields.remove("time").unwrap().as_str().unwrap().ends_with('Z'), "{err}");
    assert_eq!(fields.remove("event"), Some(json!("failed")), "{err}");
    (code, event)
}

/// Returns an event's fields, without those that are null.
fn known(event: &Json) -> Json {
    let fields = event.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null());
    Json::Object(fields.collect())
}

#[rstest]
fn a_file_that_cannot_be_read_is_an_object_too(folder: Folder) {
    let (code, event) = failed(&folder, &["run", "--events", "nofile.rhai"]);
    assert_eq!(code, 2);
    assert_eq!(known(&event), json!({ "message": "cannot read nofile.rhai: No such file or directory (os error 2)" }));
    // A program need not ask which fields there are.
    let mut names: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "argument",
        "causes",
        "code",
        "endpoint",
        "hint",
        "line",
        "member",
        "message",
        "outcome",
        "position",
        "report",
        "retryable",
        "sent",
        "source",
    ];
    assert_eq!(names, expected);
}

#[rstest]
fn a_thrown_map_keeps_its_fields(folder: Folder) {
    let script = "let c = connect(#{ endpoints: [\"127.0.0.1:1\"], timeout: \"2s\" });\n  c.member_list()";
    folder.write("a.rhai", script);
    for args in [["eval", "--events", script], ["run", "--events", "a.rhai"]] {
        let (code, event) = failed(&folder, &args);
        let source = if args[0] == "run" { "a.rhai" } else { "eval" };
        assert_eq!(code, 1);
        let message = event["message"].as_str().unwrap();
        assert!(!message.contains('\n') && message.contains("127.0.0.1:1"), "{event}");
        let expected = json!({ "code": "unreachable", "sent": "never", "retryable": true, "outcome": null,
            "source": source, "line": 2, "position": 5 });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&event[name], value, "{name}: {event}");
        }
        assert!(event["hint"].is_string(), "{event}");
    }
}

#[rstest]
#[case("throw #{ code: \"mine\", message: \"no\", hint: \"say yes\", own: 1 }", 1, json!({ "code": "mine", "message": "no", "hint": "say yes", "source": "eval", "line": 1, "position": 1 }))]
#[case("throw \"no\"", 1, json!({ "message": "no", "source": "eval", "line": 1, "position": 1 }))]
#[case("etcd.helth()", 1, json!({ "message": "there is no function named helth", "hint": "did you mean health?", "source": "eval", "line": 1, "position": 6 }))]
#[case("let a = 1;\nlet", 2, json!({ "message": "Expecting name of a variable", "source": "eval", "line": 2, "position": 4 }))]
#[case("options(#{ keep: 0 }).revisio", 1, json!({ "message": "there is no field named revisio", "hint": "did you mean revision?", "source": "eval", "line": 1, "position": 23 }))]
fn other_failures_have_the_same_fields(
    folder: Folder,
    #[case] script: &str,
    #[case] code: i32,
    #[case] expected: Json,
) {
    let (ended, event) = failed(&folder, &["eval", "--events", script]);
    assert_eq!((ended, known(&event)), (code, expected));
}

#[rstest]
fn an_option_that_is_refused_is_told_to_programs(folder: Folder) {
    folder.write("a.rhai", "let given = options([\"word...\"], #{ dry_run: false });\nprint(given);");
    let (code, event) = failed(&folder, &["run", "--events", "a.rhai", "--dryrun"]);
    let expected = json!({ "code": "invalid_argument", "message": "there is no option --dryrun", "hint": "did you mean --dry-run?",
        "argument": "--dryrun", "causes": [], "retryable": false, "source": "a.rhai", "line": 1, "position": 13 });
    assert_eq!((code, known(&event)), (1, expected));
    // A mark that stands first ends the options of the script as any other does.
    let (code, out, err) = done(&mut folder.etcdsh(&["run", "a.rhai", "--", "--dryrun", "--"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("[\"--dryrun\", \"--\"]") && out.contains("false"), "{out}");
    let (code, out, _) = done(&mut folder.etcdsh(&["run", "a.rhai", "--dry-run", "--", "--dryrun"]));
    assert!(code == 0 && out.contains("[\"--dryrun\"]") && out.contains("true"), "{out}");
}
