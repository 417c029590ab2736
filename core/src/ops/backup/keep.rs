//! Which backups are kept: the last ones, and the last one of so many hours, days, weeks and months. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::note::{Backup, Note};

/// How many are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) last: usize,
    pub(super) hourly: usize,
    pub(super) daily: usize,
    pub(super) weekly: usize,
    pub(super) monthly: usize,
}

impl Rules {
    /// Says whether anything is to be removed at all.
    pub(super) fn is_set(&self) -> bool {
        *self != Rules::default()
    }

    /// Returns those of one cluster's backups, the newest first, that are not kept. The newest one that was verified is kept always.
    ///
    /// A time that is still to come is a wrong one: a clock was wrong then, or is now. What has one is kept, and counts for no rule,
    /// so that it takes the place of none whose time is right.
    pub(super) fn removed<'b>(&self, backups: &'b [Backup], now: DateTime<Utc>) -> Vec<&'b Backup> {
        if !self.is_set() {
            return Vec::new();
        }
        let past = || backups.iter().enumerate().filter(|(_, backup)| backup.note.time <= now);
        // One that was not found sound stands for nothing, and is kept only among the last.
        let verified = || past().filter(|(_, backup)| backup.note.verified);
        let place = |(at, _): (usize, &Backup)| at;
        let mut kept: BTreeSet<usize> = past().take(self.last).map(place).collect();
        kept.extend(verified().take(self.last.max(1)).map(place));
        let mut periods = |count: usize, period: &dyn Fn(&Note) -> (i32, u32)| {
            let mut seen = BTreeSet::new();
            for (at, backup) in verified() {
                let period = period(&backup.note);
                if seen.len() < count && seen.insert(period) {
                    kept.insert(at);
                }
            }
        };
        periods(self.hourly, &|note| (note.time.num_days_from_ce(), note.time.hour()));
        periods(self.daily, &|note| (note.time.num_days_from_ce(), 0));
        periods(self.weekly, &|note| (note.time.iso_week().year(), note.time.iso_week().week()));
        periods(self.monthly, &|note| (note.time.year(), note.time.month()));
        past().filter(|(at, _)| !kept.contains(at)).map(|(_, backup)| backup).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClusterId;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn now() -> DateTime<Utc> {
        at("2026-11-27T12:30:00Z")
    }

    fn backup(name: &str, time: DateTime<Utc>, verified: bool) -> Backup {
        Backup { path: format!("/b/{name}.db").into(), note: Note { verified, ..Note::of_nothing(ClusterId(1), time) } }
    }

    fn removed_of<'b>(rules: Rules, backups: &'b [Backup]) -> Vec<std::borrow::Cow<'b, str>> {
        let removed = rules.removed(backups, now());
        removed.iter().map(|backup| backup.path.file_stem().unwrap().to_string_lossy()).collect()
    }

    /// Of backups that were taken so many hours ago, the newest first, of which those in `bad` were not sound.
    fn removed(rules: Rules, hours: &[i64], bad: &[i64]) -> Vec<i64> {
        let taken = |ago: &i64| backup(&ago.to_string(), now() - chrono::Duration::hours(*ago), !bad.contains(ago));
        let backups: Vec<_> = hours.iter().map(taken).collect();
        removed_of(rules, &backups).iter().map(|name| name.parse().unwrap()).collect()
    }

    const NONE: Rules = Rules { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 };

    #[test]
    fn each_rule_keeps_its_own() {
        let hours = [0, 1, 2, 3, 24, 25, 48, 24 * 7, 24 * 14, 24 * 40];
        assert_eq!(removed(NONE, &hours, &[]), [0_i64; 0]);
        assert_eq!(removed(Rules { last: 2, ..NONE }, &hours, &[]), hours[2..]);
        assert_eq!(removed(Rules { hourly: 3, ..NONE }, &hours, &[]), hours[3..]);
        assert_eq!(removed(Rules { daily: 3, ..NONE }, &hours, &[]), [1, 2, 3, 25, 168, 336, 960]);
        assert_eq!(removed(Rules { weekly: 2, ..NONE }, &hours, &[]), [1, 2, 3, 24, 25, 48, 336, 960]);
        assert_eq!(removed(Rules { monthly: 9, ..NONE }, &hours, &[]), [1, 2, 3, 24, 25, 48, 168, 336]);
        assert_eq!(removed(Rules { last: 1, daily: 2, monthly: 2, ..NONE }, &hours, &[]), [1, 2, 3, 25, 48, 168, 336]);
    }

    #[test]
    fn a_period_without_a_backup_takes_none_of_the_count() {
        // As restic and borg have it: three days that have a backup, however far apart they are.
        let hours = [0, 24 * 10, 24 * 10 + 1, 24 * 300, 24 * 301];
        assert_eq!(removed(Rules { daily: 3, ..NONE }, &hours, &[]), [241, 24 * 301]);
    }

    #[test]
    fn weeks_are_those_of_iso_also_over_new_year() {
        // Week 1 of 2025 began on 30 December, and week 53 of 2020 ended on 3 January.
        let days = ["2025-01-05", "2024-12-30", "2024-12-29", "2021-01-03", "2020-12-28", "2020-12-27"];
        let backups: Vec<_> = days.iter().map(|day| backup(day, at(&format!("{day}T12:00:00Z")), true)).collect();
        assert_eq!(removed_of(Rules { weekly: 9, ..NONE }, &backups), ["2024-12-30", "2020-12-28"]);
        assert_eq!(removed_of(Rules { monthly: 9, ..NONE }, &backups), ["2024-12-29", "2020-12-27"]);
    }

    #[test]
    fn the_newest_that_was_verified_stays_whatever_the_rules_say() {
        let last = Rules { last: 1, ..NONE };
        assert_eq!(removed(last, &[0, 1, 2, 3], &[0, 1]), [1, 3]);
        assert_eq!(removed(Rules { last: 2, ..NONE }, &[0, 1, 2, 3, 4], &[0, 1]), [4]);
        assert_eq!(removed(Rules { daily: 1, ..NONE }, &[0, 1, 2, 3], &[0, 1]), [0, 1, 3]);
        assert_eq!(removed(last, &[0, 1, 2], &[0, 1, 2]), [1, 2]);
    }

    #[test]
    fn a_time_that_is_still_to_come_takes_the_place_of_no_real_one() {
        // A clock was a year ahead for a while; its backups stay until somebody looks at them.
        let hours = [-9000, -8999, 0, 1, 2];
        assert_eq!(removed(Rules { last: 2, ..NONE }, &hours, &[]), [2]);
        assert_eq!(removed(Rules { hourly: 1, monthly: 1, ..NONE }, &hours, &[]), [1, 2]);
        // A clock that was set back to before all others removes nothing.
        assert_eq!(removed(Rules { last: 1, ..NONE }, &[-3, -2, -1, 0], &[]), [0_i64; 0]);
    }

    #[test]
    fn what_is_kept_is_kept_again_and_every_rule_has_what_it_asks_for() {
        // A small generator of our own, so that a failure is the same each time.
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..300 {
            let mut hours = i64::try_from(random(50)).unwrap() - 25;
            let mut taken = Vec::new();
            for _ in 0..random(60) {
                taken.push(backup(&hours.to_string(), now() - chrono::Duration::hours(hours), random(5) > 0));
                hours += i64::try_from([1, 5, 30, 800][usize::try_from(random(4)).unwrap()] * (random(3) + 1)).unwrap();
            }
            let mut count = || usize::try_from(random(6)).unwrap();
            let rules = Rules { last: count(), hourly: count(), daily: count(), weekly: count(), monthly: count() };
            let removed: Vec<_> = rules.removed(&taken, now()).into_iter().cloned().collect();
            let kept: Vec<_> = taken.iter().filter(|backup| !removed.contains(backup)).cloned().collect();
            assert_eq!(rules.removed(&kept, now()), Vec::<&Backup>::new(), "{rules:?}");
            let sound = |of: &[Backup]| {
                let sound = of.iter().filter(|backup| backup.note.verified && backup.note.time <= now());
                sound.map(|backup| backup.note.time).collect::<Vec<_>>()
            };
            let (before, after) = (sound(&taken), sound(&kept));
            assert_eq!(before.first(), after.first(), "the newest sound one stays");
            assert!(
                !rules.is_set() || after.iter().zip(&before).take(rules.last).all(|(after, before)| after == before)
            );
            let days = |times: &[DateTime<Utc>]| times.iter().map(|time| time.date_naive()).collect::<BTreeSet<_>>();
            let newest = |times: &[DateTime<Utc>]| days(times).into_iter().rev().take(rules.daily).collect::<Vec<_>>();
            assert_eq!(newest(&before), newest(&after), "{rules:?}");
        }
    }
}
