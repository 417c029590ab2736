//! Which backups are kept: the last ones, and the last one of so many hours, days, weeks and months. Pure.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};

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
    pub(super) fn removed<'b>(&self, backups: &'b [Backup]) -> Vec<&'b Backup> {
        if !self.is_set() {
            return Vec::new();
        }
        // One that was not found sound stands for nothing, and is kept only among the last.
        let verified = || backups.iter().enumerate().filter(|(_, backup)| backup.note.verified);
        let mut kept: BTreeSet<usize> = (0..self.last.min(backups.len())).collect();
        kept.extend(verified().map(|(at, _)| at).next());
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
        backups.iter().enumerate().filter(|(at, _)| !kept.contains(at)).map(|(_, backup)| backup).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClusterId, MemberId, Revision};

    /// Backups that were taken so many hours ago, the newest first; those in `bad` were not sound.
    fn backups(hours: &[i64], bad: &[i64]) -> Vec<Backup> {
        let now = chrono::DateTime::parse_from_rfc3339("2026-11-27T12:30:00Z").unwrap().to_utc();
        let backup = |ago: &i64| Backup {
            path: format!("/b/{ago}.db").into(),
            note: Note {
                form: Note::form(),
                time: now - chrono::Duration::hours(*ago),
                cluster_id: ClusterId(1),
                member_id: MemberId(1),
                member: "infra1".to_owned(),
                etcd: "3.6.16".to_owned(),
                version: "3.6.0".to_owned(),
                revision: Revision(1),
                raft_index: Some(1),
                size: 1,
                sha256: String::new(),
                hash: 1,
                total_keys: 1,
                verified: !bad.contains(ago),
            },
        };
        hours.iter().map(backup).collect()
    }

    fn removed(rules: Rules, hours: &[i64], bad: &[i64]) -> Vec<i64> {
        let backups = backups(hours, bad);
        let name = |backup: &&Backup| backup.path.file_stem().unwrap().to_string_lossy().parse().unwrap();
        rules.removed(&backups).iter().map(name).collect()
    }

    #[test]
    fn each_rule_keeps_its_own() {
        let hours = [0, 1, 2, 3, 24, 25, 48, 24 * 7, 24 * 14, 24 * 40];
        let none = Rules::default();
        assert_eq!(removed(none, &hours, &[]), [0_i64; 0]);
        assert_eq!(removed(Rules { last: 2, ..none }, &hours, &[]), hours[2..]);
        assert_eq!(removed(Rules { hourly: 3, ..none }, &hours, &[]), hours[3..]);
        assert_eq!(removed(Rules { daily: 3, ..none }, &hours, &[]), [1, 2, 3, 25, 168, 336, 960]);
        assert_eq!(removed(Rules { weekly: 2, ..none }, &hours, &[]), [1, 2, 3, 24, 25, 48, 336, 960]);
        assert_eq!(removed(Rules { monthly: 9, ..none }, &hours, &[]), [1, 2, 3, 24, 25, 48, 168, 336]);
        assert_eq!(removed(Rules { last: 1, daily: 2, monthly: 2, ..none }, &hours, &[]), [1, 2, 3, 25, 48, 168, 336]);
    }

    #[test]
    fn the_newest_that_was_verified_stays_whatever_the_rules_say() {
        let last = Rules { last: 1, ..Rules::default() };
        assert_eq!(removed(last, &[0, 1, 2, 3], &[0, 1]), [1, 3]);
        assert_eq!(removed(Rules { daily: 1, ..Rules::default() }, &[0, 1, 2, 3], &[0, 1]), [0, 1, 3]);
        assert_eq!(removed(last, &[0, 1, 2], &[0, 1, 2]), [1, 2]);
    }
}
