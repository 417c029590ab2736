//! Which revision a cluster had when. etcd does not keep that, so it is written down whenever a change looks at a cluster; a
//! compaction to an age needs it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use crate::change::view::ClusterView;
use crate::id::{ClusterId, Revision};
use crate::places::Places;
use crate::units::{Timestamp, parse_time, rfc3339};
use crate::value::Value;

/// A beacon is written at most this often.
const EVERY: i64 = 10_000_000_000;
/// How many of them are kept.
const MOST: usize = 20_000;

fn path(places: &Places, cluster: ClusterId) -> PathBuf {
    places.state.join("beacons").join(format!("{cluster}.txt"))
}

/// Writes down which revision a cluster has now. It is a help for later and nothing depends on it, so a disk that refuses is
/// passed over.
pub(crate) fn note(places: &Places, view: &ClusterView) {
    let (Some(revision), now) = (view.revision().filter(|_| view.confirmed), Timestamp::now()) else { return };
    let known = read(places, view.cluster_id);
    if known.last().is_some_and(|(time, _)| now.0 - time.0 < EVERY) {
        return;
    }
    let path = path(places, view.cluster_id);
    let Some(folder) = path.parent() else { return };
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let line = |time: Timestamp, revision: Revision| format!("{} {revision}\n", rfc3339(time.0));
    if known.len() > MOST {
        let kept: String = known.iter().skip(known.len() / 2).map(|(time, revision)| line(*time, *revision)).collect();
        let part = path.with_extension("part");
        let _ = std::fs::write(&part, kept).and_then(|()| std::fs::rename(&part, &path));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let _ = file.and_then(|mut file| file.write_all(line(now, revision).as_bytes()));
}

fn read(places: &Places, cluster: ClusterId) -> Vec<(Timestamp, Revision)> {
    let text = std::fs::read_to_string(path(places, cluster)).unwrap_or_default();
    let beacon = |line: &str| {
        let (time, revision) = line.split_once(' ')?;
        Some((Timestamp(parse_time(&Value::from(time))?), Revision(revision.parse().ok()?)))
    };
    text.lines().filter_map(beacon).collect()
}

/// Returns the newest revision that is known to be at least so old, and when it was seen.
pub(crate) fn older_than(places: &Places, cluster: ClusterId, age: Duration) -> Option<(Revision, Timestamp)> {
    let until = Timestamp::now().0.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let old = read(places, cluster).into_iter().filter(|(time, _)| time.0 <= until);
    old.max_by_key(|(time, _)| *time).map(|(time, revision)| (revision, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_revision_that_is_old_enough_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::from_env(folder.path().to_owned(), |_| None);
        let cluster = ClusterId(0xabc);
        let file = path(&places, cluster);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let ago = |hours: i64| rfc3339(Timestamp::now().0 - hours * 3_600_000_000_000);
        std::fs::write(&file, format!("{} 10\nnonsense\n{} 20\n{} 30\n", ago(3), ago(2), ago(0))).unwrap();
        let found = |minutes: u64| older_than(&places, cluster, Duration::from_secs(minutes * 60)).map(|(r, _)| r.0);
        assert_eq!((found(90), found(150), found(200)), (Some(20), Some(10), None));
    }
}
