//! `member replace`: a new member in place of one that is broken, or that is to move. What is to be done follows from the
//! membership list and from what lies on the member's host, and from nothing else; so it is the same procedure that is begun,
//! gone on with after a crash, and finished from another machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::args;
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::failed::NoHost;
use crate::change::guard::{Code, Refusal};
use crate::change::plan::{Step, Who, label};
use crate::change::view::{MemberView, Verdict, same_urls};
use crate::change::{Action, Change, ClusterView, Hands, Hosting, OnHosts, Plan, look_at_hosts};
use crate::context::Context;
use crate::error::Result;
use crate::host::{Data, Process};
use crate::id::MemberId;
use crate::member::{MemberRef, NoSuchMember};
use crate::ops::member::{best_transferee, find, new_name, peer_urls};
use crate::rpc::Alarm;
use crate::units::Hook;
use crate::value::Value;
use crate::wait::{EVERY, pause};

args! {
    /// Whom to replace, and by what.
    pub struct Args(
        /// The member: its name, its id in hex, or one of its URLs.
        member: MemberRef,
    ) {
        /// The name of the new member; without it, the old one's.
        name: Option<String>,
        /// Where the other members will reach the new one; without it, where they reached the old one.
        peer_urls: Vec<String>,
        /// The file for the snapshot that is saved first; without it, one in the state folder.
        snapshot: Option<PathBuf>,
        /// A closure that stops and starts members and moves their data aside, where no driver does; its record says what.
        host: Option<Hook>,
    }
}

/// See [`Change::CARD`].
pub struct MemberReplace;

impl Change for MemberReplace {
    const CARD: Card = Card {
        name: "member replace",
        summary: "Replace a member: a new one takes its place, and its old data are moved aside.",
        details: "A snapshot is saved first. A member that is down is removed first; one that is up and moves to another name and address \
                  leaves only when the new one votes. The new one joins as a learner, on a data dir that is empty, and gets its vote \
                  when it has caught up. Alarms of members that are gone are taken back, and the data of all members are compared. \
                  How a member is stopped and started says the profile under `hosts`; a sandbox's does. Else give `host` a closure: \
                  it gets a record {task, name, member_id, start}, where task is stop, set_data_aside or start. Data are never \
                  deleted. After an interruption run it again, or use `change resume`: what is done already is found out by looking.",
        search: &["recover", "repair", "broken", "rejoin", "wipe", "heal", "swap"],
        effect: Effect::Destroys,
        capability: Capability::Membership,
        target: Target::Cluster,
        examples: &[
            Example {
                about: "Show what replacing a member would do",
                args: &[("member", Sample::Text("infra2")), ("dry_run", Sample::On)],
            },
            Example { about: "Replace a broken member", args: &[("member", Sample::Text("infra2"))] },
            Example {
                about: "Move a member to another machine",
                args: &[
                    ("member", Sample::Text("infra2")),
                    ("name", Sample::Text("infra4")),
                    ("peer_urls", Sample::List(&["https://10.0.0.4:2380"])),
                ],
            },
        ],
    };
    type Args = Args;

    fn hosting(args: &Args) -> Option<OnHosts> {
        let hands = Hands { host: args.host, ..Hands::default() };
        let names = args.name.iter().chain([&args.member.0]).cloned().collect();
        Some(OnHosts { hands, names })
    }

    async fn prepare(ctx: &Context<'_>, view: &mut ClusterView, args: Args) -> Result<Args> {
        let (OnHosts { hands, names }, start) = (Self::hosting(&args).unwrap_or_default(), Instant::now());
        // A process that was started a moment ago has not written yet whose data it has.
        let young = |view: &ClusterView| {
            let mut meant = names.iter().filter_map(|name| view.hosting.of(name)).map(|host| &host.view);
            meant.any(|host| host.process == Process::Running && !matches!(host.data, Data::Of { .. }))
        };
        while young(view) && start.elapsed() < YOUNG {
            pause(ctx, EVERY).await?;
            view.hosting = look_at_hosts(ctx, view, hands, &names).await?;
        }
        Ok(args)
    }

    fn plan(view: &ClusterView, args: Args) -> Result<Plan> {
        let args = Args { name: args.name.map(new_name).transpose()?, ..args };
        let case = Case::of(view, &args)?;
        let plan = case.plan(view, args.snapshot)?;
        let urls = case.peer_urls.iter().cloned().map(Value::Text).collect();
        let member = case.old.map_or_else(|| args.member.0.clone(), |old| old.member.id.to_string());
        Ok(plan.remember("member", member).remember("name", case.name).remember("peer_urls", Value::List(urls)))
    }
}

/// How long a process may run until it has written whose data it has.
const YOUNG: Duration = Duration::from_secs(3);

/// Who goes and who comes.
struct Case<'v> {
    /// The member that goes; none when it has gone already.
    old: Option<&'v MemberView>,
    /// The member that comes, when it is in the membership list already.
    new: Option<&'v MemberView>,
    /// The name of the member that comes.
    name: String,
    /// Where it is reached.
    peer_urls: Vec<String>,
    /// What was said, where nothing else tells that somebody has gone.
    unknown: Option<String>,
}

/// Holds that whoever is reached where the new member is to be reached is the new member: added, or even started, by a run before
/// this one.
fn own_place(there: Option<&MemberView>, name: &str) -> Result<(), BadArgument> {
    match there.filter(|there| there.member.started() && there.member.name != name) {
        Some(other) => {
            let problem = format!("is where {} is reached", other.member.label_with_id());
            Err(BadArgument::invalid("peer_urls", problem, "give the new member an address of its own"))
        }
        None => Ok(()),
    }
}

impl<'v> Case<'v> {
    fn of(view: &'v ClusterView, args: &Args) -> Result<Self> {
        let given = if args.peer_urls.is_empty() { Vec::new() } else { peer_urls(&args.peer_urls)? };
        let by_id = args.member.0.trim().parse::<MemberId>().ok();
        let on_host = |name: &str| view.hosting.of(name).and_then(|host| host.peer_urls.clone());
        let target = match find(view, &args.member) {
            Ok(target) => target,
            Err(several) if several.code() != NoSuchMember::UNKNOWN => return Err(several),
            // It has been removed already: what is left to do is known from what was said, or from its host.
            Err(missing) => {
                let name = args.name.clone().unwrap_or_else(|| args.member.0.trim().to_owned());
                let known = if given.is_empty() { on_host(&name) } else { Some(given) };
                let Some(peer_urls) = known else {
                    let advice =
                        "if its replacement was interrupted after it was removed, say its name and its peer_urls";
                    return Err(missing.advise(advice));
                };
                let there = view.at(&peer_urls);
                own_place(there, &name)?;
                // Who has joined and lost its data since goes as well, and another one comes.
                let lost = |m: &&MemberView| m.member.started() && !m.serves() && !has_own_data(view, m, &name);
                let (old, new) = (there.filter(lost), there.filter(|m| !lost(m)));
                let said = args.member.0.trim().to_owned();
                let ours = by_id.is_some_and(|id| view.facts.removed.contains(&id));
                let unknown = Some(said).filter(|_| !ours && there.is_none());
                return Ok(Case { old, new, name, peer_urls, unknown });
            }
        };
        let peer_urls = if given.is_empty() { target.member.peer_urls.clone() } else { given };
        let name = args.name.clone().or_else(|| name_of(view, target, &args.member));
        let Some(name) = name else {
            let problem = format!("is needed, since {} has never started and has no name", target.member.id);
            return Err(BadArgument::invalid("name", problem, "say the name that it is to start with").into());
        };
        let by_id = by_id == Some(target.member.id);
        let there = view.at(&peer_urls);
        // A member that waits for its start, or a learner that works, was added to take a place, and takes it.
        let comes = !target.member.started() || (!by_id && target.member.is_learner && target.serves());
        let (old, new) = match there {
            Some(there) if there.member.id == target.member.id && comes => (None, Some(there)),
            Some(there) if there.member.id == target.member.id => (Some(target), None),
            other => {
                own_place(other, &name)?;
                (Some(target), other)
            }
        };
        Ok(Case { old, new, name, peer_urls, unknown: None })
    }

    fn plan(&self, view: &ClusterView, snapshot: Option<PathBuf>) -> Result<Plan> {
        if !view.hosting.has(&self.name) {
            return Err(NoHost { member: self.name.clone() }.into());
        }
        // Who is replaced is asked for the snapshot only where nobody else could be.
        let another = |id: &MemberId| view.voters().any(|m| m.member.id != *id && m.serves());
        let except = self.old.or(self.new).map(|m| m.member.id).filter(another);
        let mut plan = Plan::new(MemberReplace::CARD.name, view)
            .then(Action::SaveSnapshot { path: snapshot, except }, "what is taken away must be there to go back to");
        plan.objections.extend(self.healthy(view).or_else(|| self.missing(view)).or_else(|| self.learner(view)));
        plan.objections.extend(self.unseen(view));
        let (leave, join) = (self.leave(view), self.join(view));
        plan.steps.extend(if self.joins_first() {
            join.into_iter().chain(leave)
        } else {
            leave.into_iter().chain(join)
        });
        let gone = |id: MemberId| view.get(id).is_none() || self.old.is_some_and(|old| old.member.id == id);
        // No real id is zero: an alarm about nobody knows whom is not over when this member has gone.
        let over = |alarm: &&Alarm| alarm.member_id != MemberId(0) && gone(alarm.member_id);
        for alarm in view.alarms.iter().filter(over) {
            let action = Action::DisarmAlarm { id: alarm.member_id, kind: alarm.kind };
            plan = plan.then(action, "an alarm outlives the member that it is about");
        }
        let who = self.comes();
        Ok(plan
            .then(Action::CompareHashes { all: false }, "every member must hold the same data")
            .then(Action::AwaitHealthy { who }, "that is what it is done for"))
    }

    /// Returns the member that comes, which may have no id yet.
    fn comes(&self) -> Who {
        Who::At { name: self.name.clone(), peer_urls: self.peer_urls.clone() }
    }

    /// Objects to the replacement of a member that nothing is wrong with, unless it moves.
    fn healthy(&self, view: &ClusterView) -> Option<Refusal> {
        let old = self.old.filter(|old| same_urls(&old.member.peer_urls, &self.peer_urls))?;
        let healthy = view.verdict(old) == Verdict::Healthy;
        healthy.then(|| Refusal {
            code: Code::MemberHealthy,
            message: format!("nothing is wrong with {}", label(view, old.member.id)),
            remedy: "there is nothing to recover".to_owned(),
        })
    }

    /// Objects to taking in somebody who was never there. Clusters have an odd number of voters: where one has gone it is even, and a
    /// mistaken name would make it even.
    fn missing(&self, view: &ClusterView) -> Option<Refusal> {
        let (voters, said) = (view.voters().count(), self.unknown.as_ref()?);
        (voters % 2 == 1).then(|| Refusal {
            code: Code::NotAMember,
            message: format!(
                "{} is not a member, and {} voters tolerate no more failures than {voters} do",
                crate::units::escape_word(said),
                voters + 1
            ),
            remedy: "see `member list` for the name; to go on with a replacement that was interrupted, use `change resume`; to take \
                     a further member in, use `member add`"
                .to_owned(),
        })
    }

    /// Objects to making a voter of a learner, unless a voter has gone: by the same count as above.
    fn learner(&self, view: &ClusterView) -> Option<Refusal> {
        let (voters, target) = (view.voters().count(), self.old.or(self.new)?);
        let learns = target.member.is_learner && voters % 2 == 1;
        learns.then(|| Refusal {
            code: Code::NotAVoter,
            message: format!(
                "{} is a learner, its replacement would vote, and {} voters tolerate no more failures than {voters} do",
                label(view, target.member.id),
                voters + 1
            ),
            remedy: "for a learner that learns anew use `member remove` and `member add`; to give it its vote, `member promote`"
                .to_owned(),
        })
    }

    /// Objects to passing over a process that nobody can see.
    fn unseen(&self, view: &ClusterView) -> Option<Refusal> {
        let old = self.old.filter(|old| old.member.name != self.name)?;
        let host = view.hosting.of(&old.member.name).filter(|_| !view.hosting.sees(&old.member.name))?;
        let why = match &host.view.data {
            Data::Unknown(why) => why.as_str(),
            _ => "its host does not say",
        };
        Some(Refusal {
            code: Code::ProcessUnknown,
            message: format!("nobody can tell whether the process of {} runs: {why}", old.member.label()),
            remedy: "make its host reachable, or make sure that it is off; then it is removed without being stopped"
                .to_owned(),
        })
    }

    /// A new member can join first only if it is another one by its name and its address: etcd takes no address twice, and a
    /// start configuration with one name for two members joins their addresses.
    fn joins_first(&self) -> bool {
        let differs =
            |old: &MemberView| old.member.name != self.name && !same_urls(&old.member.peer_urls, &self.peer_urls);
        self.old.is_some_and(|old| old.known().is_some() && differs(old))
    }

    /// The steps by which the old member goes.
    fn leave(&self, view: &ClusterView) -> Vec<Step> {
        let Some(old) = self.old else { return Vec::new() };
        let (id, mut steps) = (old.member.id, Vec::new());
        let mut then = |action, reason: &str| steps.push(Step { action, reason: reason.to_owned() });
        let leads = view.leader().is_some_and(|leader| leader.member.id == id);
        if let Some(next) = best_transferee(view).filter(|_| leads) {
            let to = next.member.id;
            then(
                Action::MoveLeader { to, from: Some(id) },
                "the leader goes, and a chosen follower takes over without an election",
            );
        }
        // Under the same name the driver knows one machine only. Where that is not the old one's, which its data tell, the old one
        // cannot be reached; it ends when it learns that it was removed.
        let own = |data: &Data| matches!(data, Data::Of { member, .. } if *member == id);
        let moves = old.member.name == self.name && !same_urls(&old.member.peer_urls, &self.peer_urls);
        let elsewhere = moves && view.data(&self.name).is_some_and(|data| !own(data));
        if view.hosting.has(&old.member.name) && !elsewhere {
            let name = old.member.name.clone();
            then(Action::StopMember { id, name }, "a member that is removed must not run on with its old data");
        }
        then(Action::RemoveMember { id }, "its place in the membership list is needed, and its id never comes back");
        // Of two voters none can be missed: the old one goes from the list while it still confirms that, and stops then.
        let grown = view.voters().count() + usize::from(self.new.is_none_or(|new| new.member.is_learner));
        if self.joins_first() && grown == 2 {
            steps.sort_by_key(|step| matches!(step.action, Action::StopMember { .. }));
        }
        steps
    }

    /// The steps by which the new member comes.
    fn join(&self, view: &ClusterView) -> Vec<Step> {
        let (name, peer_urls) = (self.name.clone(), self.peer_urls.clone());
        let mut steps = Vec::new();
        let mut then = |action, reason: &str| steps.push(Step { action, reason: reason.to_owned() });
        if let Some(id) = self.stranger(view) {
            let name = name.clone();
            then(Action::StopMember { id, name }, "a process on old data must not run where a new member is to start");
        }
        if self.data_are_in_the_way(view) {
            let id = match view.data(&name) {
                Some(Data::Of { member, .. }) => Some(*member),
                _ => self.old.map(|old| old.member.id),
            };
            then(
                Action::SetDataAside { name: name.clone(), id },
                "a new member starts without data; nothing is deleted",
            );
        }
        if self.new.is_none() {
            let action = Action::AddMember { name: name.clone(), peer_urls: peer_urls.clone(), learner: true };
            then(action, "a learner has no vote, so it cannot cost the cluster its quorum while it catches up");
        }
        if self.new.is_none_or(|new| !new.serves()) {
            let action = Action::StartMember { name, peer_urls };
            then(action, "it copies the data from the leader");
        }
        if self.new.is_none_or(|new| new.member.is_learner) {
            then(Action::PromoteMember { who: self.comes() }, "it gets its vote when it has caught up");
        }
        steps
    }

    /// Returns the member whose process runs on the host although it has gone from the membership list: a service manager may
    /// start it again and again.
    fn stranger(&self, view: &ClusterView) -> Option<MemberId> {
        let host = &view.hosting.of(&self.name)?.view;
        let data = match host.data {
            Data::Of { member, .. } => member,
            Data::None | Data::Unknown(_) => MemberId(0),
        };
        let own = self.new.is_some_and(|new| new.member.id == data);
        (self.old.is_none() && host.process == Process::Running && !own).then_some(data)
    }

    /// Data are in the way of a new member when they are not its own. Those of a closure's host cannot be seen; they are dealt
    /// with before the member is added, and left alone from then on.
    fn data_are_in_the_way(&self, view: &ClusterView) -> bool {
        let own = |member: &MemberId| self.new.is_some_and(|new| new.member.id == *member);
        match (&view.hosting, view.data(&self.name)) {
            (Hosting::Closure, _) => self.new.is_none(),
            (_, Some(Data::Of { member, .. })) => !own(member),
            (_, Some(Data::Unknown(_))) => true,
            (_, Some(Data::None) | None) => false,
        }
    }
}

/// Says whether the data on a host may be those of a member; only a driver can tell that they are not.
fn has_own_data(view: &ClusterView, member: &MemberView, name: &str) -> bool {
    match view.data(name) {
        Some(Data::None) => false,
        Some(Data::Of { member: id, .. }) => *id == member.member.id,
        Some(Data::Unknown(_)) | None => true,
    }
}

/// Returns the name of a member: its own or, of one that has never started, the one by which its host knows it.
fn name_of(view: &ClusterView, member: &MemberView, wanted: &MemberRef) -> Option<String> {
    if member.member.started() {
        return Some(member.member.name.clone());
    }
    let Hosting::Drivers(hosts) = &view.hosting else { return None };
    let there = |urls: &Vec<String>| same_urls(urls, &member.member.peer_urls);
    let by_url = hosts.iter().find(|host| host.peer_urls.as_ref().is_some_and(there));
    // Its id and its URL are no names, although a sandbox would take any.
    let is_name = wanted.0.parse::<MemberId>().is_err() && !wanted.0.contains("://");
    let by_name = || (is_name && view.hosting.has(&wanted.0)).then(|| wanted.0.clone());
    by_url.map(|host| host.view.name.clone()).or_else(by_name)
}
