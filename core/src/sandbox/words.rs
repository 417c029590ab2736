//! How a user names a sandbox and its members: plain texts, of kinds of their own so that a face can suggest what there is.

use std::ops::Deref;

use serde::Deserialize;

use crate::args::{Kind, Typed};

/// The name of a sandbox.
#[derive(Debug, Clone, Deserialize)]
pub struct SandboxName(String);

/// The name of a member of a sandbox.
#[derive(Debug, Clone, Deserialize)]
pub struct SandboxMember(String);

impl Typed for SandboxName {
    const KIND: Kind = Kind::Sandbox;
}

impl Typed for SandboxMember {
    const KIND: Kind = Kind::SandboxMember;
}

impl Deref for SandboxName {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl Deref for SandboxMember {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}
