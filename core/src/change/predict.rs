//! What a step has already made of a cluster, and what it would make of it; pure. The prediction is what the guards judge.

use crate::change::plan::Action;
use crate::change::view::{ClusterView, Failure, Hosting, MemberView, same_urls};
use crate::host::{Data, HostView, Process};
use crate::id::MemberId;
use crate::member::Member;
use crate::rpc::Status;

impl ClusterView {
    /// Says why an action has nothing to do, where that is so. Only a list that a quorum has confirmed can tell.
    pub fn already(&self, action: &Action) -> Option<String> {
        let said = match action {
            Action::AddMember { peer_urls, learner, .. } => {
                let id = self.added_before(peer_urls, *learner)?.member.id;
                format!("member {id} with these peer URLs was added before, and has not started yet")
            }
            Action::RemoveMember { id } if self.get(*id).is_none() => "it is not a member".to_owned(),
            Action::PromoteMember { who } if !who.find(self)?.member.is_learner => "it votes".to_owned(),
            Action::UpdatePeerUrls { id, peer_urls } if same_urls(&self.get(*id)?.member.peer_urls, peer_urls) => {
                "it has these peer URLs".to_owned()
            }
            Action::MoveLeader { to, .. } if self.leader()?.member.id == *to => "it leads".to_owned(),
            Action::MoveLeader { from: Some(from), .. } if self.leader()?.member.id != *from => {
                format!("{} leads", self.leader()?.member.label())
            }
            Action::StopMember { name, .. } if self.process(name) == Some(Process::Stopped) => {
                "its process is not there".to_owned()
            }
            Action::SetDataAside { name, .. } if self.data(name) == Some(&Data::None) => "it has no data".to_owned(),
            Action::StartMember { peer_urls, .. } => {
                let found = self.at(peer_urls)?;
                if !found.member.started() || found.known().is_none() {
                    return None;
                }
                "it runs".to_owned()
            }
            Action::DisarmAlarm { id, kind } if !self.has_alarm(*id, *kind) => "there is no such alarm".to_owned(),
            Action::CancelDowngrade if self.downgrade().is_none() => "no downgrade is under way".to_owned(),
            Action::EnableDowngrade { version } if self.downgrade() == Some(version.as_str()) => {
                format!("a downgrade to {version} is under way")
            }
            _ => return None,
        };
        self.confirmed.then_some(said)
    }

    /// Returns the version that a downgrade under way leads to, as far as members tell.
    pub fn downgrade(&self) -> Option<&str> {
        let told = self.members.iter().filter_map(MemberView::known).filter_map(|s| s.downgrade_target.as_deref());
        // Some servers tell the version with its patch, others without.
        told.map(|version| version.strip_suffix(".0").filter(|v| v.contains('.')).unwrap_or(version)).next()
    }

    fn process(&self, name: &str) -> Option<Process> {
        self.hosting.of(name).map(|seen| seen.view.process)
    }

    pub(crate) fn data(&self, name: &str) -> Option<&Data> {
        self.hosting.of(name).map(|seen| &seen.view.data)
    }

    /// Returns what this will be when every member that answers has caught up.
    #[must_use]
    pub fn caught_up(&self) -> ClusterView {
        let mut next = self.clone();
        let newest = self.newest();
        for member in &mut next.members {
            if let (Some(Ok(status)), Some(newest)) = (&mut member.status, newest) {
                status.raft_applied_index = newest;
            }
        }
        next
    }

    fn newest(&self) -> Option<i64> {
        self.members.iter().filter_map(MemberView::known).map(|status| status.raft_index).max()
    }

    /// Returns what a step would make of this: the prediction that the guards judge. It is on the safe side: a new member
    /// counts as not started, a stopped one as gone, and one whose peer URLs change as unreachable. One that is started counts
    /// as caught up, because the step that gives it its vote waits for that.
    #[must_use]
    pub fn after(&self, action: &Action) -> ClusterView {
        let mut next = self.clone();
        if self.already(action).is_some() {
            return next;
        }
        match action {
            Action::AddMember { peer_urls, learner, .. } => next.members.push(MemberView {
                member: Member {
                    // No real id is zero; the server chooses one when it adds the member.
                    id: MemberId(0),
                    name: String::new(),
                    peer_urls: peer_urls.clone(),
                    client_urls: Vec::new(),
                    is_learner: *learner,
                },
                endpoint: None,
                status: None,
                serializable: None,
                linearizable: None,
                latency: None,
            }),
            Action::RemoveMember { id } => {
                next.members.retain(|m| m.member.id != *id);
                next.forget_leader(*id);
            }
            Action::PromoteMember { who } => {
                if let Some(id) = who.find(self).map(|m| m.member.id) {
                    next.change(id, |m| {
                        m.member.is_learner = false;
                        m.linearizable = m.serializable.clone();
                    });
                }
            }
            Action::UpdatePeerUrls { id, peer_urls } => {
                next.change(*id, |m| {
                    m.member.peer_urls.clone_from(peer_urls);
                    m.linearizable = Some(Err(Failure::unasked("unreachable", "its peer URLs are about to change")));
                });
            }
            Action::MoveLeader { to, .. } => {
                for status in next.members.iter_mut().filter_map(|m| m.status.as_mut()?.as_mut().ok()) {
                    status.leader = Some(*to);
                }
            }
            Action::StopMember { id, name } => {
                next = next.without(*id);
                next.on_host(name, |host| host.process = Process::Stopped);
                // A member that is renamed is known on its host by both names.
                next.where_data_are(*id, |host| host.process = Process::Stopped);
            }
            Action::SetDataAside { name, .. } => next.on_host(name, |host| host.data = Data::None),
            Action::StartMember { name, peer_urls } => next.start(name, peer_urls),
            // Its restart is what brings it back.
            Action::RestartMember { id, .. } if self.facts.taken_down == Some(*id) => next.serve(*id),
            Action::DisarmAlarm { id, kind } => next.alarms.retain(|a| a.member_id != *id || a.kind != *kind),
            // What comes and goes leaves the cluster as it was; the guards look at the time in between themselves.
            _ => {}
        }
        next
    }

    /// Returns what this is while a member is away.
    #[must_use]
    pub fn without(&self, id: MemberId) -> ClusterView {
        let mut next = self.clone();
        next.change(id, |m| {
            let gone = Failure::unasked("unreachable", "it is stopped");
            m.status = Some(Err(gone.clone()));
            m.serializable = Some(Err(gone.clone()));
            m.linearizable = Some(Err(gone));
        });
        next.forget_leader(id);
        next
    }

    fn start(&mut self, name: &str, peer_urls: &[String]) {
        let Some(found) = self.at(peer_urls) else { return };
        let (id, cluster) = (found.member.id, self.cluster_id);
        self.serve(id);
        self.change(id, |m| name.clone_into(&mut m.member.name));
        self.on_host(name, |host| (host.process, host.data) = (Process::Running, Data::Of { member: id, cluster }));
    }

    /// Lets a member serve as the leader does.
    fn serve(&mut self, id: MemberId) {
        let Some(like) = self.leader().and_then(MemberView::known).cloned() else { return };
        self.change(id, |m| {
            m.status = Some(Ok(Status { member_id: id, is_learner: m.member.is_learner, ..like }));
            m.serializable = Some(Ok(()));
            m.linearizable = (!m.member.is_learner).then_some(Ok(()));
        });
    }

    fn on_host(&mut self, name: &str, change: impl FnOnce(&mut HostView)) {
        if let Hosting::Drivers(seen) = &mut self.hosting
            && let Some(host) = seen.iter_mut().find(|host| host.view.name == name)
        {
            change(&mut host.view);
        }
    }

    fn where_data_are(&mut self, id: MemberId, change: impl Fn(&mut HostView)) {
        if let Hosting::Drivers(seen) = &mut self.hosting {
            let views = seen.iter_mut().map(|host| &mut host.view);
            views.filter(|host| matches!(host.data, Data::Of { member, .. } if member == id)).for_each(change);
        }
    }

    fn change(&mut self, id: MemberId, change: impl FnOnce(&mut MemberView)) {
        if let Some(view) = self.members.iter_mut().find(|m| m.member.id == id) {
            change(view);
        }
    }

    /// When the leader goes, the remaining voters elect another one if they have a quorum; which one is not known.
    fn forget_leader(&mut self, id: MemberId) {
        let led = |status: &Status| status.leader == Some(id);
        if !self.members.iter().filter_map(MemberView::known).any(led) {
            return;
        }
        let next = self.voters().find(|m| m.member.id != id && m.serves()).map(|m| m.member.id);
        for status in self.members.iter_mut().filter_map(|m| m.status.as_mut()?.as_mut().ok()) {
            if status.leader == Some(id) {
                status.leader = next;
            }
        }
    }
}
