//! From which revision to which a store reaches.

use super::row::{Flaw, Rev};

/// The revisions that a store has. All of it is read in one walk: [`Span::meta`] takes the rows of the bucket `meta`, and
/// [`Span::row`] those of `key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The newest row, if there is one.
    pub last: Option<Rev>,
    /// To which revision the last compaction that ended went.
    pub finished: Option<i64>,
    /// To which revision the last compaction that was asked for went.
    pub scheduled: Option<i64>,
}

impl Span {
    /// Takes a row of the bucket `key`.
    pub fn row(&mut self, rev: Rev) {
        self.last = self.last.max(Some(rev));
    }

    /// Returns the revision of the store: that of the newest row, or of the newest compaction where that row was compacted
    /// away. An empty store is at revision 1.
    pub fn newest(&self) -> i64 {
        let last = self.last.map_or(1, |rev| rev.main);
        last.max(1).max(self.compacted().unwrap_or(1))
    }

    /// Returns the revision that the store is compacted to, if it ever was. A compaction that was asked for and did not end
    /// counts: a server carries it on when it starts.
    pub fn compacted(&self) -> Option<i64> {
        self.finished.max(self.scheduled)
    }

    /// Checks that a revision was not compacted away.
    ///
    /// # Errors
    /// It was.
    pub fn refuse_compacted(&self, asked: i64) -> Result<(), Flaw> {
        match self.compacted() {
            Some(compacted) if asked < compacted => Err(Flaw::Compacted { asked, compacted }),
            _ => Ok(()),
        }
    }

    /// Checks that there is a revision, when all rows went by.
    ///
    /// # Errors
    /// It is none yet.
    pub fn refuse_future(&self, asked: i64) -> Result<(), Flaw> {
        let newest = self.newest();
        if asked > newest { Err(Flaw::Future { asked, newest }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_revision_may_be_one_that_was_compacted_away() {
        let mut span = Span::default();
        assert_eq!((span.newest(), span.compacted()), (1, None));
        span.row(Rev { main: 7, sub: 1 });
        assert_eq!(span.newest(), 7);
        span.finished = Some(9);
        assert_eq!((span.newest(), span.compacted()), (9, Some(9)));
        span.scheduled = Some(12);
        assert_eq!((span.newest(), span.compacted()), (12, Some(12)));
    }
}
