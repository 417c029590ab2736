//! What `check` finds, and what it leaves alone.

use etcdsh_core::catalogue::CATALOGUE;
use rstest::rstest;

use super::interpreter;
use crate::check::check;
use crate::docs;
use crate::engine::on_deep_stack;
use crate::session::Grants;

/// Returns what is found, each as `line:column code: problem`.
fn found(script: &str) -> Vec<String> {
    let script = script.to_owned();
    let findings = on_deep_stack(move || check(&mut interpreter(Grants::all()).0, "test", &script)).unwrap();
    let place = |place: rhai::Position| format!("{}:{}", place.line().unwrap(), place.position().unwrap());
    findings.into_iter().map(|found| format!("{} {}: {}", place(found.place), found.code, found.problem)).collect()
}

#[rstest]
#[case("let a = 1;\nlet = 2;", "2:5 syntax: Expecting name of a variable")]
#[case("helth()", "1:1 unknown_function: there is no function named helth")]
#[case("if false { helth() }", "1:12 unknown_function: there is no function named helth")]
#[case("fn f() { g() } f()", "1:10 unknown_function: there is no function named g")]
#[case("etcd.helth()", "1:6 unknown_function: there is no operation named helth")]
#[case("etcd.len()", "1:6 unknown_function: there is no operation named len")]
#[case("let c = connect(\"a\"); c.keys().lenn()", "1:32 unknown_function: there is no function named lenn")]
#[case("[1].filtr(|x| x > 1)", "1:5 unknown_function: there is no function named filtr")]
#[case("etcd.health(1, 2)", "1:6 wrong_number_of_arguments: health does not take 2 arguments")]
#[case("let c = args[0]; c.member_list(1, 2)", "1:20 wrong_number_of_arguments: member_list does not take 2 arguments")]
#[case("fn f(a) { a } f(1, 2)", "1:15 wrong_number_of_arguments: f does not take 2 arguments")]
#[case("options()", "1:1 wrong_number_of_arguments: options does not take 0 arguments")]
#[case("sleep()", "1:1 wrong_number_of_arguments: sleep does not take 0 arguments")]
#[case("print(x)", "1:7 unknown_variable: there is no variable named x")]
#[case("let x = 1; fn f() { x }", "1:21 unknown_variable: there is no variable named x")]
#[case("{ let x = 1; } x", "1:16 unknown_variable: there is no variable named x")]
#[case("let f = |a| |b| a + b + c;", "1:25 unknown_variable: there is no variable named c")]
#[case("m::f()", "1:1 unknown_module: there is no module named m")]
#[case("import \"gone\" as m; m::f()", "1:8 cannot_import: cannot import \"gone\": ")]
#[case("etcd.quorum().verdct", "1:15 unknown_field: the answer of quorum has no field named verdct")]
#[case("etcd.keys(#{ prefx: \"/\" })", "1:14 invalid_argument: there is no argument named prefx")]
#[case("let p = 1; etcd.keys(#{ prefx: p })", "1:25 invalid_argument: there is no argument named prefx")]
#[case("etcd.keys(#{ limit: \"many\" })", "1:21 invalid_argument: the argument limit should be an integer")]
#[case("sandbox_break(etcd, \"a\", #{ how: \"bad\" })", "1:34 invalid_argument: the argument how should be one of ")]
#[case("etcd.can(\"fly\", args[0])", "1:10 invalid_argument: the argument action should be one of ")]
#[case("etcd.member_remove()", "1:6 invalid_argument: the argument member is missing")]
#[case(
    "etcd.member_remove(\"a\", #{ wait: \"soon\" })",
    "1:34 invalid_argument: the argument wait should be a duration"
)]
#[case("etcd.member_remove(\"a\", #{ allow: \"all\" })", "1:35 invalid_argument: the argument allow should be one of ")]
#[case("etcd.get(\"a\", \"b\")", "1:6 invalid_argument: too many arguments: get takes 1")]
#[case("etcd.get(\"a\", #{ key: \"b\" })", "1:6 invalid_argument: the argument key is given twice")]
#[case("connect(#{ endpoint: \"a\" })", "1:12 invalid_argument: there is no argument named endpoint")]
#[case("connect(#{ timeout: args[0], endpoint: 1 })", "1:30 invalid_argument: there is no argument named endpoint")]
#[case("connect(5)", "1:9 invalid_argument: the argument profile should be the name of a profile")]
#[case("run([\"a\"], #{ cwdd: 1 })", "1:15 invalid_argument: there is no argument named cwdd")]
#[case("run([\"a\", 1])", "1:5 invalid_argument: the argument words should be text")]
#[case("sleep(-1)", "1:7 invalid_argument: the argument span should be a duration")]
#[case("sleep(\"soon\")", "1:7 invalid_argument: the argument span should be a duration")]
#[case("exit(300)", "1:6 invalid_argument: exit codes go from 0 to 255")]
fn a_mistake_is_found(#[case] script: &str, #[case] expected: &str) {
    let found = found(script);
    assert!(matches!(found.as_slice(), [only] if only.starts_with(expected)), "{found:#?}");
}

#[rstest]
#[case("fn f(a) { a } f(1, 2)", "number of parameters in its definition: 1")]
#[case("let x = 1; fn f() { x }", "it is declared, but not here; a function sees only its parameters")]
fn help_says_how_it_is_meant(#[case] script: &'static str, #[case] help: &str) {
    let found = on_deep_stack(move || check(&mut interpreter(Grants::all()).0, "test", script)).unwrap();
    assert_eq!(found.into_iter().map(|found| found.help).collect::<Vec<_>>(), [Some(help.to_owned())]);
}

#[test]
fn all_mistakes_are_found_in_order() {
    let found = found("a();\nlet x = etcd.keys(#{ a: 1, b: 2 });\nprint(y);\nexit(-1);");
    let starts: Vec<_> = found.iter().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(starts, ["1:1", "2:22", "2:28", "3:7", "4:6"], "{found:#?}");
}

#[rstest]
#[case("let n = 0; let f = |x| { n += x; || n }; f.call(1).call()")]
#[case("fn put(a) { this.x = a; } let m = #{ x: 1 }; m.put(3); m.keys(); m.get(\"x\")")]
#[case(
    "let m = #{ act: |y| y }; m.act(4); let n = #{}; n.other = |a, b| a; n.other(1, 2); n[\"third\"] = || 1; n.third()"
)]
#[case("fn f(x) { x } let p = Fn(\"f\"); p.call(1); let q = f; q.call(1); [1].map(f); [1].map(Fn(\"f\"))")]
#[case("fn f(c) { c.health(1, 2) } let m = #{ health: |a, b| a }; f(m)")]
#[case("fn f(c) { c.get(1); c.keys() }")]
#[case("let o = #{ wait: \"1s\" }; etcd.member_remove(\"a\", o); etcd.member_remove(o)")]
#[case(
    "let how = args[0]; etcd.sandbox_break(\"a\", #{ how: how }); etcd.member_add(args[0], #{ peer_urls: [opts.url] })"
)]
#[case("fn f() { x } let x = 1; f!()")]
#[case("fn f(a) { a } let b = 1; f(1).filter(|row| row.name == b); let g = |c| c == b;")]
#[case("if is_def_var(\"x\") { x }")]
#[case("let etcd = 5; etcd.abs(); { let args = #{}; args.whole = 1; }")]
#[case("let c = connect(\"a\"); c = #{ my: || 1 }; c.my()")]
#[case("for (row, at) in etcd.keys() { print(row.key + at) } try { throw 1 } catch (e) { print(e) }")]
#[case("const A = 1; fn f() { global::A } switch A { 1 if args.len() > 1 => f(), 2..5 => 2, _ => 3 }")]
#[case("`${etcd.quorum().verdict} ${args.len()}`; print(script_path); opts.get(\"a\") ?? 1; etcd.get(\"a\")?.value")]
#[case("import args[0] as m; m::f(1); m::X")]
#[case("etcd.test_each([\"a\"], |row| etcd.test_echo(row.item).text).values; etcd.test_count(3).take(2).len()")]
#[case("sleep(0.5); sleep(2); sleep(\"1s\"); exit(3); exit(args.len()); run([args[0]], #{ timeout: opts.t })")]
#[case("let s = etcd.to_string(); type_of(etcd); etcd.type_of(); \"a\".len(); [1, 2].chunk_by")]
#[case(
    "let given = options([\"a\", \"b...\"], #{ dry_run: false, keep: () }); given.a; options(#{}).dry_run; options(args[0])"
)]
#[case("while true { break 1; } do { let a = 1; } until a_is(); fn a_is() { true }")]
fn what_may_be_right_is_left_alone(#[case] script: &str) {
    assert_eq!(found(script), [""; 0]);
}

#[test]
fn the_examples_of_all_operations_are_right() {
    for entry in CATALOGUE {
        for (_, code) in docs::examples(entry) {
            assert_eq!(found(&code), [""; 0], "{code}");
        }
    }
}
