//! `change list`: the changes that were made from here.

use crate::args::NoArgs;
use crate::card::{Capability, Card, Effect, Example, Target};
use crate::change::record::{RunState, runs, unreadable};
use crate::change::report::count;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::id::ClusterId;
use crate::operation::Operation;
use crate::record;
use crate::units::Timestamp;

record! {
    /// One run of a change.
    pub struct Row {
        /// Its name; `change show` and `change resume` take it, or a beginning of it that no other run has.
        id: String,
        /// When it began.
        started: Timestamp,
        /// The operation.
        operation: String,
        /// How it stands: running, done, stopped (it said why), interrupted (its program or its machine died), or resumed by a
        /// later run.
        state: RunState,
        /// How many steps came true.
        done: i64,
        /// How many were planned.
        steps: i64,
        /// The cluster, in hex.
        cluster_id: ClusterId,
    }
}

/// See [`Operation::CARD`].
pub struct ChangeList;

impl Operation for ChangeList {
    const CARD: Card = Card {
        name: "change list",
        summary: "List the changes that were made from this machine, the newest first.",
        details: "Every change writes a journal before it does anything; this reads them. Other users and other machines have \
                  journals of their own.",
        search: &["audit", "history", "journal", "log", "interrupted"],
        effect: Effect::Reads,
        capability: Capability::Read,
        target: Target::Nothing,
        examples: &[Example { about: "List the changes", args: &[] }],
    };
    type Args = NoArgs;
    type Report = Vec<Row>;

    async fn run(ctx: &Context<'_>, NoArgs {}: NoArgs) -> Result<Vec<Row>> {
        let row = |run: crate::change::record::RunRecord| Row {
            started: super::time(&run.started),
            done: count(run.done()),
            steps: count(run.planned.len()),
            id: run.id,
            operation: run.operation,
            state: run.state,
            cluster_id: run.cluster_id,
        };
        let state = &ctx.places().state;
        let damaged = unreadable(state);
        if !damaged.is_empty() {
            ctx.emit(&Event::Warning { message: left_out(&damaged) });
        }
        Ok(runs(state).into_iter().map(row).collect())
    }
}

/// Says which runs have no row.
fn left_out(damaged: &[String]) -> String {
    let names = damaged.iter().map(|name| crate::units::escape_word(name)).collect::<Vec<_>>().join(", ");
    format!("journals that cannot be read: {names}")
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn who_is_left_out_is_named() {
        let told = left_out(&["20261126T031500Z-defrag-1111".to_owned(), "b".to_owned()]);
        insta::assert_snapshot!(told, @"journals that cannot be read: 20261126T031500Z-defrag-1111, b");
    }
}
