//! `snapshot save`: a backup that is known to be whole.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::view::{ClusterView, MemberView};
use crate::change::{Depth, observe};
use crate::context::Context;
use crate::error::{Fault, Result, Sent};
use crate::event::Event;
use crate::file::{BadFile, Finished, NewFile};
use crate::id::{MemberId, Revision};
use crate::member::MemberRef;
use crate::operation::Operation;
use crate::ops::member::find;
use crate::rpc::{AlarmKind, Node};
use crate::units::{Bytes, Elapsed};
use crate::{args, record};

args! {
    /// Where to, and from whom.
    pub struct Args(
        /// The file to write; a relative path starts in the caller's folder.
        path: PathBuf,
    ) {
        /// The member to take it from; without it, the newest healthy one that does not lead.
        member: Option<MemberRef>,
        /// Replace a file that is there already.
        force: bool,
        /// How long the member may be silent before the snapshot is given up.
        idle: Elapsed = "30s",
    }
}

record! {
    /// A snapshot that was saved.
    pub struct Saved {
        /// The file.
        path: String,
        /// Its size.
        size: Bytes,
        /// The SHA-256 of the whole file, in hex, as sha256sum prints it.
        sha256: String,
        /// The revision of the member's store when the snapshot was asked for; the file holds this one or a newer one.
        revision: Revision,
        /// The member that it was taken from, in hex.
        member_id: MemberId,
        /// That member's name.
        member: String,
        /// The version of the data's form, where the member tells it (from 3.6 on), and its etcd version otherwise.
        version: String,
        /// How long it took.
        took: Elapsed,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotSave;

impl Operation for SnapshotSave {
    const CARD: Card = Card {
        name: "snapshot save",
        summary: "Save a snapshot of the store into a file, and check it while it is written.",
        details: "The data is checked against the SHA-256 that etcd sends at its end, flushed to disk, and only then given its \
                  name, so a file of that name is always whole. It is readable for its owner only, since it holds every secret \
                  of the cluster. An existing file is not replaced without force.",
        search: &["etcdctl", "backup", "dump", "export"],
        effect: Effect::Reads,
        capability: Capability::Snapshot,
        target: Target::Cluster,
        examples: &[
            Example { about: "Save a snapshot", args: &[("path", Sample::Text("backup.db"))] },
            Example {
                about: "Save a snapshot of a certain member",
                args: &[("path", Sample::Text("backup.db")), ("member", Sample::Text("infra2"))],
            },
        ],
    };
    type Args = Args;
    type Report = Saved;

    async fn run(ctx: &Context<'_>, Args { path, member, force, idle }: Args) -> Result<Saved> {
        let start = Instant::now();
        // The file is made first: who has no room or no right learns it before a member is put to work.
        let file = NewFile::create(&path, force)?;
        let view = observe(ctx.cluster()?, Depth::Reads).await?.admitted()?;
        into(ctx, file, &path, choose(&view, member.as_ref(), None)?, idle, start).await
    }
}

/// Saves a snapshot before a change: into a new file, from the best member but one.
///
/// # Errors
/// No member is fit, or what it sent is not whole; no file is left then.
pub(crate) async fn save(
    ctx: &Context<'_>,
    view: &ClusterView,
    path: &Path,
    except: Option<MemberId>,
) -> Result<Saved> {
    let start = Instant::now();
    let chosen = choose(view, None, except)?;
    if let Some(folder) = path.parent().filter(|folder| folder.starts_with(&ctx.places().state)) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| BadFile::from_io("create", folder, source))?;
    }
    into(ctx, NewFile::create(path, false)?, path, chosen, Elapsed::from(IDLE), start).await
}

/// Saves a snapshot into a new file, from the member that is wanted, or the best.
///
/// # Errors
/// No member is fit, or what it sent is not whole; no file is left then.
pub(crate) async fn of_member(
    ctx: &Context<'_>,
    view: &ClusterView,
    path: &Path,
    wanted: Option<&MemberRef>,
) -> Result<Saved> {
    let start = Instant::now();
    let chosen = choose(view, wanted, None)?;
    into(ctx, NewFile::create(path, false)?, path, chosen, Elapsed::from(IDLE), start).await
}

/// How long a member may be silent, where nothing else was said.
const IDLE: Duration = Duration::from_secs(30);

async fn into(
    ctx: &Context<'_>,
    file: NewFile,
    path: &Path,
    (source, revision): (&MemberView, Revision),
    idle: Elapsed,
    start: Instant,
) -> Result<Saved> {
    let cluster = ctx.cluster()?;
    let endpoint = source.endpoint.as_ref().ok_or_else(|| Unfit { member: source.member.label() })?;
    let node = cluster.node(endpoint)?;
    let (finished, version) = copy(ctx, &node, file, cluster.deadline(), idle.duration()).await?;
    let etcd = source.known().map(|status| crate::units::escape_word(&status.version)).unwrap_or_default();
    Ok(Saved {
        path: path.to_string_lossy().into_owned(),
        size: Bytes::new(finished.size),
        sha256: finished.sha256,
        revision,
        member_id: source.member.id,
        member: source.member.label(),
        version: if version.is_empty() { etcd } else { crate::units::escape_word(&version) },
        took: start.elapsed().into(),
    })
}

/// Chooses whom to ask: a healthy voter without an alarm about its data, the newest, and rather not the leader, which has most
/// to do.
fn choose<'v>(
    view: &'v ClusterView,
    wanted: Option<&MemberRef>,
    except: Option<MemberId>,
) -> Result<(&'v MemberView, Revision)> {
    let revision = |m: &MemberView| m.known().map(|status| status.revision);
    if let Some(wanted) = wanted {
        let member = find(view, wanted)?;
        let revision = revision(member).ok_or_else(|| Unfit { member: member.member.label() })?;
        return Ok((member, revision));
    }
    let leader = view.leader().map(|m| m.member.id);
    let fit =
        |m: &&MemberView| m.serves() && Some(m.member.id) != except && !view.has_alarm(m.member.id, AlarmKind::Corrupt);
    let best = view
        .voters()
        .filter(fit)
        .filter_map(|m| revision(m).map(|revision| (m, revision)))
        .max_by_key(|(m, revision)| (Some(m.member.id) != leader, *revision));
    Ok(best.ok_or(NoneFit)?)
}

/// Copies the stream into the file. The disk has a thread of its own, so that hashing and writing go on while the next chunks
/// arrive.
async fn copy(
    ctx: &Context<'_>,
    node: &Arc<Node>,
    file: NewFile,
    deadline: Instant,
    idle: Duration,
) -> Result<(Finished, String)> {
    let mut stream = node.snapshot(deadline, idle).await?;
    let _leftover = file.leftover();
    let (sender, mut chunks) = tokio::sync::mpsc::channel::<Vec<u8>>(CHUNKS_AHEAD);
    let mut file = file;
    let mut next = stream.next().await?;
    // The server announces the data, and sends its SHA-256 behind it.
    let data = next.as_ref().map_or(0, |first| first.remaining.saturating_add(first.blob.len() as u64));
    let total = data.saturating_add(SHA256_BYTES);
    file.reserve(total)?;
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = chunks.blocking_recv() {
            file.write(&chunk)?;
        }
        Ok::<_, crate::Error>(file)
    });
    let mut version = String::new();
    let (mut done, mut told) = (0_u64, 0_u64);
    while let Some(chunk) = next {
        done = done.saturating_add(chunk.blob.len() as u64);
        version.clone_from(&chunk.version);
        if sender.send(chunk.blob).await.is_err() {
            break; // The writer failed; its error is read below.
        }
        if done - told >= PROGRESS_EVERY {
            told = done;
            let what = "snapshot".to_owned();
            ctx.emit(&Event::Progress { what, done: Bytes::new(done), total: Some(Bytes::new(total)) });
        }
        next = stream.next().await.map_err(|source| BrokenOff::explain(done, total, source))?;
    }
    drop(sender);
    let file = writer.await.map_err(crate::Error::internal)??;
    let finished = tokio::task::spawn_blocking(move || file.finish_snapshot(total)).await;
    Ok((finished.map_err(crate::Error::internal)??, version))
}

/// The length of what follows the announced data.
const SHA256_BYTES: u64 = 32;
/// How many chunks of 32 kB wait between the network and the disk.
const CHUNKS_AHEAD: usize = 64;
/// After how many bytes the caller is told again.
const PROGRESS_EVERY: u64 = 8 << 20;

/// The stream did not reach its end.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot broke off after {done} of {total} bytes")]
struct BrokenOff {
    done: u64,
    total: u64,
    stalled: bool,
    source: crate::Error,
}

impl BrokenOff {
    /// Adds how far it came, where the connection is to blame. What the server said stays as it is.
    fn explain(done: u64, total: u64, source: crate::Error) -> crate::Error {
        let stalled = source.code() == "timeout";
        if stalled || source.code() == "connection_lost" {
            BrokenOff { done, total, stalled, source }.into()
        } else {
            source
        }
    }
}

impl Fault for BrokenOff {
    fn code(&self) -> &'static str {
        if self.stalled { "snapshot_stalled" } else { "snapshot_cut" }
    }

    fn help(&self) -> Option<String> {
        let help = if self.stalled {
            "no file was left; take it from another member, or give idle more time if the member is only slow"
        } else {
            "no file was left; try again, from another member if it happens again"
        };
        Some(help.to_owned())
    }

    fn sent(&self) -> Option<Sent> {
        self.source.sent()
    }

    fn endpoint(&self) -> Option<String> {
        self.source.endpoint()
    }

    fn retryable(&self) -> bool {
        true
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{member} does not answer, so no snapshot can be taken from it")]
struct Unfit {
    member: String,
}

impl Fault for Unfit {
    fn code(&self) -> &'static str {
        "member_unfit"
    }

    fn argument(&self) -> Option<&str> {
        Some("member")
    }

    fn help(&self) -> Option<String> {
        Some("leave the member out, and the best one is chosen; `health` shows how each is".to_owned())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no voter is healthy enough for a snapshot")]
struct NoneFit;

impl Fault for NoneFit {
    fn code(&self) -> &'static str {
        "no_quorum"
    }

    fn help(&self) -> Option<String> {
        Some("name a member that still answers; its snapshot may lack the newest writes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};
    use crate::id::ClusterId;
    use crate::tests::shown;

    #[test]
    fn a_member_that_cannot_be_asked_is_not_chosen() {
        let members = vec![member(1, State::Down, false, None, 0), member(2, State::Cut, false, None, 0)];
        let view = ClusterView {
            cluster_id: ClusterId(1),
            confirmed: false,
            members,
            alarms: vec![],
            hosting: Default::default(),
            facts: Default::default(),
        };
        let chosen = |wanted: Option<&str>| {
            let wanted = wanted.map(|name| MemberRef(name.to_owned()));
            choose(&view, wanted.as_ref(), None).map(|(member, _)| member.member.label())
        };
        assert_eq!(chosen(Some("infra2")).unwrap(), "infra2");
        let errors = [chosen(Some("infra1")), chosen(None)].map(Result::unwrap_err);
        insta::assert_snapshot!(shown(errors), @r"
        member_unfit (member): infra1 does not answer, so no snapshot can be taken from it
          help: leave the member out, and the best one is chosen; `health` shows how each is
        no_quorum: no voter is healthy enough for a snapshot
          help: name a member that still answers; its snapshot may lack the newest writes
        ");
    }
}
