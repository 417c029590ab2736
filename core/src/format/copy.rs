//! The copy of a file's data, byte by byte.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use aws_lc_rs::digest::{Context as Digest, SHA256};

use super::ahead::{Gate, Opening, sum_of};
use super::bolt::Image;
use super::problem::{FileFlaw, Place, Problem, Result};
use super::trailer;

/// How much is summed at a time, in bytes: what stays in the cache of a core.
const PIECE: usize = 256 << 10;
/// How much the system copies at once, in bytes, before it is seen whether that is still wanted.
const STRETCH: u64 = 4 << 20;
/// After how many bytes the disk begins to write, beside the copy; left alone, the system would begin when all is there.
const FLUSHED_EVERY: u64 = 32 << 20;

/// Copies a file's data, and returns the SHA-256 of all that [`trailer::compare`] wants one of. The system copies them, and beside
/// that the sum is taken out of the new file, so that what is summed is what was written.
///
/// # Errors
/// One of the files fails, or the reading was stopped.
pub fn summed(image: &Image, to: &File, path: &Path) -> Result<[u8; 32]> {
    let failed = |error| Problem::new(Place::file(path), FileFlaw::Write(error));
    let gate = Gate::default();
    std::thread::scope(|scope| {
        let copier = std::thread::Builder::new().name("copy".to_owned());
        let copying = || {
            let _opening = Opening(&gate);
            copied(image, to, path, &|offset| gate.pass(offset))
        };
        let copier = copier.spawn_scoped(scope, copying).map_err(failed)?;
        let sum = sum(image, to, path, &gate);
        let broken = |_| Err(failed(std::io::Error::other("the thread that copies it broke off")));
        // What failed first is the reason for the other.
        copier.join().unwrap_or_else(broken)?;
        sum
    })
}

/// Takes the SHA-256 of a copy while it is made, and of what follows in the file that it is made of.
fn sum(image: &Image, copy: &File, path: &Path, gate: &Gate) -> Result<[u8; 32]> {
    let (data, end) = (image.meta().length(), trailer::summed(image));
    let (mut sum, mut buffer, mut offset) = (Digest::new(&SHA256), vec![0; PIECE], 0);
    while offset < end {
        if image.control().is_stopped() {
            return Err(Problem::new(image.place().at(offset), FileFlaw::Stopped));
        }
        let copied = offset < data;
        let left = if copied { data.min(end) - offset } else { end - offset };
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..size).unwrap_or_default();
        let next = offset + size as u64;
        if copied {
            gate.wait(next);
            copy.read_exact_at(piece, offset)
                .map_err(|error| Problem::new(Place::file(path), FileFlaw::Read(error)))?;
        } else {
            image.read_front(piece, offset)?;
        }
        sum.update(piece);
        image.control().passed(next);
        offset = next;
    }
    Ok(sum_of(sum))
}

/// Copies a file's data that was read before. The system does that by itself, and shares the data between both files where the file
/// system can.
///
/// # Errors
/// One of the files fails, or the reading was stopped.
pub fn plain(image: &Image, to: &File, path: &Path) -> Result<()> {
    copied(image, to, path, &|_| ())
}

fn copied(image: &Image, mut to: &File, path: &Path, passed: &dyn Fn(u64)) -> Result<()> {
    let failed = |error| Problem::new(Place::file(path), FileFlaw::Write(error));
    let (mut from, data) = (image.front(), image.meta().length());
    std::thread::scope(|scope| {
        let (flush, flushing) = sync_channel::<()>(1);
        let flusher = std::thread::Builder::new().name("flush".to_owned());
        // An error is told once, and not again when all of the file is flushed.
        let flusher = flusher.spawn_scoped(scope, move || flushing.iter().try_for_each(|()| to.sync_data()));
        let flusher = flusher.map_err(failed)?;
        from.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut offset = 0;
        while offset < data {
            if image.control().is_stopped() {
                return Err(Problem::new(image.place().at(offset), FileFlaw::Stopped));
            }
            let length = STRETCH.min(data - offset);
            let copied = std::io::copy(&mut from.take(length), &mut to).map_err(failed)?;
            offset += copied;
            if copied != length {
                return Err(Problem::new(image.place().at(offset), FileFlaw::Changed));
            }
            passed(offset);
            if offset % FLUSHED_EVERY == 0 {
                // One that is at it goes on with this too.
                let _ = flush.try_send(());
            }
        }
        drop(flush);
        let broken = |_| failed(std::io::Error::other("the thread that flushes it broke off"));
        flusher.join().map_err(broken)?.map_err(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;
    use crate::format::bolt::fixture;
    use crate::format::bolt::tests::on_disk;

    #[test]
    fn the_data_is_copied_and_its_sum_is_not() {
        let rows = (0..50_000_u32).map(|n| (n.to_be_bytes().to_vec(), vec![n.to_le_bytes()[0]; 100])).collect();
        let data = fixture::file(&[("key", rows)]);
        assert!(data.len() > 5 * PIECE);
        let source = on_disk(&fixture::snapshot(data.clone()));
        let image = Image::open(&source.path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            let path = folder.path().join(name);
            let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            (path, file)
        };
        let ((summed_path, to), (plain_path, plain_to)) = (new("summed"), new("plain"));
        let sum = summed(&image, &to, &summed_path).unwrap();
        assert!(trailer::compare(&image, &sum).is_ok());
        plain(&image, &plain_to, &plain_path).unwrap();
        assert!(std::fs::read(&summed_path).unwrap() == data && std::fs::read(&plain_path).unwrap() == data);
        assert_eq!(image.control().done(), data.len() as u64);
        image.control().stop();
        let stopped = [summed(&image, &to, &summed_path).map(|_| ()), plain(&image, &to, &plain_path)];
        assert!(stopped.iter().all(|ended| ended.as_ref().is_err_and(|problem| problem.code() == "interrupted")));
        // A file that is open for reading only stands for a disk that is full.
        let closed = File::open(&plain_path).unwrap();
        let image = Image::open(&source.path).unwrap();
        assert_eq!(summed(&image, &closed, &plain_path).unwrap_err().code(), "file_failed");
        let refused = plain(&image, &closed, Path::new("new")).unwrap_err();
        insta::assert_snapshot!(crate::tests::shown([refused.into()]), @r"
        file_failed: new: it cannot be written
          because: Bad file descriptor (os error 9)
          help: nothing was left of it; make room or choose another disk, and try again
        ");
    }
}
