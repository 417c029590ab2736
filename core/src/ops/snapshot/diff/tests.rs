//! Which side an error is about, and what is not known of a cluster.

use super::*;
use crate::format::bolt::tests::{Dice, on_disk};
use crate::format::tests::model::Model;

fn asked(revision_a: Option<i64>, revision_b: Option<i64>) -> Asked {
    Asked { revision_a, revision_b, prefix: Vec::new(), grouping: grouping(0, "/".to_owned()).unwrap() }
}

#[test]
fn an_error_names_the_side_that_it_is_about() {
    let model = Model::random(&mut Dice::new(0x51DE), 5, 20).compact(9);
    let (a, b) = (on_disk(&model.file()), on_disk(&model.file()));
    let image = Image::open(&a.path).unwrap();
    let fails = |b: &Path, revision_a, revision_b| {
        files(&image, b, &asked(revision_a, revision_b), |_| true).map(drop).unwrap_err()
    };
    let text = on_disk(b"no database");
    let errors = [
        fails(&a.path, Some(8), Some(9)),
        fails(&a.path, Some(9), Some(99)),
        fails(&b.path, Some(99), Some(9)),
        fails(&b.path, None, Some(8)),
        fails(&text.path, None, None),
    ];
    let told = errors.map(|error| format!("{} ({})", error.code(), error.argument().unwrap()));
    let expected = [
        "compacted (revision_a)",
        "future_revision (revision_b)",
        "future_revision (revision_a)",
        "compacted (revision_b)",
        "not_a_database (b)",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_cluster_whose_keys_break_off_has_lost_nothing() {
    let model = Model::random(&mut Dice::new(0xB0FF), 8, 40);
    let file = on_disk(&model.file());
    let lives = model.at(i64::MAX).len() as u64;
    assert!(lives > 1);
    for (ends, removed) in [(true, lives), (false, 0)] {
        let (sender, items) = mpsc::channel(1);
        if ends {
            sender.try_send(None).unwrap();
        }
        drop(sender);
        let image = Image::open(&file.path).unwrap();
        let diffed = merge(&image, &asked(None, None), items, Unlisted).unwrap();
        assert_eq!(diffed.summary.total.removed, removed);
    }
}
