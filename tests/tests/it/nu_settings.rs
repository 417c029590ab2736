//! Which cluster is meant: flags, environment, Nushell's configuration, the file, and the caller's folder.

use etcdsh_core::sandbox::Options;
use etcdsh_tests::{Home, Running};
use serde_json::json;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn one() -> Running {
    Running::start("3.6", Options { members: 1, tls: false, ..Options::default() }).unwrap()
}

/// Says whether a script reaches the cluster.
fn reaches(home: &Home, before: &str, flags: &str) -> bool {
    let said = home.nu(&format!(
        "{before}\ntry {{ etcd member list --timeout 2sec {flags} | length }} catch {{|e| $e.details.code }}"
    ));
    match said.out.trim() {
        "1" => true,
        "etcd::unreachable" => false,
        _ => panic!("{said:?}"),
    }
}

#[test]
fn the_more_local_setting_wins() {
    let cluster = one();
    let home = &cluster;
    let here = cluster.profile().endpoints[0].to_string();
    let env = |endpoint: &str| format!("$env.ETCDCTL_ENDPOINTS = '{endpoint}'");
    let config = |endpoint: &str| format!("$env.config.plugins.etcd = {{endpoints: ['{endpoint}']}}");
    let file = |endpoint: &str| home.write("config/etcdsh/config.toml", &format!("endpoints = [\"{endpoint}\"]\n"));

    file(&here);
    assert!(reaches(home, "", ""), "the file is read");
    file(NOWHERE);
    assert!(!reaches(home, "", ""));
    assert!(reaches(home, &config(&here), ""), "the shell's configuration goes before the file");
    assert!(reaches(home, &format!("{}; {}", config(NOWHERE), env(&here)), ""), "the environment goes before it");
    assert!(!reaches(home, &format!("{}; {}", config(&here), env(NOWHERE)), ""));
    assert!(reaches(home, &env(NOWHERE), &format!("--endpoints {here}")), "a flag goes before all");
    assert!(!reaches(home, &env(&here), &format!("--endpoints {NOWHERE}")));
    assert!(reaches(home, &env(NOWHERE), "--profile sandbox"), "a profile goes before what it would be mixed with");
}

#[test]
fn a_profile_is_found_wherever_it_is_written() {
    let cluster = one();
    let home = &cluster;
    let here = cluster.profile().endpoints[0].to_string();
    let shell = format!("$env.config.plugins.etcd = {{profiles: {{mine: {{endpoints: ['{here}']}}}}}}");
    assert!(reaches(home, &shell, "--profile mine"));
    let closure = format!("$env.config.plugins.etcd = {{|| {{profiles: {{made: {{endpoints: ['{here}']}}}}}} }}");
    assert!(reaches(home, &closure, "--profile made"), "a closure is asked each time");
    home.write("config/etcdsh/config.toml", &format!("[profiles.filed]\nendpoints = [\"{here}\"]\n"));
    assert!(reaches(home, "", "--profile filed"));
    assert!(reaches(home, "$env.ETCDSH_PROFILE = 'filed'", ""));
    assert!(reaches(home, "$env.ETCDSH_PROFILE = 'sandbox'", ""));
}

#[test]
fn each_call_sees_its_own_environment() {
    let cluster = one();
    let here = cluster.profile().endpoints[0].to_string();
    let call = "try { etcd member list --timeout 2sec | length } catch { 0 }";
    let with = |endpoint: &str| format!("(with-env {{ETCDCTL_ENDPOINTS: [{endpoint}]}} {{ {call} }})");
    let script = format!("[{} {} {}] | to json --raw", with(&here), with(NOWHERE), with(&here));
    assert_eq!(cluster.nu(&script).json(), json!([1, 0, 1]));
}

#[test]
fn a_configuration_that_cannot_be_used_is_an_error() {
    let home = Home::new();
    let code = |config: &str, call: &str| {
        let script =
            format!("$env.config.plugins.etcd = {config}\ntry {{ etcd {call} }} catch {{|e| $e.details.code }}");
        home.nu(&script).out.trim().to_owned()
    };
    assert_eq!(code("5", "member list"), "etcd::invalid_config");
    assert_eq!(code("{endpoint: 'a:1'}", "member list"), "etcd::invalid_config");
    assert_eq!(code("{|| error make {msg: 'no vault', code: 'my::vault'} }", "member list"), "my::vault");
    assert_eq!(code("5", "sandbox list | length"), "0", "who needs no cluster needs no settings");
}

#[test]
fn a_relative_path_starts_in_the_callers_folder() {
    let cluster = one();
    let home = &cluster;
    std::fs::create_dir(home.path().join("sub")).unwrap();
    let script = "cd sub; etcd snapshot save a.db --profile sandbox | get path | to json --raw";
    let expected = home.path().join("sub/a.db");
    assert_eq!(home.nu(script).json(), json!(expected));
    assert!(expected.is_file());
    let script = "etcd snapshot save ~/b.db --profile sandbox | get path | to json --raw";
    assert_eq!(home.nu(script).json(), json!(home.path().join("b.db")));
}
