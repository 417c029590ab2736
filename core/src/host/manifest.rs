//! The manifest of a static pod, as text: the flags of etcd's command are read out of it and set in it, and everything else stays
//! as it is, comments and order included.

use std::ops::Range;

use super::{StartConfiguration, flags};

/// A flag in a manifest: `- --name=value`, with or without quotes, and with or without a comment behind it.
struct Line<'l> {
    before: &'l str,
    quote: &'static str,
    flag: &'l str,
    /// None when the value does not stand behind the flag.
    value: Option<&'l str>,
    after: &'l str,
}

/// Returns an item of a list: what stands before its text, the quote, the text, and what follows.
fn item(line: &str) -> Option<(&str, &'static str, &str, &str)> {
    let dash = line.find("- ")?;
    let (before, rest) = line.split_at_checked(dash + 2)?;
    if !before.trim_start().starts_with("- ") {
        return None;
    }
    let start = rest.len() - rest.trim_start().len();
    let (before, rest) = line.split_at_checked(before.len() + start)?;
    for quote in ["\"", "'"] {
        if let Some((text, after)) = rest.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return Some((before, quote, text, after));
        }
    }
    // A comment begins with a blank.
    let end = [" #", "\t#"].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    let end = rest.split_at_checked(end)?.0.trim_end().len();
    let (text, after) = rest.split_at_checked(end)?;
    Some((before, "", text, after))
}

fn read(line: &str) -> Option<Line<'_>> {
    let (before, quote, word, after) = item(line)?;
    let plain = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(match plain.split_once('=') {
        Some((flag, value)) => Line { before, quote, flag, value: Some(value), after },
        None => Line { before, quote, flag: plain, value: None, after },
    })
}

/// Returns which lines are those of etcd's container: others in the pod have flags of their own, and may have them by the same names.
fn container(manifest: &str) -> Range<usize> {
    let lines: Vec<&str> = manifest.lines().collect();
    let all = 0..lines.len();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let begins = |line: &str| line.trim_start().starts_with("- ");
    let says_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let Some(head) = lines.iter().position(|line| line.trim() == "containers:") else { return all };
    let behind = || lines.iter().enumerate().skip(head + 1).filter(|(_, line)| !says_nothing(line));
    let Some(dash) = behind().next().filter(|(_, line)| begins(line)).map(|(_, line)| indent(line)) else { return all };
    let over = |line: &str| indent(line) < dash || indent(line) == dash && !begins(line);
    let end = behind().find(|(_, line)| over(line)).map_or(lines.len(), |(at, _)| at);
    let starts = behind().filter(|(at, line)| *at < end && indent(line) == dash).map(|(at, _)| at);
    let starts: Vec<usize> = starts.collect();
    let ends = starts.iter().skip(1).copied().chain([end]);
    let runs_etcd = |range: &Range<usize>| {
        let words = |line: &str| -> bool {
            let listed = item(line).map(|(_, _, word, _)| word);
            let inline = line.split_once("command:").map(|(_, rest)| rest.trim_matches([' ', '[', ']']));
            let first =
                inline.and_then(|words| words.split(',').next()).map(|word| word.trim_matches([' ', '"', '\'']));
            listed.into_iter().chain(first).any(|word| word == "etcd" || word.ends_with("/etcd"))
        };
        lines.get(range.clone()).unwrap_or_default().iter().any(|line| words(line))
    };
    let mut blocks = starts.iter().copied().zip(ends).map(|(start, end)| start..end);
    blocks.find(runs_etcd).unwrap_or(all)
}

fn flags_of(manifest: &str) -> impl Iterator<Item = Line<'_>> {
    let within = container(manifest);
    manifest.lines().skip(within.start).take(within.len()).filter_map(read)
}

/// Returns the value of a flag of etcd's command.
pub(super) fn value<'m>(manifest: &'m str, flag: &str) -> Option<&'m str> {
    flags_of(manifest).find(|line| line.flag == flag)?.value
}

/// Returns the version in the tag of etcd's image, such as 3.6.16 of `registry.k8s.io/etcd:3.6.16-0`.
pub(super) fn image_version(manifest: &str) -> Option<&str> {
    let images = manifest.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image:"));
    let tag = images.filter_map(|image| image.trim().trim_matches(['"', '\'']).rsplit_once("etcd:")).next()?.1;
    let tag = tag.trim_start_matches('v').split(['-', '@', '_']).next()?;
    crate::version::Version::parse(tag).map(|_| tag)
}

/// Says why a start configuration cannot be written into a manifest, if it cannot.
pub(super) fn unfit(manifest: &str) -> Option<String> {
    if let Some(line) = flags_of(manifest).find(|line| line.flag == flags::CONFIG_FILE) {
        return Some(format!("its command has --{}, which wins over all flags", line.flag));
    }
    let apart = |line: &Line<'_>| line.value.is_none() && flags::FLAGS.iter().any(|(flag, _)| *flag == line.flag);
    if let Some(line) = flags_of(manifest).find(apart) {
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
    let within = container(manifest);
    let mut lines: Vec<String> = Vec::new();
    let mut anchor = None;
    for (at, text) in manifest.lines().enumerate() {
        let line = read(text).filter(|_| within.contains(&at));
        let set = line.as_ref().and_then(|line| missing.iter().position(|(flag, _)| *flag == line.flag));
        match (line, set) {
            (Some(Line { before, quote, after, .. }), Some(at)) => {
                let (flag, value) = missing.swap_remove(at);
                lines.push(format!("{before}{quote}--{flag}={value}{quote}{after}"));
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
    fn other_containers_keep_their_flags() {
        let pod = "spec:
  hostNetwork: true
  initContainers:
  - args:
    - --name=etcd-disk
    - --data-dir=/scratch
  containers:
  - name: sidecar
    args:
    - --data-dir=/var/lib/backup
  - command: [\"/usr/local/bin/etcd\"]
    args:
    - \"--data-dir=/var/lib/etcd\" # on the fast disk
    - --name=infra1 # as its host
    # a remark
  - name: after
    args:
    - --name=after
    - --data-dir=/after
  volumes:
  - --name=volume
";
        let told = |flag| value(pod, flag).unwrap();
        assert_eq!((told("data-dir"), told("name"), unfit(pod)), ("/var/lib/etcd", "infra1", None));
        insta::assert_snapshot!(with(pod, &start()), @r#"
        spec:
          hostNetwork: true
          initContainers:
          - args:
            - --name=etcd-disk
            - --data-dir=/scratch
          containers:
          - name: sidecar
            args:
            - --data-dir=/var/lib/backup
          - command: ["/usr/local/bin/etcd"]
            args:
            - "--data-dir=/var/lib/etcd" # on the fast disk
            - --initial-cluster-state=existing
            - --initial-cluster=infra2=https://10.0.0.2:2380,infra4=https://10.0.0.1:2380
            - --initial-advertise-peer-urls=https://10.0.0.1:2380
            - --name=infra4 # as its host
            # a remark
          - name: after
            args:
            - --name=after
            - --data-dir=/after
          volumes:
          - --name=volume
        "#);
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
