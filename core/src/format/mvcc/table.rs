//! A table from fingerprints to facts, whose room is given. A row of the store costs one look into it, and that look is most of
//! what a row costs: the standard table looks into memory twice.
//!
//! A fingerprint lies at the place that its lowest bits name, or in the next free one behind it; there is always a free one.

/// The mark of a free place. No fingerprint is zero.
const FREE: u64 = 0;
/// How full the table gets, in eighths: beyond it, looking for a free place takes long.
const FULL_EIGHTHS: usize = 6;

/// A table from fingerprints to facts.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<(u64, T)>,
    used: usize,
}

impl<T: Copy + Default> Table<T> {
    /// Makes a table with room for so many fingerprints.
    pub(super) fn for_keys(keys: usize) -> Self {
        let places = (keys / FULL_EIGHTHS).saturating_add(1).saturating_mul(8).checked_next_power_of_two();
        Table { places: vec![(FREE, T::default()); places.unwrap_or(8)], used: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Returns whether one more would make it too full.
    pub(super) fn is_full(&self) -> bool {
        self.used >= self.places.len() / 8 * FULL_EIGHTHS
    }

    /// Returns how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.places.len() * size_of::<(u64, T)>()
    }

    /// Notes a fact in place of the one before. The table must not be full.
    pub(super) fn insert(&mut self, print: u64, fact: T) {
        let print = print.max(1);
        let at = self.find(print);
        if let Some(place) = self.places.get_mut(at) {
            self.used += usize::from(place.0 != print);
            *place = (print, fact);
        }
    }

    /// Returns whether a fingerprint is in.
    pub(super) fn has(&self, print: u64) -> bool {
        let print = print.max(1);
        self.places.get(self.find(print)).is_some_and(|place| place.0 == print)
    }

    /// Forgets a fingerprint. What lies behind it is moved up, so that it is still found.
    pub(super) fn remove(&mut self, print: u64) {
        let print = print.max(1);
        let mut hole = self.find(print);
        if self.places.get(hole).is_none_or(|place| place.0 != print) {
            return;
        }
        let mask = self.mask();
        let mut next = (hole + 1) & mask;
        while let Some(place) = self.places.get(next).copied().filter(|place| place.0 != FREE) {
            // How far each lies behind the place that it should have.
            let far = next.wrapping_sub(self.home(place.0)) & mask;
            if far >= next.wrapping_sub(hole) & mask {
                self.put(hole, place);
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.put(hole, (FREE, T::default()));
        self.used -= 1;
    }

    /// Forgets all that a rule does not keep.
    pub(super) fn retain(&mut self, keeps: impl Fn(u64) -> bool) {
        let kept: Vec<(u64, T)> = self.iter().filter(|(print, _)| keeps(*print)).collect();
        self.clear();
        for (print, fact) in kept {
            self.insert(print, fact);
        }
    }

    /// Makes room for twice as many.
    pub(super) fn grow(&mut self) {
        let mut larger = Table { places: vec![(FREE, T::default()); self.places.len() * 2], used: 0 };
        for (print, fact) in self.iter() {
            larger.insert(print, fact);
        }
        *self = larger;
    }

    pub(super) fn clear(&mut self) {
        self.places.fill((FREE, T::default()));
        self.used = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, T)> {
        self.places.iter().copied().filter(|(print, _)| *print != FREE)
    }

    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    /// Returns the place that a fingerprint should have.
    pub(super) fn home(&self, print: u64) -> usize {
        usize::try_from(print & self.mask() as u64).unwrap_or(0)
    }

    /// Returns where a fingerprint is, or would be.
    fn find(&self, print: u64) -> usize {
        let mut at = self.home(print);
        while self.places.get(at).is_some_and(|(found, _)| *found != FREE && *found != print) {
            at = (at + 1) & self.mask();
        }
        at
    }

    fn put(&mut self, at: usize, content: (u64, T)) {
        if let Some(place) = self.places.get_mut(at) {
            *place = content;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::format::bolt::tests::Dice;

    #[test]
    fn it_does_what_the_standard_table_does() {
        let mut dice = Dice::new(0x7AB1E);
        for range in [10, 60, 2000] {
            let (mut table, mut model) = (Table::for_keys(0), HashMap::new());
            for step in 0..6_000_u64 {
                // Few different low bits, so that many want the same place, and some wrap around.
                let print = (dice.below(range) as u64 % 13) << 3 | (dice.below(range) as u64) << 20 | 7;
                if dice.below(3) == 0 {
                    table.remove(print);
                    model.remove(&print);
                } else {
                    if table.is_full() {
                        table.grow();
                    }
                    table.insert(print, step);
                    model.insert(print, step);
                }
                assert_eq!(table.len(), model.len());
                assert!(step % 500 > 0 || table.iter().collect::<HashMap<_, _>>() == model);
            }
            let odd = |print: u64| print >> 20 & 1 == 1;
            table.retain(odd);
            model.retain(|print, _| odd(*print));
            assert_eq!(table.iter().collect::<HashMap<_, _>>(), model);
        }
    }

    #[test]
    fn zero_is_a_fingerprint_too() {
        let mut table = Table::for_keys(3);
        table.insert(0, 'a');
        table.insert(0, 'b');
        assert_eq!(table.iter().collect::<Vec<_>>(), [(1, 'b')]);
        table.remove(0);
        assert_eq!(table.len(), 0);
    }
}
