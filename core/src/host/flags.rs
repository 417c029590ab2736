//! What a command line of etcd already says of what a start configuration says. etcd takes a flag before a variable, and a
//! settings file before both.

use super::StartConfiguration;

/// The flags of a start configuration, each with its variable.
pub(super) const FLAGS: [(&str, &str); 4] = [
    ("name", "ETCD_NAME"),
    ("initial-cluster", "ETCD_INITIAL_CLUSTER"),
    ("initial-advertise-peer-urls", "ETCD_INITIAL_ADVERTISE_PEER_URLS"),
    ("initial-cluster-state", "ETCD_INITIAL_CLUSTER_STATE"),
];

/// The flag that makes etcd read nothing but a file.
pub(super) const CONFIG_FILE: &str = "config-file";

/// Returns the value of a flag on a command line. Go's flags may have one dash or two, and their value behind them or apart.
pub(super) fn value<'w>(words: &[&'w str], flag: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let plain = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
        match plain.split_once('=') {
            Some((name, value)) => (name == flag).then_some(value),
            None => (plain == flag).then(|| words.get(at + 1).copied().unwrap_or_default()),
        }
    })
}

/// What a process says of itself, on its command line or in its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Which member it is.
    pub(super) name: Option<String>,
    /// Its data dir.
    pub(super) data_dir: Option<String>,
    /// Its WAL dir, where it is not in the data dir.
    pub(super) wal_dir: Option<String>,
}

impl Told {
    /// Asks for each of them by its flag. What stands for something that only the process knows says nothing.
    pub(super) fn by(said: impl Fn(&str) -> Option<String>) -> Self {
        let plain = |flag: &str| said(flag).filter(|value| !value.is_empty() && !value.starts_with(['$', '%']));
        Told { name: plain("name"), data_dir: plain("data-dir"), wal_dir: plain("wal-dir") }
    }
}

/// Returns the first flag on a command line that says something else than the start configuration does, with what it says. A
/// flag whose value is its own variable says nothing. Without a configuration, what it will say is known of the name only.
pub(super) fn conflict<'w>(
    words: &[&'w str],
    member: &str,
    with: Option<&StartConfiguration>,
) -> Option<(&'static str, &'w str)> {
    if let Some(file) = value(words, CONFIG_FILE) {
        return Some((CONFIG_FILE, file));
    }
    FLAGS.into_iter().find_map(|(flag, variable)| {
        let said = value(words, flag)?;
        let from_variable = [format!("${variable}"), format!("${{{variable}}}")].iter().any(|own| own == said);
        let wanted = with.and_then(|with| with.variables().into_iter().find(|(name, _)| *name == variable));
        let same = match (wanted, variable) {
            (Some((_, wanted)), _) => wanted == said,
            (None, "ETCD_NAME") => said == member,
            (None, "ETCD_INITIAL_CLUSTER_STATE") => said == "existing",
            // Which URLs a member is added with may be those that it has.
            (None, "ETCD_INITIAL_ADVERTISE_PEER_URLS") => true,
            (None, _) => false,
        };
        (!from_variable && !same).then_some((flag, said))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("etcd --name=a", Some("a"))]
    #[case("etcd -name=a", Some("a"))]
    #[case("etcd --name a --data-dir /x", Some("a"))]
    #[case("etcd --name", Some(""))]
    #[case("etcd --names=a name=a", None)]
    fn a_flag_is_found(#[case] line: &str, #[case] found: Option<&str>) {
        assert_eq!(value(&line.split(' ').collect::<Vec<_>>(), "name"), found);
    }

    #[rstest]
    #[case("etcd --data-dir=/x", None)]
    #[case("etcd --name=infra1 --initial-cluster-state=existing", None)]
    #[case("etcd --name=${ETCD_NAME} --initial-cluster=$ETCD_INITIAL_CLUSTER", None)]
    #[case("etcd --name=infra2", Some(("name", "infra2")))]
    #[case("etcd --initial-cluster-state new", Some(("initial-cluster-state", "new")))]
    #[case("etcd --initial-cluster=infra1=http://a:1", Some(("initial-cluster", "infra1=http://a:1")))]
    #[case("etcd --config-file /etc/etcd.yml", Some(("config-file", "/etc/etcd.yml")))]
    fn a_command_line_contradicts_what_is_to_come(
        #[case] line: &str,
        #[case] found: Option<(&'static str, &'static str)>,
    ) {
        assert_eq!(conflict(&line.split(' ').collect::<Vec<_>>(), "infra1", None), found);
    }

    #[rstest]
    #[case("etcd --initial-cluster=infra1=http://a:1 --initial-advertise-peer-urls=http://a:1", None)]
    #[case("etcd --initial-advertise-peer-urls=http://b:1", Some(("initial-advertise-peer-urls", "http://b:1")))]
    fn what_it_says_may_be_what_is_wanted(#[case] line: &str, #[case] found: Option<(&'static str, &'static str)>) {
        let with = StartConfiguration {
            name: "infra1".to_owned(),
            initial_cluster: "infra1=http://a:1".to_owned(),
            peer_urls: vec!["http://a:1".to_owned()],
        };
        assert_eq!(conflict(&line.split(' ').collect::<Vec<_>>(), "infra1", Some(&with)), found);
    }
}
