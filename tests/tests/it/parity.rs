//! Both faces bind every card, and nothing else; what they say of it is committed as reference pages.

use std::path::Path;
use std::process::Command;

use etcdsh_core::catalogue::{CATALOGUE, HAND_WRITTEN};
use etcdsh_tests::{nu, program};
use serde_json::Value;

/// Runs Nushell with the plugin, and returns what it printed.
fn nushell(pipeline: &str) -> String {
    let plugin = format!("[{}]", program("nu_plugin_etcd").display());
    let mut command = Command::new(nu());
    command.args(["-n", "--no-std-lib", "--plugins", &plugin, "-c", pipeline]).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{pipeline}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn etcdsh(args: &[&str]) -> String {
    let output = Command::new(program("etcdsh")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what a face binds by hand, as the catalogue lists it.
fn by_hand(face: &str) -> Vec<String> {
    let listed = HAND_WRITTEN.iter().filter_map(|(name, _)| name.strip_prefix(face)?.strip_prefix(": "));
    listed.map(str::to_owned).collect()
}

fn names(json: &str) -> Vec<String> {
    let mut names: Vec<String> = serde_json::from_str(json).unwrap();
    names.sort();
    names.dedup();
    names
}

#[test]
fn nushell_binds_every_card_and_nothing_else() {
    let bound = names(&nushell("help commands | where category == etcd | get name | to json -r"));
    let mut expected: Vec<String> = CATALOGUE.iter().map(|entry| format!("etcd {}", entry.card.name)).collect();
    // A word with others below it has a page of help.
    let parents =
        CATALOGUE.iter().filter_map(|entry| entry.card.name.split_once(' ')).map(|(word, _)| format!("etcd {word}"));
    expected.extend(parents.chain(by_hand("nu")));
    expected.sort();
    expected.dedup();
    assert_eq!(bound, expected);
}

#[test]
fn rhai_binds_every_card() {
    let metadata: Value = serde_json::from_str(&etcdsh(&["docs", "--format", "json"])).unwrap();
    let functions = metadata["functions"].as_array().unwrap();
    let bound: Vec<&str> = functions.iter().filter_map(|function| function["name"].as_str()).collect();
    for entry in CATALOGUE {
        let name = entry.card.identifier();
        assert!(bound.contains(&name.as_str()), "{name} is missing");
        let function = functions.iter().find(|f| f["name"] == name.as_str()).unwrap();
        assert!(function["docComments"].to_string().contains(entry.card.summary), "{name} has no summary: {function}");
    }
    for name in by_hand("rhai") {
        assert!(bound.contains(&name.as_str()), "{name} is missing");
    }
}

#[test]
fn every_parameter_of_every_card_is_a_flag_or_a_place_in_nushell() {
    let help = nushell("help commands | where category == etcd | select name params | to json -r");
    let commands: Vec<Value> = serde_json::from_str(&help).unwrap();
    for entry in CATALOGUE {
        let command = commands.iter().find(|c| c["name"] == format!("etcd {}", entry.card.name)).unwrap();
        let shown = command["params"].to_string();
        for param in entry.all_params() {
            let flag = param.name.replace('_', "-");
            assert!(shown.contains(&flag), "{}: {flag} is missing in {shown}", entry.card.name);
        }
    }
}

/// Compares a page with the committed one; with `ETCDSH_UPDATE` set it writes the page instead.
#[expect(clippy::disallowed_methods, reason = "the variable says that a person wants the page written")]
fn reference(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var("ETCDSH_UPDATE").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(page.lines()).zip(1..).find(|((old, new), _)| old != new);
    assert!(
        committed == page,
        "docs/reference/{name} is not what is said now, first in {differs:?}: ETCDSH_UPDATE=1 cargo test --workspace --test it parity"
    );
}

#[test]
fn the_reference_of_nushell_is_what_its_help_says() {
    // Help draws the types as a table as wide as the terminal, so here they are written as lines.
    let page = nushell(
        "help commands | where category == etcd | sort-by name | each {|command| let help = help $command.name | ansi strip | lines \
         | where $it !~ '^ +[╭│├╰]' | str join \"\\n\"; let types = $command.input_output | each { $\"  ($in.input) -> ($in.output)\" } \
         | str join \"\\n\"; $\"## ($command.name)\\n\\n```text\\n($help | str replace \"Input/output types:\" \
         $\"Input/output types:\\n($types)\" | str trim)\\n```\\n\" } | str join \"\\n\"",
    );
    let page: String = page.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    reference("nushell.md", &format!("# Nushell commands\n\nWritten by a test from the commands' own help.\n\n{page}"));
}

#[test]
fn the_reference_of_rhai_is_what_its_functions_say() {
    reference(
        "rhai.md",
        &format!(
            "# Rhai functions\n\nWritten by a test from the functions' own documentation.\n\n{}",
            etcdsh(&["docs"])
        ),
    );
}
