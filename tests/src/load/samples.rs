//! What a sampler has seen, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long nobody may have looked at a member: the bound of an answer, and as much again for a busy machine.
const PAUSE: Duration = Duration::from_secs(3);

/// One question and its answer.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) member: u64,
    pub(super) name: String,
    /// Whether the member had a vote all the time.
    pub(super) voter: bool,
    /// Counted from the start of the sampler.
    pub(super) started: Duration,
    pub(super) ended: Duration,
    pub(super) seen: Seen,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// It told its status and served a read of its own.
    Serves { leader: u64, term: u64 },
    /// It did not.
    Down { timed_out: bool, why: String },
    /// It served a read that a quorum has confirmed.
    Quorum,
    /// Whether a defragmentation is under way.
    Defragments(bool),
    /// It does not tell this at all.
    NotTold,
    /// There was no answer, which the question for its status tells better.
    Unreadable,
}

/// A time in which a member did not serve, from the first look that showed it to the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The member's name.
    pub member: String,
    /// Whether it had a vote.
    pub voter: bool,
    /// Since when, counted from the start of the sampler.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// What was seen first.
    pub why: String,
}

/// What a sampler has seen.
#[derive(Debug, Clone)]
pub struct Samples {
    /// How long it has looked.
    pub span: Duration,
    /// How often it has looked at each member, by name.
    pub looks: BTreeMap<String, usize>,
    /// The longest time between two looks at a member. What is shorter may have gone unseen.
    pub longest_pause: Duration,
    /// Every time in which a member did not serve.
    pub outages: Vec<Outage>,
    /// How many voters were seen not to serve at the same time, at most.
    pub most_unavailable: usize,
    /// The longest time between two reads of any voter's that a quorum has confirmed: how long there may have been none.
    pub longest_without_quorum: Duration,
    /// Who was seen to defragment, from when to when.
    pub defragmentations: Vec<Outage>,
    /// How many members were seen to defragment at the same time, at most.
    pub most_defragmenting: usize,
    /// How many leaders there were, one after the other.
    pub leaders: usize,
}

impl Samples {
    pub(super) fn of(probes: Vec<Probe>, span: Duration) -> Self {
        let mut of_members: BTreeMap<u64, Vec<Probe>> = BTreeMap::new();
        for probe in probes {
            of_members.entry(probe.member).or_default().push(probe);
        }
        let (mut looks, mut longest_pause) = (BTreeMap::new(), Duration::ZERO);
        let (mut outages, mut defragmentations) = (Vec::new(), Vec::new());
        let (mut confirmed, mut leaders) = (vec![Duration::ZERO, span], BTreeSet::new());
        for probes in of_members.values_mut() {
            probes.sort_by_key(|probe| probe.ended);
            let health = || probes.iter().filter(|p| matches!(p.seen, Seen::Serves { .. } | Seen::Down { .. }));
            for probe in health() {
                *looks.entry(probe.name.clone()).or_default() += 1;
            }
            let between = health().zip(health().skip(1)).map(|(one, next)| next.ended.saturating_sub(one.ended));
            longest_pause = between.max().unwrap_or_default().max(longest_pause);
            outages.append(&mut stretches(health(), |seen| match seen {
                Seen::Down { timed_out, why } => Some((*timed_out, why.clone())),
                _ => None,
            }));
            let gauge = probes.iter().filter(|probe| matches!(probe.seen, Seen::Defragments(_)));
            defragmentations.append(&mut stretches(gauge, |seen| match seen {
                Seen::Defragments(true) => Some((false, "defragments".to_owned())),
                _ => None,
            }));
            for probe in probes {
                match probe.seen {
                    Seen::Quorum if probe.voter => confirmed.push(probe.ended),
                    Seen::Serves { leader, term } if leader != 0 => drop(leaders.insert((term, leader))),
                    _ => {}
                }
            }
        }
        confirmed.sort();
        outages.sort_by_key(|outage| outage.from);
        let voters: Vec<&Outage> = outages.iter().filter(|outage| outage.voter).collect();
        Samples {
            most_unavailable: most_at_once(&voters),
            most_defragmenting: most_at_once(&defragmentations.iter().collect::<Vec<_>>()),
            longest_without_quorum: confirmed.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default(),
            leaders: leaders.len(),
            span,
            looks,
            longest_pause,
            outages,
            defragmentations,
        }
    }

    /// Ends the test when it was not looked at often enough for the run to count.
    ///
    /// # Panics
    /// Nobody looked at a member for a while.
    pub fn counts(&self) {
        assert!(
            !self.looks.is_empty() && self.longest_pause < PAUSE,
            "{:?} without a look: {self:?}",
            self.longest_pause
        );
    }

    /// Ends the test when a procedure did not keep what is promised: one member at a time, no two defragmentations, and a quorum
    /// after this time at the latest.
    ///
    /// # Panics
    /// It did not.
    pub fn kept(&self, without_quorum: Duration) {
        self.counts();
        assert!(self.most_unavailable <= 1, "{} voters at the same time: {:?}", self.most_unavailable, self.outages);
        let both = &self.defragmentations;
        assert!(
            self.most_defragmenting <= 1,
            "{} defragmentations at the same time: {both:?}",
            self.most_defragmenting
        );
        let longest = self.longest_without_quorum;
        assert!(longest <= without_quorum, "there was no quorum for {longest:?}: {:?}", self.outages);
    }

    /// Returns for how long a member was seen not to serve, altogether.
    pub fn unavailable(&self, member: &str) -> Duration {
        let of = self.outages.iter().filter(|outage| outage.member == member);
        of.map(|outage| outage.until - outage.from).sum()
    }
}

/// Puts looks of one member together that show the same without a break. What was refused is known for one moment, what was not
/// answered in time for all of the time; so that nothing is held against anybody that was not seen.
fn stretches<'p>(
    probes: impl Iterator<Item = &'p Probe>,
    shows: impl Fn(&Seen) -> Option<(bool, String)>,
) -> Vec<Outage> {
    let mut found: Vec<Outage> = Vec::new();
    let mut open = false;
    for probe in probes {
        let Some((all_the_time, why)) = shows(&probe.seen) else {
            open = false;
            continue;
        };
        match found.last_mut() {
            Some(last) if open && last.voter == probe.voter => last.until = probe.ended,
            _ => found.push(Outage {
                member: probe.name.clone(),
                voter: probe.voter,
                from: if all_the_time { probe.started } else { probe.ended },
                until: probe.ended,
                why,
            }),
        }
        open = true;
    }
    found
}

/// Counts the members that are in one of these at the same time.
fn most_at_once(stretches: &[&Outage]) -> usize {
    let at = |moment: Duration| {
        let covers = |stretch: &&&Outage| stretch.from <= moment && moment <= stretch.until;
        stretches.iter().filter(covers).map(|stretch| &stretch.member).collect::<BTreeSet<_>>().len()
    };
    // The number grows only where one begins.
    stretches.iter().map(|stretch| at(stretch.from)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(member: u64, started: u64, ended: u64, seen: Seen) -> Probe {
        let (started, ended) = (Duration::from_millis(started), Duration::from_millis(ended));
        Probe { member, name: format!("infra{member}"), voter: true, started, ended, seen }
    }

    fn down(timed_out: bool) -> Seen {
        Seen::Down { timed_out, why: "gone".to_owned() }
    }

    #[test]
    fn members_that_are_away_one_after_the_other_are_not_away_together() {
        let serves = Seen::Serves { leader: 1, term: 2 };
        let one = [probe(1, 0, 10, down(false)), probe(1, 100, 110, down(false)), probe(1, 200, 210, serves.clone())];
        let two = [probe(2, 100, 105, serves.clone()), probe(2, 200, 205, down(false))];
        let samples = Samples::of(one.iter().chain(&two).cloned().collect(), Duration::from_secs(1));
        assert_eq!((samples.most_unavailable, samples.outages.len(), samples.leaders), (1, 2, 1), "{samples:?}");
        assert_eq!(samples.unavailable("infra1"), Duration::from_millis(100));
        // The same, but the other one has been silent since before the first came back.
        let two = [probe(2, 100, 1100, down(true))];
        let samples = Samples::of(one.iter().chain(&two).cloned().collect(), Duration::from_secs(2));
        assert_eq!(samples.most_unavailable, 2, "{samples:?}");
    }

    #[test]
    fn a_time_without_quorum_lasts_from_one_confirmed_read_to_the_next() {
        let reads = [probe(1, 0, 10, Seen::Quorum), probe(2, 20, 900, Seen::Quorum), probe(1, 910, 990, Seen::Quorum)];
        let samples = Samples::of(reads.to_vec(), Duration::from_secs(1));
        assert_eq!(samples.longest_without_quorum, Duration::from_millis(890));
    }

    #[test]
    fn two_defragmentations_at_once_are_seen() {
        let defragments = |member, at, yes| probe(member, at, at + 5, Seen::Defragments(yes));
        let one = [
            defragments(1, 0, false),
            defragments(1, 100, true),
            defragments(1, 200, true),
            defragments(1, 300, false),
        ];
        let apart = [defragments(2, 110, false), defragments(2, 310, true)];
        let together = [defragments(2, 110, false), defragments(2, 150, true)];
        let most = |other: &[Probe]| {
            let samples = Samples::of(one.iter().chain(other).cloned().collect(), Duration::from_secs(1));
            assert_eq!(samples.defragmentations.len(), 2, "{samples:?}");
            samples.most_defragmenting
        };
        assert_eq!((most(&apart), most(&together)), (1, 2));
    }
}
