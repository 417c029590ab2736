//! Installing the plugin, and what it says about itself.

use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_tests::{Home, Said, nu, program};
use serde_json::json;

#[test]
fn it_is_added_once_and_there_from_then_on() {
    let home = Home::new();
    home.write("empty.nu", "");
    let run = |script: &str| {
        let mut command = home.command(nu());
        command.args(["--no-std-lib", "--config", "empty.nu", "--env-config", "empty.nu", "--plugin-config"]);
        Said::by(command.arg(home.path().join("plugins.msgpackz")).args(["--commands", script]))
    };
    let added = run(&format!("plugin add {}", program("nu_plugin_etcd").display()));
    assert!(added.status.success(), "{added:?}");
    let listed = run("plugin list | select name version commands | to json --raw").json();
    assert_eq!((&listed[0]["name"], &listed[0]["version"]), (&json!("etcd"), &json!(env!("CARGO_PKG_VERSION"))));
    let commands = listed[0]["commands"].as_array().unwrap();
    assert!(commands.len() > CATALOGUE.len(), "{listed}");
    let used = run("etcd member | str contains 'etcd member add'");
    assert_eq!(used.out.trim(), "true", "{used:?}");
}

#[test]
fn its_version_is_for_people_too() {
    let said = Said::by(Home::new().command(program("nu_plugin_etcd")).arg("--version"));
    assert_eq!(said.out, format!("nu_plugin_etcd {}\n", env!("CARGO_PKG_VERSION")));
    assert!(said.status.success());
}

#[test]
fn every_command_is_listed_with_its_category() {
    let script = "help commands | where category == etcd | get name | to json --raw";
    let listed = Home::new().nu(script).json();
    for entry in CATALOGUE {
        let name = format!("etcd {}", entry.card.name);
        assert!(listed.as_array().unwrap().contains(&json!(name)), "{name}");
    }
}

#[test]
fn every_example_can_be_read_by_nushell() {
    let home = Home::new();
    let script = "help commands | where category == etcd | each {|command| scope commands | where name == $command.name \
                  | get 0.examples | get example } | flatten | to json --raw";
    let examples = home.nu(script).json();
    let examples: Vec<_> = examples.as_array().unwrap().iter().map(|example| example.as_str().unwrap()).collect();
    assert!(examples.len() >= CATALOGUE.len(), "{examples:?}");
    // A definition is parsed and checked, and not run.
    let unread = |example: &&str| !home.nu(&format!("def unused [] {{ {example} }}")).status.success();
    let unread: Vec<_> = examples.iter().copied().filter(unread).collect();
    assert!(unread.is_empty(), "{unread:?}");
    assert!(!home.nu("def unused [] { etcd member add --no-such-flag }").status.success());
}

#[test]
fn a_plugin_that_is_stopped_starts_again() {
    let home = Home::new();
    let script = "etcd sandbox list; let first = plugin list | get 0.pid; plugin stop etcd; etcd sandbox list; \
                  let second = plugin list | get 0.pid; $first != null and $second != null and $first != $second";
    assert_eq!(home.nu(script).out.trim(), "true");
}

#[test]
fn its_log_goes_to_a_file_and_nowhere_else() {
    let home = Home::new();
    let log = home.path().join("log");
    let mut command =
        home.nu_with("nu_plugin_etcd", "try { etcd member list --endpoints 127.0.0.1:1 --user root:hunter2 }; 1");
    let said = Said::by(command.env("ETCDSH_LOG", "trace").env("ETCDSH_LOG_FILE", &log));
    assert_eq!((said.out.trim(), said.err.as_str()), ("1", ""));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.is_empty() && !log.contains("hunter2"), "{log}");
}

#[test]
fn a_log_level_that_is_none_is_said_once_and_harms_nothing() {
    let home = Home::new();
    let said = Said::by(home.nu_with("nu_plugin_etcd", "etcd sandbox list | to json --raw").env("ETCDSH_LOG", "loud"));
    assert_eq!(said.json(), json!([]));
    assert!(said.err.contains("ETCDSH_LOG should be"), "{}", said.err);
}
