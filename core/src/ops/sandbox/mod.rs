//! Throwaway clusters of real etcd processes on this machine.

pub mod breaking;
pub mod join;
pub mod kill;
pub mod list;
pub mod pause;
pub mod restart;
pub mod resume;
pub mod start;
pub mod stop;
pub mod wipe;

use std::pin::pin;

use crate::context::Context;
use crate::error::Result;
use crate::sandbox::Sandbox;

/// Returns the handle of a sandbox that need not exist, with waiting that ends on Ctrl-C.
fn named(ctx: &Context<'_>, name: &str) -> Result<Sandbox> {
    Ok(Sandbox::named(ctx.places(), name)?.cancelled_by(ctx.cancel()))
}

/// Works on a sandbox, and tells the caller meanwhile what is awaited.
pub(crate) async fn on<T>(ctx: &Context<'_>, name: &str, work: impl AsyncFnOnce(Sandbox) -> Result<T>) -> Result<T> {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let mut work = pin!(work(named(ctx, name)?.telling(sender)));
    loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => ctx.emit(&event),
            done = &mut work => return done,
        }
    }
}
