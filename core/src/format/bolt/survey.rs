//! A walk through the whole file: every bucket in the order of their names, every row in the order of their keys, every page
//! once. What is found on the way is handed to a [`Visit`], so that one reading serves any number of questions.

use super::bits::Pages;
use super::bucket::Bucket;
use super::flaw::Flaw;
use super::image::Image;
use super::walk::{Row, Walk};
use crate::format::ahead::Gate;
use crate::format::problem::{Problem, Result};

/// What a walk saw of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// How many levels it has; a bucket without pages of its own has one.
    pub depth: usize,
    /// How many pages are branches.
    pub branch_pages: u64,
    /// How many pages are leaves.
    pub leaf_pages: u64,
    /// How many further pages belong to those.
    pub overflow_pages: u64,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes the keys and values take.
    pub bytes: u64,
}

/// What is done with what a survey finds.
pub trait Visit {
    /// A bucket begins.
    fn bucket(&mut self, _name: &[u8]) {}

    /// A row of the bucket that began last.
    ///
    /// # Errors
    /// Something is wrong with the row; it is handed to [`Visit::problem`] in turn.
    fn row(&mut self, image: &Image, bucket: &[u8], row: &Row<'_>) -> Result<()>;

    /// A bucket ends.
    fn shape(&mut self, _bucket: &[u8], _shape: Shape) {}

    /// Something is wrong.
    ///
    /// # Errors
    /// The survey is to end here, which it does unless this method says otherwise.
    fn problem(&mut self, problem: Problem) -> Result<()> {
        Err(problem)
    }
}

/// Walks through the whole file, and returns which pages belong to the tree, the two meta pages among them.
///
/// # Errors
/// Those that the visit does not take, and those that make it impossible to read on.
pub fn survey(image: &Image, gate: Option<&Gate>, visit: &mut impl Visit) -> Result<Pages> {
    let mut seen = Pages::new(image.meta().pages);
    for meta in 0..2 {
        seen.insert(meta);
    }
    let (buckets, _) = image.list_buckets(&mut seen, gate, |problem| pass_on(visit, problem))?;
    for bucket in &buckets {
        survey_bucket(image, gate, bucket, &mut seen, visit)?;
    }
    Ok(seen)
}

fn survey_bucket(
    image: &Image,
    gate: Option<&Gate>,
    bucket: &Bucket,
    seen: &mut Pages,
    visit: &mut impl Visit,
) -> Result<()> {
    visit.bucket(&bucket.name);
    let mut walk = Walk::new(image, bucket, seen, gate);
    loop {
        let taken = match walk.next_row() {
            Ok(None) => break,
            Ok(Some(row)) if row.is_bucket => {
                let place = image.row_place(&bucket.name, &row);
                visit.row(image, &bucket.name, &Row { value: &[], ..row }).and(Err(Problem::new(place, Flaw::Nested)))
            }
            Ok(Some(row)) => visit.row(image, &bucket.name, &row),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = taken {
            pass_on(visit, problem)?;
        }
    }
    visit.shape(&bucket.name, walk.shape());
    Ok(())
}

/// Hands a problem on, unless the same would be met again and again.
fn pass_on(visit: &mut impl Visit, problem: Problem) -> Result<()> {
    if problem.ends_reading() { Err(problem) } else { visit.problem(problem) }
}
