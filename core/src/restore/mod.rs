//! Making the data dir of one member of a new cluster out of a snapshot, as `etcdutl snapshot restore` does, natively. The snapshot
//! is read once and never written to; the data dir is there as a whole or not at all.
//!
//! In reading order: what is wanted ([`Spec`]), the members and their ids ([`NewCluster`]), what is different in the database
//! (`database`), the log and the `.snap` file (`raft`), and the place where all of it gets its name (`site`).
//!
//! What is done otherwise than etcdutl does it: a file that is damaged or a disk that is full leaves nothing behind; a bump counts from
//! the revision of the store and not from its newest row (etcd issue 17780); the URLs of a member are compared as text; and a file
//! whose SHA-256 is not checked has its pages checked.

mod cluster;
mod database;
mod error;
mod raft;
mod site;
#[cfg(test)]
pub(crate) mod tests;
mod url;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub use cluster::NewCluster;
pub use error::RestoreError;

use crate::args::BadArgument;
use crate::error::Result;
use crate::format::ahead::{Gate, beside};
use crate::format::bolt::{Image, Out, Row, Visit, patch, rewrite, survey};
use crate::format::problem::Result as FileResult;
use crate::format::{copy, trailer};
use crate::id::{ClusterId, MemberId};
use crate::member::Member;
use crate::version::Version;
use database::{Difference, difference};
use site::{Site, failed};

/// The term of all entries of the log that is made, as etcdutl has it.
const TERM: u64 = 1;
/// How much is written to the database at once, in bytes.
const BUFFER: usize = 1 << 20;
/// The versions that a restored database can be made for.
const TARGETS: [Version; 3] = [Version::new(3, 5, 0), Version::new(3, 6, 0), Version::new(3, 7, 0)];

/// What is wanted. The names are those of etcdutl's flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The member's name.
    pub name: String,
    /// Name and peer URL of each member; one that has several URLs is there several times.
    pub initial_cluster: Vec<(String, String)>,
    /// What makes the ids those of a cluster of its own.
    pub initial_cluster_token: String,
    /// The member's peer URLs, the same as in the list.
    pub initial_advertise_peer_urls: Vec<String>,
    /// Where the data dir is made; nothing may be there but an empty folder.
    pub data_dir: PathBuf,
    /// Where the log goes if it is not to lie in the data dir; nothing may be there.
    pub wal_dir: Option<PathBuf>,
    /// By how much the revision is raised, so that clients never see one that they saw with another content.
    pub bump_revision: Option<u64>,
    /// Whether all revisions before are compacted away, so that who watches from one of them is told. With a bump only, and no bump
    /// without it, as with etcdutl.
    pub mark_compacted: bool,
    /// The etcd that is to start with it, where it is another line than the one that the snapshot is of.
    pub target_version: Option<Version>,
    /// Whether the database is written anew, from the first row to the last, in place of a copy of its pages with a few more behind
    /// them. It takes longer, and its free pages are gone.
    pub rewrite: bool,
    /// Which alarms are kept.
    pub alarms: Alarms,
    /// Whether nobody has to log in any more: for a throwaway cluster, whose maker does not know the passwords.
    pub without_auth: bool,
    /// Whether a file without a SHA-256, or with another one, is taken too: a member's own database is such a file.
    pub skip_hash_check: bool,
}

/// Which alarms a restored database keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alarms {
    /// All, as etcdutl does, also those about members of the old cluster.
    #[default]
    All,
    /// Only those about members of the new cluster.
    Known,
    /// None.
    None,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The member's id.
    pub member: MemberId,
    /// The cluster's id.
    pub cluster: ClusterId,
    /// All members of the cluster, in the order of their ids.
    pub members: Vec<Member>,
    /// The revision of the store before.
    pub revision_before: i64,
    /// The revision of the store now.
    pub revision: i64,
    /// The SHA-256 of the data that was read, in hex, where it was checked against the one at the end of the file.
    pub sha256: Option<String>,
    /// How many alarms the new member begins with.
    pub alarms_kept: usize,
    /// How many alarms were left out.
    pub alarms_dropped: usize,
    /// The data dir.
    pub data_dir: PathBuf,
    /// The folder with the log.
    pub wal_dir: PathBuf,
    /// The database.
    pub db: PathBuf,
    /// The size of the database in bytes.
    pub size: u64,
}

/// Makes a data dir. How far the reading is, and whether it is still wanted, goes through the image's [`Image::control`].
///
/// # Errors
/// What is wanted contradicts itself; the file is damaged; something is where the data dir is to be; a disk fails or is full; or it
/// was stopped. Nothing is left then.
pub fn restore(image: &Image, spec: &Spec) -> Result<Restored> {
    let cluster = check(spec)?;
    has_sum(image, spec.skip_hash_check)?;
    let difference = difference(image, &cluster, spec).or_else(|error| {
        // Where the sum is wrong, that is the reason for all else.
        if !spec.skip_hash_check {
            let (sum, ()) = beside(image, trailer::summed(image), |_| ());
            trailer::compare(image, &sum?)?;
        }
        Err(error)
    })?;
    let site = Site::prepare(&spec.data_dir, spec.wal_dir.as_deref(), image.meta().length())?;
    let db = site.snap_dir().join("db");
    let (sum, size) = site.write(&db, |file| {
        let sum = write_database(image, &difference, spec, file, &db)?;
        let size = file.metadata().map_err(failed("read", &db, "data_dir"))?.len();
        Ok((sum, size))
    })?;
    image.unchanged()?;
    let wal = site.wal_dir().join(raft::WAL_NAME);
    site.write(&wal, |file| write_wal(file, &cluster).map_err(failed("write", &wal, "data_dir")))?;
    let snap = raft::snap(&cluster);
    let path = site.snap_dir().join(snap.name());
    site.write(&path, |mut file| file.write_all(&snap.write()).map_err(failed("write", &path, "data_dir")))?;
    site.finish()?;
    let member = spec.data_dir.join("member");
    Ok(Restored {
        member: cluster.local,
        cluster: cluster.id,
        members: cluster.members,
        revision_before: difference.before,
        revision: difference.after,
        sha256: sum.map(|sum| trailer::hex(&sum)),
        alarms_kept: difference.alarms_kept,
        alarms_dropped: difference.alarms_dropped,
        data_dir: spec.data_dir.clone(),
        wal_dir: spec.wal_dir.clone().unwrap_or_else(|| member.join("wal")),
        db: member.join("snap/db"),
        size,
    })
}

/// Holds that a folder's disk has room for the data dirs of so many members with a database of this size.
///
/// # Errors
/// It has not.
pub(crate) fn has_room(folder: &Path, members: usize, size: u64) -> Result<()> {
    let failed = |source| crate::file::BadFile::from_io("open", folder, source);
    let needed = size.saturating_add(raft::WAL_SIZE).saturating_mul(members as u64);
    site::reserve(&File::open(folder).map_err(failed)?, folder, needed)
}

/// Checks that a file has a SHA-256 at its end, or that it need not have one.
///
/// # Errors
/// It has none.
pub fn has_sum(image: &Image, skip_hash_check: bool) -> Result<()> {
    match trailer::begin(image) {
        Err(problem) if !skip_hash_check => {
            // Whoever has a member's own file may know so; what was cut or added to is none.
            let harmless = problem.is_harmless();
            let error = crate::Error::from(problem);
            let advice = "give skip_hash_check to take it all the same";
            Err(if harmless { error.advise(advice).for_argument("skip_hash_check") } else { error })
        }
        _ => Ok(()),
    }
}

/// Checks what can be checked without looking at any file, and returns the cluster that is to be.
///
/// # Errors
/// An argument is not a good one, or contradicts another one.
pub fn check(spec: &Spec) -> Result<NewCluster> {
    let cluster = NewCluster::of(
        &spec.name,
        &spec.initial_cluster,
        &spec.initial_cluster_token,
        &spec.initial_advertise_peer_urls,
    )?;
    let both = "give bump_revision with a number above 0 and mark_compacted, or neither";
    let invalid = |name, problem: &str| Err(BadArgument::invalid(name, problem, both).into());
    match (spec.bump_revision, spec.mark_compacted) {
        (Some(0), _) => return invalid("bump_revision", "is 0, which raises nothing"),
        (Some(_), false) => {
            return invalid("mark_compacted", "is missing: who watches would not be told that revisions are gone");
        }
        (None, true) => return invalid("mark_compacted", "is given without bump_revision"),
        (Some(_), true) | (None, false) => {}
    }
    if let Some(version) = spec.target_version.filter(|version| !TARGETS.contains(version)) {
        let problem =
            format!("is {version}, and a database can be made for {}", TARGETS.map(|v| v.to_string()).join(", "));
        let help = "3.4 starts with what is made for 3.5";
        return Err(BadArgument::invalid("target_version", problem, help).into());
    }
    Ok(cluster)
}

/// Writes the database, and returns the SHA-256 of what was read where it is the right one. Where nothing tells the right one, the
/// pages are looked at instead: etcd does not start with damaged ones.
fn write_database(
    image: &Image,
    difference: &Difference,
    spec: &Spec,
    file: &File,
    path: &Path,
) -> Result<Option<[u8; 32]>> {
    let (changes, skip) = (&difference.changes, spec.skip_hash_check);
    let to = || BufWriter::with_capacity(BUFFER, file);
    let anew = |gate: &Gate| -> FileResult<()> {
        let out = Out::new(to(), path, image.meta().page_size)?;
        rewrite(image, Some(gate), changes, out).map(|_| ())
    };
    let sound = |gate: &Gate| -> FileResult<()> { survey(image, Some(gate), &mut Sound).map(|_| ()) };
    let length = trailer::summed(image);
    let (sum, done) = match (spec.rewrite, skip) {
        (true, _) => beside(image, length, anew),
        (false, true) => beside(image, length, sound),
        (false, false) => (copy::summed(image, file, path), Ok(())),
    };
    let sum = sum?;
    // Where the sum is wrong, that is the reason for all else.
    if !skip {
        trailer::compare(image, &sum)?;
    }
    done?;
    if !spec.rewrite {
        if skip {
            copy::plain(image, file, path)?;
        }
        patch(image, changes, to(), path)?;
    }
    Ok((!skip).then_some(sum))
}

/// Takes every row, and no damage.
struct Sound;

impl Visit for Sound {
    fn row(&mut self, _: &Image, _: &[u8], _: &Row<'_>) -> FileResult<()> {
        Ok(())
    }
}

fn write_wal(mut file: &File, cluster: &NewCluster) -> std::io::Result<()> {
    // A file system that cannot do so gives the room when it is used.
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, raft::WAL_SIZE);
    file.set_len(raft::WAL_SIZE)?;
    file.write_all(&raft::wal(cluster))
}
