//! What is told while something takes its time: to a person on a terminal, to a program, to nobody.

use std::process::Command;
use std::time::Duration;

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Home, Running, Said, program};
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::terminal::Terminal;

/// What erases a line.
const ERASE: &str = "\r\x1b[2K";
/// A narrow terminal, in which what is awaited does not fit a line.
const COLUMNS: u16 = 40;

/// A cluster of two members of which one is killed: whoever restarts the other one waits in vain.
fn waits() -> Running {
    let cluster = Running::start("3.6", Options { members: 2, tls: false, ..Options::default() }).unwrap();
    cluster.kill(&["infra1", "infra2"]);
    cluster
}

/// A command of a face that waits for four seconds, and fails.
fn waiting(cluster: &Running, face: &str, flags: &[&str]) -> Command {
    command(
        cluster,
        face,
        flags,
        "etcd.sandbox_restart(\"infra1\", #{ wait: \"4s\" })",
        "etcd sandbox restart infra1 --wait 4sec",
    )
}

/// A command of a face, in its language.
fn command(home: &Home, face: &str, flags: &[&str], rhai: &str, nushell: &str) -> Command {
    if face == "nu" {
        return home.nu_with("nu_plugin_etcd", nushell);
    }
    let mut command = home.command(program("etcdsh"));
    match face {
        "eval" => command.args(["--profile", "sandbox", "eval"]).args(flags).arg(rhai),
        "run" => {
            home.write("script.rhai", rhai);
            command.args(["--profile", "sandbox", "run", "--allow", "all"]).args(flags).arg("script.rhai")
        }
        _ => unreachable!("there is no such face"),
    };
    command
}

/// Returns the lines of progress, as they were written one after the other.
fn progress(written: &str) -> Vec<&str> {
    written.split(ERASE).skip(1).filter(|line| !line.is_empty()).collect()
}

#[rstest]
fn on_a_terminal_one_line_tells_what_is_awaited(#[values("eval", "run", "nu")] face: &str) {
    let cluster = waits();
    let mut terminal = Terminal::start(&waiting(&cluster, face, &[]), 60, COLUMNS);
    terminal.written_that("the line is written again", |written| written.matches(ERASE).count() >= 3);
    // It is one line, however often it is written, and it does not wrap.
    let screen = terminal.screen();
    let lines = screen.lines().filter(|line| line.starts_with("waiting until infra1 served, for ")).count();
    assert!(lines <= 1, "{screen}");
    assert_ne!(terminal.end(), 0);
    let written = terminal.written();
    let told = progress(&written);
    let waited: Vec<_> = told.iter().filter(|line| line.starts_with("waiting until infra1 served, for ")).collect();
    assert!(waited.len() >= 2, "{told:?}");
    // A terminal shows `^C` behind it. A blank at its end is not seen.
    let room = usize::from(COLUMNS) - 3;
    assert!(waited.iter().rev().skip(1).all(|line| (room - 1..=room).contains(&line.chars().count())), "{waited:?}");
    // At the end it is gone; what is worth keeping stays.
    let screen = terminal.screen();
    assert!(!screen.contains("waiting until"), "{screen}");
    assert!(screen.contains("warning: 1 of 2 members up"), "{screen}");
    assert!(screen.contains("did not serve"), "{screen}");
}

#[test]
fn a_terminal_that_cannot_erase_and_one_without_colour_get_what_they_can() {
    let cluster = waits();
    let mut command = waiting(&cluster, "eval", &[]);
    command.env("NO_COLOR", "1");
    let mut plain = Terminal::start(&command, 24, 120);
    assert_ne!(plain.end(), 0);
    let written = plain.written();
    assert!(progress(&written).len() >= 2, "{written:?}");
    let controls = written.matches("\x1b[").count();
    assert_eq!(controls, written.matches(ERASE).count(), "nothing else drives the terminal: {written:?}");

    command.env("TERM", "dumb");
    let mut dumb = Terminal::start(&command, 24, 120);
    assert_ne!(dumb.end(), 0);
    let written = dumb.written();
    assert!(written.contains("warning: 1 of 2 members up") && !written.contains('\x1b'), "{written:?}");
    assert!(!written.contains("waiting until"), "{written:?}");
}

#[test]
fn the_shell_shows_it_too_and_steps_stay() {
    let cluster = Running::start("3.6", Options { tls: false, ..Options::default() }).unwrap();
    let leader = cluster.leader();
    let mut command = cluster.command(program("etcdsh"));
    command.args(["--profile", "sandbox"]);
    let shell = Terminal::start(&command, 40, 120);
    shell.see("sandbox>");
    shell.type_in(&format!("etcd.member_remove(\"{leader}\").ok\r"));
    let screen = shell.see("\ntrue");
    let at = |text: &str| screen.find(text).unwrap_or_else(|| panic!("{text:?} is not shown:\n{screen}"));
    assert!(at("step 1 of 2: move_leader") < at(&format!("step 2 of 2: remove_member {leader}")), "{screen}");
    // What is awaited stands below, for as long as it is awaited, and the prompt comes in its place.
    let rest: Vec<_> = ["infra1", "infra2", "infra3"].into_iter().filter(|name| *name != leader).collect();
    cluster.kill(&rest);
    shell.type_in(&format!("etcd.sandbox_restart(\"{}\", #{{ wait: \"4s\" }})\r", rest[0]));
    shell.see(&format!("waiting until {} served, for ", rest[0]));
    let screen = shell.see("did not serve");
    assert!(!screen.contains("waiting until"), "{screen}");
}

#[rstest]
fn without_a_terminal_only_warnings_are_told(#[values("eval", "run")] face: &str) {
    let cluster = waits();
    let said = Said::by(&mut waiting(&cluster, face, &[]));
    assert!(!said.status.success(), "{said:?}");
    let warnings = said.err.lines().take_while(|line| line.starts_with("warning: 1 of 2 members up")).count();
    assert_eq!(warnings, 1, "{said:?}");
    assert!(!said.err.contains("waiting until") && !said.err.contains('\x1b'), "{said:?}");
}

#[test]
fn nushell_tells_only_warnings_without_a_terminal() {
    let cluster = waits();
    let script = "try { etcd sandbox restart infra1 --wait 3sec } catch {|e| $e.details.code }";
    let said = cluster.nu(script);
    assert_eq!(said.out.trim(), "etcd::wait_timeout");
    // A log gets the warnings, and nothing else.
    assert!(said.err.starts_with("warning: 1 of 2 members up") && said.err.lines().count() == 1, "{said:?}");
}

#[rstest]
fn programs_read_events_as_json(#[values("eval", "run")] face: &str) {
    let cluster = waits();
    let said = Said::by(&mut waiting(&cluster, face, &["--events"]));
    // Every line is an object, so that a program can read all of them.
    let events: Vec<Json> = said.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("warning").len(), 1, "{said:?}");
    assert!(of("warning")[0]["message"].as_str().unwrap().starts_with("1 of 2 members up"), "{said:?}");
    let waited = of("waiting");
    assert!(waited.len() >= 2, "{said:?}");
    for event in &waited {
        assert_eq!(event["what"], "infra1 served");
        assert!(event["time"].as_str().unwrap().ends_with('Z') && event["status"].is_string(), "{event}");
    }
    let elapsed = |event: &Json| Duration::from_nanos(event["elapsed"].as_u64().unwrap());
    assert!(elapsed(waited[0]) < elapsed(waited[1]), "{waited:?}");
    assert_eq!(events.len(), of("warning").len() + waited.len() + 1, "{said:?}");
    let (last, message) = (events.last().unwrap(), events.last().unwrap()["message"].as_str().unwrap());
    assert_eq!((&last["event"], &last["code"]), (&json!("failed"), &json!("wait_timeout")), "{said:?}");
    assert!(message.starts_with("infra1 did not serve") && !message.contains(['\x1b', '\n']), "{said:?}");

    // A terminal changes nothing about that.
    let mut terminal = Terminal::start(&waiting(&cluster, face, &["--events"]), 24, 200);
    assert_ne!(terminal.end(), 0);
    let written = terminal.written();
    assert!(!written.contains(ERASE) && written.matches("{\"time\":").count() >= 3, "{written:?}");
}

#[rstest]
fn a_snapshot_tells_how_far_it_is(#[values("eval", "nu")] face: &str) {
    let cluster = Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap();
    let value = "x".repeat(1 << 20);
    for number in 0..20 {
        cluster.etcdctl_reading(&["put", &format!("big/{number}")], &value).unwrap();
    }
    let (rhai, nushell) =
        ("etcd.snapshot_save(\"a.db\").member", "etcd snapshot save a.db --profile sandbox | get member");
    let mut terminal = Terminal::start(&command(&cluster, face, &[], rhai, nushell), 24, 80);
    assert_eq!(terminal.end(), 0);
    let written = terminal.written();
    let told = progress(&written);
    // How far the database has grown ahead of its 20 MB of values differs.
    let told = told.first().and_then(|line| line.split_once("] snapshot: 8 of "));
    let total = told.and_then(|(_, total)| total.split_once(" MB")?.0.parse().ok());
    assert!(total.is_some_and(|total: u32| (20..64).contains(&total)), "{written:?}");
    assert!(told.is_some_and(|(bar, _)| bar.starts_with("[##") && bar.ends_with("--")), "{written:?}");
    assert_eq!(terminal.screen().trim(), "infra1", "{written:?}");

    if face == "eval" {
        let mut command = command(&cluster, face, &["--events"], "etcd.snapshot_save(\"b.db\").member", "");
        let said = Said::by(&mut command);
        let first: Json = serde_json::from_str(said.err.lines().next().unwrap()).unwrap();
        assert_eq!((&first["event"], &first["what"]), (&json!("progress"), &json!("snapshot")), "{said:?}");
        assert!(
            first["done"].as_u64().unwrap() >= 8 << 20 && first["total"].as_u64() > first["done"].as_u64(),
            "{first}"
        );
    }
}

#[test]
fn a_closure_that_prints_finds_a_line_of_its_own() {
    let home = Home::new();
    let script = "etcd ask --hook {|row| print here; $row.number } --times 2 | get answer | to json --raw";
    let mut terminal = Terminal::start(&home.nu_with("nu_plugin_probe", script), 24, 80);
    assert_eq!(terminal.end(), 0);
    let screen = terminal.screen();
    let warning = "warning: a log gets this where there is no terminal";
    assert_eq!(
        screen.lines().map(str::trim_end).collect::<Vec<_>>(),
        [warning, "here", warning, "here", "[1,2]"],
        "{screen}"
    );
}
