//! `snapshot restore plan`: a whole cluster out of one snapshot.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::bump::{self, Bump, Seen};
use super::error::Refusal;
use super::hosts::{self, How, Seat};
use super::show::{self, Made, planned};
use super::token::Content;
use super::{Answers, answers, fresh_token, old, pairs, topology};
use crate::args::BadArgument;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::change::{ClusterView, beacon};
use crate::context::Context;
use crate::error::Result;
use crate::file::BadFile;
use crate::format::check::{Checked, check};
use crate::host::Host;
use crate::id::{ClusterId, MemberId, Revision};
use crate::operation::Operation;
use crate::ops::backup::known::known;
use crate::ops::snapshot::drill::Check;
use crate::restore::{self, Alarms, NewCluster, Spec};
use crate::units::{Elapsed, Timestamp};
use crate::value::Value;
use crate::version::Release;
use crate::{args, at_rest, choice, record};

choice! {
    /// What is done in spite of a doubt.
    pub enum Doubt {
        /// Something answers where a member is to be reached.
        MemberAnswers = "member_answers",
        /// The cluster that is to be replaced serves its clients.
        ClusterServes = "cluster_serves",
    }
}

args! {
    /// What to make a cluster of, and where.
    pub struct Args(
        /// The snapshot, or the database of a member that is stopped, with skip_hash_check.
        file: PathBuf,
    ) {
        /// Name and peer URL of every member, as NAME=URL; without it, the members that the snapshot has.
        initial_cluster: Vec<String>,
        /// Take the members of the cluster that answers, in place of those of the snapshot.
        live: bool,
        /// What makes the ids those of a cluster of its own; without it, one that no other cluster has. With hosts, what the data are
        /// made of is added to it; to go on with what was interrupted, give the one that was told.
        initial_cluster_token: Option<String>,
        /// Make the data dirs in this folder, each as NAME.etcd. It must be empty, or not there.
        data_dirs: Option<PathBuf>,
        /// Carry it out on the members' machines, as the profile says under hosts: stop all members, move their data aside, put the
        /// new data in place, start all, and compare them.
        hosts: bool,
        /// Raise the revision by this much; without it, by what is recommended, and with 0, not at all.
        bump_revision: Option<i64>,
        /// The etcd that is to start with it, such as 3.6, where it is another one than the snapshot is of.
        target_version: Option<Release>,
        /// Write the databases anew, without their free pages; it takes longer.
        rewrite: bool,
        /// Leave all alarms out.
        scrub_alarms: bool,
        /// Take a file without a SHA-256, or with a wrong one; its pages are checked instead.
        skip_hash_check: bool,
        /// How long each step on a member's machine may take, and all members until they serve.
        wait: Elapsed = "2min",
        /// What to do in spite of a doubt: member_answers, cluster_serves.
        allow: Vec<Doubt>,
        /// With hosts or data_dirs, look at everything that would be looked at, and refuse what would be refused, but make and change nothing.
        dry_run: bool,
    }
}

record! {
    /// A member of the new cluster, and how it comes to be.
    pub struct Planned {
        /// Its name.
        name: String,
        /// Its id, in hex.
        member_id: MemberId,
        /// Where the others reach it.
        peer_urls: Vec<String>,
        /// What stops and starts it; null where the profile says nothing about it.
        host: Option<String>,
        /// Its data dir: where it was made, or where the command makes it.
        data_dir: String,
        /// The same by hand: with etcd's own etcdutl of 3.5 or newer, or with etcdsh where that has no such option.
        command: String,
        /// What it is to be started with, as etcd's environment; read only where it has no data.
        start: Value,
        /// What was done: made, started, or already where it had been restored before; null for a plan.
        outcome: Option<String>,
        /// Where its old data lie now.
        data_dir_aside: Option<String>,
    }
}

record! {
    /// A cluster that is to be made, or was.
    pub struct RestorePlan {
        /// Whether anything was done, or this is only the plan.
        executed: bool,
        /// Whether no check failed; null where there were none.
        ok: Option<bool>,
        /// The snapshot.
        path: String,
        /// The new cluster's id, in hex.
        cluster_id: ClusterId,
        /// What makes the ids those of this cluster.
        token: String,
        /// The revision of the snapshot.
        snapshot_revision: Revision,
        /// The revision that the members start with.
        revision: Revision,
        /// By how much it is raised; all older revisions are marked as compacted then.
        bump_revision: i64,
        /// By how much it should be raised.
        recommended_bump: i64,
        /// Why by so much.
        reason: String,
        /// The members.
        members: Vec<Planned>,
        /// What was compared when all members served.
        checks: Vec<Check>,
        /// What to consider.
        advice: Vec<String>,
        /// How long it took.
        took: Elapsed,
    }
}

/// See [`Operation::CARD`].
pub struct SnapshotRestorePlan;

impl Operation for SnapshotRestorePlan {
    const CARD: Card = Card {
        name: "snapshot restore plan",
        summary: "Make a whole cluster out of a snapshot: show how, make the data dirs, or do all of it.",
        details: "The snapshot is checked as `snapshot verify` does, and must be sound. Without data_dirs and hosts nothing is changed: the \
                  answer says who the members are, and what to run and to start on each machine. The revision is raised above all that \
                  clients may have seen, and what is older is marked as compacted, so that Kubernetes and whoever else watches reads anew. \
                  With hosts, nothing is stopped before all data dirs are made on this machine; a cluster that serves is not replaced \
                  unless that is allowed; old data are moved aside, never deleted. What was interrupted is gone on with by the same call with \
                  its token: members that have the new data keep them.",
        search: &["etcdutl", "recover", "disaster", "quorum loss", "backup", "cluster"],
        effect: Effect::Changes,
        capability: Capability::Restore,
        target: Target::ClusterIf(&["live", "hosts"]),
        examples: &[
            Example {
                about: "Show how the cluster of a snapshot is made again",
                args: &[("file", Sample::Text("backup.db"))],
            },
            Example {
                about: "Make the data dirs of three new members",
                args: &[
                    ("file", Sample::Text("backup.db")),
                    (
                        "initial_cluster",
                        Sample::List(&[
                            "infra1=https://10.0.0.1:2380",
                            "infra2=https://10.0.0.2:2380",
                            "infra3=https://10.0.0.3:2380",
                        ]),
                    ),
                    ("data_dirs", Sample::Text("restored")),
                ],
            },
            Example {
                about: "Bring back a cluster that has lost its quorum, on all its machines",
                args: &[("file", Sample::Text("backup.db")), ("hosts", Sample::On)],
            },
        ],
    };
    type Args = Args;
    type Report = RestorePlan;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<RestorePlan> {
        let start = Instant::now();
        agree(&args)?;
        let given = super::bump(args.bump_revision)?;
        let named = pairs(&args.initial_cluster)?;
        let (old, unseen) = old::look(ctx, &args).await?;
        let skip = args.skip_hash_check;
        let checked = at_rest::make(ctx, "file", &args.file, move |image| {
            restore::has_sum(image, skip)?;
            Ok(check(image)?)
        });
        let checked = checked.await?;
        let (snapshot, mut bump) = recommend(ctx, &args, &checked, old.as_ref())?;
        let sha256 = checked.figures.as_ref().map_or("", |figures| &figures.sha256);
        let (by, token) = identity(&args, given, &mut bump, sha256);
        let initial_cluster = match &old {
            _ if !named.is_empty() => named,
            Some(old) if args.live => topology::of_members(&members(old), "the cluster")?,
            _ => topology::of_members(&checked.records.members, "the snapshot")?,
        };
        let specs = specs(ctx, &args, &initial_cluster, &token, by)?;
        let (cluster_id, mut seats) = seats(ctx, specs)?;
        if let Some(old) = old.as_ref().filter(|old| args.hosts && old.cluster_id != cluster_id) {
            old::may_go(old, &args)?;
        }
        if args.data_dirs.is_some() && !args.allow.contains(&Doubt::MemberAnswers) {
            nobody_answers(&seats).await?;
        }
        let revision = Revision(snapshot.0.saturating_add_unsigned(by));
        let size = checked.figures.as_ref().map_or(0, |figures| figures.size);
        let note = || note_heir(ctx, &args, old.as_ref(), sha256, cluster_id, revision);
        let mut checks = Vec::new();
        if let Some(folder) = &args.data_dirs {
            hosts::make(ctx, &args.file, &mut seats, folder, size, args.dry_run).await?;
            if !args.dry_run {
                note()?;
            }
        } else if args.hosts {
            old::may_log_in(ctx, &checked.records)?;
            let answers_allowed = args.allow.contains(&Doubt::MemberAnswers);
            if let Some(old) = old.as_ref().filter(|_| !answers_allowed) {
                old::nobody_is_left(old, &seats).await?;
            }
            let unseen = unseen.filter(|_| !args.allow.contains(&Doubt::ClusterServes));
            let data = args.target_version.is_none().then(|| checked.records.applied.written_by());
            let (patience, dry_run) = (args.wait.duration(), args.dry_run);
            let how = How { patience, answers_allowed, unseen, data, size, dry_run, note: &note };
            checks = hosts::carry_out(ctx, &args.file, &mut seats, revision, how).await?;
        }
        Ok(RestorePlan {
            executed: (args.hosts || args.data_dirs.is_some()) && !args.dry_run,
            ok: (!checks.is_empty()).then(|| checks.iter().all(|check| check.ok != Some(false))),
            path: args.file.to_string_lossy().into_owned(),
            cluster_id,
            token,
            snapshot_revision: snapshot,
            revision,
            bump_revision: i64::try_from(by).unwrap_or(i64::MAX),
            recommended_bump: i64::try_from(bump.by).unwrap_or(i64::MAX),
            advice: show::advised(
                &checked,
                &seats,
                &Made { by, bump: &bump, old: old.as_ref(), checks: &checks, scrub_alarms: args.scrub_alarms },
            ),
            reason: bump.why,
            members: seats.into_iter().map(|seat| planned(seat, &args.file)).collect(),
            checks,
            took: start.elapsed().into(),
        })
    }
}

/// Holds that the arguments do not contradict each other.
fn agree(args: &Args) -> Result<(), BadArgument> {
    if args.hosts && args.data_dirs.is_some() {
        let help = "give one of them: the hosts are given data dirs that are made in a folder of their own";
        return Err(BadArgument::invalid("data_dirs", "is given together with hosts", help));
    }
    if args.live && !args.initial_cluster.is_empty() {
        let help = "give one of them: both say who the members are";
        return Err(BadArgument::invalid("initial_cluster", "is given together with live", help));
    }
    Ok(())
}

/// Returns by how much the revision is raised, and the token. On hosts, that of a call that is gone on with says the former.
fn identity(args: &Args, given: Option<u64>, bump: &mut Bump, sha256: &str) -> (u64, String) {
    let target_version = args.target_version.map(Release::line);
    let content = Content { sha256, target_version, scrub_alarms: args.scrub_alarms };
    let token = args.initial_cluster_token.as_ref();
    if let Some(resumed) = token.filter(|_| args.hosts)
        && let Some(by) = content.bump_in(resumed, given)
    {
        // What is known by now may be of this very cluster.
        *bump = Bump { by, why: "the call that is gone on with has raised it by this".to_owned(), ahead: 0 };
        return (by, resumed.clone());
    }
    let (by, base) = (given.unwrap_or(bump.by), token.cloned().unwrap_or_else(fresh_token));
    (by, if args.hosts { content.token(&base, by) } else { base })
}

fn members(view: &ClusterView) -> Vec<crate::member::Member> {
    view.members.iter().map(|member| member.member.clone()).collect()
}

/// Names what a new cluster is made of, as beacons do.
fn origins(file: &Path, old: Option<&ClusterView>, sha256: &str) -> Vec<String> {
    let clusters = known(file).map(|backup| backup.cluster_id).into_iter().chain(old.map(|view| view.cluster_id));
    clusters.map(|cluster| cluster.to_string()).chain([sha256.to_owned()]).collect()
}

/// Writes down what the new cluster is made of, before anybody can be served by it.
fn note_heir(
    ctx: &Context<'_>,
    args: &Args,
    old: Option<&ClusterView>,
    sha256: &str,
    cluster: ClusterId,
    revision: Revision,
) -> Result<()> {
    // The new cluster is not made of itself: it is gone on with.
    for of in origins(&args.file, old, sha256).into_iter().filter(|of| *of != cluster.to_string()) {
        let failed = |source| BadFile::from_io("write to", &ctx.places().state.join("beacons"), source);
        beacon::note_heir(ctx.places(), &of, cluster, revision).map_err(failed)?;
    }
    Ok(())
}

/// Returns the snapshot's revision, and by how much it should be raised.
fn recommend(ctx: &Context<'_>, args: &Args, checked: &Checked, old: Option<&ClusterView>) -> Result<(Revision, Bump)> {
    let figures = checked.figures.as_ref().filter(|_| checked.is_sound() || args.skip_hash_check);
    let Some(figures) = figures else {
        return Err(Refusal::Unsound { path: args.file.clone() }.into());
    };
    let now = Timestamp::now();
    let backup = known(&args.file);
    let mut seen = Vec::new();
    if let Some((time, revision)) = beacon::newest(ctx.places(), origins(&args.file, old, &figures.sha256)) {
        seen.push(Seen { revision, time, by: "seen from here".to_owned() });
    }
    if let Some(revision) = old.and_then(ClusterView::revision) {
        seen.push(Seen { revision, time: now, by: "a member that answers".to_owned() });
    }
    let taken = backup.as_ref().map(|backup| backup.time);
    if let Some(backup) = backup {
        let (path, time, revision) = backup.newest;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        seen.push(Seen { revision, time, by: format!("the backup {name}") });
    }
    let revision = Revision(figures.revision);
    Ok((revision, bump::recommend(revision, taken, &seen, now)))
}

/// Says what is to be made for each member.
fn specs(ctx: &Context<'_>, args: &Args, initial: &[(String, String)], token: &str, bump: u64) -> Result<Vec<Spec>> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in initial {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let folder = args.data_dirs.clone().unwrap_or_else(|| ctx.places().cwd.clone());
    let spec = |name: &String| {
        let own = initial.iter().filter(|(owner, _)| owner == name);
        let spec = Spec {
            name: name.clone(),
            initial_cluster: initial.to_vec(),
            initial_cluster_token: token.to_owned(),
            initial_advertise_peer_urls: own.map(|(_, url)| url.clone()).collect(),
            data_dir: folder.join(format!("{name}.etcd")),
            wal_dir: None,
            bump_revision: Some(bump).filter(|bump| *bump > 0),
            mark_compacted: bump > 0,
            // The form of the data is that of the whole line.
            target_version: args.target_version.map(Release::line),
            rewrite: args.rewrite,
            alarms: if args.scrub_alarms { Alarms::None } else { Alarms::All },
            without_auth: false,
            skip_hash_check: args.skip_hash_check,
        };
        if name.contains('/') || Path::new(name).components().count() != 1 {
            let help = "give it another name with initial_cluster";
            return Err(BadArgument::invalid(
                "initial_cluster",
                format!("has the name {name:?}, which no folder can have"),
                help,
            )
            .into());
        }
        Ok(spec)
    };
    names.into_iter().map(spec).collect()
}

fn seats(ctx: &Context<'_>, specs: Vec<Spec>) -> Result<(ClusterId, Vec<Seat>)> {
    let profile = ctx.cluster.as_ref().map(|cluster| cluster.profile().clone());
    let mut id = ClusterId(0);
    let seat = |spec: Spec| {
        let NewCluster { id: cluster, local, members } = restore::check(&spec)?;
        id = cluster;
        let own = members.into_iter().find(|member| member.id == local);
        let peer_urls = own.map(|member| member.peer_urls).unwrap_or_default();
        let host = profile.as_ref().map(|profile| Host::of(profile, ctx.places(), &spec.name)).transpose()?.flatten();
        Ok(Seat { member: local, cluster, peer_urls, host, spec, outcome: None, aside: None })
    };
    let seats = specs.into_iter().map(seat).collect::<Result<Vec<_>>>()?;
    Ok((id, seats))
}

/// Holds that nobody answers where the new members are to be reached.
pub(super) async fn nobody_answers(seats: &[Seat]) -> Result<()> {
    match answers(seats.iter().flat_map(|seat| seat.peer_urls.clone())).await {
        Some(url) => Err(Answers { url }.into()),
        None => Ok(()),
    }
}
