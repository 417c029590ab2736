//! `cluster upgrade-check`: whether the members can be upgraded to a version, by what is known of etcd's versions.

mod rules;
#[cfg(test)]
mod tests;

pub use rules::{REMOVED_FLAGS, RemovedFlags};

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::guard::MAX_LAG;
use crate::change::view::{ClusterView, MemberView, Verdict};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::version::{Release, Version};
use crate::{args, choice, record};

args! {
    /// Where to.
    pub struct Args(
        /// The version to upgrade to: a line such as 3.6, or one release such as 3.6.16.
        version: Release,
    ) {}
}

choice! {
    /// How much a finding weighs.
    pub enum Severity {
        /// The upgrade must not begin.
        Error = "error",
        /// It may begin, and can go wrong.
        Warning = "warning",
        /// Something to know or to do.
        Info = "info",
    }
}

record! {
    /// Something that matters to an upgrade.
    pub struct Finding {
        /// How much it weighs: error, warning or info.
        severity: Severity,
        /// A stable word for it.
        code: String,
        /// The member that it is about; null when it is about all of them.
        member: Option<String>,
        /// What was found.
        message: String,
        /// What to do about it.
        remedy: String,
        /// Where the rule comes from; null for what follows from how etcd works.
        source: Option<String>,
    }
}

record! {
    /// Whether an upgrade can begin.
    pub struct UpgradeReport {
        /// Whether nothing forbids it; warnings and advice may remain.
        ok: bool,
        /// The oldest version that a member runs; null when no member told its own.
        from: Option<String>,
        /// The version to upgrade to.
        to: String,
        /// What was found, the gravest first.
        findings: Vec<Finding>,
    }
}

/// See [`Operation::CARD`].
pub struct UpgradeCheck;

impl Operation for UpgradeCheck {
    const CARD: Card = Card {
        name: "cluster upgrade-check",
        summary: "Check whether the cluster can be upgraded to a version.",
        details: "etcd goes up one minor version at a time, and every member has to run a recent enough release of the old one \
                  first. The rules come from etcd's upgrade guides and changelogs, and each finding says from which. The flags \
                  that a member was started with cannot be seen from here, so what a version no longer understands is listed. \
                  Nothing is changed.",
        search: &["preflight", "version", "compatible", "minor", "skew", "release"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Cluster,
        examples: &[
            Example { about: "Check before the next minor version", args: &[("version", Sample::Text("3.7"))] },
            Example { about: "Check before a certain release", args: &[("version", Sample::Text("3.6.16"))] },
        ],
    };
    type Args = Args;
    type Report = UpgradeReport;

    async fn run(ctx: &Context<'_>, Args { version }: Args) -> Result<UpgradeReport> {
        let view = observe(ctx.cluster()?, Depth::Reads).await?.admitted()?;
        Ok(check(&view, version))
    }
}

/// Judges an upgrade against what is seen; pure.
pub fn check(view: &ClusterView, to: Release) -> UpgradeReport {
    let from = view.oldest_version();
    let mut findings = Vec::new();
    members(view, &mut findings);
    around(view, &mut findings);
    if let Some(from) = from {
        if step(view, from, to, &mut findings) {
            line(view, to.line(), &mut findings);
        }
        flaws(view, to, &mut findings);
    }
    findings.sort_by_key(|finding| finding.severity);
    UpgradeReport {
        ok: from.is_some() && findings.iter().all(|finding| finding.severity != Severity::Error),
        from: from.map(|version| version.to_string()),
        to: to.to_string(),
        findings,
    }
}

fn finding(severity: Severity, code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    let (code, message, remedy) = (code.to_owned(), message.into(), remedy.into());
    Finding { severity, code, member: None, message, remedy, source: None }
}

impl Finding {
    fn of(self, member: &MemberView) -> Self {
        Finding { member: Some(member.member.label()), ..self }
    }

    fn source(self, source: &str) -> Self {
        Finding { source: Some(source.to_owned()), ..self }
    }
}

/// Every member has to be there and well: one is away during each step of an upgrade.
fn members(view: &ClusterView, findings: &mut Vec<Finding>) {
    use Severity::{Error, Warning};
    for member in &view.members {
        let found = match view.verdict(member) {
            Verdict::Unstarted => finding(
                Error,
                "member_unstarted",
                "it was added, and has never started",
                "start it, or remove it with `member remove`",
            ),
            _ if member.member.is_learner => finding(
                Error,
                "learner_pending",
                "it is a learner still",
                "wait until it has caught up and promote it, or remove it",
            ),
            Verdict::Healthy => match view.lag(member) {
                Some(lag) if lag > MAX_LAG => finding(
                    Warning,
                    "member_lagging",
                    format!("its store is {lag} log entries behind"),
                    "wait until it has caught up; `status` shows its lag",
                ),
                _ => continue,
            },
            // An alarm has a finding of its own.
            _ if member.serves() => continue,
            verdict => {
                let why = member.failure().map_or("it knows no leader", |failure| &failure.message);
                let message = format!("it is {verdict}: {why}");
                finding(Error, "member_unhealthy", message, "bring it back first; `health` says more")
            }
        };
        findings.push(found.of(member));
    }
}

/// What holds for the cluster whatever the versions are.
fn around(view: &ClusterView, findings: &mut Vec<Finding>) {
    use Severity::{Error, Warning};
    if !view.confirmed || view.healthy_voters() < view.quorum() {
        let (healthy, quorum) = (view.healthy_voters(), view.quorum());
        let message = format!("{healthy} of {} voters are healthy, and a quorum is {quorum}", view.voters().count());
        findings.push(finding(
            Error,
            "no_quorum",
            message,
            "bring voters back first; `health` names those that are down",
        ));
    } else if view.tolerance() == Some(0) {
        let message = "no voter can be missed: while one restarts, the cluster takes no writes";
        findings.push(finding(Warning, "no_tolerance", message, "tell its users, or add a member before the upgrade"));
    }
    for alarm in &view.alarms {
        let remedy = "see `alarm list`; an upgrade cures no alarm";
        let found = finding(Error, "alarm_raised", format!("the alarm {} is raised", alarm.kind), remedy);
        let label = view.get(alarm.member_id).map_or_else(|| alarm.member_id.to_string(), |m| m.member.label());
        findings.push(Finding { member: Some(label), ..found });
    }
    for member in &view.members {
        let Some(status) = member.known() else { continue };
        if let Some(target) = &status.downgrade_target {
            let message = format!("a downgrade to {} is under way", crate::units::escape_word(target));
            let remedy = "finish it, or give it up with `downgrade cancel`";
            findings.push(finding(Error, "downgrade_in_progress", message, remedy).of(member));
        }
        let version = member.version().filter(|version| *version >= rules::TELLS_STORAGE);
        let storage = status.storage_version.as_deref().and_then(Version::parse);
        if let Some(version) =
            version.filter(|version| storage.is_none_or(|storage| line_of(storage) < line_of(*version)))
        {
            let form = storage.map_or_else(|| "of an older version".to_owned(), |storage| format!("of {storage}"));
            let message = format!("it runs {version}, and its data still has the form {form}");
            // Meanwhile it is as it should be.
            if status.downgrade_target.is_some() {
                continue;
            }
            let remedy = "wait: it changes when all members run the new version, with the next raft snapshot";
            findings.push(finding(Warning, "storage_version_behind", message, remedy).of(member));
        }
    }
}

fn line_of(version: Version) -> Version {
    Version { patch: 0, ..version }
}

/// Judges the distance, and says whether it leads into another line.
fn step(view: &ClusterView, from: Version, to: Release, findings: &mut Vec<Finding>) -> bool {
    use Severity::{Error, Info, Warning};
    let versions = || view.members.iter().filter_map(MemberView::version);
    let newest = versions().max().unwrap_or(from);
    let policy = "https://etcd.io/docs/latest/upgrades/upgrading-etcd/";
    if line_of(newest) > to.line() {
        let message = format!("{to} is older than {newest}, which a member runs");
        let remedy = "an older version is reached by a downgrade; see `downgrade validate`";
        findings.push(finding(Error, "older_version", message, remedy));
        return false;
    }
    if (from.major, from.minor + 1) < (to.version.major, to.version.minor) {
        let next = format!("{}.{}", from.major, from.minor + 1);
        let message = format!("{to} is more than one minor version above {from}");
        findings
            .push(finding(Error, "skips_minor", message, format!("go to {next} first, on all members")).source(policy));
        return false;
    }
    if to.line() > rules::NEWEST {
        let message = format!("the rules for {to} are not known to this version of etcdsh");
        findings.push(finding(Warning, "unknown_version", message, "read etcd's upgrade guide, or use a newer etcdsh"));
    }
    let reached = |version: Version| if to.exact { version == to.version } else { line_of(version) == to.line() };
    let there: Vec<_> =
        view.members.iter().filter(|m| m.version().is_some_and(reached)).map(|m| m.member.label()).collect();
    if there.len() == view.members.len() {
        let message = format!("all members run {to} already");
        findings.push(finding(Info, "already_there", message, "there is nothing to upgrade"));
    } else if !there.is_empty() {
        let message = format!("the upgrade is under way: {} of {} members run {to}", there.len(), view.members.len());
        findings.push(finding(Info, "under_way", message, "upgrade the others, one after another"));
    }
    if to.exact && newest > to.version {
        let message = format!("{to} is an older release than {newest}, which a member runs");
        findings.push(finding(Warning, "older_release", message, "choose a newer release of the line"));
    }
    line_of(from) < to.line()
}

/// The rules for entering a line.
fn line(view: &ClusterView, to: Version, findings: &mut Vec<Finding>) {
    use Severity::{Error, Info};
    for gate in rules::GATES.iter().filter(|gate| gate.to == to) {
        let old = |m: &&MemberView| m.version().is_some_and(|version| version < gate.least);
        for member in view.members.iter().filter(old) {
            let version = member.version().map_or_else(String::new, |version| version.to_string());
            let message = format!("it runs {version}, and has to run {} or later first: {}", gate.least, gate.why);
            let remedy = format!("upgrade it to {} or later of its line first", gate.least);
            findings.push(finding(Error, "patch_too_old", message, remedy).of(member).source(gate.source));
        }
    }
    for removed in REMOVED_FLAGS.iter().filter(|removed| removed.at == to) {
        let message = format!("{}.{} does not start with {}", to.major, to.minor, removed.flags.join(", "));
        findings.push(finding(Info, "flags_removed", message, removed.instead).source(removed.source));
    }
    for advice in rules::ADVICE.iter().filter(|advice| advice.to == to) {
        findings.push(finding(advice.severity, advice.code, advice.message, advice.remedy).source(advice.source));
    }
    let back = if to > rules::DOWNGRADES_TO { "`downgrade` leads back" } else { "a restored snapshot leads back" };
    let message =
        format!("as long as a member runs the old version the others can be put back; afterwards only {back}");
    let remedy = "save a snapshot first";
    findings.push(finding(Info, "way_back", message, remedy));
}

/// Faults of the versions that are run, and of the one that is meant.
fn flaws(view: &ClusterView, to: Release, findings: &mut Vec<Finding>) {
    for flaw in rules::FLAWS {
        for member in view.members.iter().filter(|m| m.version().is_some_and(|version| flaw.affects(version))) {
            let version = member.version().map_or_else(String::new, |version| version.to_string());
            let message = format!("it runs {version}, in which {}", flaw.what);
            findings.push(finding(Severity::Warning, flaw.code, message, flaw.remedy).of(member).source(flaw.source));
        }
        if to.exact && flaw.affects(to.version) {
            let message = format!("in {to}, {}", flaw.what);
            let fixed = flaw.fixed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let remedy = format!("choose one that has the repair: {fixed} or later");
            findings.push(finding(flaw.as_target, flaw.code, message, remedy).source(flaw.source));
        }
    }
}
