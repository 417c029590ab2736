//! What is known of a cluster at one moment, as plain data. Questions about it are pure, and so is the prediction of what a
//! step would make of it; what is not known counts as bad.

use std::time::Duration;

pub use crate::change::failure::{Answered, Failure};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::host::{HostView, Process};
use crate::id::{ClusterId, MemberId, Revision};
use crate::member::{Member, Membership};
use crate::rpc::{Alarm, AlarmKind, Status};
use crate::version::Version;

/// One member, with what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The member, as the membership list has it.
    pub member: Member,
    /// Where it was asked; nowhere, when it has never started.
    pub endpoint: Option<Endpoint>,
    /// Its status; `None` when it could not be asked.
    pub status: Option<Answered<Status>>,
    /// Whether it serves reads from what it knows itself; `None` when that was not asked.
    pub serializable: Option<Answered<()>>,
    /// Whether it serves reads that a quorum confirms; `None` when that was not asked, as of a learner, which serves none.
    pub linearizable: Option<Answered<()>>,
    /// How long the slowest of its answers took.
    pub latency: Option<Duration>,
}

crate::choice! {
    /// The part that a member plays.
    pub enum Role {
        /// It leads.
        Leader = "leader",
        /// It votes.
        Follower = "follower",
        /// It has no vote yet.
        Learner = "learner",
        /// It has never started.
        Unstarted = "unstarted",
        /// Nobody could tell.
        Unknown = "unknown",
    }
}

crate::choice! {
    /// How a member is.
    pub enum Verdict {
        /// It serves what a member of its role serves, knows its leader, and has no alarm.
        Healthy = "healthy",
        /// It answers, but not everything is as it should be.
        Degraded = "degraded",
        /// It is there, but does not answer in time.
        Unresponsive = "unresponsive",
        /// Nothing listens where it should be.
        Down = "down",
        /// It is in the membership list, but has never started.
        Unstarted = "unstarted",
    }
}

impl MemberView {
    /// Returns the status, where there is one.
    pub fn known(&self) -> Option<&Status> {
        self.status.as_ref().and_then(|status| status.as_ref().ok())
    }

    /// Returns the first thing that it failed to answer.
    pub fn failure(&self) -> Option<&Failure> {
        let status = self.status.as_ref().and_then(|answer| answer.as_ref().err());
        let reads = [&self.serializable, &self.linearizable];
        status.or_else(|| reads.into_iter().find_map(|answer| answer.as_ref().and_then(|a| a.as_ref().err())))
    }

    /// Returns the size of its database and how large that may grow; the quota that is given counts where the server does not
    /// tell its own, as before 3.6.
    pub fn room(&self, quota: Option<i64>) -> Option<(i64, i64)> {
        self.known().and_then(|status| Some((status.db_size, status.db_quota.or(quota)?)))
    }

    /// Returns its version.
    pub fn version(&self) -> Option<Version> {
        self.known().and_then(|status| Version::parse(&status.version))
    }

    /// Says whether it does everything that is expected of a member of its role: a voter serves linearizable reads, a learner
    /// serves serializable ones.
    pub fn serves(&self) -> bool {
        let good = |answer: &Option<Answered<()>>| matches!(answer, Some(Ok(())));
        let reads = if self.member.is_learner { good(&self.serializable) } else { good(&self.linearizable) };
        self.known().is_some_and(|status| status.leader.is_some()) && reads
    }

    fn verdict(&self, alarms: &[Alarm]) -> Verdict {
        match self.status.as_ref() {
            None => Verdict::Unstarted,
            Some(Err(failure)) => match failure.code {
                "unreachable" | "dns" => Verdict::Down,
                "timeout" | "handshake_timeout" | "connect_timeout" => Verdict::Unresponsive,
                _ => Verdict::Degraded,
            },
            Some(Ok(_)) if self.serves() && alarms.iter().all(|alarm| alarm.member_id != self.member.id) => {
                Verdict::Healthy
            }
            Some(Ok(_)) => Verdict::Degraded,
        }
    }
}

/// What is known of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Whether a quorum confirmed the membership list; otherwise it is what one member last knew.
    pub confirmed: bool,
    /// Every member, in the order of their names; those that have none yet come last.
    pub members: Vec<MemberView>,
    /// The alarms that are raised, as far as members told.
    pub alarms: Vec<Alarm>,
    /// Who starts and stops the members' processes, and what was seen on their hosts.
    pub hosting: Hosting,
    /// What else was looked at for one change.
    pub facts: Facts,
}

/// What a change looks at besides, before it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// How many bytes a second a member copied in the last defragmentation that was measured from here.
    pub copy_speed: Option<i64>,
    /// What eats the space, for a person.
    pub eater: Option<String>,
    /// How many bytes the keys hold that can be read now, where all of them were looked at.
    pub live: Option<i64>,
    /// The members that the run which is gone on with had removed, or may have.
    pub removed: Vec<MemberId>,
    /// The member that the run which is gone on with had taken down, and that does not serve.
    pub taken_down: Option<MemberId>,
}

/// Who starts and stops the processes of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hosting {
    /// Nobody that we know of.
    #[default]
    Nobody,
    /// The caller's closure, which alone knows how things stand there.
    Closure,
    /// Drivers that the profile names, for some members or for all.
    Drivers(Vec<HostSeen>),
}

/// A member's host, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSeen {
    /// What was seen there.
    pub view: HostView,
    /// Where the host knows that the others reach the member.
    pub peer_urls: Option<Vec<String>>,
    /// What the host is, for a person.
    pub about: String,
}

impl Hosting {
    /// Returns what was seen of a member's host.
    pub fn of(&self, name: &str) -> Option<&HostSeen> {
        match self {
            Hosting::Drivers(seen) => seen.iter().find(|seen| seen.view.name == name),
            Hosting::Nobody | Hosting::Closure => None,
        }
    }

    /// Says whether it can be told of a member's process that it runs, or that it does not, where a driver has to tell.
    pub fn sees(&self, name: &str) -> bool {
        self.of(name).is_none_or(|host| host.view.process != Process::Unknown)
    }

    /// Says whether somebody can start and stop a member.
    pub fn has(&self, name: &str) -> bool {
        *self == Hosting::Closure || self.of(name).is_some()
    }
}

impl ClusterView {
    /// Returns the members that vote.
    pub fn voters(&self) -> impl Iterator<Item = &MemberView> {
        self.members.iter().filter(|m| !m.member.is_learner)
    }

    /// Returns the members that have no vote yet.
    pub fn learners(&self) -> impl Iterator<Item = &MemberView> {
        self.members.iter().filter(|m| m.member.is_learner)
    }

    /// Returns how many voters serve linearizable reads. An alarm does not take a vote away, so it does not count here.
    pub fn healthy_voters(&self) -> usize {
        self.voters().filter(|m| m.serves()).count()
    }

    /// Returns this, if it says how the members are. Where a member asks for another user and no voter serves, it does not: a
    /// server of 3.4 tells everybody who is there, and a quorum that is there would seem to be missing.
    ///
    /// # Errors
    /// What the member said.
    pub fn admitted(self) -> Result<Self> {
        let refusal = self.members.iter().filter_map(MemberView::failure).find(|f| f.code == "unauthenticated");
        match refusal.filter(|_| self.healthy_voters() == 0) {
            Some(refusal) => Err(refusal.clone().into()),
            None => Ok(self),
        }
    }

    /// Returns how many voters have to agree.
    pub fn quorum(&self) -> usize {
        quorum_of(self.voters().count())
    }

    /// Returns how many more voters may fail; nothing where there is no quorum as it is.
    pub fn tolerance(&self) -> Option<usize> {
        self.healthy_voters().checked_sub(self.quorum())
    }

    /// Returns the member of an id.
    pub fn get(&self, id: MemberId) -> Option<&MemberView> {
        self.members.iter().find(|m| m.member.id == id)
    }

    /// Returns the member that the others reach at these peer URLs.
    pub fn at(&self, peer_urls: &[String]) -> Option<&MemberView> {
        self.members.iter().find(|m| same_urls(&m.member.peer_urls, peer_urls))
    }

    /// Returns the leader that the members with the highest term agree on, if it is a member.
    pub fn leader(&self) -> Option<&MemberView> {
        let newest = self.members.iter().filter_map(MemberView::known).filter(|s| s.leader.is_some());
        let leader = newest.max_by_key(|status| status.raft_term).and_then(|status| status.leader)?;
        self.get(leader)
    }

    /// Returns the part that a member plays.
    pub fn role(&self, view: &MemberView) -> Role {
        if !view.member.started() && view.known().is_none() {
            Role::Unstarted
        } else if view.member.is_learner {
            Role::Learner
        } else if view.known().is_none() {
            Role::Unknown
        } else if self.leader().is_some_and(|leader| leader.member.id == view.member.id) {
            Role::Leader
        } else {
            Role::Follower
        }
    }

    /// Says how a member is.
    pub fn verdict(&self, view: &MemberView) -> Verdict {
        view.verdict(&self.alarms)
    }

    /// Returns the alarms that are about nobody who is there: one that outlived its member, or whose member nobody could tell.
    /// They are about the cluster.
    pub fn orphans(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.iter().filter(|alarm| self.get(alarm.member_id).is_none())
    }

    /// Returns how many log entries a member's store is behind the newest that any member knows of.
    pub fn lag(&self, view: &MemberView) -> Option<i64> {
        let newest = self.members.iter().filter_map(MemberView::known).map(|s| s.raft_index).max()?;
        view.known().map(|status| (newest - status.raft_applied_index).max(0))
    }

    /// Returns the newest revision that any member has.
    pub fn revision(&self) -> Option<Revision> {
        self.members.iter().filter_map(MemberView::known).map(|status| status.revision).max()
    }

    /// Returns the newest revision that every voter has that follows a leader; where nobody does, that answered.
    pub fn common_revision(&self) -> Option<Revision> {
        let least = |led: bool| {
            let known = self.voters().filter_map(MemberView::known);
            known.filter(|status| !led || status.leader.is_some()).map(|status| status.revision).min()
        };
        least(true).or_else(|| least(false)).filter(|revision| revision.0 > 0)
    }

    /// Returns the oldest version among the members that told theirs.
    pub fn oldest_version(&self) -> Option<Version> {
        self.members.iter().filter_map(MemberView::version).min()
    }

    /// Says whether a member has an alarm that keeps it from leading. NOSPACE does not: it is about the whole cluster.
    pub(crate) fn is_unfit(&self, id: MemberId) -> bool {
        self.alarms.iter().any(|alarm| alarm.member_id == id && alarm.kind != AlarmKind::NoSpace)
    }

    /// Says whether a member has an alarm of a kind.
    pub fn has_alarm(&self, id: MemberId, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|alarm| alarm.member_id == id && alarm.kind == kind)
    }

    /// Returns the member whose database is nearest to its quota, with both sizes as [`MemberView::room`] tells them.
    pub fn fullest(&self, quota: Option<i64>) -> Option<(&MemberView, i64, i64)> {
        let all = self.members.iter().filter_map(|m| m.room(quota).map(|(size, quota)| (m, size, quota)));
        all.max_by(|(_, a, of_a), (_, b, of_b)| {
            (i128::from(*a) * i128::from(*of_b)).cmp(&(i128::from(*b) * i128::from(*of_a)))
        })
    }

    /// Returns the membership list by itself.
    pub fn membership(&self) -> Membership {
        Membership {
            cluster_id: self.cluster_id,
            members: self.members.iter().map(|view| view.member.clone()).collect(),
            linearizable: self.confirmed,
        }
    }

    /// Returns the member that was added with these peer URLs and this kind, and has never started.
    pub fn added_before(&self, peer_urls: &[String], learner: bool) -> Option<&MemberView> {
        let waits = |m: &&MemberView| !m.member.started() && m.member.is_learner == learner;
        self.members.iter().filter(waits).find(|m| same_urls(&m.member.peer_urls, peer_urls))
    }
}

/// Says whether two lists hold the same URLs, in whatever order.
pub fn same_urls(a: &[String], b: &[String]) -> bool {
    let sorted = |urls: &[String]| {
        let mut urls: Vec<_> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        urls.sort();
        urls
    };
    sorted(a) == sorted(b)
}

/// Returns how many of so many voters have to agree.
pub fn quorum_of(voters: usize) -> usize {
    voters / 2 + 1
}
