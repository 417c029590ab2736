//! Putting data that were made on this machine where a member runs. They are copied beside their place, given the owner of the data dir,
//! flushed, and get their name last, so that what is there is whole; tar keeps the holes of a log that is mostly empty.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use super::HostError;
use super::files::{Dirs, names};
use super::runner::Machine;
use crate::at_rest::TELL_EVERY;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::units::Bytes;

impl Dirs {
    /// Returns the owner of the data dir, which has to be there: what is put into it is to be theirs.
    pub(super) async fn owner(&self, ctx: &Context<'_>, machine: &Machine) -> Result<String> {
        let stat = machine.ask(ctx, &["stat", "-c", "%u:%g", "--", &self.data]).await?;
        if stat.code != 0 {
            let what = format!("the data dir {}", self.data);
            return Err(HostError::Missing { what, place: machine.place() }.into());
        }
        Ok(stat.text().trim().to_owned())
    }

    /// Puts a data dir in its place. A log that has a place of its own comes last: by it whose data these are is known.
    pub(super) async fn put(&self, ctx: &Context<'_>, machine: &Machine, made: &Path) -> Result<()> {
        let owner = self.owner(ctx, machine).await?;
        let member = format!("{}/member", self.data);
        for path in [Some(&member), self.wal.as_ref()].into_iter().flatten() {
            if names(ctx, machine, path).await??.is_some() {
                return Err(HostError::Occupied { path: path.clone(), place: machine.place() }.into());
            }
        }
        let made = made.join("member");
        let put = Put { ctx, machine, owner };
        match &self.wal {
            None => put.folder(&made, &["."], &member).await,
            Some(wal) => {
                put.folder(&made, &["./snap"], &member).await?;
                put.folder(&made.join("wal"), &["."], wal).await
            }
        }
    }
}

struct Put<'c, 'a> {
    ctx: &'c Context<'a>,
    machine: &'c Machine,
    owner: String,
}

impl Put<'_, '_> {
    /// Makes a folder there of what is in one here.
    async fn folder(&self, from: &Path, what: &[&str], to: &str) -> Result<()> {
        let (parent, name) = to.rsplit_once('/').unwrap_or((".", to));
        let part = format!("{parent}/.{name}.etcdsh-{:016x}", crate::change::random());
        // What others left that were killed: copies of ours, of the same data dir.
        let left = format!(".{name}.etcdsh-????????????????");
        let words = ["find", parent, "-maxdepth", "1", "-name", &left, "-exec", "rm", "-rf", "--", "{}", "+"];
        self.machine.act(&words).await?;
        let done = self.part(from, what, &part, to).await;
        if done.is_err() {
            // It is a copy of ours that nobody knows of.
            let _ = self.machine.act(&["rm", "-rf", "--", &part]).await;
        }
        Ok(done?)
    }

    async fn part(&self, from: &Path, what: &[&str], part: &str, to: &str) -> Result<(), HostError> {
        let machine = self.machine;
        machine.act(&["mkdir", "-m", "700", "--", part]).await?;
        let told = format!("putting {to} in place on {}", machine.place());
        let moved = seldom(TELL_EVERY, |bytes| {
            self.ctx.emit(&Event::Progress { what: told.clone(), done: Bytes::new(bytes), total: None });
        });
        let from = from.to_string_lossy();
        let tar: Vec<&str> = ["tar", "-C", &from, "-cSf", "-"].into_iter().chain(what.iter().copied()).collect();
        machine.pour(&tar, &["tar", "-C", part, "-xof", "-"], &moved).await?;
        machine.act(&["chown", "-R", &self.owner, "--", part]).await?;
        let flush = async |path: &str| machine.pour(&["true"], &["sync", "-f", path], &|_| {}).await;
        flush(part).await?;
        let moved = machine.act(&["mv", "-n", "-T", "--", part, to]).await?;
        // What mv does not move for the sake of what is there already, it passes over in silence.
        if machine.act(&["test", "!", "-e", part]).await.is_err() {
            return Err(HostError::NotMoved { path: part.to_owned(), place: machine.place(), said: moved.said });
        }
        flush(to.rsplit_once('/').map_or(".", |(parent, _)| parent)).await
    }
}

/// Passes on what is told at first, and then at most so often.
fn seldom(every: Duration, tell: impl Fn(u64)) -> impl Fn(u64) {
    let last = Cell::new(None::<Instant>);
    move |bytes| {
        if last.get().is_none_or(|last| last.elapsed() >= every) {
            last.set(Some(Instant::now()));
            tell(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_told_of_at_first_and_then_seldom() {
        for (every, expected) in [(Duration::from_secs(3600), vec![1]), (Duration::ZERO, vec![1, 2, 3])] {
            let told = std::cell::RefCell::new(Vec::new());
            let moved = seldom(every, |bytes| told.borrow_mut().push(bytes));
            (1..=3).for_each(moved);
            assert_eq!(told.into_inner(), expected);
        }
    }
}
