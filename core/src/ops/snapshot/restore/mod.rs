//! `snapshot restore`: the data dir of one member of a new cluster, made of a snapshot.

pub mod plan;

mod bump;
mod error;
mod hosts;
mod old;
mod show;
mod staged;
mod token;
mod topology;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{Fault, Result, Sent};
use crate::id::{ClusterId, MemberId, Revision};
use crate::operation::Operation;
use crate::restore::{Alarms, Restored, Spec, check, restore};
use crate::units::{Bytes, Elapsed};
use crate::version::Release;
use crate::{args, at_rest, choice, record};

choice! {
    /// What is done in spite of a doubt.
    pub enum Doubt {
        /// Something answers where a member is to be reached.
        MemberAnswers = "member_answers",
    }
}

args! {
    /// What to make a data dir of, and for whom.
    pub struct Args(
        /// The snapshot, or the database of a member that is stopped, with skip_hash_check.
        file: PathBuf,
    ) {
        /// The member's name.
        name: String = "default",
        /// Name and peer URL of every member, as NAME=URL; without it, the member alone.
        initial_cluster: Vec<String>,
        /// What makes the ids those of a cluster of its own, the same for every member; of a member alone, a random one without it.
        initial_cluster_token: Option<String>,
        /// The member's peer URLs; without them, those that it has in initial_cluster, or http://localhost:2380.
        initial_advertise_peer_urls: Vec<String>,
        /// Where the data dir is made; without it, NAME.etcd in the current folder. Only an empty folder may be there.
        data_dir: Option<PathBuf>,
        /// Where the log goes, if it is not to lie in the data dir; nothing may be there.
        wal_dir: Option<PathBuf>,
        /// Raise the revision by this much, so that no client sees a revision again that it has seen with another content.
        bump_revision: Option<i64>,
        /// Take all older revisions for compacted, so that who watches from one of them is told; with bump_revision.
        mark_compacted: bool,
        /// The etcd that is to start with it, such as 3.6, where it is another one than the snapshot is of.
        target_version: Option<Release>,
        /// Write the database anew, without its free pages; it takes longer.
        rewrite: bool,
        /// Leave all alarms out.
        scrub_alarms: bool,
        /// Take a file without a SHA-256, or with a wrong one; its pages are checked instead.
        skip_hash_check: bool,
        /// What to do in spite of a doubt: member_answers.
        allow: Vec<Doubt>,
    }
}

record! {
    /// A member of the new cluster.
    pub struct NewMember {
        /// Its name.
        name: String,
        /// Its id, in hex.
        member_id: MemberId,
        /// Where the others reach it.
        peer_urls: Vec<String>,
    }
}

record! {
    /// A data dir that was made.
    pub struct Made {
        /// The data dir.
        data_dir: String,
        /// The folder with the log.
        wal_dir: String,
        /// The member's name.
        name: String,
        /// The member's id, in hex.
        member_id: MemberId,
        /// The new cluster's id, in hex.
        cluster_id: ClusterId,
        /// What makes the ids those of this cluster; every member is restored with the same.
        token: String,
        /// All members of the new cluster.
        members: Vec<NewMember>,
        /// The revision of the snapshot.
        snapshot_revision: Revision,
        /// The revision that the member starts with.
        revision: Revision,
        /// The SHA-256 of the snapshot's data, in hex, which was checked; null with skip_hash_check where it was not.
        sha256: Option<String>,
        /// The size of the database.
        size: Bytes,
        /// How many alarms were left out.
        alarms_dropped: i64,
        /// What to consider before the member is started.
        advice: Vec<String>,
        /// How long it took.
        took: Elapsed,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotRestore;

impl Operation for SnapshotRestore {
    const CARD: Card = Card {
        name: "snapshot restore",
        summary: "Make the data dir of one member of a new cluster out of a snapshot.",
        details: "The parameters are etcdutl's. The data dir is there as a whole or not at all, and readable for its owner only; the \
                  snapshot is checked against its SHA-256 while it is copied, and never written to. It is refused while something answers \
                  at a peer URL of the new cluster, because two clusters with one address mix. Every member of a cluster of several is \
                  restored from the same file, with the same list and token.",
        search: &["etcdutl", "recover", "backup", "disaster"],
        effect: Effect::Changes,
        capability: Capability::Restore,
        target: Target::Nothing,
        examples: &[
            Example {
                about: "Make the data dir of a cluster of one",
                args: &[("file", Sample::Text("backup.db")), ("data_dir", Sample::Text("restored"))],
            },
            Example {
                about: "Make the data dir of one of three members, and tell who watches that revisions are gone",
                args: &[
                    ("file", Sample::Text("backup.db")),
                    ("name", Sample::Text("infra1")),
                    (
                        "initial_cluster",
                        Sample::List(&[
                            "infra1=https://10.0.0.1:2380",
                            "infra2=https://10.0.0.2:2380",
                            "infra3=https://10.0.0.3:2380",
                        ]),
                    ),
                    ("initial_cluster_token", Sample::Text("prod-2026-11-27")),
                    ("data_dir", Sample::Text("/var/lib/etcd")),
                    ("bump_revision", Sample::Int(1_000_000_000)),
                    ("mark_compacted", Sample::On),
                ],
            },
        ],
    };
    type Args = Args;
    type Report = Made;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Made> {
        let start = std::time::Instant::now();
        let spec = spec(&args, &ctx.places().cwd)?;
        // What is wrong with the arguments is told before anybody is called.
        let cluster = check(&spec)?;
        let urls = cluster.members.iter().flat_map(|member| member.peer_urls.clone());
        if let Some(url) = answers(urls).await.filter(|_| !args.allow.contains(&Doubt::MemberAnswers)) {
            return Err(Answers { url }.into());
        }
        let wanted = spec.clone();
        let made = at_rest::make(ctx, "file", &args.file, move |image| restore(image, &wanted)).await?;
        Ok(report(&spec, made, start.elapsed()))
    }
}

/// Reads what is wanted.
pub(super) fn spec(args: &Args, folder: &std::path::Path) -> Result<Spec> {
    let mut initial_cluster = pairs(&args.initial_cluster)?;
    let mut advertised: Vec<String> =
        args.initial_advertise_peer_urls.iter().flat_map(|urls| urls.split(',')).map(str::to_owned).collect();
    if initial_cluster.is_empty() {
        if advertised.is_empty() {
            advertised.push(ALONE.to_owned());
        }
        initial_cluster = advertised.iter().map(|url| (args.name.clone(), url.clone())).collect();
    } else if advertised.is_empty() {
        let own = initial_cluster.iter().filter(|(name, _)| *name == args.name);
        advertised = own.map(|(_, url)| url.clone()).collect();
    }
    let is_alone = initial_cluster.iter().all(|(name, _)| *name == args.name);
    let token = match (&args.initial_cluster_token, is_alone) {
        (Some(token), _) => token.clone(),
        (None, true) => fresh_token(),
        (None, false) => {
            let help = format!("every member has to be restored with the same; a fresh one is {}", fresh_token());
            return Err(BadArgument::invalid("initial_cluster_token", "is needed for several members", help).into());
        }
    };
    Ok(Spec {
        name: args.name.clone(),
        initial_cluster,
        initial_cluster_token: token,
        initial_advertise_peer_urls: advertised,
        data_dir: data_dir(args, folder)?,
        wal_dir: args.wal_dir.clone(),
        bump_revision: bump(args.bump_revision)?,
        mark_compacted: args.mark_compacted,
        // The form of the data is that of the whole line.
        target_version: args.target_version.map(Release::line),
        rewrite: args.rewrite,
        alarms: if args.scrub_alarms { Alarms::None } else { Alarms::All },
        without_auth: false,
        skip_hash_check: args.skip_hash_check,
    })
}

/// Returns where the data dir is made. Only who names it makes one outside of the current folder.
fn data_dir(args: &Args, folder: &std::path::Path) -> Result<PathBuf, BadArgument> {
    match &args.data_dir {
        Some(given) => Ok(given.clone()),
        None if args.name.contains('/') => {
            let problem = format!("is {:?}, which no folder can have", args.name);
            Err(BadArgument::invalid("name", problem, "give data_dir too, or another name"))
        }
        None => Ok(folder.join(format!("{}.etcd", args.name))),
    }
}

fn bump(given: Option<i64>) -> Result<Option<u64>, BadArgument> {
    let help = "give a number above 0, such as 1000000000";
    let bump = |bump: i64| u64::try_from(bump).map_err(|_| BadArgument::invalid("bump_revision", "is negative", help));
    given.map(bump).transpose()
}

/// Reads names and URLs.
fn pairs(entries: &[String]) -> Result<Vec<(String, String)>, BadArgument> {
    let entries = entries.iter().flat_map(|entry| entry.split(',')).map(str::trim);
    let pair = |entry: &str| {
        if entry.is_empty() {
            let help = "leave it out for a member alone; an empty one is often a variable that is not set";
            return Err(BadArgument::invalid("initial_cluster", "has an empty item", help));
        }
        let problem = || {
            let help = "give NAME=URL for each, such as infra1=https://10.0.0.1:2380";
            BadArgument::invalid("initial_cluster", format!("has {entry:?}, which is no NAME=URL"), help)
        };
        entry.split_once('=').map(|(name, url)| (name.to_owned(), url.to_owned())).ok_or_else(problem)
    };
    entries.map(pair).collect()
}

/// Where a member that is alone is reached, as etcdutl has it.
const ALONE: &str = "http://localhost:2380";

/// Returns a token that no other cluster has: with the token of another one, members of both could take each other for their own.
pub(super) fn fresh_token() -> String {
    format!("etcdsh-{:016x}", crate::change::random())
}

/// How long somebody may take to answer at a peer URL.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns the first of the peer URLs at which somebody answers.
pub(super) async fn answers(urls: impl Iterator<Item = String>) -> Option<String> {
    let calls = urls.map(async |url| {
        let endpoint = Endpoint::parse(&url, false).ok()?;
        let address = (endpoint.host().to_owned(), endpoint.port());
        let called = timeout(PATIENCE, TcpStream::connect(address)).await;
        matches!(called, Ok(Ok(_))).then_some(url)
    });
    join_all(calls).await.into_iter().flatten().next()
}

fn report(spec: &Spec, made: Restored, took: Duration) -> Made {
    let member = |member: crate::member::Member| NewMember {
        name: member.label(),
        member_id: member.id,
        peer_urls: member.peer_urls,
    };
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Made {
        data_dir: path(&made.data_dir),
        wal_dir: path(&made.wal_dir),
        name: spec.name.clone(),
        member_id: made.member,
        cluster_id: made.cluster,
        token: spec.initial_cluster_token.clone(),
        members: made.members.into_iter().map(member).collect(),
        snapshot_revision: Revision(made.revision_before),
        revision: Revision(made.revision),
        sha256: made.sha256,
        size: Bytes::new(made.size),
        alarms_dropped: made.alarms_dropped.try_into().unwrap_or(i64::MAX),
        advice: advice(spec.bump_revision, made.alarms_kept),
        took: took.into(),
    }
}

/// Says what its user may not think of.
fn advice(bump_revision: Option<u64>, alarms: usize) -> Vec<String> {
    let mut advice = Vec::new();
    if bump_revision.is_none() {
        advice.push(
            "clients that saw newer revisions of the old cluster, such as Kubernetes' controllers, may take old values for new ones: \
             restore with bump_revision and mark_compacted, or restart them all"
                .to_owned(),
        );
    }
    if alarms > 0 {
        advice.push(
            "alarms that the snapshot holds are raised again: see `alarm list`, or restore with scrub_alarms"
                .to_owned(),
        );
    }
    advice
}

#[derive(Debug, thiserror::Error)]
#[error("somebody answers at {url}, where a member of the new cluster is to be reached")]
struct Answers {
    url: String,
}

impl Fault for Answers {
    fn code(&self) -> &'static str {
        "member_answers"
    }

    fn help(&self) -> Option<String> {
        Some(
            "stop the old members first: they would talk to the new ones, and clients to both. If it is no etcd of that cluster, allow \
             member_answers"
                .to_owned(),
        )
    }

    fn sent(&self) -> Option<Sent> {
        Some(Sent::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_or_leads_elsewhere_is_refused() {
        let given = |args: Args| spec(&args, "/home".as_ref()).and_then(|spec| check(&spec).map(|_| spec.data_dir));
        let plain = || Args {
            file: "/b.db".into(),
            name: "default".to_owned(),
            initial_cluster: vec![],
            initial_cluster_token: None,
            initial_advertise_peer_urls: vec![],
            data_dir: None,
            wal_dir: None,
            bump_revision: None,
            mark_compacted: false,
            target_version: None,
            rewrite: false,
            scrub_alarms: false,
            skip_hash_check: false,
            allow: vec![],
        };
        let named = |name: &str| Args { name: name.to_owned(), ..plain() };
        let of = |list: &str| Args { initial_cluster: vec![list.to_owned()], ..plain() };
        let refused = [
            given(Args { initial_cluster_token: Some(String::new()), ..plain() }),
            given(of("")),
            given(of("default=http://localhost:2380,")),
            given(named("../../esc")),
            given(named("sub/")),
        ];
        insta::assert_snapshot!(crate::tests::shown(refused.map(Result::unwrap_err)), @r#"
        invalid_argument (initial_cluster_token): the argument initial_cluster_token is empty
          help: leave it out for one that no other cluster has, or give the one of the other members; an empty one is often a variable that is not set
        invalid_argument (initial_cluster): the argument initial_cluster has an empty item
          help: leave it out for a member alone; an empty one is often a variable that is not set
        invalid_argument (initial_cluster): the argument initial_cluster has an empty item
          help: leave it out for a member alone; an empty one is often a variable that is not set
        invalid_argument (name): the argument name is "../../esc", which no folder can have
          help: give data_dir too, or another name
        invalid_argument (name): the argument name is "sub/", which no folder can have
          help: give data_dir too, or another name
        "#);
        let elsewhere = Args { data_dir: Some("/d".into()), ..named("a/b") };
        let made = [given(named("..")), given(elsewhere), given(plain())].map(Result::unwrap);
        assert_eq!(made, ["/home/...etcd", "/d", "/home/default.etcd"].map(PathBuf::from));
    }

    #[test]
    fn what_its_user_may_not_think_of_is_told_where_it_applies() {
        insta::assert_snapshot!(advice(None, 1).join("\n"), @"
        clients that saw newer revisions of the old cluster, such as Kubernetes' controllers, may take old values for new ones: restore with bump_revision and mark_compacted, or restart them all
        alarms that the snapshot holds are raised again: see `alarm list`, or restore with scrub_alarms
        ");
        assert_eq!(advice(None, 0), advice(None, 1)[..1]);
        assert_eq!(advice(Some(0), 2), advice(None, 1)[1..]);
        assert!(advice(Some(7), 0).is_empty());
    }
}
