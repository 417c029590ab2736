//! Every file of the fuzz corpus (`corpus/README.md`) through every reader, as it is and with its sums made right. What comes of it is
//! an error with its place or a result; never a panic, and never something that takes long.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::format::bolt::Flaw as Bolt;
use crate::format::mvcc::Flaw as Row;
use crate::format::proto::{Message, fields};
use crate::format::snap::Snap;
use crate::format::v2::OldStore;
use crate::format::view::rows_of;
use crate::format::wal;
use crate::format::wal::tests::{FIRST, SECOND};

/// How long all readers may take for one file, which takes them milliseconds: debug builds on machines that are busy are slow.
const LONGEST: Duration = Duration::from_secs(5);

/// Returns the files of the corpus with their names.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/tests/corpus");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_none()).collect();
    paths.sort();
    assert!(paths.len() > 50, "{}", paths.len());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// Runs something for each file, and sees that it does not take long.
fn each(look: impl Fn(&str, &[u8])) {
    for (name, bytes) in files() {
        let start = Instant::now();
        look(&name, &bytes);
        assert!(start.elapsed() < LONGEST, "{name} takes {:?}", start.elapsed());
    }
}

/// Checks that an error says where it is: the file, and the place in it unless it is about the file as a whole.
fn placed<T>(name: &str, result: Result<T>) -> Option<T> {
    let problem = match result {
        Ok(found) => return Some(found),
        Err(problem) => problem,
    };
    let is_of_all = match problem.flaw() {
        Flaw::Bolt(flaw) => matches!(
            flaw,
            Bolt::NoMeta { .. }
                | Bolt::Archive(_)
                | Bolt::BigEndian
                | Bolt::Truncated { .. }
                | Bolt::TooManyPages { .. }
                | Bolt::TooManyBuckets(_)
        ),
        Flaw::Row(flaw) => matches!(flaw, Row::Compacted { .. } | Row::Future { .. }),
        Flaw::Trailer(_) | Flaw::Snap(_) => true,
        _ => false,
    };
    assert!(problem.place().file.is_some(), "{name}: {problem}");
    assert!(is_of_all || !problem.place().within().is_empty(), "{name}: {problem}");
    None
}

/// Asks everything that can be asked about a database.
fn read(name: &str, image: &Image, other: &Image) {
    let checked = check(image).unwrap();
    let is_wrong = |finding: &super::super::check::Finding| {
        finding.severity == Severity::Error && !matches!(finding.problem.flaw(), Flaw::Trailer(_))
    };
    let is_sound = !checked.findings.iter().any(is_wrong);
    for finding in checked.findings {
        placed::<()>(name, Err(finding.problem));
    }
    let at = Wanted { revision: Some(14), limit: Some(3), keys_only: true, ..Wanted::below(b"/") };
    let asked = Asked { revision_a: Some(13), prefix: b"/a".to_vec(), ..Asked::default() };
    let results = [
        figures(image).map(drop),
        hashkv(image, None, None).map(drop),
        hashkv(image, Some(14), Some(9)).map(drop),
        usage(image, Grouping::default(), 3).map(drop),
        leases(image, |_| true).map(drop),
        view(image, Wanted::default(), |_| true).map(drop),
        view(image, at, |_| true).map(drop),
        rows_of(image, b"/a/k3", |_, _| true),
        diff(image, other, &Asked::default(), |_| true).map(drop),
        diff(other, image, &Asked::default(), |_| true).map(drop),
        diff(image, image, &asked, |_| true).map(drop),
    ];
    for result in results {
        // What a check calls sound can be read; a revision may not be there all the same.
        let is_read = result.as_ref().err().is_none_or(|problem| matches!(problem.flaw(), Flaw::Row(_)));
        assert!(is_read || !is_sound, "{name}: {result:?}");
        placed(name, result);
    }
}

#[test]
fn no_file_of_the_corpus_is_too_much_for_a_reader_of_databases() {
    let sound = on_disk(&snapshot());
    let sound = Image::open(&sound.path).unwrap();
    each(|name, bytes| {
        for bytes in [bytes.to_vec(), fixture::repaired(bytes.to_vec())] {
            let file = on_disk(&bytes);
            let image = Image::open_with(&file.path, Arc::new(Control::new(true)));
            if let Some(image) = placed(name, image) {
                read(name, &image, &sound);
            }
        }
    });
}

#[test]
fn what_is_restored_of_a_sound_file_of_the_corpus_is_sound() {
    each(|name, bytes| {
        let file = on_disk(&fixture::repaired(bytes.to_vec()));
        let Ok(image) = Image::open_with(&file.path, Arc::new(Control::new(true))) else { return };
        let is_sound = check(&image).unwrap().is_sound();
        for rewrite in [false, true] {
            let dir = file.path.with_extension(if rewrite { "anew" } else { "copied" });
            let spec = crate::restore::Spec {
                rewrite,
                skip_hash_check: image.trailer().is_none(),
                bump_revision: Some(1000),
                mark_compacted: true,
                ..crate::restore::tests::spec(&dir)
            };
            match crate::restore::restore(&image, &spec) {
                Ok(restored) => {
                    let restored = check(&Image::open(&restored.db).unwrap()).unwrap();
                    assert!(restored.is_sound() || !is_sound, "{name}: {:?}", restored.findings);
                }
                Err(_) => assert!(!dir.exists(), "{name}"),
            }
        }
    });
}

#[test]
fn no_file_of_the_corpus_is_too_much_for_a_reader_of_logs() {
    each(|name, bytes| {
        for (bytes, cut) in [(bytes.to_vec(), bytes.len() / 2), wal::tests::repaired(bytes)] {
            let _ = wal::metadata_of(&bytes);
            let (first, second) = bytes.split_at(cut);
            for files in [&[(FIRST, &bytes[..])][..], &[(SECOND, &bytes)], &[(FIRST, first), (SECOND, second)]] {
                let folder = tempfile::tempdir().unwrap();
                files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
                let summary = wal::summary(folder.path()).unwrap();
                placed(name, summary.broken.map_or(Ok(()), Err));
                let mut log = wal::Log::open(folder.path()).unwrap();
                while let Ok(Some(record)) = log.next_record() {
                    if let wal::Item::Entry(entry) = record.item {
                        let _ = entry.change();
                    }
                }
            }
        }
    });
}

#[test]
fn no_file_of_the_corpus_is_too_much_for_a_reader_of_snap_files() {
    let repaired = |bytes: &[u8]| {
        let data = fields(bytes).filter_map(|field| field.ok()?.bytes().ok()).last().unwrap_or_default();
        Message::default().number(1, u64::from(crc32c::crc32c(data))).bytes(2, data).done()
    };
    each(|name, bytes| {
        let _ = OldStore::parse(bytes);
        for bytes in [bytes.to_vec(), repaired(bytes)] {
            let file = on_disk(&bytes);
            if let Some(snap) = placed(name, Snap::read(&file.path)) {
                assert_eq!(Snap::parse(&snap.write()).unwrap(), snap, "{name}");
                let _ = OldStore::parse(&snap.store);
            }
        }
    });
}
