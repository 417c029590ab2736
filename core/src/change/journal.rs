//! The journal of one run: a file of JSON lines, each on disk before the next thing happens. It tells what was meant and what
//! came of it, also when this program or its machine dies in between. It holds ids, names and revisions, and never a secret
//! or a value.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::change::guard::Code;
use crate::change::plan::{Plan, Step};
use crate::error::{Error, Fault, Result};
use crate::units::{Timestamp, rfc3339};
use crate::value::Value;

/// An open journal.
pub struct Journal {
    id: String,
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: Entry<'a>,
}

/// One line of a journal.
#[derive(Debug, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry<'a> {
    /// What is about to be carried out.
    Plan {
        /// The plan.
        plan: &'a Plan,
        /// The refusals that the caller allowed.
        allow: &'a [Code],
        /// The run that was interrupted, and that this one goes on with.
        resumes: Option<&'a str>,
    },
    /// A step is about to be taken; written before anything is sent.
    Intent {
        /// Its place, counted from one.
        number: usize,
        /// The step.
        step: &'a Step,
    },
    /// What came of a step.
    Outcome {
        /// Its place, counted from one.
        number: usize,
        /// The step, which needs no intent where nothing had to be done.
        step: &'a Step,
        /// The word for it.
        outcome: &'a str,
        /// More about it.
        detail: &'a str,
        /// Facts that are needed later.
        result: &'a Option<Value>,
    },
    /// The run is over.
    End {
        /// Whether every step came true.
        ok: bool,
        /// The code of what ended it otherwise.
        code: Option<&'a str>,
    },
}

impl Journal {
    /// Starts a journal below the caller's state folder.
    ///
    /// # Errors
    /// The file cannot be made; nothing has been changed then.
    pub fn start(state: &Path, operation: &str) -> Result<Self> {
        let folder = folder(state);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::from(JournalFailed { path, source })
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed(&folder))?;
        let id = format!("{}-{}-{:04x}", stamp(), operation.replace(' ', "-"), crate::change::random() & 0xffff);
        let path = folder.join(format!("{id}.jsonl"));
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(&path).map_err(failed(&path))?;
        // The name of the file must survive a crash too.
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed(&folder))?;
        // Whoever reads it knows by this that the run goes on. Nobody else can have it yet.
        file.lock().map_err(failed(&path))?;
        Ok(Journal { id, path, file })
    }

    /// Writes a line, and waits until it is on disk.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn write(&mut self, entry: Entry<'_>) -> Result<()> {
        let line = Line { time: rfc3339(Timestamp::now().0), entry };
        let mut text = serde_json::to_string(&line).map_err(Error::internal)?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalFailed { path: self.path.clone(), source }.into())
    }

    /// Returns the name of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the folder of journals below a caller's state folder.
pub(super) fn folder(state: &Path) -> PathBuf {
    state.join("changes")
}

pub(super) fn stamp() -> String {
    chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string()
}

/// The journal could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the journal {}", path.display())]
pub struct JournalFailed {
    path: PathBuf,
    source: std::io::Error,
}

impl Fault for JournalFailed {
    fn code(&self) -> &'static str {
        "journal_failed"
    }

    fn help(&self) -> Option<String> {
        Some("no change is made without a journal; make room there, or move it with XDG_STATE_HOME".to_owned())
    }
}
