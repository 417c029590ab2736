//! The keys of a store that live at a revision, in the order of keys.
//!
//! The rows of a file are in the order of revisions, so that the keys have to be sorted, in bounded memory: one walk through all
//! rows keeps the smallest keys that fit, and those behind them are left for the next walk. A store of a million keys takes about
//! three walks. In reading order: the keys that one walk keeps (`Smallest`), the pages of keys ([`View`]), the history of one key
//! ([`rows_of`]).
//!
//! The row that `--bump-revision` makes is of a key without a name, which no request to etcd can ask for. It is left out.
//!
//! Memory: 32 MB for keys and 8 MB for those that are being sorted, and a page of 4 MB and one value.

mod history;
mod smallest;
#[cfg(test)]
mod tests;

use self::smallest::{Found, Newest, Smallest};
use super::ahead::{Gate, reading};
use super::bolt::{Image, Window};
use super::figures::compactions;
use super::mvcc::{KeyValue, Prints, Span, Store};
use super::problem::{FileFlaw, Problem, Result};

pub use history::rows_of;

/// How much memory the keys of one walk may take.
const BUDGET: usize = 32 << 20;
/// How much a page of keys with their values may take, beside its last value.
const PAGE: usize = 4 << 20;
/// How many keys the first walk keeps for the smallest limit. Each further walk keeps four times as many: keys that turn out to be
/// deleted must not make for a walk each.
const FEWEST: usize = 1 << 10;

/// Which keys are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At which revision; `None` is the newest one.
    pub revision: Option<i64>,
    /// The lowest key.
    pub start: Vec<u8>,
    /// The key before which they end; `None` is behind all keys.
    pub end: Option<Vec<u8>>,
    /// How many keys at most.
    pub limit: Option<u64>,
    /// Whether to leave out the values.
    pub keys_only: bool,
}

impl Wanted {
    /// All keys that begin in the same way.
    pub fn below(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        // The first key behind them: what cannot be counted up is left out.
        while end.pop_if(|last| *last == u8::MAX).is_some() {}
        let end = end.last_mut().map(|last| *last += 1).map(|()| end);
        Wanted { start: prefix.to_vec(), end, ..Wanted::default() }
    }
}

/// A key that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub key: Vec<u8>,
    /// Its value, if that was wanted.
    pub value: Option<Vec<u8>>,
    /// How often it was put since it was created.
    pub version: i64,
    /// The revision that created it.
    pub created: i64,
    /// The revision that changed it last.
    pub modified: i64,
    /// The lease that it is bound to, or 0.
    pub lease: i64,
}

/// The keys of a store at a revision, page by page.
pub struct View<'i> {
    image: &'i Image,
    wanted: Wanted,
    /// The only keys that are wanted, by their fingerprints.
    only: Option<&'i Prints>,
    budget: usize,
    most: usize,
    left: u64,
    span: Span,
    is_first: bool,
    /// Where the next walk begins; `None` is behind all keys.
    next: Option<Vec<u8>>,
    found: Found,
    window: Window,
}

impl<'i> View<'i> {
    /// Prepares to read keys. The rows are read when the first page is asked for.
    ///
    /// # Errors
    /// The revision is compacted, or a page or a record is damaged.
    pub fn new(image: &'i Image, wanted: Wanted) -> Result<Self> {
        Self::with(image, wanted, None, BUDGET)
    }

    pub(super) fn with(image: &'i Image, wanted: Wanted, only: Option<&'i Prints>, budget: usize) -> Result<Self> {
        let span = compactions(image)?;
        if let Some(asked) = wanted.revision {
            // That it is not too new shows when all rows went by.
            span.refuse_compacted(asked).map_err(|flaw| Problem::new(image.place(), flaw))?;
        }
        let left = wanted.limit.unwrap_or(u64::MAX);
        let most = usize::try_from(left).unwrap_or(usize::MAX).max(FEWEST);
        let next = Some(wanted.start.clone());
        let (found, window) = (Found::default(), Window::default());
        Ok(View { image, wanted, only, budget, most, left, span, is_first: true, next, found, window })
    }

    /// Returns the revisions that the store has, once the first page was read. Its newest row is the first one above the revision
    /// that was asked for, where there is one.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the next keys, or `None` behind the last one.
    ///
    /// # Errors
    /// The revision is none yet; the file is damaged, or it was changed meanwhile.
    pub fn next_page(&mut self) -> Result<Option<Vec<Item>>> {
        // The first walk is made also for a limit of 0: it tells whether there is such a revision.
        if (self.left == 0 && !self.is_first) || !self.has_more()? {
            return Ok(None);
        }
        let (mut page, mut bytes) = (Vec::new(), 0_usize);
        while self.left > 0 && bytes < PAGE {
            let Some((newest, item)) = self.found.next() else { break };
            let value = if self.wanted.keys_only { 0 } else { newest.length as usize };
            bytes = bytes.saturating_add(smallest::room(&item.key)).saturating_add(value);
            self.left -= 1;
            page.push((newest, item));
        }
        if !self.wanted.keys_only {
            self.fetch(&mut page)?;
        }
        self.image.unchanged()?;
        let page: Vec<Item> = page.into_iter().map(|(_, item)| item).collect();
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// Returns whether there are keys behind those that were read, which a limit holds back.
    ///
    /// # Errors
    /// As for [`View::next_page`].
    pub fn has_more(&mut self) -> Result<bool> {
        while !self.found.has_more() {
            let Some(from) = self.next.take() else { return Ok(false) };
            self.walk(from)?;
        }
        Ok(true)
    }

    /// Returns the keys one by one.
    pub fn items(mut self) -> impl Iterator<Item = Result<Item>> {
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if page.len() == 0 {
                page = match self.next_page() {
                    Ok(next) => next?.into_iter(),
                    Err(problem) => return Some(Err(problem)),
                };
            }
            page.next().map(Ok)
        })
    }

    /// Walks through all rows up to the revision, and keeps the smallest keys from one on.
    fn walk(&mut self, from: Vec<u8>) -> Result<()> {
        let mut smallest = Smallest::new(from, self.wanted.end.clone(), self.most, self.budget);
        if self.is_first {
            let (image, mut span) = (self.image, self.span);
            // Who knows which keys alone are wanted has read the file before.
            if self.only.is_some() {
                self.pass(None, &mut smallest, &mut span)?;
            } else {
                reading(image, |gate| self.pass(Some(gate), &mut smallest, &mut span))?;
            }
            if let Some(asked) = self.wanted.revision {
                span.refuse_future(asked).map_err(|flaw| Problem::new(image.place(), flaw))?;
            }
            (self.is_first, self.span) = (false, span);
        } else {
            self.pass(None, &mut smallest, &mut Span::default())?;
        }
        self.most = self.most.saturating_mul(4);
        (self.found, self.next) = smallest.end();
        Ok(())
    }

    fn pass(&self, gate: Option<&Gate>, smallest: &mut Smallest, span: &mut Span) -> Result<()> {
        let upto = self.wanted.revision.unwrap_or(i64::MAX);
        let mut store = Store::open(self.image)?;
        let mut rows = store.rows(gate);
        while let Some(row) = rows.next()? {
            span.row(row.change.rev);
            if row.change.rev.main > upto {
                break;
            }
            let pair = row.pair()?;
            let is_wanted = self.only.is_none_or(|only| only.has(pair.key));
            if pair.key.is_empty() || !is_wanted || !smallest.wants(pair.key) {
                continue;
            }
            row.check()?;
            if row.change.is_tombstone {
                smallest.remove(pair.key);
            } else {
                smallest.put(pair.key, Newest::of(&row.row, &pair));
            }
        }
        Ok(())
    }

    /// Reads the values of a page, in the order in which they lie in the file.
    fn fetch(&mut self, page: &mut [(Newest, Item)]) -> Result<()> {
        let mut page: Vec<_> = page.iter_mut().collect();
        page.sort_unstable_by_key(|(newest, _)| newest.offset);
        for (newest, item) in page {
            let place = || self.image.place().at(newest.offset);
            if self.image.control().is_stopped() {
                return Err(Problem::new(place(), FileFlaw::Stopped));
            }
            let range = self.window.load(self.image, None, newest.offset, u64::from(newest.length))?;
            let pair = KeyValue::read(self.window.bytes().get(range).unwrap_or_default());
            // What was read before was a sound row of this key.
            match pair {
                Ok(pair) if pair.key == item.key && newest.is(&pair) => item.value = Some(pair.value.to_vec()),
                _ => return Err(Problem::new(place(), FileFlaw::Changed)),
            }
        }
        Ok(())
    }
}

/// Hands out the keys of a store at a revision page by page, until `take` answers that it wants no more. Returns the revisions that
/// the store has, as [`View::span`] does, and whether there are more keys than were handed out.
///
/// # Errors
/// As for [`View::new`] and [`View::next_page`].
pub fn view(image: &Image, wanted: Wanted, mut take: impl FnMut(Vec<Item>) -> bool) -> Result<(Span, bool)> {
    let mut view = View::new(image, wanted)?;
    while let Some(page) = view.next_page()? {
        if !take(page) {
            return Ok((view.span(), true));
        }
    }
    Ok((view.span(), view.has_more()?))
}
