//! The copy of a file's data, byte by byte. The file is read once: what is summed is what is written.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use aws_lc_rs::digest::{Context as Digest, SHA256};

use super::ahead::{Front, sum_of};
use super::bolt::Image;
use super::problem::{FileFlaw, Place, Problem, Result};
use super::trailer;

/// How much is read, summed and written at a time, in bytes: what stays in the cache of a core.
const PIECE: usize = 256 << 10;
/// After how many bytes the disk begins to write, beside the copy; left alone, the system would begin when all is there.
const FLUSHED_EVERY: u64 = 32 << 20;
/// How much the system copies at once, in bytes, before it is seen whether that is still wanted.
const STRETCH: u64 = 64 << 20;

/// Copies a file's data, and returns the SHA-256 of all that [`trailer::compare`] wants one of. One thread reads, sums and writes:
/// to sum on another one costs more than the sum, since each byte has to go from one core's cache to the other's and back.
///
/// # Errors
/// One of the files fails, or the reading was stopped.
pub fn summed(image: &Image, mut to: &File, path: &Path) -> Result<[u8; 32]> {
    let failed = |error| Problem::new(Place::file(path), FileFlaw::Write(error));
    let data = image.meta().length();
    std::thread::scope(|scope| {
        let (flush, flushing) = sync_channel::<()>(1);
        let flusher = std::thread::Builder::new().name("flush".to_owned());
        // An error is told once, and not again when all of the file is flushed.
        let flusher = flusher.spawn_scoped(scope, move || flushing.iter().try_for_each(|()| to.sync_data()));
        let flusher = flusher.map_err(failed)?;
        let (mut sum, mut front, mut buffer) =
            (Digest::new(&SHA256), Front::new(image, trailer::summed(image)), vec![0; PIECE]);
        loop {
            let start = front.offset();
            let piece = front.read(&mut buffer)?;
            if piece.is_empty() {
                break;
            }
            sum.update(piece);
            // Where the sum does not follow the data, it is not copied.
            let wanted = usize::try_from(data.saturating_sub(start)).unwrap_or(usize::MAX).min(piece.len());
            to.write_all(piece.get(..wanted).unwrap_or_default()).map_err(failed)?;
            if start % FLUSHED_EVERY == 0 {
                // One that is at it goes on with this too.
                let _ = flush.try_send(());
            }
        }
        drop(flush);
        let broken = |_| failed(std::io::Error::other("the thread that flushes it broke off"));
        flusher.join().map_err(broken)?.map_err(failed)?;
        Ok(sum_of(sum))
    })
}

/// Copies a file's data that was read before. The system does that by itself, and shares the data between both files where the file
/// system can.
///
/// # Errors
/// One of the files fails, or the reading was stopped.
pub fn plain(image: &Image, mut to: &File, path: &Path) -> Result<()> {
    let failed = |error| Problem::new(Place::file(path), FileFlaw::Write(error));
    let (mut from, data) = (image.front(), image.meta().length());
    let mut offset = 0;
    while offset < data {
        if image.control().is_stopped() {
            return Err(Problem::new(image.place().at(offset), FileFlaw::Stopped));
        }
        let length = STRETCH.min(data - offset);
        from.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let copied = std::io::copy(&mut std::io::Read::take(&mut from, length), &mut to).map_err(failed)?;
        if copied != length {
            return Err(Problem::new(image.place().at(offset + copied), FileFlaw::Changed));
        }
        offset += length;
    }
    Ok(())
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
        let new = |name: &str| (folder.path().join(name), File::create(folder.path().join(name)).unwrap());
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
