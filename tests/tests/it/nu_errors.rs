//! Errors as a script sees them: `$e.details.code` is an interface.

use etcdsh_tests::{Home, Silent};
use rstest::rstest;

#[rstest]
#[case("etcd member list --endpoints 127.0.0.1:1", "etcd::unreachable", "etcd member list")]
#[case("etcd member list --endpoints 'ftp://a:1'", "etcd::invalid_argument", "--endpoints 'ftp://a:1'")]
#[case("etcd member list --profile nope", "etcd::invalid_config", "--profile nope")]
#[case("etcd member list --timeout 0sec", "etcd::invalid_argument", "--timeout 0sec")]
#[case("etcd member list --cluster-id xyz", "etcd::invalid_argument", "--cluster-id xyz")]
#[case("etcd member list --user root", "etcd::invalid_argument", "--user root")]
#[case("etcd member list --cacert none.pem", "etcd::tls_bad_file", "--cacert none.pem")]
#[case("etcd healt --profile x", "etcd::unknown_command", "healt")]
#[case("etcd member ad x", "etcd::unknown_command", "ad")]
#[case("etcd can remov infra1", "etcd::invalid_argument", "remov")]
#[case("etcd sandbox break infra1 --how stale", "etcd::invalid_argument", "--how stale")]
#[case("etcd leader move --allow [bad_transfere]", "etcd::invalid_argument", "--allow [bad_transfere]")]
#[case("etcd get /a --key none.pem", "etcd::tls_bad_file", "--key none.pem")]
#[case("etcd get ''", "etcd::invalid_argument", "''")]
#[case("etcd sandbox kill infra9", "etcd::sandbox_not_found", "etcd sandbox kill")]
fn a_failure_has_a_code_and_points_at_its_culprit(#[case] script: &str, #[case] code: &str, #[case] culprit: &str) {
    let caught = Home::new().caught(script);
    assert_eq!((caught.code.as_str(), caught.culprit.as_str()), (code, culprit), "{:#}", caught.details);
}

#[test]
fn what_to_do_is_said_where_it_can_be_known() {
    let help = |script: &str| Home::new().caught(script).details["help"].as_str().unwrap_or_default().to_owned();
    assert_eq!(help("etcd healt"), "did you mean `etcd health`?");
    assert_eq!(help("etcd zzz"), "`etcd --help` shows the commands");
    assert_eq!(help("etcd can remov infra1 --endpoints 127.0.0.1:1"), "did you mean remove?");
    assert_eq!(help("etcd sandbox break infra1 --how stale"), "did you mean stale-data?");
    assert_eq!(help("etcd member remove infra1 --allow quorum"), "did you mean quorum_at_risk?");
    let there = "check the address and the port, and that etcd runs there";
    assert_eq!(help("etcd health --endpoints 127.0.0.1:1"), there);
}

#[test]
fn a_setting_that_does_not_fit_is_named_by_its_place() {
    let message = |script: &str| Home::new().caught(script).details["msg"].as_str().unwrap_or_default().to_owned();
    let typo = "$env.config.plugins.etcd = {profiles: {prod: {endpoint: 'a:1'}}}; etcd health --profile prod";
    assert_eq!(message(typo), "the profile \"prod\" cannot be used");
    let config = "$env.config.plugins.etcd = {endpoint: 'a:1'}; etcd health";
    assert_eq!(message(config), "$env.config.plugins.etcd cannot be used");
    let variable = "$env.ETCDCTL_DIAL_TIMEOUT = 'soon'; etcd health";
    assert_eq!(message(variable), "the variable ETCDCTL_DIAL_TIMEOUT cannot be used");
}

#[test]
fn a_frozen_server_is_given_up_at_the_timeout() {
    let silent = Silent::new();
    let script = format!("etcd member list --endpoints {} --timeout 300ms", silent.endpoint);
    let caught = Home::new().caught(&script);
    assert_eq!(caught.code, "etcd::timeout", "{caught:#?}");
    assert!(caught.details.to_string().contains(&silent.endpoint), "{caught:#?}");
}

#[test]
fn an_uncaught_error_ends_nushell_with_failure() {
    let said = Home::new().nu("etcd member list --profile nope");
    assert_eq!(said.status.code(), Some(1));
    assert!(said.out.is_empty(), "{said:?}");
    assert!(said.err.contains("etcd::invalid_config") && said.err.contains("nope"), "{said:?}");
}

#[test]
fn a_password_is_never_shown() {
    let home = Home::new();
    for script in [
        "etcd member list --endpoints 127.0.0.1:1 --user root:hunter2",
        "etcd get --user root:hunter2 --timeout 0sec k",
    ] {
        let said = home
            .nu(&format!("try {{ {script} }} catch {{|e| [$e.msg, $e.details.help, $e.details.inner] | to json }}"));
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
}
