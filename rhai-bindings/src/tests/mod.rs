//! The face with operations of its own, so that every behaviour is seen without a cluster.

mod check;
mod ops;
mod options;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdsh_core::card::Capability;
use etcdsh_core::catalogue::{CATALOGUE, HAND_WRITTEN};
use etcdsh_core::places::Places;
use etcdsh_core::value::Record;
use rhai::{Dynamic, Map};
use rstest::rstest;

use crate::engine::{Failure, Interpreter, on_deep_stack};
use crate::interrupt::Interrupt;
use crate::session::{Grants, Session, Setup};
use crate::stop::Stop;

/// Makes an interpreter that keeps what is printed.
fn interpreter(grants: Grants) -> (Interpreter, Arc<Mutex<Vec<String>>>) {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let setup = setup(grants, Arc::clone(&printed));
    let mut interpreter = Interpreter::documented(Session::new(setup, Arc::new(Interrupt::default())));
    crate::bind::register(&mut interpreter.engine, ops::ENTRIES, true);
    (interpreter, printed)
}

fn setup(grants: Grants, printed: Arc<Mutex<Vec<String>>>) -> Setup {
    Setup {
        places: Places::from_env("/nowhere".into(), |_| None),
        env: Box::new(|_| None),
        flags: Record::new(),
        grants,
        args: vec!["word".to_owned()],
        args_ended: false,
        opts: Vec::new(),
        script_path: None,
        // Other tests of this process take memory too.
        memory: Some(u64::MAX),
        print: Box::new(move |text| {
            printed.lock().unwrap().push(text.to_owned());
            Ok(())
        }),
        debug: Box::new(|_| Ok(())),
        events: Box::new(|_| {}),
    }
}

/// Runs a script as it is run in earnest: on a deep stack, with looking allowed.
fn run(script: &str) -> Result<Dynamic, Failure> {
    let script = script.to_owned();
    on_deep_stack(move || interpreter(Grants::read_and(&[])).0.run("test", &script)).unwrap()
}

fn value(script: &str) -> String {
    format!("{:?}", run(script).unwrap_or_else(|failure| panic!("{script}: {failure:?}")))
}

/// Returns a script whose value is what an expression makes of a caught error: `try` has no value of its own.
fn caught(call: &str, expression: &str) -> String {
    format!("let caught = (); try {{ {call}; }} catch (error) {{ caught = {expression}; }} caught")
}

/// Returns what the user is shown of a failure.
fn shown(script: &str) -> String {
    let script = script.to_owned();
    let report = on_deep_stack(move || {
        let (interpreter, _) = interpreter(Grants::read_and(&[]));
        let failure = interpreter.run("test", &script).expect_err("it fails");
        let report = interpreter.report(failure).expect("there is something to say");
        interpreter.render(&report, false)
    });
    report.unwrap()
}

#[test]
fn values_keep_what_they_are() {
    let row = run("etcd.test_kinds()").unwrap().cast::<Map>();
    let get = |name: &str| row.get(name).unwrap().clone();
    assert_eq!(get("id").into_string().unwrap(), "fffffffffffffffe", "an id is never a number");
    assert_eq!((get("size").as_int().unwrap(), get("span").as_int().unwrap()), (2048, 1_500_000_000));
    assert_eq!(get("time").into_string().unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(get("key").into_string().unwrap(), "/a");
    assert_eq!(get("value").into_blob().unwrap(), [0xff, 0]);
    assert!(get("none").is_unit());
}

#[rstest]
#[case("etcd.test_echo(\"a\")", "a 1048576 30000000000 [] false")]
#[case("test_echo(etcd, \"a\", 5)", "a 5 30000000000 [] false")]
#[case("etcd.test_echo(\"a\", \"2kB\", #{ wait: \"1min\", on: true })", "a 2000 60000000000 [] true")]
#[case("etcd.test_echo(\"a\", #{ size: 1, key: \"é\" })", "a 1 30000000000 [195, 169] false")]
#[case("etcd.test_echo(#{ text: \"a\", key: blob(2, 255), wait: 2 })", "a 1048576 2000000000 [255, 255] false")]
#[case("etcd.test_echo(\"a\", #{ wait: () })", "a 1048576 30000000000 [] false")]
#[case("const C = etcd; C.test_echo(\"1\")", "1 1048576 30000000000 [] false")]
fn arguments_go_by_place_and_by_name(#[case] call: &str, #[case] expected: &str) {
    let script = format!(
        "let given = {{ {call} }}; `${{given.text}} ${{given.size}} ${{given.wait}} ${{given.key}} ${{given.on}}`"
    );
    assert_eq!(value(&script), format!("{expected:?}"));
}

#[rstest]
#[case("etcd.test_echo()", "the argument text is missing", "text")]
#[case("etcd.test_echo(\"a\", #{ wiat: 1 })", "there is no argument named wiat", "wiat")]
#[case("etcd.test_echo(\"a\", #{ text: \"b\" })", "the argument text is given twice", "text")]
#[case(
    "etcd.test_echo(\"a\", 1.5)",
    "the argument size should be a size such as 512, \"10MB\" or \"1MiB\", not a float",
    "size"
)]
#[case("etcd.test_echo(etcd)", "the argument text should be plain data or a closure, not a value of the type", "text")]
#[case("etcd.test_echo(\"\")", "the argument text is empty", "text")]
#[case("etcd.test_each([], 1)", "the argument with should be a closure, not the integer 1", "with")]
fn a_wrong_argument_is_named(#[case] call: &str, #[case] message: &str, #[case] argument: &str) {
    let caught = run(&caught(call, "error")).unwrap().cast::<Map>();
    let text = |name: &str| caught.get(name).unwrap().clone().into_string().unwrap();
    assert!(text("message").starts_with(message), "{}", text("message"));
    assert_eq!((text("argument").as_str(), text("code").as_str()), (argument, "invalid_argument"));
}

#[test]
fn too_many_arguments_show_how_it_is_called() {
    let shown = shown("etcd.test_kinds(1, 2, 3)");
    assert!(shown.contains("test_kinds does not take (int, int, int)"), "{shown}");
}

#[test]
fn an_error_is_a_map() {
    let expected = [
        ("error", "\"EtcdError\""),
        ("code", "\"broken\""),
        ("message", "\"the stream broke\""),
        ("member", "\"infra1\""),
        ("endpoint", "\"http://a:1\""),
        ("sent", "()"),
        ("retryable", "true"),
        ("hint", "\"mend it\""),
        ("argument", "\"number\""),
        ("causes", "[]"),
        ("line", "1"),
        ("source", "\"test\""),
    ];
    let caught = run(&caught("etcd.test_fails()", "error")).unwrap().cast::<Map>();
    for (name, value) in expected {
        assert_eq!(format!("{:?}", caught.get(name).unwrap()), value, "{name}");
    }
    assert_eq!(
        shown("let x = 1;\n\tetcd.test_fails();"),
        "error: the stream broke\n --> test:2:7\n  |\n2 | \tetcd.test_fails();\n  | \t     ^^^^^^^^^^\n  = code: broken\n  \
         = member: infra1\n  = endpoint: http://a:1\n  = help: mend it"
    );
}

#[test]
fn a_panic_is_an_error_like_others() {
    assert!(shown("etcd.test_panics()").contains("a mistake inside etcdsh: on purpose"));
}

#[rstest]
// The ambient cluster, a variable, a constant, a parameter: each may be used in its own method's closure.
#[case("etcd.test_each([\"a\"], |row| etcd.test_echo(row.item).text).values", "[\"a\"]")]
#[case("let c = etcd; c.test_each([\"a\"], |row| c.test_echo(row.item).text).values", "[\"a\"]")]
#[case(
    "let c = etcd; let f = |row| c.test_echo(row.item).text; c.test_each([\"a\"], f); c.test_each([\"b\"], f).values",
    "[\"b\"]"
)]
#[case("fn f(c) { c.test_each([\"a\"], |row| c.test_echo(row.item).text).values } f(etcd)", "[\"a\"]")]
#[case("test_each(etcd, [\"a\"], |row| test_echo(etcd, row.item).text).values", "[\"a\"]")]
// What is captured can be changed, and calls may nest.
#[case("let n = 0; etcd.test_each([\"a\", \"b\"], |row| { n += 1; }); n", "2")]
#[case("etcd.test_each([\"a\"], |x| etcd.test_each([\"b\"], |y| x.item + y.item).values).values", "[[\"ab\"]]")]
#[case("etcd.test_each([\"a\"], |x| args[0]).values", "[\"word\"]")]
#[case("let etcd = 5; etcd", "5")]
#[case("fn f() { args.len() } f()", "1")]
fn closures_see_what_they_need(#[case] script: &str, #[case] expected: &str) {
    assert_eq!(value(script), expected);
}

#[test]
fn what_a_closure_throws_comes_out_whole() {
    let thrown = "etcd.test_each([\"a\"], |row| throw #{ my: 1, own: [2] })";
    assert_eq!(value(&caught(thrown, "error")), "#{\"my\": 1, \"own\": [2]}");
    let exit = run("try { etcd.test_each([\"a\"], |row| exit(3)) } catch { 0 }");
    assert!(matches!(exit, Err(Failure::Stopped(Stop::Exit(3)))), "{exit:?}");
    let shown = shown("etcd.test_each([\"a\"], |a, b| 1)");
    assert!(shown.contains("the closure for test_each should take one parameter"), "{shown}");
    assert!(shown.contains("help: write it as |it| …"), "{shown}");
    let shown = self::shown("etcd.test_each([\"a\"], |row| row.itme)");
    assert!(shown.contains("itme") && shown.contains("test:1:33") && shown.contains("a closure, called at"), "{shown}");
}

#[rstest]
#[case("let n = 0; for row in etcd.test_count(25) { n += row.number; } n", "300")]
#[case("let n = 0; for row in etcd.test_count(25) { if row.number == 12 { break; } n += 1; } n", "12")]
#[case("etcd.test_count(25).to_array().len()", "25")]
#[case("let rows = etcd.test_count(25); rows.take(3); rows.take(2)[0].number", "3")]
#[case("let rows = etcd.test_count(3); rows.to_string().sub_string(0, 18)", "\"rows of test count\"")]
fn streams(#[case] script: &str, #[case] expected: &str) {
    assert_eq!(value(script), expected);
}

#[rstest]
#[case("let rows = etcd.test_count(3); for row in rows {} for row in rows { print(1); }", "\"stream_taken\"")]
#[case("let rows = etcd.test_count(3); for row in rows {} rows.take(1)", "\"stream_taken\"")]
#[case("etcd.test_count(3).take(-1)", "\"invalid_argument\"")]
#[case("for row in etcd.test_count(50, #{ fail_after: 20 }) { if row.number > 19 { throw 1; } }", "\"broken\"")]
fn streams_that_fail(#[case] script: &str, #[case] code: &str) {
    assert_eq!(value(&caught(script, "error.code")), code);
}

#[test]
fn leaving_a_loop_ends_the_producer() {
    let (interpreter, _) = interpreter(Grants::all());
    let before = ops::PRODUCED.load(Ordering::SeqCst);
    let _ = interpreter.run("test", "for row in etcd.test_count(1000000) { break; }").unwrap();
    let produced = ops::PRODUCED.load(Ordering::SeqCst) - before;
    // What other tests count at the same time is little.
    assert!(produced < 1_000, "{produced} pages were produced for one row");
}

#[test]
fn an_error_in_a_stream_shows_the_loop() {
    let shown = shown("let a = 1;\nfor row in etcd.test_count(50, #{ fail_after: 20 }) { a += 1; }");
    assert!(shown.contains("error: the stream broke\n --> test:2:"), "{shown}");
}

#[rstest]
#[case("etcd.test_forever()")]
#[case("try { etcd.test_forever() } catch { }")]
#[case("loop { try { loop {} } catch { } }")]
#[case("sleep(600)")]
#[case("sleep(600.0)")]
#[case("sleep(\"10min\")")]
#[case("fn f() { sleep(600) } f()")]
#[case("etcd.test_each([\"a\"], |row| etcd.test_forever())")]
#[case("etcd.test_each([\"a\"], |row| sleep(600))")]
fn ctrl_c_ends_anything_at_once(#[case] endless: &str) {
    let (interpreter, printed) = interpreter(Grants::all());
    let interrupt = Arc::clone(&interpreter.session.interrupt);
    let script = format!("print(\"begun\"); {endless}; print(\"went on\");");
    let seen = Arc::clone(&printed);
    let script = std::thread::Builder::new().stack_size(crate::engine::STACK).spawn(move || {
        let done = interpreter.run("test", &script);
        (done.map(|_| ()), Instant::now())
    });
    while seen.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let pressed = Instant::now();
    interrupt.press();
    let (done, ended) = script.unwrap().join().unwrap();
    assert!(matches!(done, Err(Failure::Stopped(Stop::Interrupted(_)))), "{done:?}");
    assert!(ended - pressed < Duration::from_millis(500), "{:?}", ended - pressed);
    assert_eq!(printed.lock().unwrap().len(), 1);
}

#[test]
fn what_was_not_granted_is_refused() {
    let guarded = "etcd.test_guarded().number";
    assert_eq!(
        value(&caught(guarded, "error.code + \": \" + error.hint")),
        "\"not_allowed: run the script with --allow maintain\""
    );
    let granted = |grants| interpreter(grants).0.run("test", guarded).unwrap().as_int();
    assert_eq!(granted(Grants::read_and(&[Capability::Maintain])), Ok(1));
    assert_eq!(granted(Grants::all()), Ok(1));
}

#[rstest]
#[case("fn f(n) { f(n + 1) } f(0)", "more than 128 levels deep")]
#[case("[].pad(1 << 40, 1)", "a length of 1099511627776 is too large")]
#[case("blob(1 << 40)", "a length of 1099511627776 is too large")]
#[case("\"\".pad(1 << 40, \"\")", "a length of 1099511627776 is too large")]
#[case("let m = #{ name: 1 }; m.nmae", "there is no field named nmae")]
#[case("eval(\"1\")", "reserved keyword 'eval' is disabled")]
#[case("import \"/etc/passwd\" as x;", "cannot import")]
#[case("exit(300)", "exit codes go from 0 to 255")]
#[case("exit(\"a\")", "exit codes go from 0 to 255, not \"a\"")]
#[case("18446744073709551615", "18446744073709551615 does not fit an integer; write an id as text")]
#[case("etcd.health", "it is a function: etcd.health() -> array")]
#[case("[#{ a: 1 }].a", "take .a of each item")]
#[case("sleep(-1)", "the argument span should be a duration such as")]
#[case("sleep(-0.5)", "the argument span should be a duration such as")]
#[case("sleep(1e300)", "the argument span should be a duration such as")]
#[case("sleep(true)", "sleep does not take (bool)\n --> test:1:1\n  |\n1 | sleep(true)\n  | ^^^^^\n  = help: sleep(")]
fn limits_and_refusals(#[case] script: &str, #[case] problem: &str) {
    let shown = shown(script);
    assert!(shown.contains(problem), "{shown}");
}

#[test]
fn a_missing_field_is_not_said_to_be_itself() {
    let shown = shown("let map = #{ a: 1 }; map.role");
    assert!(shown.contains("there is no field named role") && !shown.contains("mean role?"), "{shown}");
}

#[test]
fn growing_costs_what_is_added() {
    // With any limit on sizes, Rhai measures the whole value after each change of it.
    let (interpreter, _) = interpreter(Grants::all());
    let engine = &interpreter.engine;
    assert_eq!((engine.max_array_size(), engine.max_map_size(), engine.max_string_size()), (0, 0, 0));
    let grow = "let a = []; let m = #{}; let s = \"\";
        for n in 0..20000 { a.push(n); m[`k${n}`] = n; s += \"x\"; }
        `${a.len()} ${m.len()} ${s.len()}`";
    assert_eq!(value(grow), "\"20000 20000 20000\"");
}

#[rstest]
#[case("let s = \"x\"; loop { s += s; }")]
#[case("let a = [1]; loop { a += a; }")]
#[case("let a = [1]; loop { try { a = [a, a]; } catch { } }")]
#[case("let m = #{ list: [0] }; loop { m.list.push(m.list.len()); m.list += m.list; }")]
fn a_script_that_takes_all_memory_is_stopped(#[case] script: &str) {
    let setup = Setup { memory: Some(200 << 20), ..setup(Grants::all(), Arc::default()) };
    let interpreter = Interpreter::new(Session::new(setup, Arc::new(Interrupt::default())));
    let done = interpreter.run("test", script);
    assert!(matches!(done, Err(Failure::Stopped(Stop::Exhausted))), "{done:?}");
    assert_eq!(interpreter.run("test", "1 + 1").unwrap().as_int(), Ok(2), "the next evaluation begins anew");
}

#[rstest]
#[case("parse_json(\"{\\\"id\\\": 16045690984503098046}\").id", "\"16045690984503098046\"")]
#[case(
    "parse_json(\"[9223372036854775807, -1, 1.5, null, true, \\\"a\\\"]\")",
    "[9223372036854775807, -1, 1.5, (), true, \"a\"]"
)]
#[case("let id = parse_json(\"[16045690984503098046]\")[0]; parse_json(#{ id: id }.to_json()).id == id", "true")]
fn json_keeps_every_digit(#[case] script: &str, #[case] expected: &str) {
    assert_eq!(value(script), expected);
}

#[test]
fn what_only_scripts_can_do_wrong_is_explained() {
    let scripts = [
        "parse_json(\"{\")",
        "let id = 16045690984503098046;",
        "let x = 1; fn f() { x } f()",
        "let list = [1]; list.for_each(|| list.push(2))",
    ];
    insta::assert_snapshot!(scripts.map(shown).join("\n"), @r#"
    error: the argument json is not JSON: EOF while parsing an object at line 1 column 1
     --> test:1:1
      |
    1 | parse_json("{")
      | ^^^^^^^^^^
      = code: invalid_argument
      = help: give one whole JSON text
    error: 16045690984503098046 does not fit an integer; write an id as text, a float with a dot
     --> test:1:10
      |
    1 | let id = 16045690984503098046;
      |          ^^^^^^^^^^^^^^^^^^^^
    error: there is no variable named x
     --> test:1:21
      |
    1 | let x = 1; fn f() { x } f()
      |                     ^
      = help: a function sees only its parameters; pass the value, or write a closure
      = in: f, called at test:1:25
    error: a closure uses the value whose method it was given to
     = help: call it as a function, and let the closure use its parameter in place of the captured value
    "#);
}

#[test]
fn every_function_of_ours_is_listed_and_documented() {
    let (interpreter, _) = interpreter(Grants::all());
    let json = interpreter.engine.gen_fn_metadata_to_json(false).unwrap();
    let functions: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut names: Vec<&str> = Vec::new();
    for function in functions["functions"].as_array().unwrap() {
        let name = function["name"].as_str().unwrap();
        if !matches!(name, "to_string" | "to_debug") {
            assert!(!function["docComments"].as_array().unwrap().is_empty(), "{name} is not documented");
            names.push(name);
        }
    }
    let echo = "test_echo(cluster: Cluster, text: string, size: size, options: map) -> map";
    let signature = |function: &serde_json::Value| function["signature"] == echo;
    assert!(functions["functions"].as_array().unwrap().iter().any(signature), "{json}");
    let cards: Vec<String> = CATALOGUE.iter().chain(ops::ENTRIES).map(|entry| entry.card.identifier()).collect();
    let by_hand = HAND_WRITTEN.iter().filter_map(|(name, _)| name.strip_prefix("rhai: "));
    let mut expected: Vec<&str> = cards.iter().map(String::as_str).chain(by_hand).collect();
    for names in [&mut names, &mut expected] {
        names.sort_unstable();
        names.dedup();
    }
    assert_eq!(names, expected, "what is bound is the catalogue, and what is listed as written by hand");
}
