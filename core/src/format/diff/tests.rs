use std::collections::BTreeMap;

use super::*;
use crate::error::Fault;
use crate::format::bolt::tests::{Dice, on_disk};
use crate::format::mvcc::Rev;
use crate::format::tests::model::{Model, flipped};
use crate::format::view::Item;

const ROOMS: [(usize, usize); 4] = [(0, 1), (64, 700), (4096, 3000), (ROOM, BUDGET)];

/// What the models say: each key that differs, with how it does.
fn expected(a: &Model, b: &Model, asked: &Asked) -> Vec<Difference> {
    let keys = |model: &Model, revision: Option<i64>| -> BTreeMap<Vec<u8>, Item> {
        let mut keys = model.at(revision.unwrap_or(i64::MAX));
        keys.retain(|key, _| key.starts_with(&asked.prefix));
        keys
    };
    let (mut a, mut b) = (keys(a, asked.revision_a), keys(b, asked.revision_b));
    let mut all: Vec<_> = a.keys().chain(b.keys()).cloned().collect();
    all.sort();
    all.dedup();
    let difference = |key: Vec<u8>| {
        let (a, b) = (a.remove(&key), b.remove(&key));
        let kind = match (&a, &b) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            (Some(a), Some(b)) if a == b => return None,
            (Some(a), Some(b)) if a.value != b.value => Kind::Changed,
            _ => Kind::Touched,
        };
        Some(Difference { kind, a, b })
    };
    all.into_iter().filter_map(difference).collect()
}

/// Compares two models by their files in all rooms, and returns what is told beside the differences.
fn compared(a: &Model, b: &Model, asked: &Asked) -> Diffed {
    let files = [on_disk(&a.file()), on_disk(&b.file())];
    let images = files.each_ref().map(|file| Image::open(&file.path).unwrap());
    let all = ROOMS.map(|rooms| {
        let mut found = Vec::new();
        let told = diff_by(&images[0], &images[1], asked, rooms, |difference| {
            found.push(difference);
            true
        });
        let told = told.unwrap();
        assert!(found == expected(a, b, asked), "{rooms:?}");
        let mut summary = Summary::new(asked.grouping.clone());
        found.iter().for_each(|difference| summary.add(difference));
        assert_eq!(told.summary, summary.end());
        let total = told.summary.total;
        assert_eq!(found.len() as u64, total.added + total.removed + total.changed + total.touched);
        told
    });
    assert!(all.iter().all(|told| told == &all[0]));
    all.into_iter().next().unwrap()
}

#[test]
fn stores_of_one_history() {
    let mut dice = Dice::new(0xD1FF);
    for (keys, before, after) in [(1, 2, 1), (40, 100, 0), (40, 100, 20), (200, 200, 3)] {
        let a = Model::random(&mut dice, keys, before);
        let mut b = a.clone();
        b.go_on(&mut dice, keys, after);
        let more = (b.made.len() - a.made.len()) as u64;
        let told = compared(&a, &b, &Asked::default());
        let alone = Alone { rows: more, compacted: 0 };
        let history = History { common: a.made.len() as u64, b: alone, ..History::default() };
        assert_eq!((told.history, told.b.newest()), (history, b.newest()));
        // The other way round, and compacted.
        let told = compared(&b, &a, &Asked::default()).history;
        assert_eq!(told, History { a: alone, b: Alone::default(), ..history });
        let compacted = b.compact(a.newest().max(2));
        let told = compared(&a, &compacted, &Asked::default()).history;
        assert_eq!((told.diverged, told.a.rows), (None, told.a.compacted));
        assert_eq!(told.common + told.a.rows, a.made.len() as u64);
    }
}

#[test]
fn histories_that_part() {
    let mut dice = Dice::new(0xD1F0);
    for _ in 0..10 {
        let common = Model::random(&mut dice, 40, 60);
        let (mut a, mut b) = (common.clone(), common.clone());
        a.go_on(&mut dice, 40, 15);
        b.go_on(&mut dice, 40, 25);
        let parts = a.made.iter().zip(&b.made).find(|(a, b)| a != b).unwrap();
        let first = Some(parts.0.rev.min(parts.1.rev));
        assert_eq!(compared(&a, &b, &Asked::default()).history.diverged, first);
        assert_eq!(compared(&b.compact(20), &a, &Asked::default()).history.diverged, first);
        let asked = Asked { prefix: b"b/".to_vec(), ..Asked::default() };
        assert_eq!(compared(&a, &b, &asked).history.diverged, first);
        // Up to where they part nothing does.
        let (revision_a, revision_b) = (Some(common.newest() - 3), Some(common.newest()));
        let asked = Asked { revision_a, revision_b, ..Asked::default() };
        assert_eq!(compared(&a, &b, &asked).history.diverged, None);
    }
}

#[test]
fn a_put_that_is_a_deletion_elsewhere_parts_histories_and_so_does_a_missing_change() {
    let rev = |main, sub| Rev { main, sub };
    let mut a = Model::default();
    a.change(rev(2, 0), b"k", Some(b"1".to_vec()), 0);
    let mut b = a.clone();
    a.change(rev(3, 0), b"k", Some(b"2".to_vec()), 0);
    b.change(rev(3, 0), b"k", None, 0);
    assert_eq!(compared(&a, &b, &Asked::default()).history.diverged, Some(rev(3, 0)));
    let mut c = a.clone();
    c.change(rev(3, 1), b"l", Some(b"2".to_vec()), 0);
    assert_eq!(compared(&a, &c, &Asked::default()).history.diverged, Some(rev(3, 1)));
    assert_eq!(compared(&c, &a, &Asked::default()).history.diverged, Some(rev(3, 1)));
}

#[test]
fn stores_that_have_nothing_to_do_with_each_other() {
    let mut dice = Dice::new(0xD1F1);
    let (a, b) = (Model::random(&mut dice, 50, 200), Model::random(&mut dice, 300, 100));
    assert!(compared(&a, &b, &Asked::default()).history.diverged.is_some());
    assert_eq!(compared(&Model::default(), &b, &Asked::default()).history.diverged, None);
}

#[test]
fn two_revisions_of_one_file() {
    let model = Model::random(&mut Dice::new(0xD1F2), 40, 100).compact(30);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    for (one, other) in [(30, 60), (60, 30), (50, 51), (70, 70)] {
        let asked = Asked { revision_a: Some(one), revision_b: Some(other), ..Asked::default() };
        let mut found = Vec::new();
        let told = diff(&image, &image, &asked, |difference| {
            found.push(difference);
            true
        });
        assert_eq!(told.unwrap().history.diverged, None);
        assert!(found == expected(&model, &model, &asked));
    }
    let code = |asked: Asked| diff(&image, &image, &asked, |_| true).unwrap_err().code();
    assert_eq!(code(Asked { revision_a: Some(29), ..Asked::default() }), "compacted");
    assert_eq!(code(Asked { revision_b: Some(999), ..Asked::default() }), "future_revision");
    image.control().stop();
    assert_eq!(code(Asked::default()), "interrupted");
}

#[test]
fn no_more_is_told_than_is_wanted() {
    let mut dice = Dice::new(0xD1F4);
    let files = [20, 40].map(|keys| on_disk(&Model::random(&mut dice, keys, 100).file()));
    let [a, b] = files.each_ref().map(|file| Image::open(&file.path).unwrap());
    for limit in 1..30 {
        let mut count = 0;
        let told = diff(&a, &b, &Asked::default(), |_| {
            count += 1;
            count < limit
        });
        let total = told.unwrap().summary.total;
        assert!(count <= limit && total.added + total.removed + total.changed + total.touched == count);
    }
}

#[test]
fn no_flip_makes_it_panic() {
    let mut dice = Dice::new(0xD1F3);
    let mut model = Model::random(&mut dice, 30, 60);
    let file = on_disk(&model.file());
    let other = Image::open(&file.path).unwrap();
    model.go_on(&mut dice, 30, 5);
    flipped(&model.file(), 0xF4, |image| {
        let _ = diff(&other, image, &Asked::default(), |_| true);
        let _ = diff_by(image, &other, &Asked::default(), (0, 900), |_| true);
    });
}
