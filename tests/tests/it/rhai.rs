//! `etcdsh` without a terminal: one-liners, scripts, pipes.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, program};
use rstest::{fixture, rstest};

mod check;
mod ended;
mod told;

fn cluster(members: usize) -> Running {
    Running::start("3.6", Options { members, tls: false, ..Options::default() }).expect("etcd 3.6")
}

/// Folders without a cluster.
struct Folder(tempfile::TempDir);

#[fixture]
fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

impl Folder {
    fn etcdsh(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("etcdsh"));
        command.args(args).env_clear().env("HOME", self.0.path()).current_dir(self.0.path());
        command
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn etcdsh(cluster: &Running, args: &[&str]) -> Command {
    let mut command = cluster.command(program("etcdsh"));
    command.args(["--profile", "sandbox"]).args(args);
    command
}

/// What a run came to: its exit code, standard output and standard error.
fn done(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What a run with something on its standard input came to.
fn piped(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn an_expression_is_written_as_json_with_its_columns_in_order() {
    let cluster = cluster(3);
    let (code, out, err) = done(&mut etcdsh(&cluster, &["eval", "-o", "json", "etcd.health()"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows, cluster_names(&rows), "{out}");
    assert!(rows[0]["member_id"].is_string() && rows[0]["latency"].is_i64(), "{out}");
    let place = |column: &str| out.find(&format!("\"{column}\"")).unwrap();
    assert!(place("member_id") < place("name") && place("name") < place("verdict"), "{out}");
    let (_, lines, _) = done(&mut etcdsh(&cluster, &["eval", "-o", "jsonl", "etcd.member_list()"]));
    assert_eq!(lines.lines().count(), 3);
    let (_, table, _) = done(&mut etcdsh(&cluster, &["eval", "etcd.member_list()"]));
    assert!(table.lines().next().unwrap().trim_start().starts_with("member_id"), "{table}");
    assert!(!table.contains(['│', '\x1b']), "a pipe gets neither frames nor colours: {table}");
}

/// Returns the rows if they are the sandbox's three members, in any order.
fn cluster_names(rows: &serde_json::Value) -> serde_json::Value {
    let mut names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["infra1", "infra2", "infra3"]);
    rows.clone()
}

#[test]
fn streams_are_read_as_far_as_is_wanted() {
    let cluster = cluster(1);
    for number in 0..25 {
        cluster.etcdctl(&["put", &format!("/k/{number:03}"), "v"]);
    }
    let script = r#"
        let seen = 0;
        for row in etcd.keys(#{ prefix: "/k/" }) { seen += 1; if seen == 10 { break; } }
        print(seen);
        let rows = etcd.keys(#{ prefix: "/k/" });
        print(rows.take(3).map(|row| row.key));
        print(rows.take(2).map(|row| row.key));
        print(rows.to_array().len());
        print(rows.to_array().len());
        for row in rows {}
        try { for row in rows { print("again") } } catch (error) { print(error.code + ": " + error.message) }
        let all = etcd.keys(#{ prefix: "/k/" });
        all
    "#;
    let (code, out, err) = piped(&mut etcdsh(&cluster, &["run", "--print-result", "-"]), script);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "10",
            r#"["/k/000", "/k/001", "/k/002"]"#,
            r#"["/k/003", "/k/004"]"#,
            "20",
            "0",
            "stream_taken: the rows of keys were taken by a loop before",
        ]
    );
    assert_eq!(lines.len(), 6 + 1 + 25, "the result is a table of all keys: {out}");
    let (_, out, _) =
        done(&mut etcdsh(&cluster, &["eval", "-o", "jsonl", "etcd.keys(#{ prefix: \"/k/\", limit: 4 })"]));
    assert_eq!(out.lines().count(), 4);
}

#[rstest]
fn a_script_gets_its_words_and_gives_its_exit_code(folder: Folder) {
    folder.write("a.rhai", "#!/usr/bin/env -S etcdsh run\nprint(args);\nprint(opts);\nprint(script_path);\nfn f() { args.len() }\nexit(f());\n");
    let (code, out, err) = done(&mut folder.etcdsh(&["run", "--set", "k=v=w", "a.rhai", "one", "--two"]));
    assert_eq!((code, err.as_str()), (2, ""));
    assert_eq!(out, "[\"one\", \"--two\"]\n#{\"k\": \"v=w\"}\na.rhai\n");
    let (code, out, _) =
        done(&mut folder.etcdsh(&["run", "--print-result", &folder.write("b.rhai", "40 + 2").to_string_lossy()]));
    assert_eq!((code, out.as_str()), (0, "42\n"));
    assert_eq!(done(&mut folder.etcdsh(&["run", "c.rhai"])).0, 2, "there is no such file");
    assert_eq!(done(&mut folder.etcdsh(&["eval", "throw 1"])).0, 1);
    assert_eq!(done(&mut folder.etcdsh(&["eval", "let"])).0, 2);
    assert_eq!(done(&mut folder.etcdsh(&["nonsense"])).0, 2);
    assert_eq!(done(&mut folder.etcdsh(&["eval", "exit(256)"])).0, 1);
}

#[rstest]
fn what_is_piped_in_is_one_script(folder: Folder) {
    let (code, out, err) = piped(&mut folder.etcdsh(&[]), "let a = [1,\n2];\nprint(a.len());\n");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "2\n", ""), "no prompt, no greeting");
    let (code, out, err) = piped(&mut folder.etcdsh(&[]), "print(1);\nlet x = ;\n");
    assert_eq!((code, out.as_str()), (2, ""), "what is no script does not run at all");
    assert!(err.contains("stdin:2:9"), "{err}");
    assert_eq!(piped(&mut folder.etcdsh(&[]), "throw \"no\"").0, 1);
}

#[rstest]
fn a_failure_shows_where_and_why(folder: Folder) {
    folder.write("lib/deep.rhai", "fn boom(x) {\n    throw #{ message: `no ${x}`, hint: \"say yes\" };\n}\n");
    folder.write("main.rhai", "import \"lib/deep\" as deep;\n\nfn inner(x) {\n    deep::boom(x)\n}\ninner(\"way\");\n");
    let (code, out, err) = done(&mut folder.etcdsh(&["run", "main.rhai"]));
    assert_eq!((code, out.as_str()), (1, ""));
    let expected = "\
error: no way
 --> lib/deep.rhai:2:5
  |
2 |     throw #{ message: `no ${x}`, hint: \"say yes\" };
  |     ^^^^^
  = help: say yes
  = in: boom, called at main.rhai:4:11
  = in: inner, called at main.rhai:6:1
";
    assert_eq!(err, expected);
}

#[rstest]
#[case("etcd.helth()", &["there is no function named helth", "did you mean health?"])]
#[case("etcd.health(1, 2)", &["health does not take", "etcd.health("])]
#[case("etcd.health(#{ timeuot: 1 })", &["there is no argument named timeuot", "= code: invalid_argument"])]
#[case("fn f() { x } let x = 1; f()", &["there is no variable named x", "a function sees only its parameters"])]
#[case("ectd.health()", &["there is no variable named ectd", "did you mean etcd?"])]
#[case("let m = #{ name: 1 }; m.nmae", &["nmae"])]
#[case("import \"gone\" as g;", &["cannot import \"gone\": there is no such file"])]
#[case("throw 42", &["thrown: 42"])]
#[case("sleep(\"soon\")", &["should be a duration", "= code: invalid_argument"])]
#[case("connect(\"nowhere\")", &["there is no profile named \"nowhere\"", "= code: invalid_config"])]
#[case("connect(#{ endpoint: \"a:1\" })", &["there is no argument named endpoint", "did you mean endpoints?"])]
#[case("etcd.keys(#{ limit: print })", &["error: "])]
#[case("eval(\"1\")", &["'eval' is disabled"])]
fn mistakes_are_explained(folder: Folder, #[case] script: &str, #[case] expected: &[&str]) {
    let (code, _, err) = done(&mut folder.etcdsh(&["eval", script]));
    assert_ne!(code, 0);
    for text in expected {
        assert!(err.contains(text), "{text:?} is missing in:\n{err}");
    }
}

#[rstest]
fn an_error_is_a_map_that_a_script_can_look_at(folder: Folder) {
    let script = r#"
        try { connect(#{ endpoints: ["127.0.0.1:1"], timeout: "2s" }).member_list() } catch (error) {
            print(error.error); print(error.code); print(error.retryable); print(error.sent);
            print(error.argument); print(type_of(error.causes)); print(error.line);
            throw;
        }
    "#;
    let (code, out, err) = piped(&mut folder.etcdsh(&["run", "-"]), script);
    assert_eq!(code, 1);
    assert_eq!(out, "EtcdError\nunreachable\ntrue\nnever\n\narray\n2\n");
    assert!(err.contains("stdin:2:"), "a re-thrown error keeps its place: {err}");
}

#[test]
fn a_script_does_only_what_it_was_granted() {
    let cluster = cluster(1);
    let script = "try { etcd.member_add(\"x\", #{ peer_urls: [\"http://127.0.0.1:1\"], dry_run: true }); print(\"added\") } \
                  catch (error) { print(error.code + \": \" + error.hint) }";
    let (_, out, _) = piped(&mut etcdsh(&cluster, &["run", "-"]), script);
    assert_eq!(out, "not_allowed: run the script with --allow membership\n");
    let (_, out, _) = piped(&mut etcdsh(&cluster, &[]), script);
    assert_eq!(out, "not_allowed: run the script with --allow membership\n", "what is piped in is a script too");
    let (_, out, err) = piped(&mut etcdsh(&cluster, &["run", "--allow", "snapshot,membership", "-"]), script);
    assert_eq!((out.as_str(), err.as_str()), ("added\n", ""));
    let (_, out, _) = done(&mut etcdsh(&cluster, &["eval", script]));
    assert_eq!(out, "added\n", "who types may do everything");
}

#[rstest]
fn programs_are_run_without_a_shell(folder: Folder) {
    let script = r#"
        let said = run(["printf", "%s|", "a b", "$HOME", "*"]);
        print(said.stdout); print(said.success);
        print(run(["cat"], #{ stdin: "fed" }).stdout);
        print(run(["sh", "-c", "exit 3"]).status);
        try { run(["no-such-program"]) } catch (error) { print(error.code) }
        try { run(["sleep", "60"], #{ timeout: "100ms" }) } catch (error) { print(error.code) }
    "#;
    let (code, out, err) = piped(&mut folder.etcdsh(&["run", "--allow", "exec", "-"]), script);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "a b|$HOME|*|\ntrue\nfed\n3\ncommand_failed\ncommand_timeout\n");
    assert_eq!(done(&mut folder.etcdsh(&["run", "-"])).0, 0);
    let (code, _, err) = piped(&mut folder.etcdsh(&["run", "-"]), "run([\"true\"])");
    assert!(code == 1 && err.contains("--allow exec"), "{err}");
}

#[rstest]
fn imports_stay_in_the_folder_of_the_script(folder: Folder) {
    folder.write("secret.rhai", "export let x = 1;");
    folder.write("in/lib/b.rhai", "import \"c\" as c; fn f() { c::g() }");
    folder.write("in/lib/c.rhai", "fn g() { 5 }");
    folder.write("in/loop.rhai", "import \"loop\" as me;");
    std::os::unix::fs::symlink("../secret.rhai", folder.0.path().join("in/link.rhai")).unwrap();
    let run = |text: &str| {
        folder.write("in/main.rhai", text);
        done(&mut folder.etcdsh(&["run", "in/main.rhai"]))
    };
    assert_eq!(
        run("import \"lib/b\" as b; print(b::f());").1,
        "5\n",
        "a path is taken from the file that it stands in"
    );
    for outside in ["../secret", "link", "/etc/hostname"] {
        let (code, _, err) = run(&format!("import {outside:?} as x; print(1);"));
        assert!(code == 1 && (err.contains("outside of the script's folder") || err.contains("no such file")), "{err}");
    }
    assert!(run("import \"loop\" as x;").2.contains("it would import itself"));
}

#[test]
fn a_second_cluster_is_reached_by_what_the_script_says_alone() {
    let cluster = cluster(1);
    let endpoint = cluster.profile().endpoints[0].to_string();
    let script = format!(
        "print(connect(#{{ endpoints: [{endpoint:?}] }}).member_list()[0].name); print(connect(\"sandbox\").quorum().verdict)"
    );
    let mut command = cluster.command(program("etcdsh"));
    // Neither the caller's environment nor the flags mean the cluster that the script names.
    command.env("ETCDCTL_ENDPOINTS", "127.0.0.1:1").env("ETCDCTL_CACERT", "/nowhere").args(["run", "-"]);
    let (code, out, err) = piped(&mut command, &script);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "infra1\nhealthy\n", ""));
}

#[rstest]
fn what_a_script_prints_cannot_drive_the_terminal(folder: Folder) {
    let (_, out, err) =
        done(&mut folder.etcdsh(&["eval", "print(\"\\x1b[2J\"); debug(\"\\x1b[2J\"); throw \"\\x1b[2J\""]));
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "{out:?} {err:?}");
    assert!(out.contains("\\u{1b}[2J") && err.contains("error: \\u{1b}[2J"), "{out:?} {err:?}");
}

#[rstest]
fn allow_is_offered_where_it_means_something(folder: Folder) {
    let script = "print(run([\"true\"]).success)";
    for args in [&["run", "--allow", "exec", "-"][..], &["--allow", "exec", "run", "-"], &["--allow=exec"]] {
        assert_eq!(piped(&mut folder.etcdsh(args), script), (0, "true\n".to_owned(), String::new()), "{args:?}");
    }
    for args in [&["eval", "--allow", "exec", "1"][..], &["--allow", "exec", "eval", "1"], &["--allow", "exec", "docs"]]
    {
        let (code, out, err) = done(&mut folder.etcdsh(args));
        assert!(code == 2 && out.is_empty() && err.contains("--allow"), "{args:?}: {err}");
    }
    assert!(!done(&mut folder.etcdsh(&["eval", "--help"])).1.contains("--allow"));
    let help = done(&mut folder.etcdsh(&["--help"])).1;
    assert!(help.contains("--profile") && !help.contains("Nushell"), "{help}");
}

#[test]
fn a_log_holds_calls_and_no_secrets() {
    let options = Options { members: 1, tls: true, auth: true, ..Options::default() };
    let cluster = Running::start("3.6", options).expect("etcd 3.6");
    let mut command = etcdsh(&cluster, &["eval", "etcd.quorum().verdict"]);
    let (code, out, err) = done(command.env("ETCDSH_LOG", "trace"));
    assert_eq!((code, out.as_str()), (0, "healthy\n"), "{err}");
    assert!(err.contains("MemberList"), "{err}");
    let password = cluster.profile().user.unwrap().password.expose().to_owned();
    assert!(!err.contains(&password) && !err.to_lowercase().contains("authorization"), "{err}");
    let log = cluster.home().join("log");
    let (_, _, err) = done(etcdsh(&cluster, &["eval", "etcd.quorum().verdict"]).env("ETCDSH_LOG_FILE", &log));
    assert_eq!(err, "");
    assert!(std::fs::read_to_string(&log).unwrap().contains("MemberList"));
    let (code, _, err) = done(etcdsh(&cluster, &["eval", "1"]).env("ETCDSH_LOG", "loud"));
    assert!(code == 2 && err.contains("ETCDSH_LOG should be one of"), "{err}");
}
