//! What all functions of an engine share: who calls, for which cluster, with which grants, and where output goes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use etcdsh_core::Result;
use etcdsh_core::blocking::Driver;
use etcdsh_core::card::Capability;
use etcdsh_core::event::Event;
use etcdsh_core::places::Places;
use etcdsh_core::profile::Layers;
use etcdsh_core::subject::Subject;
use etcdsh_core::units::escape;
use etcdsh_core::value::Record;

use crate::error::{Thrown, throw};
use crate::interrupt::Interrupt;
use crate::stop::Stop;

/// Reads a variable of the environment.
pub type Env = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Takes one line of a script's output.
pub type Print = Box<dyn Fn(&str) -> io::Result<()> + Send + Sync>;
/// Is told what happens while an operation runs.
pub type Events = Box<dyn Fn(&Event) + Send + Sync>;

/// What a script may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants(Vec<Capability>);

impl Grants {
    /// Everything: for a person who types.
    pub fn all() -> Self {
        Grants(Capability::ALL.to_vec())
    }

    /// Looking, and what else is listed.
    pub fn read_and(more: &[Capability]) -> Self {
        let mut granted = vec![Capability::Read];
        granted.extend_from_slice(more);
        Grants(granted)
    }

    /// Says whether a capability is granted.
    pub fn contain(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }
}

/// The caller's part of an engine.
pub struct Setup {
    /// The caller's folders.
    pub places: Places,
    /// The caller's environment.
    pub env: Env,
    /// The connection that the command line asked for.
    pub flags: Record,
    /// What the script may do.
    pub grants: Grants,
    /// The words after the script's name.
    pub args: Vec<String>,
    /// Whether a word `--` stood before them, so that none of them is an option of the script.
    pub args_ended: bool,
    /// What `--set` said.
    pub opts: Vec<(String, String)>,
    /// The script's file.
    pub script_path: Option<String>,
    /// How much memory it may take, in bytes; a part of what is free, if nothing is said.
    pub memory: Option<u64>,
    /// Where `print` writes.
    pub print: Print,
    /// Where `debug` writes.
    pub debug: Print,
    /// Who is told what happens while an operation runs.
    pub events: Events,
}

/// What all functions of an engine share.
pub struct Session {
    /// The caller's part.
    pub setup: Setup,
    /// Ctrl-C.
    pub interrupt: Arc<Interrupt>,
    driver: Mutex<Option<Arc<Driver>>>,
    /// Why nothing more can be printed.
    unwritable: OnceLock<Stop>,
    /// The number of the running evaluation, and of the last one that took too much memory.
    evaluation: AtomicU64,
    exhausted: AtomicU64,
}

impl Session {
    /// Makes a session; nothing is started or contacted yet.
    pub fn new(setup: Setup, interrupt: Arc<Interrupt>) -> Arc<Self> {
        let (driver, unwritable, evaluation, exhausted) = Default::default();
        Arc::new(Session { setup, interrupt, driver, unwritable, evaluation, exhausted })
    }

    /// Returns the driver, and starts it on first use: a script that talks to nobody needs no threads.
    ///
    /// # Errors
    /// The system refused threads.
    pub fn driver(&self) -> Result<Arc<Driver>> {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        match &*driver {
            Some(driver) => Ok(Arc::clone(driver)),
            None => Ok(Arc::clone(driver.insert(Arc::new(Driver::new()?)))),
        }
    }

    /// Decides which cluster or file the ambient `etcd` means.
    ///
    /// # Errors
    /// A setting that is unknown or does not fit, with the layer it stands in.
    pub fn ambient(&self) -> Result<Subject> {
        let layers = Layers { flags: self.setup.flags.clone(), env: &self.setup.env, shell: None };
        Subject::resolve(layers, &self.setup.places)
    }

    /// Decides which cluster or file a script names itself. The caller's environment and flags have no part in that: the script must
    /// reach the same cluster from every shell.
    ///
    /// # Errors
    /// A setting that is unknown or does not fit, with the layer it stands in.
    pub fn named(&self, settings: Record) -> Result<Subject> {
        Subject::resolve(Layers { flags: settings, env: &|_| None, shell: None }, &self.setup.places)
    }
}

/// The ways out of a script.
impl Session {
    /// Writes a line of a script's output. What a script prints may come from the store, so nothing in it may drive the
    /// terminal.
    pub fn print(&self, text: &str) {
        if let Err(error) = (self.setup.print)(&escape(text)) {
            let _ = self.unwritable.set(match error.kind() {
                // `head` has seen enough.
                io::ErrorKind::BrokenPipe => Stop::NoReader,
                _ => Stop::Unwritable(error.to_string()),
            });
        }
    }

    /// Writes a line of a script's `debug`.
    pub fn debug(&self, text: &str) {
        // Nobody is left to be told that standard error is closed.
        let _ = (self.setup.debug)(&escape(text));
    }

    /// Returns why the running evaluation has to stop, if it has to.
    pub fn stop(&self) -> Option<Stop> {
        if self.interrupt.is_cancelled() {
            Some(Stop::Interrupted(None))
        } else if self.exhausted.load(Ordering::Relaxed) == self.evaluation.load(Ordering::Relaxed).max(1) {
            Some(Stop::Exhausted)
        } else {
            self.unwritable()
        }
    }

    /// Begins a new evaluation, which holds nothing yet, and returns its number.
    pub fn new_evaluation(&self) -> u64 {
        self.evaluation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Says that an evaluation has taken too much memory.
    pub fn exhausted(&self, evaluation: u64) {
        self.exhausted.store(evaluation, Ordering::Relaxed);
    }

    /// Returns why what was printed last got lost, if it did.
    pub fn unwritable(&self) -> Option<Stop> {
        self.unwritable.get().cloned()
    }

    /// Waits for a span of time, unless Ctrl-C ends it.
    ///
    /// # Errors
    /// The evaluation was told to stop.
    pub fn pause(&self, span: Duration) -> Thrown<()> {
        let driver = self.driver().map_err(|error| throw(error, self, None))?;
        let token = self.interrupt.token();
        let interrupted = driver.block_on(async { tokio::time::timeout(span, token.cancelled()).await }).is_ok();
        if interrupted { Err(Stop::Interrupted(None).raise()) } else { Ok(()) }
    }
}
