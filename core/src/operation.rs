//! An operation, and the form in which the catalogue holds it.

use std::future::Future;
use std::pin::Pin;

use crate::args::{Args, Param, Takes, complete};
use crate::card::Card;
use crate::context::Context;
use crate::error::Result;
use crate::report::{Answer, Report, Shape};
use crate::value::{Record, Value};

/// One thing that etcdsh can do.
pub trait Operation: 'static {
    /// What it is.
    const CARD: Card;
    /// What it takes.
    type Args: Args;
    /// What it answers.
    type Report: Report;

    /// Does it.
    fn run(ctx: &Context<'_>, args: Self::Args) -> impl Future<Output = Result<Self::Report>>;
}

type Run = for<'c> fn(&'c Context<'_>, Record) -> Pin<Box<dyn Future<Output = Result<Answer>> + 'c>>;

/// An operation without its types.
pub struct Entry {
    /// What it is.
    pub card: Card,
    /// What it takes: its own parameters, positional ones first, and those that it shares with a family of operations.
    pub takes: Takes,
    /// The form of its answer.
    pub shape: Shape,
    run: Run,
}

/// Makes the catalogue's form of an operation.
pub const fn entry<O: Operation>() -> Entry {
    Entry {
        card: O::CARD,
        takes: Takes::of::<O::Args>(),
        shape: O::Report::SHAPE,
        run: |ctx, record| {
            Box::pin(async move {
                let args = O::Args::read(record)?;
                O::run(ctx, args).await?.answer()
            })
        },
    }
}

impl Entry {
    /// Returns all parameters: positional, named, shared.
    pub fn all_params(&self) -> impl Iterator<Item = &'static Param> {
        self.takes.all()
    }

    /// Says whether this changes a cluster by a plan, which can be rehearsed and resumed.
    pub fn is_change(&self) -> bool {
        self.takes.params.last().is_some_and(|shared| shared.iter().any(|param| param.name == "dry_run"))
    }

    /// Returns the positional parameters in order.
    pub fn positional(&self) -> impl Iterator<Item = &'static Param> {
        self.takes.positional()
    }

    /// Joins positional values and named ones into one record.
    ///
    /// # Errors
    /// More values than places, or a parameter that is given twice.
    pub fn join(&self, positional: Vec<Value>, named: Record) -> Result<Record> {
        Ok(self.takes.join(self.card.name, positional, named)?)
    }

    /// Completes the arguments and does it.
    pub(crate) async fn run(&self, ctx: &Context<'_>, given: Record) -> Result<Answer> {
        let record = complete(&self.takes.params, given, &|path| ctx.places().absolute(path))?;
        (self.run)(ctx, record).await
    }
}
