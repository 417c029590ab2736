//! One endpoint, and what it can be asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use etcd_client::proto::{PbMember, PbResponseHeader, PbStatusResponse};
use etcd_client::{AlarmAction, AlarmType, DowngradeOptions, GetOptions};
use futures_util::FutureExt;

use super::call::Kind;
use super::claim::Claims;
use super::cluster::Shared;
use super::error::RpcError;
use super::identity::Identity;
use super::link::{Link, Sender};
use super::raw::{self, AuthStatusRequest, AuthStatusResponse, MemberListRequest};
use super::scratch::Scratch;
use super::token::Tokens;
use super::types::{Alarm, AlarmKind, Consistency, HashKv, Status};
use super::writer::Writer;
use crate::endpoint::Endpoint;
use crate::error::{Error, Fault, Result};
use crate::id::{ClusterId, MemberId, Revision};
use crate::member::{Member, Membership};

/// More than this, and the answer is no list of the members of a cluster.
const MOST_MEMBERS: usize = 1_000;
const MOST_ALARMS: usize = 10_000;

/// The connection to one endpoint.
pub struct Node {
    pub(super) link: Arc<Link>,
    pub(super) client: etcd_client::Client,
    pub(super) tokens: Arc<Tokens>,
    /// Weak, because the cluster holds its nodes.
    pub(super) cluster: Weak<Shared>,
    identity: Arc<Identity>,
    /// Whether the server understands what a linearizable membership list is; known after the first one.
    lists_linearizably: OnceLock<bool>,
    /// Who answered last; zero, which no member is, before anybody has.
    member: AtomicU64,
}

impl Node {
    pub(super) fn new(endpoint: Endpoint, cluster: &Arc<Shared>) -> Result<Self> {
        let tokens = Arc::clone(&cluster.tokens);
        let link = Arc::new(Link::new(endpoint, Arc::clone(&cluster.dialer), Arc::clone(&tokens))?);
        let channel = etcd_client::Channel::Custom(tower::util::BoxCloneSyncService::new(Sender(Arc::clone(&link))));
        // Without a user it has nothing to wait for.
        let client = etcd_client::Client::from_channel(channel, None).now_or_never();
        let client = client.and_then(std::result::Result::ok).ok_or_else(|| Error::internal("no client was made"))?;
        let (identity, cluster) = (Arc::clone(&cluster.identity), Arc::downgrade(cluster));
        Ok(Node {
            link,
            client,
            tokens,
            cluster,
            identity,
            lists_linearizably: OnceLock::new(),
            member: AtomicU64::new(0),
        })
    }

    /// Returns where this leads.
    pub fn endpoint(&self) -> &Endpoint {
        self.link.endpoint()
    }

    /// Returns the name and the id of the member behind this, as far as they are known.
    pub(super) fn who(&self) -> Option<String> {
        let answered = Some(MemberId(self.member.load(Ordering::Relaxed))).filter(|id| id.0 != 0);
        let listed = self.cluster.upgrade().and_then(|cluster| cluster.who(answered, self.endpoint()));
        listed.or_else(|| answered.map(|id| id.to_string()))
    }

    /// Asks the member about itself.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn status(&self, deadline: Instant) -> Result<Status> {
        let ask = || {
            let mut maintenance = self.client.maintenance_client();
            async move { maintenance.status().await }
        };
        let answer = self.call("Status", Kind::Read, deadline, ask).await?.0;
        self.read_status(answer).map_err(Into::into)
    }

    fn read_status(&self, answer: PbStatusResponse) -> Result<Status, RpcError> {
        let header = self.header(answer.header)?;
        let present = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Status {
            cluster_id: ClusterId(header.cluster_id),
            member_id: MemberId(header.member_id),
            version: answer.version,
            storage_version: present(answer.storage_version),
            db_size: self.not_negative("db size", answer.db_size)?,
            db_in_use: self.not_negative("db size in use", answer.db_size_in_use)?,
            // A negative one switches the quota off, and servers before 3.6 leave it at zero.
            db_quota: Some(answer.db_size_quota).filter(|quota| *quota > 0),
            leader: Some(MemberId(answer.leader)).filter(|leader| leader.0 != 0),
            raft_term: self.signed("raft term", answer.raft_term)?,
            raft_index: self.signed("raft index", answer.raft_index)?,
            raft_applied_index: self.signed("raft applied index", answer.raft_applied_index)?,
            is_learner: answer.is_learner,
            revision: Revision(self.not_negative("revision", header.revision)?),
            errors: answer.errors,
            downgrade_target: answer.downgrade_info.filter(|info| info.enabled).map(|info| info.target_version),
        })
    }

    /// Asks for the membership list.
    ///
    /// # Errors
    /// It did not answer in time, or with an error; without a quorum a linearizable list never comes.
    pub async fn membership(&self, how: Consistency, deadline: Instant) -> Result<Membership> {
        let linearizable = how == Consistency::Linearizable;
        if linearizable && !self.lists_linearizably(deadline).await? {
            // It would pass over the request and answer from what it knows. After a linearizable read it knows enough.
            self.probe(how, deadline).await?;
        }
        let ask = || {
            let request = MemberListRequest { linearizable };
            raw::unary(self.sender(), "/etcdserverpb.Cluster/MemberList", request)
        };
        let answer: etcd_client::proto::PbMemberListResponse =
            self.call("MemberList", Kind::Read, deadline, ask).await?;
        self.read_membership(answer.header, answer.members, linearizable).map_err(Into::into)
    }

    /// Before 3.5 there were no linearizable membership lists, and nothing in the answer tells.
    async fn lists_linearizably(&self, deadline: Instant) -> Result<bool> {
        match self.lists_linearizably.get() {
            Some(known) => Ok(*known),
            None => {
                let version = self.status(deadline).await?.version;
                let old = ["3.0.", "3.1.", "3.2.", "3.3.", "3.4."].iter().any(|old| version.starts_with(old));
                Ok(*self.lists_linearizably.get_or_init(|| !old))
            }
        }
    }

    pub(super) fn read_membership(
        &self,
        header: Option<PbResponseHeader>,
        members: Vec<PbMember>,
        linearizable: bool,
    ) -> Result<Membership, RpcError> {
        let header = self.header(header)?;
        if members.is_empty() || members.len() > MOST_MEMBERS {
            return Err(self.nonsense(format!("a cluster of {} members", members.len())));
        }
        let mut members: Vec<Member> = members.into_iter().map(read_member).collect();
        members.sort_by_key(|member| member.id);
        if let Some(twice) = members.iter().zip(members.iter().skip(1)).find(|(a, b)| a.id == b.id) {
            return Err(self.nonsense(format!("two members with the id {}", twice.0.id)));
        }
        Ok(Membership { cluster_id: ClusterId(header.cluster_id), members, linearizable })
    }

    /// Asks for the alarms that are raised.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn alarms(&self, deadline: Instant) -> Result<Vec<Alarm>> {
        let ask = || {
            let mut maintenance = self.client.maintenance_client();
            async move { maintenance.alarm(AlarmAction::Get, AlarmType::None, None).await }
        };
        // Not `.alarms()`: it casts the numbers of the wire into an enum, and an unknown one is undefined behaviour.
        let answer = self.call("Alarm", Kind::Read, deadline, ask).await?.0;
        // 3.4 sends no header here.
        if answer.header.is_some() {
            self.header(answer.header)?;
        }
        if answer.alarms.len() > MOST_ALARMS {
            return Err(self.nonsense(format!("{} alarms", answer.alarms.len())).into());
        }
        let read = |alarm: etcd_client::proto::PbAlarmMember| {
            let kind = match alarm.alarm {
                0 => return None,
                1 => AlarmKind::NoSpace,
                2 => AlarmKind::Corrupt,
                _ => AlarmKind::Unknown,
            };
            Some(Alarm { member_id: MemberId(alarm.member_id), kind })
        };
        Ok(answer.alarms.into_iter().filter_map(read).collect())
    }

    /// Proves that the member serves reads. A user who may not read the key has proof too: only a member that works refuses.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn probe(&self, how: Consistency, deadline: Instant) -> Result<()> {
        let ask = || {
            let mut kv = self.client.kv_client();
            let options = GetOptions::new().with_keys_only();
            let options = if how == Consistency::Serializable { options.with_serializable() } else { options };
            async move { kv.get("health", Some(options)).await }
        };
        match self.call("Range", Kind::Read, deadline, ask).await {
            Ok(answer) => Ok(self.header(answer.0.header).map(|_| ())?),
            Err(error) if error.code() == "permission_denied" => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks whether users have to authenticate. The answer goes through raft: there is none without a quorum.
    ///
    /// # Errors
    /// It did not answer in time, or with an error; `unsupported` before 3.5.
    pub async fn auth_enabled(&self, deadline: Instant) -> Result<bool> {
        let ask = || raw::unary(self.sender(), "/etcdserverpb.Auth/AuthStatus", AuthStatusRequest {});
        let answer: AuthStatusResponse = self.call("AuthStatus", Kind::Read, deadline, ask).await?;
        Ok(answer.enabled)
    }

    /// Asks for the hash of the store at a revision.
    ///
    /// # Errors
    /// It did not answer in time, or with an error.
    pub async fn hash_kv(&self, revision: Revision, deadline: Instant) -> Result<HashKv> {
        let ask = || {
            let mut maintenance = self.client.maintenance_client();
            async move { maintenance.hash_kv(revision.0).await }
        };
        let answer = self.call("HashKV", Kind::Read, deadline, ask).await?.0;
        let header = self.header(answer.header)?;
        let of = |revision: i64| Some(Revision(revision)).filter(|revision| revision.0 > 0);
        Ok(HashKv {
            member_id: MemberId(header.member_id),
            hash: answer.hash,
            hash_revision: of(answer.hash_revision),
            compact_revision: of(answer.compact_revision),
        })
    }

    /// Asks whether the cluster can be downgraded to a version, and returns the cluster's version. It changes nothing.
    ///
    /// # Errors
    /// The server refuses that version, did not answer in time, or with an error; `unsupported` before 3.5.
    pub async fn downgrade_validate(&self, version: &str, deadline: Instant) -> Result<String> {
        let ask = || {
            let mut maintenance = self.client.maintenance_client();
            let what = DowngradeOptions::Validate(version.to_owned());
            async move { maintenance.downgrade(what).await }
        };
        let answer = self.call("Downgrade", Kind::Read, deadline, ask).await?.0;
        self.header(answer.header)?;
        Ok(answer.version)
    }

    /// Returns the calls that change the cluster. Only `change/execute.rs` may ask for them.
    pub fn writer(&self) -> Writer<'_> {
        Writer { node: self }
    }

    /// Returns the calls about claims. Only `change/lock.rs` may ask for them.
    pub(crate) fn claims(&self) -> Claims<'_> {
        Claims { node: self }
    }

    /// Returns the calls that only a throwaway cluster of our own gets. Only `sandbox` may ask for them.
    pub(crate) fn scratch(&self) -> Scratch<'_> {
        Scratch { node: self }
    }

    pub(super) fn sender(&self) -> Sender {
        Sender(Arc::clone(&self.link))
    }

    /// Checks the header of an answer: it must be there, and of the cluster that we talk to.
    pub(super) fn header(&self, header: Option<PbResponseHeader>) -> Result<PbResponseHeader, RpcError> {
        let header = header.ok_or_else(|| self.nonsense("it has no header"))?;
        self.identity.check(self.endpoint(), ClusterId(header.cluster_id))?;
        self.member.store(header.member_id, Ordering::Relaxed);
        Ok(header)
    }

    pub(super) fn signed(&self, what: &str, number: u64) -> Result<i64, RpcError> {
        i64::try_from(number).map_err(|_| self.nonsense(format!("the {what} {number}")))
    }

    pub(super) fn not_negative(&self, what: &str, number: i64) -> Result<i64, RpcError> {
        if number >= 0 { Ok(number) } else { Err(self.nonsense(format!("the {what} {number}"))) }
    }

    pub(super) fn nonsense(&self, problem: impl Into<String>) -> RpcError {
        RpcError::protocol(self.endpoint(), problem)
    }
}

pub(super) fn read_member(member: PbMember) -> Member {
    Member {
        id: MemberId(member.id),
        name: member.name,
        peer_urls: member.peer_ur_ls,
        client_urls: member.client_ur_ls,
        is_learner: member.is_learner,
    }
}
