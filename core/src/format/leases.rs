//! The leases of a store, and how many keys that live are bound to each.
//!
//! Memory: 32 bytes for each lease, of which a million are held at a time (another reading of the file for each further
//! million), and what [`Keys`] takes for the keys that are bound to a lease.

use super::ahead::{Gate, reading};
use super::bolt::{Image, Pages, Walk};
use super::mvcc::{Keys, each_row};
use super::problem::{Problem, Result};
use super::schema::Lease;

/// How many leases are held at a time.
const MOST: usize = 1 << 20;

/// A lease with its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The lease.
    pub lease: Lease,
    /// How many keys that live are bound to it.
    pub keys: u64,
}

/// What is known of all leases together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leases {
    /// How many there are.
    pub leases: u64,
    /// How many keys that live are bound to one of them.
    pub keys: u64,
    /// How many keys that live are bound to a lease that there is not: etcd never makes such a key, and they never go by themselves.
    pub strays: u64,
}

/// Hands out the leases of a file in the order of their ids, a part of them at a time, until `take` answers that it wants no more;
/// then what is returned is of those that it had, and strays are none of it.
///
/// # Errors
/// The file is damaged, or it was changed meanwhile.
pub fn leases(image: &Image, take: impl FnMut(Vec<Bound>) -> bool) -> Result<Leases> {
    leases_by(image, MOST, || Keys::new(image.meta().length()), take)
}

fn leases_by(
    image: &Image,
    most: usize,
    keys: impl Fn() -> Keys<i64>,
    mut take: impl FnMut(Vec<Bound>) -> bool,
) -> Result<Leases> {
    let mut all = Leases::default();
    let mut from = Some(0);
    while let Some(first) = from {
        let (mut part, next) = read(image, first, most)?;
        let bound = count(image, &mut part, keys(), first == 0)?;
        image.unchanged()?;
        all.leases += part.len() as u64;
        all.keys += part.iter().map(|bound| bound.keys).sum::<u64>();
        if next.is_none() {
            all.strays = bound.saturating_sub(all.keys);
        }
        let goes_on = part.is_empty() || take(part);
        from = next.filter(|_| goes_on);
    }
    Ok(all)
}

/// Reads leases from an id on, and where the next part begins.
fn read(image: &Image, first: u64, most: usize) -> Result<(Vec<Bound>, Option<u64>)> {
    let mut part = Vec::new();
    let Some(bucket) = image.bucket(Lease::BUCKET)? else { return Ok((part, None)) };
    let mut seen = Pages::new(image.meta().pages);
    let mut walk = Walk::new(image, &bucket, &mut seen, None);
    while let Some(row) = walk.next_row()? {
        let place = |flaw| Problem::new(image.row_place(Lease::BUCKET, &row), flaw);
        let lease = Lease::read(row.key, row.value).map_err(place)?;
        if lease.id.0 < first {
            continue;
        }
        if part.len() == most {
            return Ok((part, Some(lease.id.0)));
        }
        part.push(Bound { lease, keys: 0 });
    }
    Ok((part, None))
}

/// Counts the keys that live and are bound to a lease, and those of each of some leases.
fn count(image: &Image, leases: &mut [Bound], mut keys: Keys<i64>, is_first: bool) -> Result<u64> {
    let pass = |keys: &mut Keys<i64>, gate: Option<&Gate>| {
        each_row(image, gate, |_, change, pair| {
            if change.is_tombstone || pair.lease == 0 {
                keys.remove(pair.key);
            } else {
                keys.insert(pair.key, pair.lease);
            }
            true
        })
    };
    if is_first {
        reading(image, |gate| pass(&mut keys, Some(gate)))?;
    } else {
        pass(&mut keys, None)?;
    }
    let mut bound = 0;
    loop {
        bound += keys.count();
        for lease in keys.facts() {
            // The order of ids in the file is that of numbers without a sign.
            let found = leases.binary_search_by_key(&lease.cast_unsigned(), |bound| bound.lease.id.0);
            if let Some(bound) = found.ok().and_then(|at| leases.get_mut(at)) {
                bound.keys += 1;
            }
        }
        if !keys.next_share() {
            return Ok(bound);
        }
        pass(&mut keys, None)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;
    use crate::format::bolt::tests::{Dice, on_disk};
    use crate::format::tests::model::{Model, flipped};
    use crate::id::LeaseId;

    #[test]
    fn each_lease_has_the_keys_of_the_model() {
        let mut dice = Dice::new(0x1EA5E);
        for (number, transactions) in [(1, 2), (30, 100), (200, 300)] {
            let model = Model::random(&mut dice, number, transactions);
            let file = on_disk(&model.file());
            let image = Image::open(&file.path).unwrap();
            let live = model.at(i64::MAX);
            let of = |id: i64| live.values().filter(|item| item.lease == id).count() as u64;
            let expected: Vec<_> = (1..=5).map(|id: i64| (LeaseId(id.cast_unsigned()), 60, id, of(id))).collect();
            let keys = expected.iter().map(|lease| lease.3).sum();
            let all = Leases { leases: 5, keys, strays: of(6) + of(7) };
            for (most, room) in [(1, 64), (2, 256), (MOST, 1 << 20)] {
                let mut found = Vec::new();
                let take = |part: Vec<Bound>| {
                    assert!(part.len() <= most);
                    found
                        .extend(part.iter().map(|Bound { lease, keys }| (lease.id, lease.ttl, lease.remaining, *keys)));
                    true
                };
                let told = leases_by(&image, most, || Keys::with_room(0, room), take).unwrap();
                assert_eq!((told, found), (all, expected.clone()), "{most} {room}");
            }
        }
    }

    #[test]
    fn a_file_without_leases_and_one_that_is_stopped() {
        let file = on_disk(&crate::format::bolt::fixture::file(&[("key", vec![])]));
        let image = Image::open(&file.path).unwrap();
        assert_eq!(leases(&image, |_| panic!("there is none")).unwrap(), Leases::default());
        image.control().stop();
        assert_eq!(leases(&image, |_| true).unwrap_err().code(), "interrupted");
    }

    #[test]
    fn no_flip_makes_it_panic() {
        flipped(&Model::random(&mut Dice::new(5), 30, 60).file(), 0xF3, |image| {
            let _ = leases(image, |_| true);
        });
    }
}
