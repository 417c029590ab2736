//! Why a member's process ended, out of the end of its log: the three ways in which data and membership can disagree.

use crate::units::escape;

/// Says in words why the process ended and what to do, where the log shows one of these ways.
pub(crate) fn why(lines: &[String], member: &str) -> Option<String> {
    let (said, meaning) = lines.iter().rev().find_map(|line| cause(line))?;
    // Whoever writes the log is not us.
    let (said, member) = (escape(said), escape(member));
    Some(format!("{meaning} ({said}); `member replace {member}` makes it a new member"))
}

fn cause(line: &str) -> Option<(&str, &'static str)> {
    if let Some(said) = cut(line, "tocommit(", ")]") {
        // The leader tells it to apply what it has confirmed once, and it does not have that any more.
        let emptied = said.contains("lastIndex(0)");
        let meaning = if emptied { "it has joined once, and its data are gone" } else { "its data are an old copy" };
        return Some((said, meaning));
    }
    let bootstrapped = "has already been bootstrapped";
    let said = line.find(bootstrapped).and_then(|at| line.get(..at + bootstrapped.len()))?;
    let said = said.rfind("member ").and_then(|at| said.get(at..)).unwrap_or(bootstrapped);
    Some((said, "its data are gone, and it was started as if the cluster were new"))
}

/// Returns the part of a line from one mark to the end of another.
fn cut<'l>(line: &'l str, from: &str, to: &str) -> Option<&'l str> {
    let rest = line.find(from).and_then(|at| line.get(at..))?;
    rest.find(to).and_then(|at| rest.get(..at + to.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_why() {
        let logs = [
            "tocommit(155) is out of range [lastIndex(31)]. Was the raft log corrupted, truncated, or lost?",
            "panic: tocommit(74) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?",
            "discovery failed: member 8e9e05c52164694d has already been bootstrapped",
            "serving client traffic insecurely",
        ];
        let said: Vec<_> = logs.iter().map(|line| why(&["before".to_owned(), (*line).to_owned()], "infra2")).collect();
        insta::assert_debug_snapshot!(said, @r#"
        [
            Some(
                "its data are an old copy (tocommit(155) is out of range [lastIndex(31)]); `member replace infra2` makes it a new member",
            ),
            Some(
                "it has joined once, and its data are gone (tocommit(74) is out of range [lastIndex(0)]); `member replace infra2` makes it a new member",
            ),
            Some(
                "its data are gone, and it was started as if the cluster were new (member 8e9e05c52164694d has already been bootstrapped); `member replace infra2` makes it a new member",
            ),
            None,
        ]
        "#);
    }
}
