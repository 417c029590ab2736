//! What is done on the host of a member: by its driver, or by the caller's closure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::run::{Deed, Run};
use crate::change::failed::{Ended, NoHost, NotRestarted};
use crate::change::guard::Code;
use crate::change::plan::Action;
use crate::change::view::{ClusterView, MemberView, Role};
use crate::error::{Error, Result, Sent};
use crate::event::Event;
use crate::host::{Data, Host, Process, StartConfiguration};
use crate::id::MemberId;
use crate::ops::member::new_name;
use crate::units::Hook;
use crate::value::{Record, Value};
use crate::wait::{Look, TimedOut, sleep, until};

/// Who does what is done on hosts, where it is not the profile's drivers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hands {
    /// A closure that stops and starts members and moves their data.
    pub host: Option<Hook>,
    /// A closure that restarts a member.
    pub restart: Option<Hook>,
    /// For how long a restarted member must have served before the next one is taken.
    pub settle: Duration,
}

impl Hands {
    /// Says whether a closure does it.
    pub fn closure(&self) -> bool {
        self.host.is_some() || self.restart.is_some()
    }
}

crate::record! {
    /// A member, as a closure that restarts it gets it.
    pub struct ToRestart {
        /// The member's name.
        name: String,
        /// The member's id, in hex.
        member_id: MemberId,
        /// What it is: leader or follower.
        role: Role,
        /// Where clients reach it.
        client_urls: Vec<String>,
        /// Where the other members reach it.
        peer_urls: Vec<String>,
        /// Its etcd version.
        version: Option<String>,
    }
}

crate::record! {
    /// What a closure is to do on the host of a member.
    pub struct ToDo {
        /// What: stop, set_data_aside or start.
        task: String,
        /// The member's name.
        name: String,
        /// The member's id, in hex, where it has one.
        member_id: Option<MemberId>,
        /// For start: what the member is to be started with, as environment variables.
        start: Option<Value>,
    }
}

impl Run<'_, '_> {
    /// Does an action on the host of its member.
    pub(super) async fn on_host(&mut self, action: &Action, view: &ClusterView) -> Result<Deed> {
        if let Action::RestartMember { id, name } = action {
            return self.restart(*id, name, view).await;
        }
        let (name, id) = match action {
            Action::StopMember { id, name } => (name, Some(*id)),
            Action::SetDataAside { name, id } => (name, *id),
            Action::StartMember { name, peer_urls } => (name, view.at(peer_urls).map(|m| m.member.id)),
            other => return Err(Error::internal(format!("no host is asked for {}", other.word()))),
        };
        let start = match action {
            Action::StartMember { .. } => id.and_then(|id| start_configuration(name, id, view)),
            _ => None,
        };
        if let Some(hook) = self.hands.host {
            let task = match action {
                Action::StopMember { .. } => "stop",
                Action::SetDataAside { .. } => "set_data_aside",
                _ => "start",
            };
            let start = start.map(|start| Value::Record(start.to_record()));
            let todo = ToDo { task: task.to_owned(), name: name.clone(), member_id: id, start };
            let said = self.ctx.call(hook, &todo)?;
            return Ok(Deed { result: Some(said).filter(|said| *said != Value::Null), ..Deed::default() });
        }
        let host = self.host(name)?;
        match action {
            Action::StopMember { .. } => host.stop(self.ctx, self.bound).await?,
            Action::SetDataAside { .. } => {
                let aside = host.set_aside(self.ctx).await?;
                let mut result = Record::new();
                result.insert("data_dir_aside", aside.clone().map_or(Value::Null, Value::from));
                let detail = aside.map_or_else(|| "there were none".to_owned(), |path| format!("they lie in {path}"));
                return Ok(Deed { detail, result: Some(Value::Record(result)), already: false });
            }
            _ => {
                // Who has started once has its data, and reads nothing else.
                let stopped = view.hosting.of(name).is_none_or(|host| host.view.process != Process::Running);
                let fresh = stopped && matches!(view.data(name), Some(Data::None));
                let start = start.filter(|_| fresh);
                host.start(self.ctx, start.as_ref(), self.bound).await?;
                let result = start.map(|start| Value::Record(start.to_record()));
                return Ok(Deed { result, ..Deed::default() });
            }
        }
        Ok(Deed::default())
    }

    fn host(&self, name: &str) -> Result<Host> {
        let found = Host::of(self.cluster.profile(), self.ctx.places(), name)?;
        found.ok_or_else(|| NoHost { member: name.to_owned() }.into())
    }

    /// Restarts a member, and watches meanwhile whether it goes away.
    async fn restart(&mut self, id: MemberId, name: &str, view: &ClusterView) -> Result<Deed> {
        let Some(member) = view.get(id) else { return Err(NoHost { member: name.to_owned() }.into()) };
        let away = self.watch(member)?;
        let host = match self.hands.restart {
            Some(hook) => {
                let record = ToRestart {
                    name: member.member.label(),
                    member_id: id,
                    role: view.role(member),
                    client_urls: member.member.client_urls.clone(),
                    peer_urls: member.member.peer_urls.clone(),
                    version: member.known().map(|status| crate::units::escape_word(&status.version)),
                };
                // The closure may only order a restart that others carry out, so its end is not the end of the restart. Its
                // failure is a veto: the member may be in any state, so nothing more is done.
                self.ctx.call(hook, &record)?;
                None
            }
            None => {
                self.bring_back(name).await?;
                Some(self.host(name)?.describe())
            }
        };
        let seen = || Ok(if away.seen() { Look::Ready(()) } else { Look::NotYet("it still serves".to_owned()) });
        let allowed = self.approved.allow().contains(&Code::NotRestarted);
        let patience = match host {
            // A driver has seen the process end.
            Some(_) => GOES_AWAY.min(self.bound),
            None if allowed => self.hands.settle.max(GOES_AWAY).min(self.bound),
            // Who goes away later would be away together with the next one.
            None => self.bound,
        };
        let went = until(self.ctx, "the member goes away", patience, async || seen()).await;
        let detail = match went {
            Ok(()) => "it was seen to be away",
            Err(error) if error.code() == TimedOut::CODE && allowed => "it was not seen to be away",
            Err(source) if source.code() == TimedOut::CODE => {
                return Err(NotRestarted { member: member.member.label(), host, source }.into());
            }
            Err(error) => return Err(error),
        };
        Ok(Deed { detail: detail.to_owned(), ..Deed::default() })
    }

    /// Restarts a member by its driver. Between its stop and its start it is down, and Ctrl-C must not leave it there.
    async fn bring_back(&self, name: &str) -> Result<()> {
        let (host, whole) = (self.host(name)?, self.ctx.to_its_end());
        let mut work = std::pin::pin!(host.restart(&whole, self.bound));
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = self.ctx.cancel().cancelled() => {}
        }
        let message =
            format!("interrupted; the restart of {} is brought to its end first", crate::units::escape_word(name));
        self.ctx.emit(&Event::Warning { message });
        work.await
    }

    fn watch(&self, member: &MemberView) -> Result<Away> {
        let seen = Arc::new(AtomicBool::new(false));
        let Some(endpoint) = &member.endpoint else { return Ok(Away { seen, watcher: None }) };
        let (node, flag) = (self.cluster.node(endpoint)?, Arc::clone(&seen));
        let watcher = tokio::spawn(async move {
            loop {
                let deadline = Instant::now() + Duration::from_secs(1);
                if let Err(error) = node.status(deadline).await
                    && error.sent() != Some(Sent::Answered)
                {
                    flag.store(true, Ordering::Relaxed);
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(Away { seen, watcher: Some(watcher) })
    }

    /// Fails when the process of the member that is awaited has ended, with what its log says.
    pub(super) async fn still_runs(&self, action: &Action) -> Result<()> {
        let name = match action {
            Action::StartMember { name, .. } | Action::RestartMember { name, .. } if !self.hands.closure() => name,
            _ => return Ok(()),
        };
        let Ok(host) = self.host(name) else { return Ok(()) };
        let ended = matches!(host.look(self.ctx).await, Ok(seen) if seen.process == Process::Stopped);
        if !ended {
            return Ok(());
        }
        let log = host.last_log(self.ctx).await.unwrap_or_default();
        Err(Ended { member: name.clone(), host: host.describe(), log }.into())
    }
}

/// How long a member may take to be seen away once its process has ended, or that a closure need not restart.
const GOES_AWAY: Duration = Duration::from_secs(5);

/// Whether a member was away since it is watched.
struct Away {
    seen: Arc<AtomicBool>,
    watcher: Option<tokio::task::JoinHandle<()>>,
}

impl Away {
    fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

/// Returns what an added member is to be started with. etcd compares the initial cluster with the membership list, so every
/// member has to be in it with every peer URL, and the added one under the name that it will have. Of the others' names it
/// wants only that they differ: one that has never started has none, two may have the same, and one may hold what means
/// something else there, so the id stands in for a name that is not one member's alone.
pub(super) fn start_configuration(name: &str, id: MemberId, view: &ClusterView) -> Option<StartConfiguration> {
    let added = view.get(id)?;
    let taken = |m: &MemberView| {
        let mut others = view.members.iter().filter(|other| other.member.id != m.member.id);
        m.member.name == name || others.any(|other| other.member.name == m.member.name)
    };
    let entries = view.members.iter().flat_map(|m| {
        let name = match new_name(m.member.name.clone()) {
            _ if m.member.id == id => name.to_owned(),
            Ok(name) if !taken(m) => name,
            _ => m.member.id.to_string(),
        };
        m.member.peer_urls.iter().map(move |url| format!("{name}={url}"))
    });
    let (name, peer_urls) = (name.to_owned(), added.member.peer_urls.clone());
    Some(StartConfiguration { name, initial_cluster: entries.collect::<Vec<_>>().join(","), peer_urls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::id::ClusterId;

    #[test]
    fn a_name_that_is_not_one_members_alone_gives_way_to_its_id() {
        let names = ["infra1", "infra1", "old,x=y", "infra4", "", "fünf"];
        let members = names.iter().zip(1..).map(|(name, id)| {
            let state = if name.is_empty() { State::Unstarted } else { State::Healthy };
            let mut view = member(id, state, false, Some(1), 0);
            (*name).clone_into(&mut view.member.name);
            view
        });
        let view = ClusterView {
            cluster_id: ClusterId(0xc),
            confirmed: true,
            members: members.collect(),
            alarms: Vec::new(),
            hosting: Default::default(),
            facts: Default::default(),
        };
        let cluster = |name: &str, id: u64| start_configuration(name, MemberId(id), &view).unwrap().initial_cluster;
        insta::assert_snapshot!(cluster("infra5", 5).replace(',', "\n"), @"
        1=http://10.0.0.1:2380
        2=http://10.0.0.2:2380
        3=http://10.0.0.3:2380
        infra4=http://10.0.0.4:2380
        infra5=http://10.0.0.5:2380
        fünf=http://10.0.0.6:2380
        ");
        assert!(cluster("infra4", 5).contains(",4=") && cluster("infra4", 5).contains(",infra4="));
    }
}
