//! The copy of a database that is the old file page by page, with what is different appended to it. Nothing has to be accounted
//! for: etcd keeps no list of free pages, so that what is not reached from the new root is free.
//!
//! | pages | |
//! | ----- | --- |
//! | 0, 1 | meta pages, written last |
//! | 2 up to the old end | as they were |
//! | from there on | leaves of the buckets that are replaced, where they do not fit their entries |
//! | | of the bucket with a row more: its last leaf, or one with that row alone, and each branch above it |
//! | | the root, whose rows are the buckets |

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::Path;

use super::bucket::{Bucket, Root};
use super::changes::{Appended, Changes, bucket_of};
use super::draft::Draft;
use super::flaw::Flaw;
use super::image::Image;
use super::out::Out;
use super::page::{BRANCH, BranchElement, Header, LeafElement, Room};
use super::tree::{Child, Tree, branch, last_branches};
use super::walk::{MOST_LEVELS, extent};
use crate::format::problem::{Problem, Result};

/// Appends what is different to a file that has all pages of another one already, and puts the new root into its meta pages.
///
/// # Errors
/// It cannot be written, or there is damage to the file that it was copied from.
pub fn patch<W: Write + Seek>(image: &Image, changes: &Changes, to: W, path: &Path) -> Result<W> {
    let mut out = Out::behind(to, path, image.meta().page_size, image.meta().pages)?;
    let buckets = image.buckets()?;
    let mut entries: BTreeMap<&[u8], Vec<u8>> =
        buckets.iter().map(|bucket| (&*bucket.name, bucket.root.entry())).collect();
    for (name, rows) in &changes.buckets {
        entries.insert(name, bucket_of(rows, &mut out)?.entry());
    }
    if let Some(row) = &changes.appended {
        let bucket = buckets.iter().find(|bucket| *bucket.name == *row.bucket);
        let root = match (changes.buckets.get(&row.bucket), bucket) {
            (None, Some(bucket)) => Edge::of(image, bucket)?.append(image, row, &mut out)?,
            (rows, _) => {
                let mut rows = rows.cloned().unwrap_or_default();
                rows.insert(row.key.clone(), row.value.clone());
                bucket_of(&rows, &mut out)?
            }
        };
        entries.insert(&row.bucket, root.entry());
    }
    let mut root = Tree::new();
    for (name, entry) in entries {
        root.push(&mut out, name, &entry, true)?;
    }
    let root = root.finish_pages(&mut out)?;
    out.finish(root, image.meta().transaction)
}

/// The pages with the highest keys of a bucket, from its root to its last leaf.
#[derive(Debug)]
pub struct Edge {
    branches: Vec<Vec<Child>>,
    leaf: Vec<u8>,
    header: Header,
    /// The page of the leaf; a bucket that lies in its entry has none.
    page: Option<u64>,
}

impl Edge {
    /// Reads them.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn of(image: &Image, bucket: &Bucket) -> Result<Self> {
        let mut page = match &bucket.root {
            Root::Page(page) => *page,
            Root::Inline(bytes) => {
                let header = Header::read(bytes).ok_or(Flaw::BucketEntry("its page is too short"));
                let header = header.map_err(|flaw| Problem::new(image.place().in_bucket(&bucket.name), flaw))?;
                return Ok(Edge { branches: Vec::new(), leaf: bytes.to_vec(), header, page: None });
            }
        };
        let mut branches = Vec::new();
        loop {
            let wrong = |flaw| Problem::new(image.page_place(page).in_bucket(&bucket.name), flaw);
            let (header, bytes) = read_page(image, page, &wrong)?;
            if header.flags != BRANCH {
                return Ok(Edge { branches, leaf: bytes, header, page: Some(page) });
            }
            if branches.len() == MOST_LEVELS {
                return Err(wrong(Flaw::TooDeep(MOST_LEVELS)));
            }
            let children = children(&bytes, header).map_err(wrong)?;
            page = children.last().map(|(_, child)| *child).ok_or_else(|| wrong(Flaw::EmptyBranch))?;
            branches.push(children);
        }
    }

    /// Returns the highest key; an empty bucket has none.
    ///
    /// # Errors
    /// The last row is damaged.
    pub fn last_key(&self, image: &Image) -> Result<Option<&[u8]>> {
        let Some(last) = self.header.count.checked_sub(1) else { return Ok(None) };
        let element = LeafElement::read(&self.leaf, last).map_err(|flaw| self.wrong(image, flaw))?;
        Ok(self.leaf.get(element.key))
    }

    /// Writes them anew with a row more, and returns the bucket's new root.
    fn append<W: Write + Seek>(self, image: &Image, row: &Appended, out: &mut Out<W>) -> Result<Root> {
        let mut draft = Draft::leaf();
        // A leaf that goes on in other pages is large, and is left as it is.
        let goes_on = self.header.overflow > 0;
        if !goes_on {
            self.copy_leaf(image, &mut draft, out)?;
        }
        let old = self.page.filter(|_| goes_on || !draft.has_room(row.key.len() + row.value.len(), out.page_size()));
        if old.is_some() {
            draft.clear();
        }
        draft.put(&row.key, &row.value, false).map_err(|error| out.failed(error))?;
        if self.page.is_none() && draft.len() <= out.inline() {
            return draft.inline().map(Root::Inline).map_err(|error| out.failed(error));
        }
        let new = (draft.first_key().into(), out.append(&draft)?);
        let old = old.map(|page| (self.first_key(), page));
        let mut below: Vec<Child> = old.into_iter().chain([new]).collect();
        for mut children in self.branches.into_iter().rev() {
            let mut below_it = below.into_iter();
            if let (Some(last), Some((_, page))) = (children.last_mut(), below_it.next()) {
                last.1 = page;
            }
            children.extend(below_it);
            let most = out.page_size();
            below = last_branches(out, children, most)?;
        }
        match below.as_slice() {
            [(_, root)] => Ok(Root::Page(*root)),
            _ => branch(out, &below).map(|(_, root)| Root::Page(root)),
        }
    }

    fn copy_leaf<W: Write + Seek>(&self, image: &Image, draft: &mut Draft, out: &Out<W>) -> Result<()> {
        let mut room = Room::of(&self.leaf, self.header.count);
        for index in 0..self.header.count {
            let row = LeafElement::read(&self.leaf, index).map_err(|flaw| self.wrong(image, flaw))?;
            room.take(row.value.end - row.key.start).map_err(|flaw| self.wrong(image, flaw))?;
            let bytes = |range| self.leaf.get(range).unwrap_or_default();
            draft.put(bytes(row.key), bytes(row.value), row.is_bucket).map_err(|error| out.failed(error))?;
        }
        Ok(())
    }

    fn first_key(&self) -> Box<[u8]> {
        let first = LeafElement::read(&self.leaf, 0).ok();
        first.and_then(|first| self.leaf.get(first.key)).unwrap_or_default().into()
    }

    fn wrong(&self, image: &Image, flaw: Flaw) -> Problem {
        Problem::new(self.page.map_or_else(|| image.place(), |page| image.page_place(page)), flaw)
    }
}

fn read_page(image: &Image, page: u64, wrong: &impl Fn(Flaw) -> Problem) -> Result<(Header, Vec<u8>)> {
    let end = image.meta().pages;
    if !(2..end).contains(&page) {
        return Err(wrong(Flaw::OutOfRange { page, end }));
    }
    let size = u64::from(image.meta().page_size);
    let read = |bytes: u64| -> Result<Vec<u8>> {
        let mut page_bytes = vec![0; usize::try_from(bytes).unwrap_or(0)];
        image.read_at(&mut page_bytes, page * size).map(|()| page_bytes)
    };
    let first = read(size)?;
    let header = Header::read(&first).ok_or_else(|| wrong(Flaw::TooManyElements { count: 0 }))?;
    let pages = extent(image, page, header).map_err(wrong)?;
    Ok((header, if pages == 1 { first } else { read(pages * size)? }))
}

fn children(bytes: &[u8], header: Header) -> std::result::Result<Vec<Child>, Flaw> {
    let mut room = Room::of(bytes, header.count);
    let mut child = |index| {
        let element = BranchElement::read(bytes, index)?;
        room.take(element.key.len())?;
        Ok((bytes.get(element.key).unwrap_or_default().into(), element.child))
    };
    (0..header.count).map(&mut child).collect()
}
