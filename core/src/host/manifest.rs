//! The manifest of a static pod, as text: the flags of etcd's command are read out of it and set in it, and everything else stays
//! as it is, comments and order included.

use super::{StartConfiguration, flags};

/// A flag in a manifest: `- --name=value`, with or without quotes.
struct Line<'l> {
    before: &'l str,
    quote: &'static str,
    flag: &'l str,
    /// None when the value does not stand behind the flag.
    value: Option<&'l str>,
}

fn read(line: &str) -> Option<Line<'_>> {
    let dash = line.find("- ")?;
    let (before, rest) = line.split_at_checked(dash + 2)?;
    if !before.trim_start().starts_with("- ") {
        return None;
    }
    let rest = rest.trim();
    let unquoted = |quote: &'static str| Some((quote, rest.strip_prefix(quote)?.strip_suffix(quote)?));
    let (quote, word) = unquoted("\"").or_else(|| unquoted("'")).unwrap_or(("", rest));
    let plain = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(match plain.split_once('=') {
        Some((flag, value)) => Line { before, quote, flag, value: Some(value) },
        None => Line { before, quote, flag: plain, value: None },
    })
}

/// Returns the value of a flag of etcd's command.
pub(super) fn value<'m>(manifest: &'m str, flag: &str) -> Option<&'m str> {
    manifest.lines().filter_map(read).find(|line| line.flag == flag)?.value
}

/// Says why a start configuration cannot be written into a manifest, if it cannot.
pub(super) fn unfit(manifest: &str) -> Option<String> {
    let lines = || manifest.lines().filter_map(read);
    if let Some(line) = lines().find(|line| line.flag == flags::CONFIG_FILE) {
        return Some(format!("its command has --{}, which wins over all flags", line.flag));
    }
    let apart = |line: &Line<'_>| line.value.is_none() && flags::FLAGS.iter().any(|(flag, _)| *flag == line.flag);
    if let Some(line) = lines().find(apart) {
        return Some(format!("the value of --{} does not stand behind it as --{}=VALUE", line.flag, line.flag));
    }
    if value(manifest, ANCHOR).is_none() {
        return Some(format!("it has no line `- --{ANCHOR}=…`, by which etcd's command is found"));
    }
    None
}

/// The flag that every etcd has that keeps its data; new flags are written below it.
const ANCHOR: &str = "data-dir";

/// Writes a start configuration into a manifest.
pub(super) fn with(manifest: &str, start: &StartConfiguration) -> String {
    let mut missing: Vec<(&str, String)> = start
        .variables()
        .into_iter()
        .filter_map(|(variable, value)| {
            flags::FLAGS.iter().find(|(_, own)| *own == variable).map(|(flag, _)| (*flag, value))
        })
        .collect();
    let mut lines: Vec<String> = Vec::new();
    let mut anchor = None;
    for text in manifest.lines() {
        let line = read(text);
        let set = line.as_ref().and_then(|line| missing.iter().position(|(flag, _)| *flag == line.flag));
        match (line, set) {
            (Some(Line { before, quote, .. }), Some(at)) => {
                let (flag, value) = missing.swap_remove(at);
                lines.push(format!("{before}{quote}--{flag}={value}{quote}"));
            }
            (line, _) => {
                if let Some(line) = line.filter(|line| line.flag == ANCHOR) {
                    anchor = Some((lines.len() + 1, line.before.to_owned()));
                }
                lines.push(text.to_owned());
            }
        }
    }
    if let Some((at, before)) = anchor {
        let more = missing.iter().map(|(flag, value)| format!("{before}--{flag}={value}"));
        lines.splice(at..at, more.collect::<Vec<_>>());
    }
    let end = if manifest.ends_with('\n') { "\n" } else { "" };
    lines.join("\n") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: v1
kind: Pod
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.1:2379 # the clients'
    - --data-dir=/var/lib/etcd
    - \"--initial-cluster=infra1=https://10.0.0.1:2380\"
    - --name=infra1
    image: etcd:3.6
  - name: --name=other
";

    fn start() -> StartConfiguration {
        StartConfiguration {
            name: "infra4".to_owned(),
            initial_cluster: "infra2=https://10.0.0.2:2380,infra4=https://10.0.0.1:2380".to_owned(),
            peer_urls: vec!["https://10.0.0.1:2380".to_owned()],
        }
    }

    #[test]
    fn four_flags_are_set_and_everything_else_stays() {
        insta::assert_snapshot!(with(MANIFEST, &start()), @r#"
        apiVersion: v1
        kind: Pod
        spec:
          containers:
          - command:
            - etcd
            - --advertise-client-urls=https://10.0.0.1:2379 # the clients'
            - --data-dir=/var/lib/etcd
            - --initial-advertise-peer-urls=https://10.0.0.1:2380
            - --initial-cluster-state=existing
            - "--initial-cluster=infra2=https://10.0.0.2:2380,infra4=https://10.0.0.1:2380"
            - --name=infra4
            image: etcd:3.6
          - name: --name=other
        "#);
        let once = with(MANIFEST, &start());
        assert_eq!(with(&once, &start()), once);
        assert!(once.ends_with('\n'));
        assert_eq!(value(&once, "data-dir"), Some("/var/lib/etcd"));
    }

    #[test]
    fn what_cannot_be_written_into_is_said() {
        assert_eq!(unfit(MANIFEST), None);
        let bad = [
            "    - etcd\n    - --config-file=/etc/etcd.yml\n",
            "    - --data-dir=/x\n    - --initial-cluster\n    - a=http://a:1\n",
            "    - etcd\n",
        ];
        let said: Vec<String> = bad.iter().filter_map(|manifest| unfit(manifest)).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        its command has --config-file, which wins over all flags
        the value of --initial-cluster does not stand behind it as --initial-cluster=VALUE
        it has no line `- --data-dir=…`, by which etcd's command is found
        "#);
    }
}
