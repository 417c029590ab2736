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

use crate::context::Context;
use crate::error::Result;
use crate::sandbox::{Member, Sandbox};

/// Returns the handle of a sandbox that need not exist, with waiting that ends on Ctrl-C.
fn named(ctx: &Context<'_>, name: &str) -> Result<Sandbox> {
    Ok(Sandbox::named(ctx.places(), name)?.cancelled_by(ctx.cancel()))
}

/// Returns a member of a sandbox.
fn member(ctx: &Context<'_>, sandbox: &str, member: &str) -> Result<Member> {
    named(ctx, sandbox)?.member(member)
}
