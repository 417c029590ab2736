//! A cluster that does not outlive its holder.

use std::ops::Deref;

use super::Sandbox;

/// Kills the processes of a sandbox when it is dropped, and leaves its folder to be looked at.
#[derive(Debug)]
pub struct SandboxGuard(Sandbox);

impl SandboxGuard {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        SandboxGuard(sandbox)
    }
}

impl Deref for SandboxGuard {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl Drop for SandboxGuard {
    fn drop(&mut self) {
        self.0.kill_now();
    }
}

impl Sandbox {
    /// Kills all processes at once, for the moment in which nothing can be waited for. A sandbox that is gone has none.
    pub(super) fn kill_now(&self) {
        let members = self.state().map(|state| state.members).unwrap_or_default();
        members.iter().filter_map(|member| member.process.as_ref()).for_each(|process| process.kill_now());
    }
}
