use super::*;
use crate::error::Fault;
use crate::format::bolt::tests::{Dice, on_disk};
use crate::format::mvcc::Rev;
use crate::format::mvcc::row_tests::row_key;
use crate::format::tests::model::{Made, Model, flipped};

fn all(image: &Image, wanted: &Wanted, budget: usize) -> Result<(Vec<Item>, bool)> {
    let mut view = View::with(image, wanted.clone(), None, budget)?;
    let mut items = Vec::new();
    while let Some(page) = view.next_page()? {
        items.extend(page);
    }
    Ok((items, view.has_more()?))
}

#[test]
fn a_view_is_that_of_the_model_at_every_revision_with_any_budget() {
    let mut dice = Dice::new(0x71E3);
    for (keys, transactions, compact) in [(1, 3, false), (40, 200, false), (40, 200, true), (300, 150, true)] {
        let mut model = Model::random(&mut dice, keys, transactions);
        let newest = model.newest();
        if compact {
            model = model.compact(newest / 3);
        }
        let file = on_disk(&model.file());
        let image = Image::open(&file.path).unwrap();
        let lowest = model.compacted.unwrap_or(1);
        for budget in [1, 500, 3000, BUDGET] {
            for revision in [lowest, (lowest + newest) / 2, newest] {
                let expected: Vec<_> = model.at(revision).into_values().collect();
                let wanted = Wanted { revision: Some(revision), ..Wanted::default() };
                assert!(all(&image, &wanted, budget).unwrap() == (expected.clone(), false), "{budget}");
                let unlimited = Wanted { revision: None, ..wanted };
                assert!(revision != newest || all(&image, &unlimited, budget).unwrap().0 == expected);
            }
        }
    }
}

#[test]
fn a_range_a_limit_and_keys_alone() {
    let mut dice = Dice::new(0x11E7);
    let model = Model::random(&mut dice, 60, 200);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let live: Vec<_> = model.at(i64::MAX).into_values().collect();
    let mut bounds: Vec<_> = live.iter().step_by(7).map(|item| item.key.clone()).collect();
    bounds.extend([vec![], b"b/".to_vec(), b"c".to_vec()]);
    for start in &bounds {
        for end in bounds.iter().map(Some).chain([None]) {
            let inside = |item: &&Item| item.key >= *start && end.is_none_or(|end| item.key < *end);
            let inside: Vec<Item> = live.iter().filter(inside).cloned().collect();
            let limit = dice.below(inside.len() + 2);
            let (start, end) = (start.clone(), end.cloned());
            let limit_wanted = Some(limit as u64);
            let wanted = Wanted { revision: None, start, end, limit: limit_wanted, keys_only: true };
            let keys = inside.iter().take(limit).map(|item| Item { value: None, ..item.clone() }).collect();
            let budget = [1, 2000, BUDGET][dice.below(3)];
            assert!(all(&image, &wanted, budget).unwrap() == (keys, limit < inside.len()), "{wanted:?}");
        }
    }
}

#[test]
fn only_some_keys() {
    let model = Model::random(&mut Dice::new(0x0417), 60, 200);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let live: Vec<_> = model.at(i64::MAX).into_values().collect();
    let mut only = Prints::new(1 << 20);
    live.iter().step_by(3).for_each(|item| assert!(only.insert(&item.key)));
    let view = View::with(&image, Wanted::default(), Some(&only), BUDGET).unwrap();
    let found: Vec<_> = view.items().collect::<Result<_>>().unwrap();
    assert_eq!(found, live.iter().step_by(3).cloned().collect::<Vec<_>>());
}

#[test]
fn pages_are_bounded_by_bytes() {
    let mut model = Model::default();
    for number in 0..9 {
        let rev = Rev { main: 2 + number, sub: 0 };
        model.change(rev, format!("k{}", 9 - number).as_bytes(), Some(vec![b'x'; 1 << 20]), 0);
    }
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let mut pages = Vec::new();
    let (span, more) = view(&image, Wanted::default(), |page| {
        pages.push(page.len());
        true
    })
    .unwrap();
    assert_eq!((pages, span.newest(), more), (vec![4, 4, 1], 10, false));
    assert!(view(&image, Wanted::default(), |_| false).unwrap().1);
}

#[test]
fn a_revision_out_of_the_store_is_refused() {
    let model = Model::random(&mut Dice::new(3), 10, 20).compact(9);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    let told = |revision, limit| {
        let wanted = Wanted { revision: Some(revision), limit, ..Wanted::default() };
        let problem = view(&image, wanted, |_| true).unwrap_err();
        format!("{}: {}", problem.code(), problem.flaw())
    };
    assert_eq!(told(8, None), "compacted: revision 8 is compacted; the oldest one is 9");
    let future = format!("future_revision: revision 99 is none yet; the newest one is {}", model.newest());
    assert_eq!([told(99, None), told(99, Some(0))], [future.clone(), future]);
}

#[test]
fn the_row_of_a_bump_is_left_out_and_an_inline_store_is_read() {
    let mut model = Model::default();
    model.change(Rev { main: 2, sub: 0 }, b"a", Some(b"1".to_vec()), 7);
    let mut buckets = vec![("key", vec![model.made[0].row()])];
    buckets[0].1.push((row_key(1000, 0, false), vec![]));
    let file = on_disk(&crate::format::bolt::fixture::file(&buckets));
    let image = Image::open(&file.path).unwrap();
    assert_eq!(all(&image, &Wanted::default(), BUDGET).unwrap(), (vec![model.made[0].item.clone()], false));
}

/// The rows of a key, as they stand in the file.
fn history(image: &Image, key: &[u8], budget: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    history::within(image, key, budget, |change, pair| {
        let row = row_key(change.rev.main, change.rev.sub, change.is_tombstone);
        rows.push((row, crate::format::mvcc::row_tests::row_value(&pair)));
        true
    })
    .unwrap();
    rows
}

#[test]
fn the_history_of_a_key_has_all_its_rows_whatever_the_budget() {
    let model = Model::random(&mut Dice::new(0x415), 10, 100);
    let file = on_disk(&model.file());
    let image = Image::open(&file.path).unwrap();
    for key in [&model.made[0].item.key, &b"none".to_vec()] {
        let expected: Vec<_> = model.made.iter().filter(|made| made.item.key == *key).map(Made::row).collect();
        for budget in [0, 1, 500, 1 << 20] {
            assert_eq!(history(&image, key, budget), expected, "{budget}");
        }
    }
    for (budget, most) in [(1, 1), (1, 2), (300, 3), (1 << 20, 2)] {
        let mut count = 0;
        history::within(&image, &model.made[0].item.key, budget, |_, _| {
            count += 1;
            count < most
        })
        .unwrap();
        assert_eq!(count, most);
    }
}

#[test]
fn a_history_is_the_same_while_a_compaction_is_unfinished() {
    let whole = Model::random(&mut Dice::new(0xC0), 12, 200);
    for at in [whole.newest() / 2, whole.newest() - 1, whole.newest()] {
        let (unfinished, finished) = (Model { compacted: Some(at), ..whole.clone() }, whole.compact(at));
        let [unfinished, finished] = [unfinished, finished].map(|model| on_disk(&model.file()));
        let [unfinished, finished] = [&unfinished, &finished].map(|file| Image::open(&file.path).unwrap());
        let keys: std::collections::BTreeSet<_> = whole.made.iter().map(|made| &made.item.key).collect();
        let (mut kept, mut deletions) = (0, 0);
        for key in keys {
            let expected = history(&finished, key, 1 << 20);
            for budget in [0, 300, 1 << 20] {
                let mut rows = history(&unfinished, key, budget);
                // The deletions of that very revision are left where they are.
                let here = |(row, _): &(Vec<u8>, Vec<u8>)| row.len() == 18 && row[..8] == at.to_be_bytes();
                deletions += rows.extract_if(.., |row| here(row)).count();
                assert_eq!(rows, expected, "{at} {budget}");
            }
            kept += expected.len();
        }
        assert!(kept < whole.made.len() && deletions <= 9, "{kept} {deletions}");
    }
}

#[test]
fn a_file_that_changes_between_its_pages_and_one_that_is_stopped() {
    let model = Model::random(&mut Dice::new(0x57), 40, 100);
    let bytes = model.file();
    let file = on_disk(&bytes);
    let image = Image::open(&file.path).unwrap();
    let mut view = View::with(&image, Wanted::default(), None, BUDGET).unwrap();
    assert!(view.has_more().unwrap());
    file.replace(&(0..bytes.len()).filter(|at| bytes[*at] == b'/').map(|at| (at, b'_')).collect::<Vec<_>>());
    assert_eq!(view.next_page().unwrap_err().code(), "file_changed");
    let file = on_disk(&bytes);
    let image = Image::open(&file.path).unwrap();
    let mut view = View::with(&image, Wanted::default(), None, BUDGET).unwrap();
    assert!(view.has_more().unwrap());
    image.control().stop();
    assert_eq!(view.next_page().unwrap_err().code(), "interrupted");
    assert_eq!(rows_of(&image, b"a", |_, _| true).unwrap_err().code(), "interrupted");
}

#[test]
fn no_flip_makes_a_view_panic() {
    flipped(&Model::random(&mut Dice::new(5), 30, 60).file(), 0xF1, |image| {
        let _ = all(image, &Wanted::default(), 1000);
        let _ = rows_of(image, b"a/000", |_, _| true);
    });
}

#[test]
fn the_keys_below_a_prefix() {
    let end = |prefix: &[u8]| Wanted::below(prefix).end;
    assert_eq!(end(b"a/"), Some(b"a0".to_vec()));
    assert_eq!(end(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!([end(b"\xff"), end(b"")], [None, None]);
}
