//! What a rule can ask of a member: the columns of `status`, two that are computed of them, and etcd-defrag's names for some.

use std::fmt;

use super::float;
use crate::change::view::{ClusterView, MemberView, Role};
use crate::units::Bytes;
use crate::version::Version;

/// What a part of a rule yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Version,
    Role,
    Condition,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Version => "a version",
            Kind::Role => "a role",
            Kind::Condition => "a condition",
        })
    }
}

/// A value of a [`Kind`]; a role counts as its word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Number(f64),
    Text(String),
    Version(Version),
    Condition(bool),
}

/// One variable.
pub(super) struct Variable {
    /// Its name: that of the column.
    pub(super) name: &'static str,
    /// What etcd-defrag calls it.
    alias: Option<&'static str>,
    pub(super) kind: Kind,
    read: fn(&Variables<'_>) -> Option<Term>,
}

const fn variable(name: &'static str, kind: Kind, read: fn(&Variables<'_>) -> Option<Term>) -> Variable {
    Variable { name, alias: None, kind, read }
}

impl Variable {
    const fn alias(self, alias: &'static str) -> Self {
        Variable { alias: Some(alias), ..self }
    }

    /// Returns its value for a member, where that is known.
    pub(super) fn value(&self, of: &Variables<'_>) -> Option<Term> {
        (self.read)(of)
    }
}

static VARIABLES: &[Variable] = &[
    variable("db_size", Kind::Number, |of| number(of.status()?.db_size)).alias("dbSize"),
    variable("db_in_use", Kind::Number, |of| number(of.status()?.db_in_use)).alias("dbSizeInUse"),
    variable("db_free", Kind::Number, |of| number((of.status()?.db_size - of.status()?.db_in_use).max(0)))
        .alias("dbSizeFree"),
    variable("db_quota", Kind::Number, |of| number(of.quota()?)).alias("dbQuota"),
    variable("quota_usage", Kind::Number, |of| {
        Some(Term::Number(float(of.status()?.db_size) / float(of.quota().filter(|quota| *quota > 0)?)))
    })
    .alias("dbQuotaUsage"),
    variable("lag", Kind::Number, |of| number(of.view.lag(of.member)?)),
    variable("raft_term", Kind::Number, |of| number(of.status()?.raft_term)),
    variable("raft_index", Kind::Number, |of| number(of.status()?.raft_index)),
    variable("raft_applied_index", Kind::Number, |of| number(of.status()?.raft_applied_index)),
    variable("role", Kind::Role, |of| text(of.view.role(of.member).word())),
    variable("is_leader", Kind::Condition, |of| condition(of.view.role(of.member) == Role::Leader)),
    variable("is_learner", Kind::Condition, |of| condition(of.member.member.is_learner)),
    variable("name", Kind::Text, |of| text(&of.member.member.name)),
    variable("member_id", Kind::Text, |of| text(&of.member.member.id.to_string())),
    variable("version", Kind::Version, |of| of.member.version().map(Term::Version)),
    variable("storage_version", Kind::Version, |of| {
        of.status()?.storage_version.as_deref().and_then(Version::parse).map(Term::Version)
    }),
];

fn number(number: i64) -> Option<Term> {
    Some(Term::Number(float(number)))
}

fn text(text: &str) -> Option<Term> {
    Some(Term::Text(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "the value of a variable may be unknown, and this is the value of one")]
fn condition(holds: bool) -> Option<Term> {
    Some(Term::Condition(holds))
}

/// Finds a variable by its name or its other name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name || variable.alias == Some(name))
}

/// Returns all names that are understood.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().flat_map(|variable| [Some(variable.name), variable.alias]).flatten()
}

/// Returns the names without etcd-defrag's.
pub(super) fn main_names() -> Vec<&'static str> {
    VARIABLES.iter().map(|variable| variable.name).collect()
}

pub(super) fn needs_quota(name: &str) -> bool {
    matches!(name, "db_quota" | "quota_usage")
}

/// What is known of one member.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    view: &'a ClusterView,
    member: &'a MemberView,
    quota: Option<Bytes>,
}

impl<'a> Variables<'a> {
    /// Takes a member as it was seen. The quota holds where the member does not tell its own.
    pub fn of(view: &'a ClusterView, member: &'a MemberView, quota: Option<Bytes>) -> Self {
        Variables { view, member, quota }
    }

    /// Returns the member's name, for an error about it.
    pub(super) fn label(&self) -> String {
        self.member.member.label()
    }

    fn status(&self) -> Option<&crate::rpc::Status> {
        self.member.known()
    }

    fn quota(&self) -> Option<i64> {
        self.status()?.db_quota.or_else(|| self.quota.map(|quota| quota.0))
    }
}
