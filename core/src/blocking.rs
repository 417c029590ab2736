//! The one place where synchronous callers meet the asynchronous core. It decides what Ctrl-C does, and turns a panic into an
//! error, because a panic in a plugin would end every other call of that plugin too.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::card::Effect;
use crate::change::stopped::too_late;
use crate::context::{Context, HookFn};
use crate::error::{Error, Interrupted, Result, Sent};
use crate::event::Event;
use crate::operation::Entry;
use crate::places::Places;
use crate::profile::Profile;
use crate::report::Answer;
use crate::rpc::Cluster;
use crate::stream::panicked;
use crate::subject::Subject;
use crate::value::Record;

/// What to do when nobody is there, where nobody said where to look.
const ASSUMED: &str = "no cluster was named, so this machine was asked; name one by its profile or its endpoints";

/// Runs operations for a synchronous caller, and keeps connections between calls.
pub struct Driver {
    runtime: Runtime,
    clusters: Mutex<HashMap<String, Arc<Cluster>>>,
}

/// One call.
pub struct Call<'a> {
    /// What to do.
    pub entry: &'a Entry,
    /// With what.
    pub args: Record,
    /// About what; needed when the card's target is something.
    pub subject: Option<Subject>,
    /// For whom.
    pub places: &'a Places,
    /// The callbacks that `Value::Hook` in the arguments refers to.
    pub hooks: &'a [HookFn<'a>],
    /// Who is told what happens.
    pub events: &'a dyn Fn(&Event),
    /// Cancelled by Ctrl-C.
    pub cancel: CancellationToken,
}

impl Driver {
    /// Starts a runtime.
    ///
    /// # Errors
    /// The system refused threads.
    pub fn new() -> Result<Self> {
        // Two workers: the work is waiting, and decoding beside reading.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().map_err(Error::internal)?;
        Ok(Driver { runtime, clusters: Mutex::default() })
    }

    /// Runs a call to its end on the caller's thread. A reading operation is dropped on Ctrl-C; a changing one runs on to its
    /// next safe point, and reports where things stand.
    ///
    /// # Errors
    /// What the operation failed with.
    pub fn call(&self, call: Call<'_>) -> Result<Answer> {
        let Call { entry, args, subject, places, hooks, events, cancel } = call;
        let subject = subject.filter(|_| entry.card.target.is_asked(&args));
        subject.iter().try_for_each(|subject| subject.suits(&entry.card))?;
        let (cluster, file) = match subject {
            Some(Subject::Cluster(profile)) => (Some(self.cluster(profile)?), None),
            Some(Subject::File(file)) => (None, Some(file)),
            None => (None, None),
        };
        let assumed = cluster.as_ref().is_some_and(|cluster| cluster.profile().assumed);
        let answer = self.block_on(async {
            let ctx = Context { cluster, file, places, cancel: cancel.clone(), hooks, events, memory: None };
            let work = AssertUnwindSafe(entry.run(&ctx, args)).catch_unwind();
            let done = if entry.card.effect == Effect::Reads {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return Err(Interrupted.into()),
                    done = work => done,
                }
            } else {
                work.await
            };
            done.unwrap_or_else(|panic| Err(panicked(&*panic)))
        });
        let answer = match answer {
            Ok(Answer::Value(report)) if entry.card.effect != Effect::Reads && cancel.is_cancelled() => {
                Err(too_late(entry.card.name, report))
            }
            other => other,
        };
        answer.map_err(|error| {
            let nobody = assumed && error.sent() == Some(Sent::Never);
            let error = if nobody { error.advise(ASSUMED) } else { error };
            if entry.card.effect == Effect::Reads { error } else { error.of_a_change() }
        })
    }

    /// Returns the connections to a cluster, kept from an earlier call with the same profile where there was one.
    ///
    /// # Errors
    /// What is wrong with the profile: an endpoint that is not a URL, a certificate that is none.
    pub fn cluster(&self, profile: Profile) -> Result<Arc<Cluster>> {
        let identity = profile.identity();
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clusters.get(&identity) {
            return Ok(Arc::clone(known));
        }
        // Channels register with the runtime when they are made.
        let _entered = self.runtime.enter();
        let cluster = Arc::new(Cluster::new(profile)?);
        clusters.insert(identity, Arc::clone(&cluster));
        Ok(cluster)
    }

    /// Runs a future to its end for a front end's own needs, such as completion.
    #[expect(clippy::disallowed_methods, reason = "this is the one block_on")]
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        // The caller may itself stand in a hook of an outer call; see `Context::call`.
        self.runtime.block_on(work)
    }
}
