//! Which revision a cluster had when. etcd does not keep that, so it is written down whenever a change looks at a cluster; a
//! compaction to an age needs it.
//!
//! What is told from it may only be too old: history that is forgotten is gone. So nothing is believed that does not fit what was
//! written before and after it. A clock may be wrong until it is set, and a cluster may be made anew under the same id.
//!
//! A line is a time, the revision, the term of raft, the id of the system's boot and the nanoseconds since then, with blanks between.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::change::view::{ClusterView, MemberView};
use crate::id::{ClusterId, Revision};
use crate::places::Places;
use crate::units::{Timestamp, parse_time, rfc3339};
use crate::value::Value;

/// A beacon is written at most this often.
const EVERY: i64 = 10_000_000_000;
/// How many of them are kept.
const MOST: usize = 20_000;

/// Which revision a cluster had at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beacon {
    time: i64,
    revision: i64,
    term: i64,
    /// By which boot of the system that clock ran, and for how long it had run: what sets a clock leaves this alone.
    ran: Option<(String, i64)>,
}

impl Beacon {
    /// Returns what holds now, where a quorum confirms it.
    fn now(view: &ClusterView) -> Option<Self> {
        let term = view.members.iter().filter_map(MemberView::known).map(|status| status.raft_term).max()?;
        let revision = view.revision().filter(|_| view.confirmed)?;
        Some(Beacon { time: Timestamp::now().0, revision: revision.0, term, ran: ran() })
    }

    fn line(&self) -> String {
        let Beacon { time, revision, term, ran } = self;
        let ran = ran.as_ref().map(|(boot, for_ns)| format!(" {boot} {for_ns}")).unwrap_or_default();
        format!("{} {revision} {term}{ran}\n", rfc3339(*time))
    }

    /// Reads a line; older versions wrote time and revision only.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at)?.parse::<i64>().ok();
        let ran = words.get(3).map(|boot| (*boot).to_owned()).zip(number(4));
        let time = parse_time(&Value::from(*words.first()?))?;
        Some(Beacon { time, revision: number(1)?, term: number(2).unwrap_or(0), ran })
    }

    /// Says whether a cluster that had this may have had `earlier` before.
    fn follows(&self, earlier: &Beacon) -> bool {
        earlier.revision <= self.revision && earlier.term <= self.term
    }
}

/// Returns the id of the system's boot, and how long it has run since in nanoseconds, where it tells.
fn ran() -> Option<(String, i64)> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    Some((boot.trim().to_owned(), i64::try_from(span.as_nanos()).ok()?))
}

fn path(places: &Places, cluster: ClusterId) -> PathBuf {
    places.state.join("beacons").join(format!("{cluster}.txt"))
}

fn read(path: &Path) -> Vec<Beacon> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(Beacon::read).collect()
}

/// Writes down which revision a cluster has now. It is a help for later and nothing depends on it, so a disk that refuses is
/// passed over.
pub(crate) fn note(places: &Places, view: &ClusterView) {
    let Some(now) = Beacon::now(view) else { return };
    let path = path(places, view.cluster_id);
    let written = read(&path);
    let life = life(&written, &now);
    if believed(life, &now).last().is_some_and(|last| now.time - last.time < EVERY) {
        return;
    }
    let Some(folder) = path.parent() else { return };
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    if written.len() > MOST || life.len() < written.len() {
        let kept: String = life.iter().skip(life.len().saturating_sub(MOST / 2)).map(Beacon::line).collect();
        let part = path.with_extension("part");
        let _ = std::fs::write(&part, kept).and_then(|()| std::fs::rename(&part, &path));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let _ = file.and_then(|mut file| file.write_all(now.line().as_bytes()));
}

/// Returns what was written of the cluster that is there now: where a revision or a term went down, it was made anew, and what was
/// before is of another one.
fn life<'w>(written: &'w [Beacon], now: &Beacon) -> &'w [Beacon] {
    let pairs = written.iter().zip(written.iter().skip(1).chain([now])).enumerate();
    let breaks = pairs.filter(|(_, (earlier, later))| !later.follows(earlier)).map(|(at, _)| at + 1);
    written.get(breaks.last().unwrap_or(0)..).unwrap_or_default()
}

/// Returns those of the beacons, in the order in which they were written, whose times can be true if this holds now.
fn believed(life: &[Beacon], now: &Beacon) -> Vec<Beacon> {
    // By the last word of each boot its clock was set, if it ever was.
    let set = |boot: &String| {
        let mut of_boot = life.iter().chain([now]).filter_map(|beacon| Some((beacon.time, beacon.ran.as_ref()?)));
        of_boot.rfind(|(_, (known, _))| known == boot).map(|(time, (_, ran))| time - ran)
    };
    let time = |beacon: &Beacon| match &beacon.ran {
        Some((boot, ran)) => set(boot).map_or(beacon.time, |start| start + ran),
        None => beacon.time,
    };
    let mut latest = i64::MIN;
    let timed = life.iter().filter_map(|beacon| {
        let time = time(beacon);
        // A clock that was ahead is seen by that, and one that was behind by what was written before.
        (latest <= time && time <= now.time).then(|| {
            latest = time;
            Beacon { time, ..beacon.clone() }
        })
    });
    timed.collect()
}

/// Returns the newest revision that is known to be at least so old.
pub(crate) fn older_than(places: &Places, view: &ClusterView, age: Duration) -> Option<Revision> {
    let now = Beacon::now(view)?;
    let until = now.time.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let written = read(&path(places, view.cluster_id));
    let known = believed(life(&written, &now), &now);
    known.into_iter().rev().find(|beacon| beacon.time <= until).map(|beacon| Revision(beacon.revision))
}

/// Returns the newest revision that was ever written down of some clusters, or of those that were made of them here, and when. What
/// another one was made of is named as in [`note_heir`].
pub(crate) fn newest(places: &Places, of: Vec<String>) -> Option<(Timestamp, Revision)> {
    let (mut left, mut met, mut newest) = (of, Vec::new(), None);
    while let Some(of) = left.pop() {
        if met.contains(&of) {
            continue;
        }
        let cluster = of.parse::<ClusterId>().ok();
        let own = cluster.map(|cluster| read(&path(places, cluster))).unwrap_or_default();
        let heirs = heirs(places, &of);
        let known = own.iter().map(|beacon| (beacon.revision, beacon.time));
        newest = known.chain(heirs.iter().map(|(_, revision, time)| (*revision, *time))).chain(newest).max();
        left.extend(heirs.into_iter().map(|(heir, ..)| heir));
        met.push(of);
    }
    newest.map(|(revision, time)| (Timestamp(time), Revision(revision)))
}

/// Writes down that a cluster was made out of a snapshot, named by its SHA-256, or of the data of another cluster, named by its id, and
/// with which revision it begins: its clients may be those of the other, and if it is lost too, the next one has to begin above it.
///
/// # Errors
/// The disk refuses.
pub(crate) fn note_heir(places: &Places, of: &str, heir: ClusterId, revision: Revision) -> std::io::Result<()> {
    let path = heirs_path(places, of);
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    file.write_all(format!("{} {revision} {heir}\n", rfc3339(Timestamp::now().0)).as_bytes())?;
    file.sync_all()
}

fn heirs_path(places: &Places, of: &str) -> PathBuf {
    places.state.join("beacons").join(format!("{of}.heirs.txt"))
}

/// Reads what clusters were made of something: the id, the revision that it begins with, and when it was made.
fn heirs(places: &Places, of: &str) -> Vec<(String, i64, i64)> {
    let text = std::fs::read_to_string(heirs_path(places, of)).unwrap_or_default();
    let heir = |line: &str| {
        let mut words = line.split(' ');
        let time = parse_time(&Value::from(words.next()?))?;
        let revision = words.next()?.parse().ok()?;
        Some((words.next()?.parse::<ClusterId>().ok()?.to_string(), revision, time))
    };
    text.lines().filter_map(heir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::exhaustive::{State, member};

    const HOUR: i64 = 3_600_000_000_000;

    /// A cluster at this revision and in this term.
    fn view(revision: i64, term: i64) -> ClusterView {
        let mut only = member(1, State::Healthy, false, Some(1), 0);
        if let Some(Ok(status)) = &mut only.status {
            (status.revision, status.raft_term) = (Revision(revision), term);
        }
        ClusterView {
            cluster_id: ClusterId(0xabc),
            confirmed: true,
            members: vec![only],
            alarms: Vec::new(),
            hosting: Default::default(),
            facts: Default::default(),
        }
    }

    /// Returns which revision is found that is older than so many minutes.
    fn found(lines: &[String], view: &ClusterView, minutes: u64) -> Option<i64> {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::from_env(folder.path().to_owned(), |_| None);
        let file = path(&places, view.cluster_id);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, lines.concat()).unwrap();
        older_than(&places, view, Duration::from_secs(minutes * 60)).map(|revision| revision.0)
    }

    fn at(hours: i64) -> i64 {
        Timestamp::now().0 + hours * HOUR
    }

    fn line(hours: i64, revision: i64, ran: Option<(&str, i64)>) -> String {
        let ran = ran.map(|(boot, hours)| (boot.to_owned(), hours * HOUR));
        Beacon { time: at(hours), revision, term: 2, ran }.line()
    }

    #[test]
    fn what_was_made_of_a_cluster_counts_as_that_cluster() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::from_env(home.path().to_owned(), |_| None);
        let newest =
            |of: &[&str]| newest(&places, of.iter().map(|of| (*of).to_owned()).collect()).map(|(_, rev)| rev.0);
        assert_eq!(newest(&["abc", "5ad"]), None);
        note(&places, &view(50, 2));
        assert_eq!((newest(&["abc"]), newest(&["5ad"])), (Some(50), None));
        let heir = |of, heir, revision| note_heir(&places, of, ClusterId(heir), Revision(revision)).unwrap();
        heir("abc", 0xd, 1000);
        heir("5ad", 0xd, 900);
        // Two that are made of each other end too.
        heir("d", 0xe, 4000);
        heir("e", 0xabc, 20);
        assert_eq!((newest(&["abc"]), newest(&["5ad"]), newest(&["f", "d"])), (Some(4000), Some(4000), Some(4000)));
    }

    #[test]
    fn the_newest_revision_that_is_old_enough_is_found() {
        let old = |hours: i64, revision: i64| format!("{} {revision}\n", rfc3339(at(hours)));
        let lines = [old(-3, 10), "nonsense\n".to_owned(), line(-2, 20, None), line(0, 30, None)];
        let found = |minutes| found(&lines, &view(30, 2), minutes);
        assert_eq!((found(90), found(150), found(200)), (Some(20), Some(10), None));
    }

    #[test]
    fn a_clock_that_was_wrong_makes_nothing_older_than_it_is() {
        let now = view(50, 2);
        // Set an hour after the boot; before that it was years behind.
        let behind = [line(-40_000, 40, Some(("boot", 1))), line(-1, 45, Some(("boot", 2)))];
        assert_eq!(
            (found(&behind, &now, 90), found(&behind, &now, 30), found(&behind, &now, 180)),
            (Some(40), Some(45), None)
        );
        // Behind once in between, on a system that does not tell how long it has run.
        let between = [line(-2, 10, None), line(-40_000, 20, None), line(0, 30, None)];
        assert_eq!((found(&between, &now, 60), found(&between, &now, 180)), (Some(10), None));
        // Ahead once.
        let ahead = [line(-2, 10, None), line(40_000, 20, None)];
        assert_eq!(found(&ahead, &now, 60), Some(10));
    }

    #[test]
    fn what_another_life_of_the_cluster_left_is_not_believed() {
        let lines = [line(-3, 10, None), line(-2, 90, None)];
        assert_eq!(found(&lines, &view(20, 2), 60), None);
        assert_eq!(found(&lines, &view(95, 1), 60), None);
        let anew = [line(-3, 10, None), line(-2, 90, None), line(-1, 15, None)];
        assert_eq!((found(&anew, &view(95, 2), 30), found(&anew, &view(95, 2), 90)), (Some(15), None));
    }

    #[test]
    fn it_is_written_down_again_after_a_clock_that_was_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::from_env(folder.path().to_owned(), |_| None);
        let file = path(&places, ClusterId(0xabc));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, line(40_000, 5, None)).unwrap();
        for revision in [7, 8, 3] {
            note(&places, &view(revision, 2));
        }
        let revisions: Vec<_> = read(&file).iter().map(|beacon| beacon.revision).collect();
        // The second came at once after the first, and the third is of another life.
        assert_eq!(revisions, [3]);
    }
}
