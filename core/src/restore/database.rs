//! What is different in the database of a restored member. All other buckets stay as they are: the store, leases, users and roles.
//!
//! | bucket | becomes |
//! | ------ | --- |
//! | `members` | the new members, as JSON, below their ids in hex |
//! | `members_removed` | empty |
//! | `meta` | `consistent_index` the number of members, `term` 1: the log that is made has just their entries |
//! | with a bump | a row with an empty value in `key`, and its revision as `scheduledCompactRev` in `meta` |
//! | for a version | `storageVersion` in `meta`, `clusterVersion` in `cluster`, and no `downgrade` there |
//! | without users | `authEnabled` in `auth` off; users and roles stay |
//! | without alarms | `alarm` without those that are not to be kept |
//!
//! Source: etcd's `etcdutl/snapshot/v3_snapshot.go` and `server/storage/schema`.

use super::{Alarms, NewCluster, RestoreError, Spec, TERM};
use crate::error::Result;
use crate::format::bolt::{Appended, Changes, Edge, Image, Pages, Row, Rows, Walk};
use crate::format::mvcc::{self, Change, Rev};
use crate::format::problem::Problem;
use crate::format::schema::{Flaw, MOST, Records, read_alarm};
use crate::member::Member;
use crate::version::Version;

/// The newest version before which no version was written into the database.
const UNMARKED: Version = Version::new(3, 5, 0);

/// The highest revision that a store may begin with: one that cannot count on ends etcd with a panic.
const HIGHEST: i64 = i64::MAX - 1_000_000_000_000;

/// What is different, and what follows from it.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) changes: Changes,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) alarms_kept: usize,
    pub(super) alarms_dropped: usize,
}

/// Looks into a database, and says what is to be different.
pub(super) fn difference(image: &Image, cluster: &NewCluster, spec: &Spec) -> Result<Difference> {
    let mut records = Records::default();
    let mut meta = rows(image, b"meta", &mut |row| records.take(image, b"meta", row))?;
    let mut span = records.applied.compactions();
    if let Some(rev) = newest(image)? {
        span.row(rev);
    }
    let before = span.newest();
    let mut changes = Changes::default();
    let after = match spec.bump_revision {
        Some(bump) => bumped(before, bump)?,
        None => before,
    };
    if after > before {
        let key = Rev { main: after, sub: 0 }.key();
        meta.insert(b"scheduledCompactRev".to_vec(), key.clone());
        changes.appended = Some(Appended { bucket: mvcc::BUCKET.to_vec(), key, value: Vec::new() });
    }
    let members = cluster.members.len() as u64;
    meta.insert(b"consistent_index".to_vec(), members.to_be_bytes().to_vec());
    meta.insert(b"term".to_vec(), TERM.to_be_bytes().to_vec());
    if let Some(version) = spec.target_version {
        let text = version.to_string().into_bytes();
        let mut rest = rows(image, b"cluster", &mut |_| Ok(()))?;
        rest.insert(b"clusterVersion".to_vec(), text.clone());
        rest.remove(&b"downgrade"[..]);
        changes.buckets.insert(b"cluster".to_vec(), rest);
        if version == UNMARKED {
            meta.remove(&b"storageVersion"[..]);
        } else {
            meta.insert(b"storageVersion".to_vec(), text);
        }
    }
    if spec.without_auth {
        let mut auth = rows(image, b"auth", &mut |_| Ok(()))?;
        auth.insert(b"authEnabled".to_vec(), vec![0]);
        changes.buckets.insert(b"auth".to_vec(), auth);
    }
    let alarms = rows(image, b"alarm", &mut |_| Ok(()))?;
    let is_kept = |key: &[u8]| match spec.alarms {
        Alarms::All => true,
        Alarms::Known => {
            read_alarm(key).is_ok_and(|alarm| cluster.members.iter().any(|member| member.id == alarm.member_id))
        }
        Alarms::None => false,
    };
    let (kept, dropped): (Rows, Rows) = alarms.into_iter().partition(|(key, _)| is_kept(key));
    let (alarms_kept, alarms_dropped) = (kept.len(), dropped.len());
    if alarms_dropped > 0 {
        changes.buckets.insert(b"alarm".to_vec(), kept);
    }
    let member = |member: &Member| (member.id.to_string().into_bytes(), member.to_json().into_bytes());
    changes.buckets.insert(b"members".to_vec(), cluster.members.iter().map(member).collect());
    changes.buckets.insert(b"members_removed".to_vec(), Rows::new());
    changes.buckets.insert(b"meta".to_vec(), meta);
    Ok(Difference { changes, before, after, alarms_kept, alarms_dropped })
}

/// Returns the revision that is so many above another one. etcd counts from the newest row, which may be below the revision of the
/// store when that row was compacted away; here it is the revision.
fn bumped(revision: i64, bump: u64) -> Result<i64, RestoreError> {
    let above = i64::try_from(bump).ok().and_then(|bump| revision.checked_add(bump));
    above.filter(|above| *above <= HIGHEST).ok_or(RestoreError::BumpTooHigh { revision, bump })
}

/// Returns the revision of the newest row of the store.
fn newest(image: &Image) -> Result<Option<Rev>, Problem> {
    let Some(bucket) = image.bucket(mvcc::BUCKET)? else { return Ok(None) };
    let edge = Edge::of(image, &bucket)?;
    let key = edge.last_key(image)?;
    let change = key.map(Change::read).transpose();
    change.map(|change| change.map(|change| change.rev)).map_err(|flaw| Problem::new(image.place(), flaw))
}

/// Reads all rows of a small bucket; a missing one is empty.
fn rows(image: &Image, name: &[u8], take: &mut dyn FnMut(&Row<'_>) -> Result<(), Problem>) -> Result<Rows, Problem> {
    let Some(bucket) = image.bucket(name)? else { return Ok(Rows::new()) };
    let mut seen = Pages::new(image.meta().pages);
    let mut walk = Walk::new(image, &bucket, &mut seen, None);
    let (mut rows, mut bytes) = (Rows::new(), 0_usize);
    while let Some(row) = walk.next_row()? {
        bytes = bytes.saturating_add(row.key.len()).saturating_add(row.value.len());
        if bytes > MOST {
            return Err(Problem::new(image.row_place(name, &row), Flaw::TooMany(MOST)));
        }
        take(&row)?;
        rows.insert(row.key.to_vec(), row.value.to_vec());
    }
    Ok(rows)
}
