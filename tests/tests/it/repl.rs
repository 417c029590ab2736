//! The shell, in a real terminal, on a real cluster.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Running, driver, program};

use crate::terminal::Terminal;

const ENTER: &str = "\r";
const TAB: &str = "\t";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_U: &str = "\x15";
const UP: &str = "\x1b[A";

/// A shell on a cluster of its own.
struct Shell {
    terminal: Terminal,
    cluster: Running,
}

impl Shell {
    fn start(members: usize) -> Self {
        let options = Options { members, tls: false, ..Options::default() };
        let cluster = Running::start("3.6", options).expect("etcd 3.6");
        let shell = Shell { terminal: Terminal::start(&Self::command(&cluster), 40, 120), cluster };
        shell.prompt();
        shell
    }

    fn command(cluster: &Running) -> Command {
        let mut command = cluster.command(program("etcdsh"));
        command.args(["--profile", "sandbox"]);
        command
    }

    /// Waits until the shell waits for a line, and returns the screen.
    fn prompt(&self) -> String {
        let waits = |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.trim_end() == "sandbox>");
        self.terminal.see_that("the shell waits for a line", waits)
    }

    /// Runs a line on an empty screen, and returns what it shows below the line.
    fn run(&self, line: &str) -> String {
        self.terminal.type_in(&format!(".clear{ENTER}"));
        let cleared = |screen: &str| screen.trim() == "sandbox>";
        self.terminal.see_that("the screen is empty", cleared);
        self.terminal.type_in(&format!("{line}{ENTER}"));
        let done = |screen: &str| {
            let mut lines = screen.trim_end().lines().rev().map(str::trim_end);
            lines.next() == Some("sandbox>") && lines.next().is_some()
        };
        let screen = self.terminal.see_that(&format!("{line:?} has run"), done);
        let below = screen.trim_end().trim_end_matches("sandbox>").split_once('\n').map(|(_, below)| below.trim_end());
        below.unwrap_or_default().to_owned()
    }

    /// Types on an empty line, and waits until the screen shows all of these.
    fn complete(&self, typed: &str, expected: &[&str]) -> String {
        self.run(".vars");
        self.terminal.type_in(typed);
        self.terminal.see(typed.trim_end_matches(TAB));
        let all = |screen: &str| expected.iter().all(|word| screen.contains(word));
        let screen = self.terminal.see_that(&format!("{typed:?} offers {expected:?}"), all);
        self.terminal.type_in(CTRL_C);
        self.prompt();
        screen
    }
}

#[test]
fn results_are_tables_in_the_order_of_the_card() {
    let shell = Shell::start(1);
    let table = shell.run("etcd.status()");
    let header = table.lines().nth(1).unwrap();
    let columns: Vec<_> = header.split(['│', '┆']).map(str::trim).filter(|name| !name.is_empty()).collect();
    assert_eq!(columns.get(..3), Some(["member_id", "name", "role"].as_slice()), "{table}");
    assert!(table.contains("not shown: "), "what does not fit is named:\n{table}");
    assert!(table.contains("infra1") && table.contains("leader"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    let record = shell.run("etcd.quorum()");
    let first = record.lines().nth(1).unwrap();
    assert!(first.starts_with("│ cluster_id"), "{record}");
    assert_eq!(shell.run("ans.verdict"), "healthy", "the last result is kept");
    assert_eq!(shell.run("ans"), "healthy");
}

#[test]
fn only_what_can_be_gone_on_with_is_offered_for_that() {
    let shell = Shell::start(1);
    let [over, open] = crate::nu_complete::journals(&shell.cluster);
    shell.complete(&format!("etcd.change_show(\"2026{TAB}"), &[over, open]);
    let screen = shell.complete(&format!("etcd.change_resume(\"2026{TAB}"), &[open]);
    assert!(!screen.contains(over), "{screen}");
}

#[test]
fn what_was_defined_stays() {
    let shell = Shell::start(1);
    assert_eq!(shell.run("let f = |a| a + 1;"), "");
    assert_eq!(shell.run("fn twice(x) { x * 2 }"), "");
    assert_eq!(shell.run("f.call(twice(3))"), "7");
    let error = shell.run("let broken = twice(nothing);");
    assert!(error.contains("error: there is no variable named nothing"), "{error}");
    assert_eq!(shell.run("f.call(twice(4))"), "9", "a failure takes nothing away");
    shell.run("fn twice(x) { x * 20 }");
    assert_eq!(shell.run("f.call(twice(4))"), "81", "a function can be defined again");
    // The function stands three inputs back, and its line is shown all the same.
    shell.run("fn bad(x) { x.nothing }");
    shell.run("let m = #{ some: 1 };");
    let error = shell.run("bad(m)");
    assert!(error.contains("fn bad(x) { x.nothing }"), "{error}");
}

#[test]
fn a_module_stays_imported() {
    let shell = Shell::start(1);
    std::fs::write(shell.cluster.home().join("tools.rhai"), "fn answer() { 42 }").unwrap();
    assert_eq!(shell.run("import \"tools\" as tools;"), "");
    assert_eq!(shell.run("tools::answer()"), "42");
    assert_eq!(shell.run("tools::answer() + 1"), "43");
}

#[test]
fn input_goes_on_until_it_is_whole() {
    let shell = Shell::start(1);
    shell.terminal.type_in(&format!("fn add(a, b) {{{ENTER}"));
    shell.terminal.see("… ");
    shell.terminal.type_in(&format!("a + b{ENTER}}}{ENTER}"));
    shell.prompt();
    assert_eq!(shell.run("add(1, 2)"), "3");
    shell.terminal.type_in(&format!("let x = [1,{ENTER}"));
    shell.terminal.see("[1,\n… ");
    shell.terminal.type_in(&format!("2]; x.len(){ENTER}"));
    shell.terminal.see("\n2\n");
    let error = shell.run("let 1 = 2");
    assert!(error.contains("error: "), "what is wrong in the middle does not wait for more: {error}");
}

#[test]
fn tab_offers_what_fits() {
    let shell = Shell::start(3);
    shell.complete(&format!("etcd.member_{TAB}"), &["member_add", "member_remove", "List the members of the cluster."]);
    shell.complete(&format!("etcd.member_remove(\"{TAB}"), &["infra1", "infra2", "infra3"]);
    shell.complete(&format!("etcd.keys(\"\", #{{ {TAB}"), &["limit: ", "prefix: ", "keys_only: "]);
    shell.complete(&format!("etcd.can(\"{TAB}"), &["remove", "promote"]);
    shell.complete(&format!("etcd.member_remove(\"infra1\", #{{ allow: \"{TAB}"), &["quorum_at_risk", "last_voter"]);
    shell.run("let other = connect(\"sandbox\"); let data = #{ first_field: 1, second_field: 2 };");
    shell.complete(&format!("data.{TAB}"), &["first_field", "second_field", "keys"]);
    shell.complete(&format!("other.member_promote(\"{TAB}"), &["infra1", "infra2", "infra3"]);
    shell.complete(&format!("etcd.quorum().{TAB}"), &["healthy_voters", "tolerance", "verdict"]);
    shell.complete(&format!("other.health()[0].{TAB}"), &["linearizable", "verdict"]);
    // A single candidate is taken at once.
    shell.terminal.type_in(&format!("connect(\"{TAB}"));
    shell.terminal.see("connect(\"sandbox");
}

#[test]
fn a_cluster_that_does_not_answer_does_not_stop_typing() {
    let shell = Shell::start(1);
    let member = shell.cluster.sandbox.member("infra1").unwrap();
    driver().block_on(member.pause()).unwrap();
    let start = Instant::now();
    shell.terminal.type_in(&format!("etcd.member_remove(\"{TAB}"));
    shell.terminal.type_in("typed");
    shell.terminal.see("etcd.member_remove(\"typed");
    assert!(start.elapsed() < Duration::from_secs(2), "typing waited for the cluster: {:?}", start.elapsed());
    driver().block_on(member.resume()).unwrap();
}

#[test]
fn help_is_a_question_mark_away() {
    let shell = Shell::start(1);
    for question in ["?member_add", "member_add?", "?etcd.member_add", ".help member add"] {
        let help = shell.run(question);
        assert!(help.contains("etcd.member_add("), "{question}: {help}");
        assert!(help.contains("peer_urls"), "{question}: {help}");
    }
    assert!(shell.run("?sleep").contains("Waits for a span of time"));
    assert!(shell.run("?nonsense").contains("there is no help for nonsense"));
    assert!(shell.run("?membr_add").contains("; did you mean member_add?"));
    assert!(shell.run("?etcdctl").contains("etcd.member_list"), "a word finds what it is about");
}

#[test]
fn history_is_private_and_keeps_no_secret() {
    let mut shell = Shell::start(1);
    shell.run("let a = 41;");
    shell.run(" let b = 42;");
    shell.run("let password = \"hunter2\";");
    shell.run("a + b");
    shell.terminal.type_in(&format!("{UP}{UP}{UP}"));
    shell.terminal.type_in(CTRL_D);
    shell.terminal.type_in(CTRL_U);
    shell.terminal.type_in(CTRL_D);
    assert_eq!(shell.terminal.end(), 0);
    let path = shell.cluster.places.state.join("history");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let kept: Vec<_> = kept.iter().map(String::as_str).filter(|line| *line != ".clear").collect();
    assert_eq!(kept, ["let a = 41;", "a + b"]);
    // The next session goes on where this one ended.
    let next = Terminal::start(&Shell::command(&shell.cluster), 40, 120);
    next.see("sandbox>");
    next.type_in(UP);
    next.see("sandbox> a + b");
}

#[test]
fn ctrl_c_clears_a_line_and_stops_what_runs() {
    let mut shell = Shell::start(1);
    shell.terminal.type_in("etcd.nonsense(");
    shell.terminal.see("etcd.nonsense(");
    shell.terminal.type_in(CTRL_C);
    shell.prompt();
    assert_eq!(shell.run("1 + 1"), "2", "the line is gone");

    let member = shell.cluster.sandbox.member("infra1").unwrap();
    driver().block_on(member.pause()).unwrap();
    for endless in ["etcd.member_list()", "sleep(\"10min\")", "loop {}", "try { loop {} } catch { \"caught\" }"] {
        shell.terminal.type_in(&format!(".clear{ENTER}"));
        shell.terminal.see_that("the screen is empty", |screen| screen.trim() == "sandbox>");
        shell.terminal.type_in(&format!("print(\"begun\"); {endless}{ENTER}"));
        shell.terminal.see("\nbegun");
        let start = Instant::now();
        shell.terminal.type_in(CTRL_C);
        shell.terminal.see("error: interrupted");
        assert!(start.elapsed() < Duration::from_secs(1), "{endless} went on for {:?}", start.elapsed());
        assert!(!shell.prompt().contains("\ncaught"), "a script cannot catch Ctrl-C");
    }
    driver().block_on(member.resume()).unwrap();
    assert_eq!(shell.run("2 + 2"), "4", "the session goes on");
    shell.terminal.type_in(&format!("exit(3){ENTER}"));
    assert_eq!(shell.terminal.end(), 3);
}

#[test]
fn what_leaves() {
    for (typed, code) in [(CTRL_D, 0), (".quit\r", 0), ("exit()\r", 0), ("exit(7)\r", 7)] {
        let mut shell = Shell::start(1);
        shell.terminal.type_in(typed);
        assert_eq!(shell.terminal.end(), code, "{typed:?}");
    }
}
