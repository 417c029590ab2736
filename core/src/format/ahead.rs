//! One reading of a file from front to back, on a thread of its own, beside the work in the order of the tree.
//!
//! The pages of an old database lie in any order, and a disk that is asked for them one by one takes many times as long as for
//! the whole file in order. So one thread reads all of it in order, and takes its SHA-256 on the way; whoever walks the tree
//! waits for each page until that thread is past it, and then finds it in the system's memory.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use aws_lc_rs::digest::{Context as Digest, SHA256};

use super::bolt::Image;
use super::problem::{FileFlaw, Problem, Result};
use super::trailer;

/// How much is read at a time: what stays in the cache of one core is not fetched from memory again to be summed.
const PIECE: usize = 64 << 10;
/// After how many bytes those who wait are told.
const TOLD_EVERY: u64 = 1 << 20;
/// How far the system is asked to read ahead, in bytes.
const AHEAD: u64 = 8 << 20;

/// How far the reading of a file is, and whether it is still wanted. It may be looked at and set from any thread.
#[derive(Debug, Default)]
pub struct Control {
    done: AtomicU64,
    stopped: AtomicBool,
    skip_hash_check: bool,
}

impl Control {
    /// Makes one for a file that is read, if this is set, also where the SHA-256 at its end is not that of its data.
    pub fn new(skip_hash_check: bool) -> Self {
        Control { skip_hash_check, ..Control::default() }
    }

    /// Returns how many bytes from the front of the file have been read.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Says how many bytes from the front of the file have been read.
    pub(super) fn passed(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Ends the reading: it returns with an error soon.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns whether the reading was ended.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// What holds back whoever walks the tree until the page that comes next has been read.
#[derive(Debug, Default)]
pub struct Gate {
    passed: AtomicU64,
    lock: Mutex<()>,
    moved: Condvar,
}

impl Gate {
    /// Waits until everything before an offset has been read.
    pub(super) fn wait(&self, end: u64) {
        if self.passed.load(Ordering::Acquire) >= end {
            return;
        }
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |(): &mut ()| self.passed.load(Ordering::Acquire) < end;
        drop(self.moved.wait_while(guard, behind).unwrap_or_else(PoisonError::into_inner));
    }

    /// Says that everything before an offset has been read.
    pub(super) fn pass(&self, offset: u64) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.passed.store(offset, Ordering::Release);
        drop(guard);
        self.moved.notify_all();
    }
}

/// Opens a gate for good when it goes, also when the thread ends otherwise than it should.
pub(super) struct Opening<'g>(pub(super) &'g Gate);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.pass(u64::MAX);
    }
}

/// Does some work on a file while all of its first `length` bytes are read, and returns their SHA-256 beside the work's result.
///
/// # Errors
/// The file cannot be read, or the reading was stopped; the work has ended then too.
pub fn beside<T>(image: &Image, length: u64, work: impl FnOnce(&Gate) -> T) -> (Result<[u8; 32]>, T) {
    let gate = Gate::default();
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("read-ahead".to_owned());
        let reading = || {
            let _opening = Opening(&gate);
            digest(image, length, |offset| gate.pass(offset))
        };
        match reader.spawn_scoped(scope, reading) {
            Ok(reader) => {
                let worked = work(&gate);
                let lost =
                    || Problem::new(image.place(), FileFlaw::Read(std::io::Error::other("its reader broke off")));
                (reader.join().unwrap_or_else(|_| Err(lost())), worked)
            }
            // Without a second thread it takes longer, and is as true.
            Err(_) => {
                let sum = digest(image, length, |_| ());
                gate.pass(u64::MAX);
                (sum, work(&gate))
            }
        }
    })
}

/// Does some work on a file while the file is read from front to back.
///
/// # Errors
/// As for [`reading_sum`].
pub(super) fn reading<T>(image: &Image, work: impl FnOnce(&Gate) -> Result<T>) -> Result<T> {
    reading_sum(image, work).map(|(_, worked)| worked)
}

/// The same, and returns the file's SHA-256 beside the work's result.
///
/// # Errors
/// Those of the reading, and those of the work; before them, that the SHA-256 at the end of the file is another one, unless the file
/// is to be taken all the same. A file without one has none to be compared.
pub(super) fn reading_sum<T>(image: &Image, work: impl FnOnce(&Gate) -> Result<T>) -> Result<([u8; 32], T)> {
    let (sum, worked) = beside(image, trailer::summed(image), work);
    // Where the reading failed for both, the reason is the same; where the sum is wrong, that is the reason for the rest.
    let sum = sum?;
    match trailer::compare(image, &sum) {
        Err(problem) if !problem.is_harmless() && !image.control().skip_hash_check => return Err(problem),
        _ => {}
    }
    worked.map(|worked| (sum, worked))
}

/// The first bytes of a file in order.
pub(super) struct Front<'i> {
    image: &'i Image,
    length: u64,
    offset: u64,
    asked: u64,
}

impl<'i> Front<'i> {
    pub(super) fn new(image: &'i Image, length: u64) -> Self {
        Front { image, length, offset: 0, asked: 0 }
    }

    /// Returns how many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads as many bytes as the buffer takes, or as are left; none are the end.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let (image, offset) = (self.image, self.offset);
        if image.control().is_stopped() {
            return Err(Problem::new(image.place().at(offset), FileFlaw::Stopped));
        }
        if self.asked < self.length && self.asked < offset.saturating_add(AHEAD) {
            advise(image.front(), self.asked, AHEAD);
            self.asked = self.asked.saturating_add(AHEAD);
        }
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let size = buffer.len().min(left);
        let piece = buffer.get_mut(..size).unwrap_or_default();
        image.read_front(piece, offset)?;
        self.offset = offset.saturating_add(size as u64);
        image.control().passed(self.offset);
        Ok(piece)
    }
}

/// Ends a sum.
pub(super) fn sum_of(digest: Digest) -> [u8; 32] {
    digest.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// Reads the first bytes of a file in order, and returns their SHA-256.
fn digest(image: &Image, length: u64, passed: impl Fn(u64)) -> Result<[u8; 32]> {
    let (mut sum, mut front) = (Digest::new(&SHA256), Front::new(image, length));
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = front.read(&mut buffer)?;
        if piece.is_empty() {
            return Ok(sum_of(sum));
        }
        sum.update(piece);
        if front.offset() % TOLD_EVERY == 0 {
            passed(front.offset());
        }
    }
}

/// Asks the system to read on. That it cannot is no reason to give up.
fn advise(file: &File, offset: u64, length: u64) {
    let _ = rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(length), rustix::fs::Advice::WillNeed);
}
