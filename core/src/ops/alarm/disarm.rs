//! `alarm disarm`: take an alarm back, when what it was about is over.

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::guard::{Code, Refusal};
use crate::change::view::MemberView;
use crate::change::{Action, Change, ClusterView, Plan};
use crate::error::Result;
use crate::id::MemberId;
use crate::member::MemberRef;
use crate::ops::member::find;
use crate::rpc::AlarmKind;
use crate::units::Bytes;
use crate::{args, choice};

choice! {
    /// An alarm that can be taken back.
    pub enum Kind {
        /// The database had outgrown its quota.
        NoSpace = "nospace",
        /// The data of a member differed from the others'.
        Corrupt = "corrupt",
    }
}

args! {
    /// Which alarms.
    pub struct Args(
        /// The member that it is about: its name, its id in hex, or one of its URLs; without it, every member with a NOSPACE alarm.
        member: Option<MemberRef>,
    ) {
        /// Which one: nospace or corrupt.
        kind: Kind = "nospace",
        /// The quota of the databases, where the servers do not tell it (before 3.6).
        quota: Option<Bytes>,
    }
}

/// See [`Change::CARD`].
pub struct AlarmDisarm;

impl Change for AlarmDisarm {
    const CARD: Card = Card {
        name: "alarm disarm",
        summary: "Take an alarm back, when what it was about is over.",
        details: "NOSPACE is taken back only once every database is below nine tenths of its quota; otherwise the next write would raise \
                  it again. CORRUPT is taken back only of a member that is named, and only after the data of all members were found to \
                  be equal. An alarm of a member that is gone is named by the id that `alarm list` shows.",
        search: &["etcdctl", "nospace", "corrupt", "clear", "quota", "deactivate"],
        effect: Effect::Changes,
        capability: Capability::Maintain,
        target: Target::Cluster,
        examples: &[
            Example { about: "Take every NOSPACE alarm back", args: &[] },
            Example {
                about: "Take the CORRUPT alarm of a member back",
                args: &[("member", Sample::Text("infra2")), ("kind", Sample::Text("corrupt"))],
            },
        ],
    };
    type Args = Args;

    fn plan(view: &ClusterView, Args { member, kind, quota }: Args) -> Result<Plan> {
        sensible(quota)?;
        let only = member.as_ref().map(|member| meant(view, member)).transpose()?;
        let wanted = match kind {
            Kind::NoSpace => AlarmKind::NoSpace,
            Kind::Corrupt => AlarmKind::Corrupt,
        };
        let mut plan = Plan::new(Self::CARD.name, view);
        if let Some(id) = only {
            plan = plan.remember("member", id.to_string());
        }
        if kind == Kind::Corrupt {
            if only.is_none() {
                let help = "say whose alarm it is; `alarm list` and `hash` show which member differs";
                return Err(BadArgument::invalid("member", "is needed to take a CORRUPT alarm back", help).into());
            }
            plan = plan.then(Action::CompareHashes { all: true }, "the data of all members must be equal again");
        }
        let raised = view.alarms.iter().filter(|a| a.kind == wanted && only.is_none_or(|id| id == a.member_id));
        for alarm in raised {
            let action = Action::DisarmAlarm { id: alarm.member_id, kind: alarm.kind };
            plan = plan.then(action, "it was asked for");
        }
        if kind == Kind::NoSpace && !plan.steps.is_empty() {
            plan.objections.extend(full(view, quota.map(|quota| quota.0)));
        }
        Ok(plan)
    }
}

/// Returns the id of a member or, of one that is gone, the id itself.
fn meant(view: &ClusterView, member: &MemberRef) -> Result<MemberId> {
    match (find(view, member), member.0.trim().parse::<MemberId>()) {
        (Ok(found), _) => Ok(found.member.id),
        (Err(_), Ok(id)) if view.alarms.iter().any(|alarm| alarm.member_id == id) => Ok(id),
        (Err(error), _) => Err(error),
    }
}

/// Holds that a quota that is given is one.
pub(crate) fn sensible(quota: Option<Bytes>) -> Result<(), BadArgument> {
    match quota.filter(|quota| quota.0 <= 0) {
        Some(_) => Err(BadArgument::invalid(
            "quota",
            "is no size",
            "give it as --quota-backend-bytes has it (2 GiB where it has not)",
        )),
        None => Ok(()),
    }
}

/// Says whether so much is so near to a quota that the next writes reach it.
pub(crate) fn fills(size: i64, quota: i64) -> bool {
    size.saturating_mul(10) >= quota.saturating_mul(9)
}

/// Objects to taking a NOSPACE alarm back while a database is full, or while nobody knows how full it is.
pub(crate) fn full(view: &ClusterView, quota: Option<i64>) -> Option<Refusal> {
    let fullest = view.fullest(quota).filter(|(_, size, quota)| fills(*size, *quota));
    let Some((member, size, quota)) = fullest else { return untold(view, quota) };
    let message = format!("{} holds {} of its quota of {}", member.member.label(), Bytes(size), Bytes(quota));
    let remedy = "compact and defragment first; `space recover` does all of it".to_owned();
    Some(Refusal { code: Code::SpaceNotFree, message, remedy })
}

/// Objects to judging the room of members that do not tell how large their databases are, or may be.
pub(crate) fn untold(view: &ClusterView, quota: Option<i64>) -> Option<Refusal> {
    let started = || view.members.iter().filter(|m| m.member.started());
    let silent: Vec<_> = started().filter(|m| m.known().is_none()).map(|m| m.member.label()).collect();
    let no_quota = |m: &&MemberView| m.known().is_some() && m.room(quota).is_none();
    let unlimited: Vec<_> = started().filter(no_quota).map(|m| m.member.label()).collect();
    let (message, remedy) = if !silent.is_empty() {
        let message = format!("nobody knows whether there is room on who does not answer: {}", silent.join(", "));
        (message, "bring it back first; `health` says what is wrong with it")
    } else if !unlimited.is_empty() {
        let message =
            format!("nobody knows whether there is room on who does not tell its quota: {}", unlimited.join(", "));
        (message, "give quota, as their --quota-backend-bytes has it (2 GiB where it has not)")
    } else {
        return None;
    };
    Some(Refusal { code: Code::SpaceNotFree, message, remedy: remedy.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::change::guard::approve;
    use crate::error::Error;
    use crate::id::ClusterId;
    use crate::rpc::Alarm;

    /// A member with an alarm, and a database of this size.
    fn view(size: i64, quota: Option<i64>, kind: AlarmKind) -> ClusterView {
        let mut member = member(2, State::Healthy, false, Some(2), 0);
        if let Some(Ok(status)) = &mut member.status {
            (status.db_size, status.db_quota) = (size, quota);
        }
        let alarms = vec![Alarm { member_id: MemberId(2), kind }, Alarm { member_id: MemberId(0xd), kind }];
        let (hosting, facts) = Default::default();
        ClusterView { cluster_id: ClusterId(1), confirmed: true, members: vec![member], alarms, hosting, facts }
    }

    fn disarm(view: &ClusterView, member: Option<&str>, kind: Kind, quota: Option<i64>) -> Result<usize> {
        let member = member.map(|member| MemberRef(member.to_owned()));
        let plan = AlarmDisarm::plan(view, Args { member, kind, quota: quota.map(Bytes) })?;
        let steps = plan.steps.len();
        approve(plan, view, &[]).map(|_| steps).map_err(Error::from)
    }

    #[test]
    fn space_must_be_free_and_corruption_be_named() {
        let full = |size, quota| view(size, quota, AlarmKind::NoSpace);
        assert_eq!(disarm(&full(89, Some(100)), None, Kind::NoSpace, None).unwrap(), 2);
        assert_eq!(disarm(&full(89, None), None, Kind::NoSpace, Some(100)).unwrap(), 2);
        assert_eq!(disarm(&full(89, Some(100)), Some("d"), Kind::NoSpace, None).unwrap(), 1);
        // There is no such alarm, so there is nothing to do.
        assert_eq!(disarm(&view(99, Some(100), AlarmKind::Corrupt), None, Kind::NoSpace, None).unwrap(), 0);
        // The hashes are compared first.
        assert_eq!(disarm(&view(1, None, AlarmKind::Corrupt), Some("infra2"), Kind::Corrupt, None).unwrap(), 2);
        let errors = [
            disarm(&full(90_000_000, Some(100_000_000)), None, Kind::NoSpace, None).unwrap_err(),
            disarm(&full(1, None), None, Kind::NoSpace, None).unwrap_err(),
            disarm(&view(1, None, AlarmKind::Corrupt), None, Kind::Corrupt, None).unwrap_err(),
            disarm(&full(1, Some(100)), Some("e"), Kind::NoSpace, None).unwrap_err(),
        ];
        insta::assert_snapshot!(crate::tests::shown(errors), @r#"
        space_not_free: alarm disarm is refused: infra2 holds 90.0 MB of its quota of 100.0 MB
          help: compact and defragment first; `space recover` does all of it. To do it all the same, allow space_not_free
        space_not_free: alarm disarm is refused: nobody knows whether there is room on who does not tell its quota: infra2
          help: give quota, as their --quota-backend-bytes has it (2 GiB where it has not). To do it all the same, allow space_not_free
        invalid_argument (member): the argument member is needed to take a CORRUPT alarm back
          help: say whose alarm it is; `alarm list` and `hash` show which member differs
        member_not_found (member): no member is named "e"; the members are infra2 (2)
          help: name it by its name, its id in hex, or one of its URLs
        "#);
    }
}
