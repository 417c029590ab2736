use std::collections::BTreeMap;

use super::*;
use crate::error::Fault;
use crate::format::bolt::tests::{Dice, on_disk};
use crate::format::mvcc::Rev;
use crate::format::tests::model::{Model, flipped};

/// Each prefix with its usage and the size of its largest key.
type Told = BTreeMap<Vec<u8>, (Usage, u64)>;

/// What the model says: each prefix with its usage and the size of its largest key, and the sizes of all keys.
fn expected(model: &Model, grouping: &Grouping) -> (Told, Vec<u64>) {
    let mut folders = Told::new();
    let mut newest = BTreeMap::new();
    for made in &model.made {
        let (key, value) = made.row();
        let size = (key.len() + value.len()) as u64;
        let (usage, _) = folders.entry(grouping.prefix(&made.item.key).to_vec()).or_default();
        usage.rows += 1;
        usage.tombstones += u64::from(made.is_tombstone());
        if let Some((_, old)) = newest.insert(made.item.key.clone(), (made, size)) {
            usage.old_rows += 1;
            usage.old_bytes += old;
        }
    }
    let mut sizes = Vec::new();
    for (key, (made, size)) in newest {
        let (usage, largest) = folders.get_mut(grouping.prefix(&key)).unwrap();
        usage.keys += 1;
        if !made.is_tombstone() {
            usage.live_keys += 1;
            usage.live_bytes += size;
            usage.leased_keys += u64::from(made.item.lease != 0);
            *largest = size.max(*largest);
            sizes.push(size);
        }
    }
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    (folders, sizes)
}

#[test]
fn usage_is_that_of_the_model_in_any_number_of_readings() {
    let mut dice = Dice::new(0x05A6E);
    for (number, transactions) in [(1, 2), (40, 200), (200, 300)] {
        let model = Model::random(&mut dice, number, transactions);
        let file = on_disk(&model.file());
        let image = Image::open(&file.path).unwrap();
        let grouping = Grouping { depth: 1 + dice.below(2), ..Grouping::default() };
        let (folders, sizes) = expected(&model, &grouping);
        for room in [100, 2000, 1 << 20] {
            let groups = Groups::new(grouping.clone());
            let found = usage_by(&image, groups, 7, Keys::with_room(0, room)).unwrap();
            let told = found.folders.iter().map(|folder| {
                let largest = folder.largest.as_ref().map_or(0, |big| big.size);
                (folder.prefix.clone(), (folder.usage, largest))
            });
            assert_eq!(told.collect::<Told>(), folders);
            let mut total = Usage::default();
            folders.values().for_each(|(usage, _)| total.add(usage));
            assert_eq!((found.total, found.rest), (total, None));
            let told: Vec<_> = found.largest.iter().map(|big| big.size).collect();
            assert_eq!(told, sizes.iter().take(7).copied().collect::<Vec<_>>());
            for (big, folder) in found.folders.iter().filter_map(|folder| Some((folder.largest.as_ref()?, folder))) {
                let key = big.key.clone().unwrap();
                assert!(key.starts_with(&folder.prefix) && model.at(i64::MAX).contains_key(&key));
            }
        }
    }
}

#[test]
fn prefixes_beyond_the_most_are_in_the_rest() {
    let mut model = Model::default();
    for number in 0..20 {
        let rev = Rev { main: 2 + number, sub: 0 };
        model.change(rev, format!("p{}/k", number % 10).as_bytes(), Some(vec![b'x'; 10]), 0);
    }
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let grouping = Grouping { depth: 1, ..Grouping::default() };
    for room in [100, 1 << 20] {
        let groups = Groups::with(grouping.clone(), 3);
        let found = usage_by(&image, groups, 0, Keys::with_room(0, room)).unwrap();
        let rest = found.rest.unwrap();
        assert_eq!((found.folders.len(), rest.usage.live_keys, rest.usage.old_rows), (3, 7, 7));
        assert_eq!((found.total.rows, found.largest), (20, vec![]));
    }
}

#[test]
fn a_long_name_is_read_and_one_that_takes_too_much_is_not_kept() {
    let mut model = Model::default();
    let long = vec![b'k'; 10_000];
    model.change(Rev { main: 2, sub: 0 }, &long, Some(vec![]), 0);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let found = usage(&image, Grouping::default(), 5).unwrap();
    assert_eq!(found.largest[0].key, Some(long));
    let mut names = Names::of(&image);
    let at = std::fs::read(&file.path).unwrap().windows(9).position(|window| window == [b'k'; 9]).unwrap();
    let spot = Spot { size: u32::try_from(found.largest[0].size).unwrap(), offset: at as u64 - 3 };
    let kept = (0..2000).map_while(|_| names.read(spot).unwrap().key).count();
    assert_eq!(kept, (16 << 20) / 10_000);
    image.control().stop();
    assert_eq!(names.read(spot).unwrap_err().code(), "interrupted");
    assert_eq!(usage(&image, Grouping::default(), 5).unwrap_err().code(), "interrupted");
}

#[test]
fn an_empty_store_takes_nothing() {
    let file = on_disk(&Model::default().file());
    assert_eq!(usage(&Image::open(&file.path).unwrap(), Grouping::default(), 5).unwrap(), Usages::default());
}

#[test]
fn no_flip_makes_it_panic() {
    flipped(&Model::random(&mut Dice::new(5), 30, 60).file(), 0xF2, |image| {
        let _ = usage(image, Grouping::default(), 5);
    });
}
