//! etcd's variables: in the files with them that a unit reads, and in what systemd shows of a unit.

use super::{StartConfiguration, flags};

/// Returns etcd's variable in place of a flag.
pub(super) fn variable_of(flag: &str) -> String {
    format!("ETCD_{}", flag.to_uppercase().replace('-', "_"))
}

/// Finds a variable in what systemd shows of the variables of a unit: one line of assignments, as a shell quotes them.
pub(super) fn in_environment(shown: &str, variable: &str) -> Option<String> {
    shell_words::split(shown).ok()?.into_iter().rev().find_map(|word| {
        let (name, value) = word.split_once('=')?;
        (name == variable).then(|| value.to_owned())
    })
}

/// Finds a variable in an environment file: one assignment a line, with quotes or without. The last one counts.
pub(super) fn in_file(text: &str, variable: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        let words = (name.trim() == variable).then(|| shell_words::split(value).ok())??;
        Some(words.join(" "))
    })
}

/// Sets a start configuration in an environment file. What else it says stays as it is.
pub(super) fn with(text: &str, start: &StartConfiguration) -> String {
    let variables = start.variables();
    let other = |line: &&str| {
        let name = line.split_once('=').map(|(name, _)| name.trim());
        *line != MARK && !variables.iter().any(|(variable, _)| name == Some(*variable))
    };
    let kept = text.lines().filter(other).map(|line| format!("{line}\n"));
    let set = variables.iter().map(|(name, value)| format!("{name}=\"{}\"\n", escaped(value)));
    kept.chain([format!("{MARK}\n")]).chain(set).collect()
}

/// What stands above the variables that were set here.
const MARK: &str = "# Written by etcdsh; etcd reads it only while it has no data.";

/// Finds in an environment what etcd would take before its variables.
pub(super) fn hidden(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let words =
        lines.flat_map(|line| line.split(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'')));
    let mut words = words.flat_map(|word| [Some(word), word.split_once('=').map(|(_, value)| value)]).flatten();
    words.find(|word| {
        let plain = word.trim_start_matches('-').split('=').next().unwrap_or_default();
        let flag = word.starts_with('-') && (plain == flags::CONFIG_FILE || plain.starts_with("initial-cluster"));
        (flag && plain != "initial-cluster-token") || word.starts_with("ETCD_CONFIG_FILE=")
    })
}

/// Escapes a value for an environment file in double quotes.
fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, letter| {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(letter);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ETCD_NAME=a\nETCD_DATA_DIR=\"/var/lib/etcd\"\n", Some("/var/lib/etcd"))]
    #[case("ETCD_DATA_DIR=/x\n ETCD_DATA_DIR = '/y'\n", Some("/y"))]
    #[case("ETCD_DATA_DIR=/my data/etcd \n", Some("/my data/etcd"))]
    #[case("# ETCD_DATA_DIR=/x\nMY_ETCD_DATA_DIR=/y", None)]
    fn a_variable_is_found_in_a_file(#[case] text: &str, #[case] dir: Option<&str>) {
        assert_eq!(in_file(text, &variable_of("data-dir")).as_deref(), dir);
    }

    #[rstest]
    #[case("ETCD_NAME=a ETCD_DATA_DIR=/x ETCD_DEBUG=true", Some("/x"))]
    #[case("\"ETCD_DATA_DIR=/my data\" ETCD_NAME=a", Some("/my data"))]
    #[case("MY_ETCD_DATA_DIR=/y", None)]
    fn a_variable_is_found_in_an_environment(#[case] shown: &str, #[case] dir: Option<&str>) {
        assert_eq!(in_environment(shown, "ETCD_DATA_DIR").as_deref(), dir);
    }

    #[rstest]
    #[case("ETCD_NAME=a\nETCD_INITIAL_CLUSTER=\"a=http://a:1\"\nETCD_INITIAL_CLUSTER_STATE=new", None)]
    #[case("# DAEMON_ARGS=\"--initial-cluster=a\"\n", None)]
    #[case("DAEMON_ARGS=\"--initial-cluster-token=x\"", None)]
    #[case("DAEMON_ARGS=\"--data-dir /x --initial-cluster a=b\"", Some("--initial-cluster"))]
    #[case("DAEMON_ARGS=--config-file=/x", Some("--config-file=/x"))]
    #[case("ETCD_NAME=a ETCD_CONFIG_FILE=/x", Some("ETCD_CONFIG_FILE=/x"))]
    fn what_is_hidden_in_an_environment_is_found(#[case] text: &str, #[case] found: Option<&str>) {
        assert_eq!(hidden(text), found);
    }

    #[test]
    fn what_else_a_file_says_stays() {
        let set = |text: &str| {
            let start = StartConfiguration {
                name: "a".to_owned(),
                initial_cluster: "a=http://a:1,b=http://b:1".to_owned(),
                peer_urls: vec!["http://a:1".to_owned()],
            };
            with(text, &start)
        };
        let once = set("# ours\nETCD_DATA_DIR=/x\nETCD_NAME=old\nETCD_QUOTA_BACKEND_BYTES=8\n");
        insta::assert_snapshot!(once, @r#"
        # ours
        ETCD_DATA_DIR=/x
        ETCD_QUOTA_BACKEND_BYTES=8
        # Written by etcdsh; etcd reads it only while it has no data.
        ETCD_NAME="a"
        ETCD_INITIAL_CLUSTER="a=http://a:1,b=http://b:1"
        ETCD_INITIAL_ADVERTISE_PEER_URLS="http://a:1"
        ETCD_INITIAL_CLUSTER_STATE="existing"
        "#);
        assert_eq!(set(&once), once);
        insta::assert_snapshot!(set(""), @r#"
        # Written by etcdsh; etcd reads it only while it has no data.
        ETCD_NAME="a"
        ETCD_INITIAL_CLUSTER="a=http://a:1,b=http://b:1"
        ETCD_INITIAL_ADVERTISE_PEER_URLS="http://a:1"
        ETCD_INITIAL_CLUSTER_STATE="existing"
        "#);
    }
}
