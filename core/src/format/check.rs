//! Everything that can be said about a file without another one beside it: the structure of its pages, the order and content of
//! its rows and records, and its SHA-256. Nothing ends the check but a file that cannot be read on.

use std::collections::BTreeMap;

use super::ahead::beside;
use super::bolt::{Flaw as BoltFlaw, Image, Pages, Row, Shape, Visit, check_freelist, survey};
use super::figures::{Depth, Figures, Tally};
use super::mvcc::Span;
use super::problem::{Place, Problem, Result};
use super::schema::Records;
use super::trailer;
use crate::error::Fault;

/// How many findings of one kind are told; a file that is lost has millions of the same.
const MOST_OF_A_KIND: u64 = 16;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The data is whole, as far as that can be known.
    Warning,
    /// Something is lost or wrong.
    Error,
}

/// Something that is wrong with a file.
#[derive(Debug)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is, and where.
    pub problem: Problem,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The file's figures. Where rows are lost, they are of those that are left; there are none where that cannot be counted.
    pub figures: Option<Figures>,
    /// The file's records, as far as they can be read.
    pub records: Records,
    /// The revisions that the store has.
    pub span: Span,
    /// What was found, in the order in which it was met.
    pub findings: Vec<Finding>,
    /// How many more of a kind were found that are not among them, by their code.
    pub untold: BTreeMap<&'static str, u64>,
    /// The buckets with their shapes, in the order of their names.
    pub buckets: Vec<(Vec<u8>, Shape)>,
    /// How many pages belong to the tree, the two meta pages among them; all others are free.
    pub used_pages: u64,
}

impl Checked {
    /// Returns whether nothing is lost or wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Warning)
    }
}

/// Checks a file in one reading.
///
/// # Errors
/// The file cannot be read to its end, or it changes meanwhile. Whatever else is wrong is a finding.
pub fn check(image: &Image) -> Result<Checked> {
    let (sum, checked) = beside(image, trailer::summed(image), |gate| -> Result<(Checker, Pages)> {
        let mut checker = Checker::new(image);
        let used = survey(image, Some(gate), &mut checker)?;
        check_freelist(image, &used, |problem| checker.problem(problem))?;
        Ok((checker, used))
    });
    let (sum, (mut checker, used)) = (sum?, checked?);
    match trailer::compare(image, &sum) {
        Err(problem) if problem.ends_reading() => return Err(problem),
        Err(problem) => checker.problem(problem)?,
        Ok(()) => {}
    }
    let Checker { tally, findings, untold, buckets, .. } = checker;
    let mut checked = Checked {
        figures: None,
        records: Records::default(),
        span: Span::default(),
        findings,
        untold,
        buckets,
        used_pages: used.count(),
    };
    match tally.end(image, &sum) {
        Ok((figures, records, span)) => {
            (checked.figures, checked.records, checked.span) = (Some(figures), records, span);
        }
        // Keys were to be counted by shares, and a page is damaged: that was found before.
        Err(problem) if !checked.is_sound() && !problem.ends_reading() => {}
        Err(problem) => return Err(problem),
    }
    image.unchanged()?;
    Ok(checked)
}

/// Collects what a survey finds.
struct Checker {
    tally: Tally,
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
    untold: BTreeMap<&'static str, u64>,
    buckets: Vec<(Vec<u8>, Shape)>,
}

impl Checker {
    fn new(image: &Image) -> Self {
        let mut checker = Checker {
            tally: Tally::new(image, Depth::Plausible),
            findings: Vec::new(),
            counts: BTreeMap::new(),
            untold: BTreeMap::new(),
            buckets: Vec::new(),
        };
        if let Err(bad) = image.metas().other {
            let place = Place { page: Some(1 - image.metas().page), ..image.place() };
            checker.find(Problem::new(place, BoltFlaw::OneMeta(bad)));
        }
        checker
    }

    fn find(&mut self, problem: Problem) {
        let severity = if problem.is_harmless() { Severity::Warning } else { Severity::Error };
        let count = self.counts.entry(problem.code()).or_default();
        *count += 1;
        if *count <= MOST_OF_A_KIND {
            self.findings.push(Finding { severity, problem });
        } else {
            *self.untold.entry(problem.code()).or_default() += 1;
        }
    }
}

impl Visit for Checker {
    fn bucket(&mut self, name: &[u8]) {
        self.tally.bucket(name);
    }

    fn row(&mut self, image: &Image, bucket: &[u8], row: &Row<'_>) -> Result<()> {
        self.tally.row(image, bucket, row)
    }

    fn shape(&mut self, bucket: &[u8], shape: Shape) {
        self.buckets.push((bucket.to_vec(), shape));
    }

    fn problem(&mut self, problem: Problem) -> Result<()> {
        self.find(problem);
        Ok(())
    }
}
