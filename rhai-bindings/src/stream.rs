//! Rows that arrive while they are read, as a script holds them: something to loop over once, or to take pieces of.

use std::sync::{Arc, Mutex, PoisonError};

use etcdsh_core::error::Fault;
use etcdsh_core::stream::Stream;
use etcdsh_core::value::Value;
use rhai::{Array, Dynamic, Engine, FuncRegistration, INT};

use crate::error::{Thrown, throw};
use crate::session::Session;
use crate::value::to_dynamic;

/// The handle of a stream. Copies share the rows.
#[derive(Clone)]
pub struct Rows(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    operation: &'static str,
    /// Gone once a loop has taken it.
    stream: Mutex<Option<Stream>>,
}

#[derive(Debug, thiserror::Error)]
enum BadRead {
    #[error("the rows of {0} were taken by a loop before")]
    Taken(&'static str),
    #[error("take was asked for {0} rows")]
    Negative(INT),
}

impl Fault for BadRead {
    fn code(&self) -> &'static str {
        match self {
            BadRead::Taken(_) => "stream_taken",
            BadRead::Negative(_) => "invalid_argument",
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            BadRead::Taken(_) => {
                "rows can be read once; keep them with .to_array(), or call the operation again".into()
            }
            BadRead::Negative(_) => "give a number that is not negative".into(),
        })
    }
}

impl Rows {
    /// Makes the handle of a stream.
    pub fn new(session: &Arc<Session>, operation: &'static str, stream: Stream) -> Self {
        Rows(Arc::new(Inner { session: Arc::clone(session), operation, stream: Mutex::new(Some(stream)) }))
    }

    /// Reads up to `limit` further rows, and leaves what follows.
    ///
    /// # Errors
    /// What ended the stream early, or a loop has taken the rows.
    pub fn take(&self, limit: usize) -> Thrown<Array> {
        let mut stream = self.0.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = stream.as_mut().ok_or_else(|| self.taken())?;
        let rows = stream.by_ref().take(limit);
        // The engine looks at nothing while a function of ours runs.
        rows.map(|row| match self.0.session.stop() {
            Some(stop) => Err(stop.raise()),
            None => row.map(to_dynamic).map_err(|error| throw(error, &self.0.session, None)),
        })
        .collect()
    }

    /// Returns the operation that they come from.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    fn taken(&self) -> Box<rhai::EvalAltResult> {
        throw(BadRead::Taken(self.0.operation).into(), &self.0.session, None)
    }

    fn take_asked(&self, asked: INT) -> Thrown<Array> {
        let limit = usize::try_from(asked);
        self.take(limit.map_err(|_| throw(BadRead::Negative(asked).into(), &self.0.session, None))?)
    }

    /// Takes all further rows, as core has them. Leaving the loop over them ends the producer.
    pub fn values(self) -> impl Iterator<Item = Thrown<Value>> {
        let stream = self.0.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = stream.is_none().then(|| self.taken());
        let session = Arc::clone(&self.0.session);
        let rows = stream.into_iter().flatten().map(move |row| row.map_err(|error| throw(error, &session, None)));
        refused.map(Err).into_iter().chain(rows)
    }
}

impl IntoIterator for Rows {
    type Item = Thrown<Dynamic>;
    type IntoIter = Box<dyn Iterator<Item = Thrown<Dynamic>>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.values().map(|row| row.map(to_dynamic)))
    }
}

/// Teaches an engine the type.
pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Rows>("Rows");
    engine.register_iterator_result::<Rows, Dynamic>();
    let describe =
        |rows: &mut Rows| format!("rows of {} (loop over them, or .take(n), or .to_array())", rows.operation());
    engine.register_fn("to_string", describe).register_fn("to_debug", describe);
    FuncRegistration::new("to_array")
        .with_params_info(["rows: Rows", "array"])
        .with_comments(["/// Reads all further rows into an array."])
        .with_volatility(true)
        .register_into_engine(engine, |rows: &mut Rows| rows.take(usize::MAX));
    FuncRegistration::new("take")
        .with_params_info(["rows: Rows", "count: int", "array"])
        .with_comments(["/// Reads up to `count` further rows into an array, and leaves what follows."])
        .with_volatility(true)
        .register_into_engine(engine, |rows: &mut Rows, count: INT| rows.take_asked(count));
}
