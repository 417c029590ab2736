//! Which calls core makes, as its log tells.

use std::fmt::Debug;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The calls that have begun, and those that have ended.
static BEGUN: Mutex<Vec<Call>> = Mutex::new(Vec::new());
static CALLS: Mutex<Vec<Call>> = Mutex::new(Vec::new());

/// A call that core made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Call {
    method: String,
    endpoint: String,
}

/// Runs something, and returns with its result the methods that were called on an endpoint meanwhile, in the order in which
/// they ended.
///
/// # Panics
/// Somebody else listens to the log of this process.
pub fn calls<T>(endpoint: &str, run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| tracing::subscriber::set_global_default(Listener).expect("nobody else listens"));
    let so_far = || CALLS.lock().unwrap_or_else(PoisonError::into_inner).len();
    let before = so_far();
    let result = run();
    let calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = calls.iter().skip(before).filter(|call| call.endpoint == endpoint).map(|call| call.method.clone());
    (result, made.collect())
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "etcdsh_core::rpc::entry"
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut call = Call::default();
        span.record(&mut call);
        let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push(call);
        Id::from_u64(begun.len() as u64)
    }

    fn event(&self, event: &Event<'_>) {
        let begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
        // A call that began before anybody listened is nobody's.
        let Some(at) = event.parent().map(Id::into_u64) else { return };
        let call = begun.get(usize::try_from(at).expect("few calls") - 1).expect("what has ended has begun");
        CALLS.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Call {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "method" {
            value.clone_into(&mut self.method);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "endpoint" {
            self.endpoint = format!("{value:?}");
        }
    }
}
