//! What is known of etcd's versions, as data. Each entry names where it comes from.

use super::Severity;
use crate::version::Version;

const fn v(major: u32, minor: u32, patch: u32) -> Version {
    Version::new(major, minor, patch)
}

/// The newest line whose rules are known here.
pub(super) const NEWEST: Version = v(3, 7, 0);
/// The first line that can go back to the one before it.
pub(super) const DOWNGRADES_TO: Version = v(3, 5, 0);
/// The first line that tells the version of its data.
pub(super) const TELLS_STORAGE: Version = v(3, 6, 0);

/// The patch that every member has to have before a line may be entered.
pub(super) struct Gate {
    pub(super) to: Version,
    pub(super) least: Version,
    pub(super) why: &'static str,
    pub(super) source: &'static str,
}

pub(super) static GATES: &[Gate] = &[
    Gate {
        to: v(3, 6, 0),
        least: v(3, 5, 26),
        why: "older ones can bring removed members back, or make learners of voters, when they become 3.6",
        source: "https://etcd.io/docs/latest/upgrades/upgrade_3_6/, https://etcd.io/blog/2025/zombie_members_upgrade/",
    },
    Gate {
        to: v(3, 7, 0),
        least: v(3, 6, 11),
        why: "older ones may not work together with 3.7",
        source: "https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/",
    },
];

/// A fault of released versions that matters to whoever goes to them, or comes from them.
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) since: Version,
    /// The first version without it, of each line.
    pub(super) fixed: &'static [Version],
    pub(super) what: &'static str,
    /// What to do about a member that has it now.
    pub(super) remedy: &'static str,
    /// How bad it is to choose such a version.
    pub(super) as_target: Severity,
    pub(super) source: &'static str,
}

impl Flaw {
    pub(super) fn affects(&self, version: Version) -> bool {
        version >= self.since && !version.has(self.fixed)
    }
}

pub(super) static FLAWS: &[Flaw] = &[
    Flaw {
        code: "data_inconsistency",
        since: v(3, 5, 0),
        fixed: &[v(3, 5, 3)],
        what: "a member that is killed under load can lose writes that the others have",
        remedy: "compare the data of all members with `hash` before you go on",
        as_target: Severity::Error,
        source: "https://github.com/etcd-io/etcd/pull/13908",
    },
    Flaw {
        code: "defrag_crash_inconsistency",
        since: v(3, 5, 0),
        fixed: &[v(3, 5, 6)],
        what: "a crash while a member is defragmented can leave it with other data than the others",
        remedy: "do not defragment it, and compare the data of all members with `hash`",
        as_target: Severity::Error,
        source: "https://github.com/etcd-io/etcd/pull/14733",
    },
    Flaw {
        code: "defrag_snapshot_corruption",
        since: v(3, 5, 0),
        fixed: &[v(3, 5, 23), v(3, 6, 5)],
        what: "defragmenting a member while it catches up from a snapshot can corrupt its data",
        remedy: "do not defragment while a member catches up",
        as_target: Severity::Warning,
        source: "https://github.com/etcd-io/etcd/issues/20650",
    },
    Flaw {
        code: "update_promotes_learner",
        since: v(3, 5, 0),
        fixed: &[v(3, 5, 31), v(3, 6, 12)],
        what: "updating the peer URLs of a learner silently makes a voter of it",
        remedy: "do not update a learner; remove it and add it anew",
        as_target: Severity::Warning,
        source: "https://github.com/etcd-io/etcd/pull/21736",
    },
    Flaw {
        code: "unguarded_maintenance",
        since: v(3, 5, 0),
        fixed: &[v(3, 5, 28), v(3, 6, 9)],
        what: "with authentication on, users without rights can call maintenance and the membership (CVE-2026-33413)",
        remedy: "let only trusted machines reach the client port",
        as_target: Severity::Warning,
        source: "https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md",
    },
];

/// Flags that a line refuses to start with, and the line before accepts. Found out by starting both with each of them.
pub struct RemovedFlags {
    /// The line that refuses them.
    pub at: Version,
    /// The flags; a star stands for the rest of a name.
    pub flags: &'static [&'static str],
    /// What replaces them.
    pub instead: &'static str,
    /// Where that is written down.
    pub source: &'static str,
}

/// See [`RemovedFlags`].
pub static REMOVED_FLAGS: &[RemovedFlags] = &[
    RemovedFlags {
        at: v(3, 5, 0),
        flags: &["--debug", "--log-output", "--log-package-levels"],
        instead: "use --log-level and --log-outputs",
        source: "https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/",
    },
    RemovedFlags {
        at: v(3, 6, 0),
        flags: &["--enable-v2", "--experimental-enable-v2v3", "--proxy", "--proxy-*"],
        instead: "leave them out; the v2 API and the v2 proxy are gone",
        source: "https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/",
    },
    RemovedFlags {
        at: v(3, 7, 0),
        flags: &["--experimental-*", "--discovery", "--discovery-proxy"],
        instead: "3.6 has each of them under its new name, or in --feature-gates; change them before the upgrade",
        source: "https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/",
    },
];

/// What else to do before a line is entered.
pub(super) struct Advice {
    pub(super) to: Version,
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) message: &'static str,
    pub(super) remedy: &'static str,
    pub(super) source: &'static str,
}

pub(super) static ADVICE: &[Advice] = &[
    Advice {
        to: v(3, 6, 0),
        code: "check_v2store",
        severity: Severity::Info,
        message: "3.6 does not read data that was written through the v2 API; whether there is any cannot be seen from here",
        remedy: "if the members run with --enable-v2, run `etcdutl check v2store` of 3.5.32 or later on each data dir first",
        source: "https://etcd.io/docs/latest/upgrades/upgrade_3_6/",
    },
    // Seen with 3.5.35, 3.6.16 and 3.7.3: a member that went from one to the next within a few entries ends with `panic: unmarshal should
    // never fail`, and does not once it was restarted under 3.6, which makes a snapshot. 3.6 still reads requests of the v2 API; 3.7 does not.
    Advice {
        to: v(3, 7, 0),
        code: "old_entries_in_wal",
        severity: Severity::Warning,
        message: "3.7 panics on log entries that 3.5 wrote; a member that ran 3.5 needs a raft snapshot that it made under 3.6",
        remedy: "when all run 3.6, restart each once more under 3.6, and see that member/snap has a .snap file that is newer than its \
             first start under 3.6; a cluster that began with 3.6 has no such entries",
        source: "https://github.com/etcd-io/etcd/blob/v3.6.16/server/etcdserver/server.go#L1978",
    },
];
