//! Why settings cannot be used.

use std::path::PathBuf;

use crate::args::BadArgument;
use crate::error::Fault;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// There is no such profile.
    #[error("there is no profile named {name:?}")]
    NoProfile {
        /// The name that was asked for.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
        /// All names.
        known: String,
    },
    /// A profile is not a record of settings.
    #[error("the profile {name:?} should be a record of settings, not {found}")]
    NotARecord {
        /// The profile.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// A layer holds what does not fit.
    #[error("{place} cannot be used")]
    Layer {
        /// Where it stands: a variable, a file, a profile.
        place: String,
        /// What is wrong.
        source: BadArgument,
    },
    /// A variable asks for what is not offered.
    #[error("the variable {variable} is set, and what it asks for is not offered here")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{} is not valid TOML: line {line}: {problem}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser said.
        problem: String,
    },
}

impl Fault for BadSettings {
    fn code(&self) -> &'static str {
        "invalid_config"
    }

    fn argument(&self) -> Option<&str> {
        match self {
            BadSettings::NoProfile { .. } | BadSettings::NotARecord { .. } => Some("profile"),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            BadSettings::NoProfile { suggestion: Some(near), .. } => Some(format!("did you mean {near}?")),
            BadSettings::NoProfile { known, .. } if known.is_empty() => Some(
                "there are no profiles yet; `sandbox start` makes one, or write [profiles.NAME] into config.toml"
                    .to_owned(),
            ),
            BadSettings::NoProfile { known, .. } => Some(format!("the profiles are {known}")),
            BadSettings::NotARecord { .. } => Some("give it settings such as endpoints".to_owned()),
            BadSettings::Layer { source, .. } => source.help(),
            BadSettings::Variable { instead, .. } => Some((*instead).to_owned()),
            BadSettings::Unreadable { .. } => Some("give the path of a file that you may read".to_owned()),
            BadSettings::NotToml { .. } => None,
        }
    }
}
