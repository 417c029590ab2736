//! Breaking a member for real, in the ways in which members break.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::Sandbox;
use super::error::{SandboxError, cannot, cut};
use super::files::{copy_folder, remove};
use super::session::Session;
use super::state::data_dir;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::rpc::{Cluster, Consistency};
use crate::wait::{Look, TimedOut};

crate::choice! {
    /// How a member is broken.
    pub enum Breakage {
        /// Its data dir is an old copy, as after a virtual machine was put back to a snapshot.
        StaleData = "stale-data",
        /// Its data dir is gone, and it starts as if the cluster were new.
        Wiped = "wiped",
        /// The disk has lost the beginning of its database file.
        BadDisk = "bad-disk",
    }
}

impl Breakage {
    fn done(self) -> &'static str {
        match self {
            Breakage::StaleData => "its data are an old copy",
            Breakage::Wiped => "its data are gone",
            Breakage::BadDisk => "its database is damaged",
        }
    }
}

/// How many keys are written between the copy and the break.
const KEYS: usize = 100;
/// How long a member may take to serve again in between.
const SERVES: Duration = Duration::from_secs(60);
/// How long a broken member may take to notice.
const NOTICES: Duration = Duration::from_secs(20);
/// How often a stale member is tried: it recovers by itself when the leader happens to change while it is down.
const ATTEMPTS: usize = 3;
/// How much of the database is overwritten: both of its meta pages, on every page size.
const DAMAGE: usize = 128 * 1024;
/// How long one question to the cluster may take.
const ASK: Duration = Duration::from_secs(5);

impl Sandbox {
    /// Breaks a member so that its process ends, and waits until it has.
    ///
    /// # Errors
    /// The others would have no quorum; or the member went on all the same.
    pub async fn break_member(&self, name: &str, how: Breakage) -> Result<super::MemberRow> {
        let mut session = self.session().await?;
        session.member(name)?;
        let untouched = || format!("{name} was left as it was");
        let others = self.unless_cancelled(session.others_with_quorum(name)).await.map_err(cut(untouched))?;
        let half_way = || format!("{name} is half-way broken; `sandbox list` shows how it stands");
        session.damage(name, how, &others).await.map_err(cut(half_way))?;
        self.member(name)?.row()
    }
}

impl Session<'_> {
    async fn damage(&mut self, name: &str, how: Breakage, others: &[Endpoint]) -> Result<()> {
        if how == Breakage::StaleData {
            return self.make_stale(name, others).await;
        }
        self.stop(&[name.to_owned()]).await?;
        if how == Breakage::BadDisk {
            damage(&data_dir(&self.sandbox.folder, name).join("member/snap/db"))?;
        } else {
            self.set_aside(name)?;
        }
        self.spawn(name)?;
        self.must_end(name, how).await
    }

    /// Returns the endpoints of the other healthy members, if they are enough to go on without this one.
    async fn others_with_quorum(&self, name: &str) -> Result<Vec<Endpoint>> {
        let cluster = Cluster::new(self.sandbox.profile()?)?;
        let list = cluster.membership(Consistency::Linearizable, Instant::now() + ASK).await?;
        let voters = list.members.iter().filter(|member| !member.is_learner);
        let others = voters.clone().filter(|member| member.name != name).flat_map(|member| member.client_urls.first());
        let others: Vec<_> = others.map(|url| Endpoint::parse(url, self.state.tls)).collect::<Result<_, _>>()?;
        let deadline = Instant::now() + ASK;
        let probe =
            async |endpoint: &Endpoint| cluster.node(endpoint)?.probe(Consistency::Linearizable, deadline).await;
        let answers = join_all(others.iter().map(probe)).await;
        let healthy: Vec<_> = others.into_iter().zip(answers).filter(|(_, a)| a.is_ok()).map(|(e, _)| e).collect();
        let voters = voters.count();
        let quorum = voters / 2 + 1;
        if healthy.len() < quorum {
            let member = name.to_owned();
            return Err(SandboxError::NoQuorum { member, healthy: healthy.len(), voters, quorum }.into());
        }
        Ok(healthy)
    }

    /// Puts an old copy of a member's data in place of what it has.
    ///
    /// The leader remembers how much of its log the member has confirmed, and tells it to apply that; the old copy does not
    /// reach so far.
    async fn make_stale(&mut self, name: &str, others: &[Endpoint]) -> Result<()> {
        let names = [name.to_owned()];
        let dir = data_dir(&self.sandbox.folder, name);
        let old = self.sandbox.folder.join(format!("{name}.data.old"));
        self.stop(&names).await?;
        remove(&old)?;
        copy(&dir, &old).await?;
        for _ in 0..ATTEMPTS {
            self.spawn(name)?;
            self.sandbox.wait_ready(&names, SERVES).await?;
            self.sandbox.unless_cancelled(self.write_elsewhere(name, others)).await?;
            self.stop(&names).await?;
            self.set_aside(name)?;
            copy(&old, &dir).await?;
            self.spawn(name)?;
            match self.wait_ended(&names, NOTICES).await {
                Err(error) if error.code() == TimedOut::CODE => self.stop(&names).await?,
                ended => return ended,
            }
        }
        Err(self.survived(name, Breakage::StaleData).into())
    }

    /// Writes keys through another member, and waits until this one has them.
    async fn write_elsewhere(&self, name: &str, others: &[Endpoint]) -> Result<()> {
        let cluster = Cluster::new(self.sandbox.profile()?)?;
        let other = others.first().ok_or_else(|| Error::internal("no other member"))?;
        let other = cluster.node(other)?;
        for number in 0..KEYS {
            let key = format!("etcdsh-sandbox/{number}");
            other.scratch().put(&key, "written so that a copy is older", Instant::now() + ASK).await?;
        }
        let wanted = other.status(Instant::now() + ASK).await?.raft_applied_index;
        let url = self.state.client_url(self.member(name)?);
        let member = cluster.node(&Endpoint::parse(&url, self.state.tls)?)?;
        let look = async || {
            let applied = member.status(Instant::now() + ASK).await?.raft_applied_index;
            Ok(if applied >= wanted {
                Look::Ready(())
            } else {
                Look::NotYet(format!("it has applied {applied} of {wanted}"))
            })
        };
        self.sandbox.until(&format!("{name} has caught up"), SERVES, look).await
    }

    async fn must_end(&mut self, name: &str, how: Breakage) -> Result<()> {
        match self.wait_ended(&[name.to_owned()], NOTICES).await {
            Err(error) if error.code() == TimedOut::CODE => Err(self.survived(name, how).into()),
            other => other,
        }
    }

    fn survived(&self, name: &str, how: Breakage) -> SandboxError {
        SandboxError::Survived { member: name.to_owned(), how: how.done(), seconds: NOTICES.as_secs() }
    }
}

/// Copies a data dir beside the async work: it is large.
async fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    let (from, to): (PathBuf, PathBuf) = (from.to_owned(), to.to_owned());
    let copied = tokio::task::spawn_blocking(move || copy_folder(&from, &to)).await;
    Ok(copied.map_err(Error::internal)??)
}

fn damage(db: &std::path::Path) -> Result<(), SandboxError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).open(db)?;
        file.write_all(&vec![0xa5; DAMAGE])
    };
    write().map_err(cannot(format!("damage {}", db.display())))
}
