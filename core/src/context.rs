//! What every call carries: the cluster it is about, the caller's folders, and the ways back to the caller while it runs.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// What Ctrl-C cancels: one for each call.
pub type Cancel = CancellationToken;

use crate::change::memory::Memory;
use crate::error::{Error, Fault, Interrupted, Result};
use crate::event::Event;
use crate::places::Places;
use crate::report::Row;
use crate::rpc::Cluster;
use crate::stream::{Pages, Rows};
use crate::subject::DbFile;
use crate::units::Hook;
use crate::value::{Value, to_value};

/// What a reading operation reads.
pub(crate) enum Source<'c> {
    /// A cluster that lives.
    Cluster(&'c Arc<Cluster>),
    /// A snapshot, or the data dir of a member that is stopped.
    File(&'c Path),
}

/// A callback of the caller's.
pub type HookFn<'a> = Box<dyn Fn(Value) -> Result<Value> + 'a>;

/// The context of one call.
pub struct Context<'a> {
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The file that the call is about in place of a cluster.
    pub(crate) file: Option<DbFile>,
    pub(crate) places: &'a Places,
    pub(crate) cancel: CancellationToken,
    pub(crate) hooks: &'a [HookFn<'a>],
    pub(crate) events: &'a dyn Fn(&Event),
    /// What an interrupted run had done that this call goes on with.
    pub(crate) memory: Option<Memory>,
}

impl<'a> Context<'a> {
    /// Makes the context of work that is about no cluster, for whoever uses parts of core without an operation.
    pub fn without_cluster(places: &'a Places, events: &'a dyn Fn(&Event), cancel: &Cancel) -> Self {
        Context { cluster: None, file: None, places, cancel: cancel.clone(), hooks: &[], events, memory: None }
    }
}

impl Context<'_> {
    /// Returns the cluster that the call is about.
    ///
    /// # Errors
    /// The operation's card has no cluster as its target: a mistake of ours.
    pub fn cluster(&self) -> Result<&Arc<Cluster>> {
        self.cluster.as_ref().ok_or_else(|| NoCluster.into())
    }

    /// Returns what the call reads: the cluster, or the file in its place.
    ///
    /// # Errors
    /// The operation's card has neither as its target: a mistake of ours.
    pub(crate) fn source(&self) -> Result<Source<'_>> {
        match &self.file {
            Some(file) => Ok(Source::File(&file.path)),
            None => self.cluster().map(Source::Cluster),
        }
    }

    /// Returns the folders of the caller.
    pub fn places(&self) -> &Places {
        self.places
    }

    /// Returns what an interrupted run had done, where this call goes on with one.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Returns this for going on with an interrupted run.
    pub(crate) fn resuming(&self, memory: Memory) -> Context<'_> {
        let (cluster, cancel) = (self.cluster.clone(), self.cancel.clone());
        let memory = Some(memory);
        Context { cluster, file: None, places: self.places, cancel, hooks: self.hooks, events: self.events, memory }
    }

    /// Returns this for work that is brought to its end whatever happens, because what it leaves in between is worse.
    pub(crate) fn to_its_end(&self) -> Context<'_> {
        let (cluster, memory) = (self.cluster.clone(), self.memory.clone());
        let cancel = Cancel::new();
        Context { cluster, file: None, places: self.places, cancel, hooks: self.hooks, events: self.events, memory }
    }

    /// Returns the token that Ctrl-C cancels. A changing operation looks at it between its steps.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Fails when the caller has pressed Ctrl-C.
    ///
    /// # Errors
    /// The call was interrupted.
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Runs what may be given up at any time, and gives it up on Ctrl-C: what a change looks at before it begins.
    ///
    /// # Errors
    /// What it fails with itself, or the interruption.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupted.into()),
            done = work => done,
        }
    }

    /// Tells the caller what happens.
    pub fn emit(&self, event: &Event) {
        (self.events)(event);
    }

    /// Runs a callback of the caller's on a record, and waits for it.
    ///
    /// # Errors
    /// What the callback threw, in the caller's own form.
    pub fn call(&self, hook: Hook, record: &impl serde::Serialize) -> Result<Value> {
        let value = to_value(record).map_err(Error::internal)?;
        let hook = usize::try_from(hook.0).ok().and_then(|number| self.hooks.get(number));
        let hook = hook.ok_or_else(|| Error::internal("a callback that this call does not have"))?;
        // The callback may call an operation again, which blocks; the runtime must know that this thread is busy.
        tokio::task::block_in_place(|| hook(value))
    }

    /// Produces rows beside the call. `produce` owns what it needs, because it may outlive the call.
    ///
    /// # Errors
    /// What goes wrong before the first page.
    pub async fn rows<T, P, F>(&self, produce: P) -> Result<Rows<T>>
    where
        T: Row + Send + 'static,
        P: FnOnce(Pages<T>) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Rows::produce(&self.cancel, produce).await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("this operation was called without a cluster")]
struct NoCluster;

impl Fault for NoCluster {
    fn code(&self) -> &'static str {
        "internal"
    }
}
