//! All records of a log in a row. Each carries the checksum of all data up to it, so that nothing is taken for true before it.
//!
//! | record | where |
//! | ------ | --- |
//! | checksum | the first of each file: 0, or that of the file before |
//! | metadata | the second, the same in all files |
//! | snapshot of index 0 | the third of the first file |
//! | hard state | the third of each further file |
//! | entries, hard states, snapshots | all others |

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::flaw::Flaw;
use super::frame::{FRAME, Frame, LONGEST, Raw, lacks_a_sector};
use super::item::{Item, Metadata};
use super::segment::{Segment, segments};
use crate::format::problem::{FileFlaw, Place, Problem, Result};

/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// A log, read from its first record to its last.
#[derive(Debug)]
pub struct Log {
    segments: Vec<Segment>,
    next: usize,
    open: Option<Open>,
    /// The sum that the next record goes on with; it is not known where the first files are gone.
    crc: Option<u32>,
    metadata: Option<Metadata>,
    record: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: BufReader<File>,
    /// How many records of it were read.
    records: u64,
    offset: u64,
    length: u64,
}

/// A record of a log, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'r> {
    /// The number of its file among the [`Log::segments`].
    pub segment: usize,
    /// Where its frame begins, in bytes.
    pub offset: u64,
    /// How many bytes it takes with its frame.
    pub length: u64,
    /// What it says.
    pub item: Item<'r>,
}

impl Log {
    /// Opens the log in a folder.
    ///
    /// # Errors
    /// There is none, or a file of it is missing.
    pub fn open(folder: &Path) -> Result<Self> {
        let segments = segments(folder)?;
        // The very first file begins with a sum of nothing.
        let crc = segments.first().filter(|first| first.sequence == 0).map(|_| 0);
        Ok(Log { segments, next: 0, open: None, crc, metadata: None, record: Vec::new() })
    }

    /// Returns the files of the log, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the next record, or `None` behind the last one.
    ///
    /// # Errors
    /// The log is damaged; it cannot be read on after that.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        let found = match self.advance() {
            Ok(found) => found,
            Err(problem) => {
                (self.open, self.next) = (None, self.segments.len());
                return Err(problem);
            }
        };
        let Some((segment, offset, length)) = found else { return Ok(None) };
        let read = Raw::read(&self.record).and_then(Item::read);
        let item = read.map_err(|flaw| Problem::new(place(&self.segments, segment, offset), flaw))?;
        Ok(Some(Record { segment, offset, length, item }))
    }

    /// Reads the next frame with a record that its checksum holds for.
    fn advance(&mut self) -> Result<Option<(usize, u64, u64)>> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(segment) = self.segments.get(self.next) else { return Ok(None) };
                self.open = Some(Open::new(segment)?);
                self.next += 1;
                continue;
            };
            let (segment, offset) = (self.next.saturating_sub(1), open.offset);
            let is_last = self.next == self.segments.len();
            let problem = |flaw: Flaw| Problem::new(place(&self.segments, segment, offset), flaw);
            let failed = |source| Problem::new(place(&self.segments, segment, offset), FileFlaw::Read(source));
            let rest = open.length.saturating_sub(offset);
            if (1..FRAME as u64).contains(&rest) {
                return Err(problem(if is_last {
                    Flaw::Torn
                } else {
                    Flaw::Length { length: FRAME as u64, left: rest }
                }));
            }
            let Some(frame) = open.frame().map_err(failed)? else {
                // etcd gives a file its name when its head is written; it starts without the last one's, where there are others.
                if offset == 0 {
                    return Err(problem(if is_last && segment > 0 { Flaw::Torn } else { Flaw::Headless }));
                }
                self.open = None;
                continue;
            };
            let left = rest.saturating_sub(FRAME as u64);
            let length = frame.length.saturating_add(frame.padding);
            if length > left {
                let is_cut = is_last && length <= LONGEST;
                return Err(problem(if is_cut { Flaw::Torn } else { Flaw::Length { length, left } }));
            }
            if length > LONGEST {
                return Err(problem(Flaw::TooLong { length, most: LONGEST }));
            }
            open.take(&mut self.record, frame).map_err(failed)?;
            if let Err(flaw) = check(&self.record, open.records, &mut self.crc, &mut self.metadata) {
                let torn = is_last && lacks_a_sector(&self.record, offset.saturating_add(FRAME as u64));
                return Err(problem(if torn { Flaw::Torn } else { flaw }));
            }
            open.records += 1;
            return Ok(Some((segment, offset, length.saturating_add(FRAME as u64))));
        }
    }
}

impl Open {
    fn new(segment: &Segment) -> Result<Self> {
        let failed = |source| Problem::new(Place::file(&segment.path), FileFlaw::Read(source));
        if !std::fs::metadata(&segment.path).map_err(failed)?.is_file() {
            return Err(Problem::new(Place::file(&segment.path), FileFlaw::NotAFile));
        }
        let file = File::open(&segment.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Open { file: BufReader::with_capacity(PIECE, file), records: 0, offset: 0, length })
    }

    /// Reads a frame; `None` is the end of the data, be it zeros or the end of the file.
    fn frame(&mut self) -> std::io::Result<Option<Frame>> {
        let mut bytes = [0; FRAME];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(Frame::read(bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, record: &mut Vec<u8>, frame: Frame) -> std::io::Result<()> {
        let size = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        record.resize(size(frame.length), 0);
        self.file.read_exact(record)?;
        let mut padding = [0; FRAME];
        self.file.read_exact(padding.get_mut(..size(frame.padding)).unwrap_or_default())?;
        self.offset += FRAME as u64 + frame.length + frame.padding;
        Ok(())
    }
}

/// Checks that a record goes on with the chain of checksums, and that it belongs to the same member as those before; `before` is
/// the number of records in front of it in its file. A record's kind is covered by no checksum.
fn check(record: &[u8], before: u64, crc: &mut Option<u32>, metadata: &mut Option<Metadata>) -> Result<(), Flaw> {
    let raw = Raw::read(record)?;
    let item = Item::read(raw);
    let found = crc.map(|crc| crc32c::crc32c_append(crc, raw.data));
    match (before, &item) {
        (0, Ok(Item::Checksum(_))) | (1, Ok(Item::Metadata(_)) | Err(_)) | (2.., _) => {}
        _ => return Err(Flaw::Headless),
    }
    if let Some(found) = found.filter(|found| *found != raw.crc) {
        return Err(Flaw::Checksum { expected: raw.crc, found });
    }
    *crc = Some(raw.crc);
    match item? {
        Item::Metadata(found) if metadata.is_some_and(|known| known != found) => Err(Flaw::OtherMember),
        Item::Metadata(found) => {
            *metadata = Some(found);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn place(segments: &[Segment], segment: usize, offset: u64) -> Place {
    segments.get(segment).map(|segment| Place::file(&segment.path)).unwrap_or_default().at(offset)
}
