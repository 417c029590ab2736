//! `options`: what a script was told, held against what it declares.

use std::sync::Arc;

use rstest::rstest;

use super::setup;
use crate::engine::{Interpreter, on_deep_stack};
use crate::interrupt::Interrupt;
use crate::session::{Grants, Session, Setup};

/// What most of the tests declare.
const DECLARED: &str = "options([\"folder\"], #{ keep: 3, wait: \"10min\", label: (), dry_run: false, all: true })";
/// A script that takes a command.
const COMMAND: &str = "options([\"host\", \"command...\"], #{ dry_run: false })";

/// Runs a script that was told these words, and those with a `=` in front by `--set`; returns its value, or the first line and
/// the help of what is shown of its failure.
fn told(script: &str, words: &[&str]) -> Result<String, String> {
    let (set, args): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('='));
    let split =
        |word: &str| word[1..].split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    let setup = Setup {
        args: args.into_iter().map(str::to_owned).collect(),
        opts: set.into_iter().map(split).collect(),
        ..setup(Grants::read_and(&[]), Arc::default())
    };
    ran(setup, script)
}

fn ran(setup: Setup, script: &str) -> Result<String, String> {
    let script = script.to_owned();
    let done = on_deep_stack(move || {
        let interpreter = Interpreter::new(Session::new(setup, Arc::new(Interrupt::default())));
        interpreter.run("test", &script).map(|value| format!("{value:?}")).map_err(|failure| {
            let shown = interpreter.render(&interpreter.report(failure).unwrap(), false);
            assert!(shown.contains("= code: invalid_argument"), "{shown}");
            let told = |line: &&str| line.starts_with("error: ") || line.starts_with("  = help: ");
            shown.lines().filter(told).map(|line| line.trim_start_matches("  = ")).collect::<Vec<_>>().join("\n")
        })
    });
    done.unwrap()
}

#[rstest]
#[case(&["a"], "#{\"all\": true, \"dry_run\": false, \"folder\": \"a\", \"keep\": 3, \"label\": (), \"wait\": \"10min\"}")]
#[case(
    &["--dry-run", "a", "--keep", "-5", "--label=", "--all=false", "--wait", "2 s"],
    "#{\"all\": false, \"dry_run\": true, \"folder\": \"a\", \"keep\": -5, \"label\": \"\", \"wait\": \"2 s\"}"
)]
#[case(
    &["=dry-run=true", "=keep=0", "a", "--label=--x=y", "--all"],
    "#{\"all\": true, \"dry_run\": true, \"folder\": \"a\", \"keep\": 0, \"label\": \"--x=y\", \"wait\": \"10min\"}"
)]
#[case(
    &["=dry_run=true", "--label", "-", "--", "--keep"],
    "#{\"all\": true, \"dry_run\": true, \"folder\": \"--keep\", \"keep\": 3, \"label\": \"-\", \"wait\": \"10min\"}"
)]
fn a_script_gets_what_it_was_told(#[case] words: &[&str], #[case] expected: &str) {
    assert_eq!(told(DECLARED, words).as_deref(), Ok(expected));
}

#[rstest]
#[case(&["a"], "[]")]
#[case(&["--dry_run", "a", "ls", "-l", "--dry-run", "--", "--x"], r#"["ls", "-l", "--dry-run", "--", "--x"]"#)]
#[case(&["a", "--dry-run", "--", "--x"], r#"["--x"]"#)]
fn a_command_keeps_its_own_options(#[case] words: &[&str], #[case] expected: &str) {
    let given = told(&format!("let given = {COMMAND}; [given.dry_run, given.command]"), words).unwrap();
    assert_eq!(given, format!("[{}, {expected}]", words.len() > 1));
}

#[test]
fn a_mark_before_all_words_ends_the_options_too() {
    let told = |ended| {
        let args = vec!["--dry-run".to_owned()];
        ran(
            Setup { args, args_ended: ended, ..setup(Grants::all(), Arc::default()) },
            "options([\"a...\"], #{ dry_run: false })",
        )
    };
    assert_eq!(told(false).unwrap(), "#{\"a\": [], \"dry_run\": true}");
    assert_eq!(told(true).unwrap(), "#{\"a\": [\"--dry-run\"], \"dry_run\": false}");
}

#[rstest]
#[case(DECLARED, &["a", "--dryrun"], "error: there is no option --dryrun\nhelp: did you mean --dry-run?")]
#[case(DECLARED, &["a", "=dryrun=true"], "error: there is no option --dryrun\nhelp: did you mean --dry-run?")]
#[case(DECLARED, &["a", "--weit=1s"], "error: there is no option --weit\nhelp: did you mean --wait?")]
#[case(
    DECLARED,
    &["a", "-n"],
    "error: there is no option -n\nhelp: it takes FOLDER [--all] [--dry-run] [--keep KEEP] [--label LABEL] [--wait WAIT]"
)]
#[case(DECLARED, &["a", "--keep", "abc"], "error: the option --keep should be an integer, not \"abc\"")]
#[case(DECLARED, &["a", "=keep=1.5"], "error: the option --keep should be an integer, not \"1.5\"")]
#[case(DECLARED, &["a", "--dry-run=yes"], "error: the option --dry-run should be true or false, not \"yes\"")]
#[case(DECLARED, &["a", "=dry_run=1"], "error: the option --dry-run should be true or false, not \"1\"")]
#[case(
    DECLARED,
    &["a", "--wait"],
    "error: the option --wait lacks its value\nhelp: write --wait VALUE, or --wait=VALUE"
)]
#[case(
    DECLARED,
    &["a", "--label", "--dry-run"],
    "error: the option --label lacks its value\nhelp: write --label VALUE, or --label=VALUE"
)]
#[case(
    DECLARED,
    &["a", "=dry_run=true", "--dry-run=false"],
    "error: the option --dry-run is given twice\nhelp: give it once, behind the script's name or with --set"
)]
#[case(
    DECLARED,
    &["--dry-run"],
    "error: the word FOLDER is missing\nhelp: it takes FOLDER [--all] [--dry-run] [--keep KEEP] [--label LABEL] [--wait WAIT]"
)]
#[case(
    DECLARED,
    &["a", "--dry-run", "true"],
    "error: there is no place for the word \"true\"\n\
     help: it takes FOLDER [--all] [--dry-run] [--keep KEEP] [--label LABEL] [--wait WAIT]"
)]
#[case(COMMAND, &[], "error: the word HOST is missing\nhelp: it takes HOST [--dry-run] [COMMAND...]")]
#[case(COMMAND, &["a", "--dry"], "error: there is no option --dry\nhelp: did you mean --dry-run?")]
#[case(
    "options(#{})",
    &["extra"],
    "error: there is no place for the word \"extra\"\nhelp: it takes no words and no options"
)]
#[case("options(#{})", &["--help"], "error: there is no option --help\nhelp: it takes no words and no options")]
fn what_is_not_understood_is_refused(#[case] script: &str, #[case] words: &[&str], #[case] expected: &str) {
    assert_eq!(told(script, words).unwrap_err(), expected);
}

#[rstest]
#[case(
    "options(#{ list: [] })",
    "the argument list should be true, false, an integer, a text or (), not a value of the type array"
)]
#[case("options([1], #{})", "the argument words should be an array of texts, not one with a value of the type i64")]
#[case(
    "options([\"a...\", \"b\"], #{})",
    "the argument words has \"b\" behind all the rest\nhelp: only the last word may end in ..."
)]
#[case(
    "options([\"a\", \"a\"], #{})",
    "the argument words has \"a\", which there is already\nhelp: give each option and each word a name of its own"
)]
#[case(
    "options([\"a-b...\"], #{ a_b: 1 })",
    "the argument words has \"a-b...\", which there is already\nhelp: give each option and each word a name of its own"
)]
fn a_mistake_in_what_is_declared_is_named(#[case] script: &str, #[case] expected: &str) {
    assert_eq!(told(script, &[]).unwrap_err(), format!("error: {expected}"));
}

#[test]
fn a_thrown_refusal_names_its_option() {
    let script =
        "let seen = (); try { options(#{ keep: 1 }) } catch (error) { seen = error.argument + error.line } seen";
    assert_eq!(told(script, &["--keep=x"]).unwrap(), "\"--keep1\"");
}
