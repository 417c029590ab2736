//! By how much a revision is raised, so that no client sees one again that it has seen with another content. Pure.
//!
//! A client remembers the revision that it saw last. Where the restored cluster comes to that revision a second time, with other
//! content, the client takes old values for new ones and is never told. So the revision has to begin above all that anybody saw:
//! the newest that is known, and what was written since. etcd's own documentation proposes 1000000000, which is enough for a week of
//! 1500 writes per second, and a revision has room for nine thousand million such bumps.

use std::time::Duration;

use crate::id::Revision;
use crate::units::{Elapsed, Timestamp, rfc3339};

/// What is recommended at least.
const LEAST: u64 = 1_000_000_000;
/// The highest bump that there can be.
const MOST: u64 = i64::MAX.cast_unsigned();
/// How many times as much as was estimated is recommended.
const MARGIN: u64 = 2;
/// How many revisions a cluster makes in a second at most: what looks faster was raised meanwhile, as here.
const FASTEST: u64 = 100_000;

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A revision that the old cluster is known to have had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revision: Revision,
    pub(super) time: Timestamp,
    /// Who says so.
    pub(super) by: String,
}

/// What is recommended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bump {
    pub(super) by: u64,
    pub(super) why: String,
    /// How far ahead of the snapshot the old cluster is known to have been.
    pub(super) ahead: u64,
}

/// Recommends a bump for a snapshot that has this revision, and was taken then where that is known.
pub(super) fn recommend(snapshot: Revision, taken: Option<Timestamp>, seen: &[Seen], now: Timestamp) -> Bump {
    let Some(newest) = seen.iter().max_by_key(|seen| seen.revision) else {
        let why = format!(
            "the snapshot has revision {snapshot}, and nothing tells how far the old cluster went on; {LEAST} is enough for a week of \
             1500 writes per second"
        );
        return Bump { by: LEAST, why, ahead: 0 };
    };
    let ahead = u64::try_from(newest.revision.0.saturating_sub(snapshot.0)).unwrap_or(0);
    let since = |from: Timestamp, to: Timestamp| u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0);
    let span = taken.map_or(0, |taken| since(taken, newest.time));
    let unseen = since(newest.time, now);
    // As fast as until then, where that is known.
    let missed = match span {
        0 => None,
        span => {
            let missed = u64::try_from(u128::from(ahead) * u128::from(unseen) / u128::from(span)).unwrap_or(u64::MAX);
            Some(missed.min((unseen / SECOND).saturating_mul(FASTEST)))
        }
    };
    let doubled = |count: u64| count.saturating_mul(MARGIN);
    let guess = missed.unwrap_or(0);
    let by = if doubled(ahead.saturating_add(guess)) <= LEAST {
        LEAST
    } else {
        ahead.saturating_add(doubled(guess).max(LEAST)).min(MOST)
    };
    let missed = missed.map_or_else(String::new, |missed| format!(", about {missed} at the speed before"));
    let Seen { revision, time, by: who } = newest;
    let why = if unseen < SECOND {
        format!("the snapshot has revision {snapshot}, and the old cluster {revision} ({who})")
    } else {
        let unseen = Elapsed::from(Duration::from_secs(unseen / SECOND));
        format!(
            "the snapshot has revision {snapshot}, and the old cluster had {revision} at {} ({who}); what it wrote in the {unseen} since \
             then is not known{missed}",
            rfc3339(time.0),
        )
    };
    Bump { by, why, ahead }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = super::SECOND.cast_signed();

    fn seen(revision: i64, second: i64) -> Seen {
        Seen { revision: Revision(revision), time: Timestamp(second * SECOND), by: "b.db".to_owned() }
    }

    #[test]
    fn a_bump_is_above_all_that_anybody_saw() {
        let told = |snapshot, taken: Option<i64>, seen: &[Seen]| {
            let bump =
                recommend(Revision(snapshot), taken.map(|t| Timestamp(t * SECOND)), seen, Timestamp(7200 * SECOND));
            format!("{}: {}\n", bump.by, bump.why)
        };
        let cases = [
            told(100, None, &[]),
            told(100, Some(0), &[seen(50, 1800), seen(4_000_000_100, 3600)]),
            told(100, Some(0), &[seen(3700, 3600)]),
            told(100, None, &[seen(3700, 3600)]),
            told(i64::MAX - 1, Some(3600), &[seen(i64::MAX, 3600)]),
            told(1, Some(1), &[seen(i64::MAX, 2)]),
            told(21, Some(0), &[seen(4_000_000_021, 7200)]),
        ];
        insta::assert_snapshot!(cases.concat(), @"
        1000000000: the snapshot has revision 100, and nothing tells how far the old cluster went on; 1000000000 is enough for a week of 1500 writes per second
        5000000000: the snapshot has revision 100, and the old cluster had 4000000100 at 1970-01-01T01:00:00Z (b.db); what it wrote in the 3600s since then is not known, about 360000000 at the speed before
        1000000000: the snapshot has revision 100, and the old cluster had 3700 at 1970-01-01T01:00:00Z (b.db); what it wrote in the 3600s since then is not known, about 3600 at the speed before
        1000000000: the snapshot has revision 100, and the old cluster had 3700 at 1970-01-01T01:00:00Z (b.db); what it wrote in the 3600s since then is not known
        1000000000: the snapshot has revision 9223372036854775806, and the old cluster had 9223372036854775807 at 1970-01-01T01:00:00Z (b.db); what it wrote in the 3600s since then is not known
        9223372036854775807: the snapshot has revision 1, and the old cluster had 9223372036854775807 at 1970-01-01T00:00:02Z (b.db); what it wrote in the 7198s since then is not known, about 719800000 at the speed before
        5000000000: the snapshot has revision 21, and the old cluster 4000000021 (b.db)
        ");
    }
}
