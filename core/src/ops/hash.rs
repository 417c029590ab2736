//! `hash`: whether all members hold the same data. One revision is hashed on all of them at once, and only hashes of the same
//! revision and the same compaction are compared.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::view::{ClusterView, Failure, MemberView};
use crate::change::{Depth, observe};
use crate::context::{Context, Source};
use crate::error::{Error, Result};
use crate::format::bolt::Image;
use crate::format::hashkv::hashkv;
use crate::id::{MemberId, Revision};
use crate::operation::Operation;
use crate::ops::keys::{about_revision, at_revision};
use crate::rpc::Cluster;
use crate::units::Elapsed;
use crate::wait::{answered, sleep};
use crate::{args, at_rest, choice, record};

mod judge;
#[cfg(test)]
mod tests;

args! {
    /// What to hash.
    pub struct Args() {
        /// Hash the store as of this revision; without it, the newest one that every member has.
        revision: Option<i64>,
        /// How long to wait for the hashes; each member reads its whole store for them.
        wait: Elapsed = "60s",
    }
}

choice! {
    /// Whether the members hold the same data.
    pub enum Consistency {
        /// All voters gave the same hash.
        Consistent = "consistent",
        /// Members that could be compared gave different hashes.
        Divergent = "divergent",
        /// No difference was seen, but not all voters could be compared.
        NotComparable = "not_comparable",
    }
}

record! {
    /// The hash of one member.
    pub struct Row {
        /// The member's id, in hex; null for a file.
        member_id: Option<MemberId>,
        /// Its name; null until it has started for the first time, and that of the file for a file.
        name: Option<String>,
        /// The hash of its store, as etcdctl prints it.
        hash: Option<u32>,
        /// The revision that the hash is for, as the member says; etcd tells it from 3.6 on.
        hash_revision: Option<Revision>,
        /// The revision that its store is compacted to; null when it never was.
        compact_revision: Option<Revision>,
        /// Whether its hash could be compared with those of most members.
        comparable: bool,
        /// Why it gave no hash.
        error: Option<String>,
    }
}

record! {
    /// What the hashes of all members say.
    pub struct HashReport {
        /// The judgement: consistent, divergent or not_comparable.
        verdict: Consistency,
        /// The revision that was hashed.
        revision: Option<Revision>,
        /// The members whose data differs from that of a majority; empty where no majority has the same data.
        minority: Vec<String>,
        /// What the judgement rests on, or what it lacks.
        reason: String,
        /// The hash of every member.
        members: Vec<Row>,
    }
}

/// See [`Operation::CARD`].
pub struct Hash;

impl Operation for Hash {
    const CARD: Card = Card {
        name: "hash",
        summary: "Compare the data of all members, by a hash of their stores at one revision.",
        details: "Hashes are compared only where they are of the same revision and of stores that are compacted alike; while a \
                  compaction runs, or a member is a little behind, all are asked again. The minority is named when a majority \
                  of the voters has the same data. A learner gives no hash. Each member reads its whole store for this, which \
                  takes seconds for each gigabyte; it goes on serving. Of a file it is the hash that its member told.",
        search: &["etcdctl", "endpoint", "hashkv", "corruption", "consistency", "checksum", "divergence"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::ClusterOrFile,
        examples: &[
            Example { about: "Compare the data of all members", args: &[] },
            Example {
                about: "Compare what they had at a certain revision",
                args: &[("revision", Sample::Int(1200)), ("wait", Sample::Text("5min"))],
            },
            Example { about: "Hash what a snapshot holds", args: &[("db", Sample::Text("backup.db"))] },
        ],
    };
    type Args = Args;
    type Report = HashReport;

    async fn run(ctx: &Context<'_>, Args { revision, wait }: Args) -> Result<HashReport> {
        let revision = Some(at_revision(revision)?).filter(|revision| *revision > 0).map(Revision);
        let cluster = match ctx.source()? {
            Source::Cluster(cluster) => cluster,
            Source::File(path) => return of_file(ctx, path, revision).await,
        };
        let view = observe(cluster, Depth::Status).await?;
        compare(ctx, cluster, &view, revision, wait.duration()).await
    }
}

/// Hashes the store of a file.
async fn of_file(ctx: &Context<'_>, path: &Path, revision: Option<Revision>) -> Result<HashReport> {
    let hash = move |image: &Image| hashkv(image, revision.map(|revision| revision.0), None);
    let hash = at_rest::read(ctx, "db", path, hash).await?;
    let row = Row {
        member_id: None,
        name: Some(path.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        hash: Some(hash.hash),
        hash_revision: Some(Revision(hash.revision)),
        compact_revision: hash.compacted.map(Revision),
        comparable: false,
        error: None,
    };
    Ok(HashReport {
        verdict: Consistency::Consistent,
        revision: Some(Revision(hash.revision)),
        minority: Vec::new(),
        reason: "a single file has nothing to be compared with".to_owned(),
        members: vec![row],
    })
}

/// How long to wait for hashes, where nobody says otherwise.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// How often all members are asked at most, and how long after the first time; the pauses grow from there.
const TRIES: u32 = 7;
const PAUSE: Duration = Duration::from_millis(100);

/// Compares the data of all members within a bound. Without a revision it is the newest that all answering members have.
///
/// # Errors
/// The members cannot hash that revision, or refuse to hash at all.
pub(crate) async fn compare(
    ctx: &Context<'_>,
    cluster: &Arc<Cluster>,
    view: &ClusterView,
    revision: Option<Revision>,
    bound: Duration,
) -> Result<HashReport> {
    let deadline = Instant::now() + bound;
    let mut view = view.clone();
    let (mut tries, mut pause) = (1, PAUSE);
    loop {
        let Some(chosen) = revision.or_else(|| view.common_revision()) else {
            return Ok(judge::judge(&view, None, &[]));
        };
        let asked = view.voters().filter(|m| m.known().is_some());
        let answers = join_all(asked.map(|member| ask(cluster, member, chosen, deadline)));
        let what = format!("every member has hashed revision {chosen}");
        let answers = answered(ctx, &what, "each reads its whole database", answers).await;
        let last = tries >= TRIES || Instant::now() + pause >= deadline;
        if last || !judge::passes(&answers, chosen, revision.is_some()) {
            return match judge::refusal(&answers, revision.is_some()) {
                Some(refusal) => Err(about_revision(refusal.clone().into())),
                None => Ok(judge::judge(&view, Some(chosen), &answers)),
            };
        }
        sleep(pause).await;
        (tries, pause) = (tries + 1, pause * 2);
        view = observe(cluster, Depth::Status).await?;
    }
}

async fn ask(cluster: &Arc<Cluster>, member: &MemberView, revision: Revision, deadline: Instant) -> judge::Asked {
    let id = member.member.id;
    let hash = async {
        let endpoint = member.endpoint.as_ref().ok_or_else(|| Error::internal("a member answered from nowhere"))?;
        cluster.node(endpoint)?.hash_kv(revision, deadline).await
    };
    let answer = hash.await.map_err(Failure::from).and_then(|hash| judge::own(id, hash));
    judge::Asked { id, answer }
}
