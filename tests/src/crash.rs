//! Operations that crash, and what is left of them: see `crash_at`.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use serde_json::Value as Json;

use crate::home::{Home, Said};
use crate::tools::program;

/// How an operation in a process of its own has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It crashed where it was to.
    Crashed,
    /// It came to its end; with the report, and with the kinds of the events that were counted.
    Done {
        /// Its report.
        report: Json,
        /// The kinds of the events that were counted, one after the other.
        told: Vec<String>,
    },
    /// It failed in an orderly way.
    Failed {
        /// What it said: `code`, `message`, `causes`, `help`, `sent`, `report`.
        error: Json,
        /// The kinds of the events that were counted, one after the other.
        told: Vec<String>,
    },
}

impl Home {
    /// Runs an operation in a process of its own that crashes at the event of this number, counted from one among the events of
    /// these kinds; without a number it runs to its end, and tells how many there are.
    ///
    /// # Panics
    /// The process ended in a way of its own.
    pub fn crash(&self, profile: &str, kinds: &[&str], at: Option<usize>, operation: &str, args: &Json) -> Ended {
        let mut command = self.crashing(profile, kinds, at, operation, args);
        let said = Said::by(&mut command);
        if said.status.signal() == Some(6) && at.is_some() {
            assert_eq!(said.err, "", "a crash says nothing");
            return Ended::Crashed;
        }
        let mut said: Json = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let told = said["told"].as_array().expect("what was told").iter();
        let told = told.map(|kind| kind.as_str().expect("a kind").to_owned()).collect();
        match (said["report"].take(), said["error"].take()) {
            (report, Json::Null) => Ended::Done { report, told },
            (_, error) => Ended::Failed { error, told },
        }
    }

    /// Returns the program that does so, about to run.
    pub fn crashing(&self, profile: &str, kinds: &[&str], at: Option<usize>, operation: &str, args: &Json) -> Command {
        let mut command = self.command(program("crash_at"));
        command.args(["--profile", profile, "--kinds", &kinds.join(",")]);
        if let Some(at) = at {
            command.arg("--at").arg(at.to_string());
        }
        command.arg(operation).arg(args.to_string());
        command
    }
}
