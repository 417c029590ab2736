//! A tree that is being written, from the lowest key to the highest: each page as soon as it is full, and of those above it the
//! keys and numbers of the children alone, so that memory is bounded whatever the number of rows.

use std::io::{Seek, Write};

use super::bucket::Root;
use super::draft::Draft;
use super::out::Out;
use super::page::{ELEMENT, HEADER};
use crate::format::problem::Result;

/// The fewest children of a branch, as bolt has it.
const FEWEST_CHILDREN: usize = 2;

/// A page below a branch: its first key and its number.
pub(super) type Child = (Box<[u8]>, u64);

/// A tree that is being written.
#[derive(Debug)]
pub(super) struct Tree {
    leaf: Draft,
    levels: Vec<Level>,
}

/// The children of a branch that is not written yet.
#[derive(Debug, Default)]
struct Level {
    children: Vec<Child>,
    size: usize,
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree { leaf: Draft::leaf(), levels: Vec::new() }
    }

    /// Puts a row behind all others.
    pub(super) fn push<W: Write + Seek>(
        &mut self,
        out: &mut Out<W>,
        key: &[u8],
        value: &[u8],
        is_bucket: bool,
    ) -> Result<()> {
        if !self.leaf.is_empty() && !self.leaf.has_room(key.len().saturating_add(value.len()), out.fill()) {
            self.leaf_ends(out)?;
        }
        self.leaf.put(key, value, is_bucket).map_err(|error| out.failed(error))
    }

    /// Ends a bucket: a small one lies in its entry.
    pub(super) fn finish<W: Write + Seek>(self, out: &mut Out<W>) -> Result<Root> {
        if self.levels.is_empty() && self.leaf.len() <= out.inline() {
            return self.leaf.inline().map(Root::Inline).map_err(|error| out.failed(error));
        }
        self.finish_pages(out).map(Root::Page)
    }

    /// Ends a tree, and returns its root page.
    pub(super) fn finish_pages<W: Write + Seek>(mut self, out: &mut Out<W>) -> Result<u64> {
        self.leaf_ends(out)?;
        let mut depth = 0;
        while let Some(level) = self.levels.get_mut(depth) {
            let children = std::mem::take(&mut level.children);
            let is_top = depth + 1 == self.levels.len();
            if let ([(_, root)], true) = (children.as_slice(), is_top) {
                return Ok(*root);
            }
            depth += 1;
            let most = out.fill();
            for branch in last_branches(out, children, most)? {
                self.child(out, depth, branch)?;
            }
        }
        Ok(0)
    }

    fn leaf_ends<W: Write + Seek>(&mut self, out: &mut Out<W>) -> Result<()> {
        let id = out.append(&self.leaf)?;
        let key = self.leaf.first_key().into();
        self.leaf.clear();
        self.child(out, 0, (key, id))
    }

    /// Takes a page, and writes the branches that are full with it.
    fn child<W: Write + Seek>(&mut self, out: &mut Out<W>, depth: usize, child: Child) -> Result<()> {
        if depth == self.levels.len() {
            self.levels.push(Level::default());
        }
        let Some(level) = self.levels.get_mut(depth) else { return Ok(()) };
        level.size += ELEMENT + child.0.len();
        level.children.push(child);
        let Some(full) = level.take_full(out.fill()) else { return Ok(()) };
        let branch = branch(out, &full)?;
        self.child(out, depth + 1, branch)
    }
}

impl Level {
    /// Takes the children of a full page, when there are enough for another one behind it.
    fn take_full(&mut self, fill: usize) -> Option<Vec<Child>> {
        if self.size.saturating_add(HEADER) <= fill {
            return None;
        }
        let mut size = HEADER;
        let fits = |(key, _): &&Child| {
            size += ELEMENT + key.len();
            size <= fill
        };
        let count = self.children.iter().take_while(fits).count().max(FEWEST_CHILDREN);
        if self.children.len() < count + FEWEST_CHILDREN {
            return None;
        }
        let full: Vec<Child> = self.children.drain(..count).collect();
        self.size -= full.iter().map(|(key, _)| ELEMENT + key.len()).sum::<usize>();
        Some(full)
    }
}

/// Appends the branches of all children that are left: one, or two where one would be longer than `most`. That is enough where
/// at most one child is more than a page has room for.
pub(super) fn last_branches<W: Write + Seek>(
    out: &mut Out<W>,
    mut children: Vec<Child>,
    most: usize,
) -> Result<Vec<Child>> {
    let length = HEADER + children.iter().map(|(key, _)| ELEMENT + key.len()).sum::<usize>();
    let split = length > most && children.len() >= 2 * FEWEST_CHILDREN;
    let last = if split { children.split_off(children.len() - FEWEST_CHILDREN) } else { Vec::new() };
    let branches = [children, last].into_iter().filter(|children| !children.is_empty());
    branches.map(|children| branch(out, &children)).collect()
}

/// Appends a branch, and returns it as a child.
pub(super) fn branch<W: Write + Seek>(out: &mut Out<W>, children: &[Child]) -> Result<Child> {
    let mut draft = Draft::branch();
    for (key, child) in children {
        draft.put_child(key, *child).map_err(|error| out.failed(error))?;
    }
    Ok((draft.first_key().into(), out.append(&draft)?))
}
