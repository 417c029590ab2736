//! The walk through one tree, from the lowest key to the highest. It holds the branches above the page where it is, never calls
//! itself, and counts each page once, so that it ends with any file. After an error it can be asked on: whatever was wrong is
//! left out, and it goes on behind that.

use std::ops::Range;

use super::bits::Pages;
use super::bucket::{BUCKET_HEADER, Bucket, Root};
use super::flaw::Flaw;
use super::image::Image;
use super::page::{BRANCH, BranchElement, Header, LEAF, LeafElement, Room};
use super::survey::Shape;
use super::window::{LARGEST_PAGE, Window};
use crate::format::ahead::Gate;
use crate::format::problem::{FileFlaw, Place, Problem, Result};

/// The deepest tree that is followed. A tree of 2^28 pages has six levels with the fewest children that bolt leaves a page.
pub(super) const MOST_LEVELS: usize = 32;
/// The most that a branch may take; bolt splits one that is longer than a page and has more than four of its keys.
const LARGEST_BRANCH: u64 = 1 << 20;

/// An element of a leaf.
#[derive(Debug, Clone, Copy)]
pub struct Row<'r> {
    /// Its key.
    pub key: &'r [u8],
    /// Its value.
    pub value: &'r [u8],
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// The page that it lies in, or 0 in a bucket without pages of its own.
    pub page: u64,
    /// Its number in that page.
    pub element: u16,
    /// Where its value begins in the file, in bytes.
    pub offset: u64,
}

/// A walk through a tree.
pub struct Walk<'w> {
    image: &'w Image,
    gate: Option<&'w Gate>,
    seen: &'w mut Pages,
    bucket: Option<Box<[u8]>>,
    inline: Option<Box<[u8]>>,
    inline_at: u64,
    root: Option<u64>,
    levels: Vec<Level>,
    bounds: Bounds,
    leaf: Option<Leaf>,
    leaf_depth: Option<usize>,
    leaves: Window,
    branches: Window,
    shape: Shape,
}

/// A branch above the page where the walk is.
struct Level {
    page: u64,
    bytes: Vec<u8>,
    count: u16,
    next: u16,
    room: Room,
    upper: Option<Box<[u8]>>,
}

/// The leaf where the walk is.
struct Leaf {
    page: u64,
    span: Range<usize>,
    count: u16,
    next: u16,
    room: Room,
    last: Option<Range<usize>>,
}

/// Which keys belong below the element of a branch that was followed last.
#[derive(Default)]
struct Bounds {
    lower: Vec<u8>,
    upper: Option<Box<[u8]>>,
}

impl<'w> Walk<'w> {
    /// Starts a walk through a bucket. Its pages are put into `seen`, and one that is in there already is damage.
    pub fn new(image: &'w Image, bucket: &Bucket, seen: &'w mut Pages, gate: Option<&'w Gate>) -> Self {
        let mut walk = Self::of_root(image, seen, gate);
        walk.bucket = Some(bucket.name.clone());
        walk.root = None;
        match &bucket.root {
            Root::Page(page) => walk.root = Some(*page),
            Root::Inline(bytes) => {
                let count = Header::read(bytes).map_or(0, |header| header.count);
                let room = Room::of(bytes, count);
                walk.leaf = Some(Leaf { page: 0, span: 0..bytes.len(), count, next: 0, room, last: None });
                walk.inline = Some(bytes.clone());
                walk.inline_at = bucket.at.saturating_add(BUCKET_HEADER as u64);
                walk.shape.depth = 1;
            }
        }
        walk
    }

    /// Starts a walk through the tree whose rows are the buckets.
    pub(super) fn of_root(image: &'w Image, seen: &'w mut Pages, gate: Option<&'w Gate>) -> Self {
        Walk {
            image,
            gate,
            seen,
            bucket: None,
            inline: None,
            inline_at: 0,
            root: Some(image.meta().root),
            levels: Vec::new(),
            bounds: Bounds::default(),
            leaf: None,
            leaf_depth: None,
            leaves: Window::default(),
            branches: Window::default(),
            shape: Shape::default(),
        }
    }

    /// Returns the next row, or `None` behind the last one.
    ///
    /// # Errors
    /// A page or an element is damaged. Asked again, the walk goes on behind it.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        let Some((page, element, found)) = self.advance()? else { return Ok(None) };
        let span = self.span();
        let key = span.get(found.key).unwrap_or_default();
        let value = span.get(found.value.clone()).unwrap_or_default();
        let start = if page == 0 { self.inline_at } else { page * u64::from(self.image.meta().page_size) };
        let offset = start.saturating_add(found.value.start as u64);
        Ok(Some(Row { key, value, is_bucket: found.is_bucket, page, element, offset }))
    }

    /// Returns what the walk has seen of the tree so far.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn advance(&mut self) -> Result<Option<(u64, u16, LeafElement)>> {
        loop {
            match &mut self.leaf {
                Some(leaf) if leaf.next < leaf.count => {
                    let (page, element) = (leaf.page, leaf.next);
                    leaf.next += 1;
                    let found = self.element(element).map_err(|flaw| self.problem(page, Some(element), flaw))?;
                    let bytes = found.value.end - found.key.start;
                    if let Some(leaf) = &mut self.leaf {
                        let taken = leaf.room.take(bytes);
                        leaf.last = Some(found.key.clone());
                        taken.map_err(|flaw| self.problem(page, Some(element), flaw))?;
                    }
                    self.shape.rows += 1;
                    self.shape.bytes += bytes as u64;
                    return Ok(Some((page, element, found)));
                }
                _ => self.leaf = None,
            }
            if let Some(root) = self.root.take() {
                self.load(root, None)?;
            } else if let Some(level) = self.levels.last_mut() {
                if level.next < level.count {
                    let (page, element) = (level.page, level.next);
                    level.next += 1;
                    let child = self.child(element).map_err(|flaw| self.problem(page, Some(element), flaw))?;
                    self.load(child, Some((page, element)))?;
                } else {
                    self.levels.pop();
                }
            } else {
                return Ok(None);
            }
        }
    }

    /// Returns the bytes of the leaf where the walk is.
    fn span(&self) -> &[u8] {
        let bytes = self.inline.as_deref().unwrap_or_else(|| self.leaves.bytes());
        self.leaf.as_ref().and_then(|leaf| bytes.get(leaf.span.clone())).unwrap_or_default()
    }

    /// Reads an element of the leaf, and checks that its key is in order.
    fn element(&self, index: u16) -> Result<LeafElement, Flaw> {
        let span = self.span();
        let element = LeafElement::read(span, index)?;
        let key = span.get(element.key.clone()).unwrap_or_default();
        let leaf = self.leaf.as_ref();
        match leaf.and_then(|leaf| leaf.last.clone()).and_then(|last| span.get(last)) {
            Some(last) if key <= last => return Err(Flaw::Order),
            None if key < self.bounds.lower.as_slice() => return Err(Flaw::BelowBranch),
            _ => {}
        }
        // In a page that is in order, the last key speaks for all.
        let is_last = leaf.is_some_and(|leaf| leaf.next == leaf.count);
        match &self.bounds.upper {
            Some(upper) if is_last && key >= &**upper => Err(Flaw::AboveBranch),
            _ => Ok(element),
        }
    }

    /// Reads an element of the lowest branch, checks that its key is in order, and sets the bounds for the page below it.
    fn child(&mut self, index: u16) -> Result<u64, Flaw> {
        let Some(level) = self.levels.last_mut() else { return Err(Flaw::EmptyBranch) };
        let element = BranchElement::read(&level.bytes, index)?;
        level.room.take(element.key.len())?;
        let key_of = |element: &BranchElement| level.bytes.get(element.key.clone()).unwrap_or_default();
        let key = key_of(&element);
        let before = index.checked_sub(1).map(|before| BranchElement::read(&level.bytes, before));
        if before.and_then(Result::ok).is_some_and(|before| key <= key_of(&before)) {
            return Err(Flaw::Order);
        }
        if level.upper.as_deref().is_some_and(|upper| key >= upper) {
            return Err(Flaw::AboveBranch);
        }
        let after = index.checked_add(1).filter(|after| *after < level.count);
        let after = after.and_then(|after| BranchElement::read(&level.bytes, after).ok());
        let upper = after.as_ref().map(|after| key_of(after).into()).or_else(|| level.upper.clone());
        self.bounds.lower.clear();
        self.bounds.lower.extend_from_slice(key);
        self.bounds.upper = upper;
        Ok(element.child)
    }

    /// Goes down into a page. The page that leads there is named where it leads nowhere.
    fn load(&mut self, page: u64, from: Option<(u64, u16)>) -> Result<()> {
        let end = self.image.meta().pages;
        if !(2..end).contains(&page) {
            let place = from.map_or_else(|| self.place(0, None), |(page, element)| self.place(page, Some(element)));
            return Err(Problem::new(place, Flaw::OutOfRange { page, end }));
        }
        if self.image.control().is_stopped() {
            return Err(Problem::new(self.place(page, None), FileFlaw::Stopped));
        }
        let depth = self.levels.len() + 1;
        if depth > MOST_LEVELS {
            return Err(self.problem(page, None, Flaw::TooDeep(MOST_LEVELS)));
        }
        if !self.seen.insert(page) {
            return Err(self.problem(page, None, Flaw::Twice));
        }
        let size = u64::from(self.image.meta().page_size);
        let offset = page * size;
        let is_leaf = self.leaf_depth == Some(depth);
        let header = self.read(is_leaf, offset, size, Header::read)?;
        let Some(header) = header else { return Err(self.problem(page, None, Flaw::TooManyElements { count: 0 })) };
        let bytes = self.whole(page, header).map_err(|flaw| self.problem(page, None, flaw))? * size;
        self.shape.depth = self.shape.depth.max(depth);
        if header.flags == LEAF {
            let gate = self.gate.filter(|_| is_leaf);
            let span = self.leaves.load(self.image, gate, offset, bytes)?;
            self.leaf_depth = Some(depth);
            self.shape.leaf_pages += 1;
            let room = Room::of(self.leaves.bytes().get(span.clone()).unwrap_or_default(), header.count);
            self.leaf = Some(Leaf { page, span, count: header.count, next: 0, room, last: None });
        } else {
            let bytes = self.read(is_leaf, offset, bytes, <[u8]>::to_vec)?;
            self.shape.branch_pages += 1;
            let first = BranchElement::read(&bytes, 0).ok().and_then(|first| bytes.get(first.key));
            if first.is_some_and(|first| first < self.bounds.lower.as_slice()) {
                return Err(self.problem(page, Some(0), Flaw::BelowBranch));
            }
            let (room, upper) = (Room::of(&bytes, header.count), self.bounds.upper.clone());
            self.levels.push(Level { page, bytes, count: header.count, next: 0, room, upper });
        }
        Ok(())
    }

    /// Checks a page's header, and returns how many pages belong to it.
    fn whole(&mut self, page: u64, header: Header) -> Result<u64, Flaw> {
        let pages = extent(self.image, page, header)?;
        for more in page + 1..page + pages {
            if !self.seen.insert(more) {
                return Err(Flaw::Twice);
            }
        }
        self.shape.overflow_pages += u64::from(header.overflow);
        Ok(pages)
    }

    fn read<T>(&mut self, is_leaf: bool, offset: u64, length: u64, read: impl Fn(&[u8]) -> T) -> Result<T> {
        let (window, gate) = if is_leaf { (&mut self.leaves, self.gate) } else { (&mut self.branches, None) };
        let range = window.load(self.image, gate, offset, length)?;
        Ok(read(window.bytes().get(range).unwrap_or_default()))
    }

    fn place(&self, page: u64, element: Option<u16>) -> Place {
        let mut place = if page == 0 { self.image.place() } else { self.image.page_place(page) };
        place.element = element.map(u32::from);
        match &self.bucket {
            Some(bucket) => place.in_bucket(bucket),
            None => place,
        }
    }

    fn problem(&self, page: u64, element: Option<u16>, flaw: Flaw) -> Problem {
        Problem::new(self.place(page, element), flaw)
    }
}

/// Checks a page's header, and returns how many pages it says that belong to it.
pub(super) fn extent(image: &Image, page: u64, header: Header) -> Result<u64, Flaw> {
    if header.id != page {
        return Err(Flaw::WrongId { found: header.id });
    }
    let most = match header.flags {
        LEAF => LARGEST_PAGE,
        BRANCH if header.count == 0 => return Err(Flaw::EmptyBranch),
        BRANCH => LARGEST_BRANCH,
        found => return Err(Flaw::WrongKind { found }),
    };
    let (last, end) = (page + u64::from(header.overflow), image.meta().pages);
    if last >= end {
        return Err(Flaw::PastEnd { last, end });
    }
    let pages = u64::from(header.overflow) + 1;
    let bytes = pages * u64::from(image.meta().page_size);
    if bytes > most {
        return Err(Flaw::TooLarge { bytes, most });
    }
    header.fits(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    Ok(pages)
}
