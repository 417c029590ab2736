//! Core's answers as Nushell's pipelines.

use std::time::{Duration, Instant};

use etcdsh_core::args::Kind;
use etcdsh_core::error::Result;
use etcdsh_core::report::{Answer, Column, Shape};
use etcdsh_core::stream::Stream;
use nu_plugin::EngineInterface;
use nu_protocol::{HandlerGuard, ListStream, PipelineData, PipelineMetadata, Span, Value as NuValue};

use crate::call::Spans;
use crate::error::labeled;
use crate::value::to_nu;

/// How many rows are held back to see whether a stream ends at once, and for how long.
const HELD_ROWS: usize = 1000;
const HELD_TIME: Duration = Duration::from_millis(50);

/// Turns an answer into a pipeline.
///
/// A stream that ends soon becomes a plain list: Nushell passes over an error inside a stream in many places, and so a short
/// answer can fail the command itself.
///
/// # Errors
/// A short stream failed.
pub fn pipeline(
    answer: Answer,
    shape: Shape,
    engine: &EngineInterface,
    spans: &Spans,
    interrupts: HandlerGuard,
) -> Result<PipelineData> {
    let metadata = metadata(shape, spans.head());
    let mut stream = match answer {
        Answer::Value(value) => return Ok(PipelineData::value(to_nu(value, spans.head()), metadata)),
        Answer::Stream(stream) => stream,
    };
    let Held { rows, ended } = hold(&mut stream, spans.head())?;
    if ended {
        return Ok(PipelineData::value(NuValue::list(rows, spans.head()), metadata));
    }
    let rest = Rest { stream, spans: spans.clone(), _interrupts: interrupts };
    let rows = rows.into_iter().chain(rest);
    Ok(PipelineData::list_stream(ListStream::new(rows, spans.head(), engine.signals().clone()), metadata))
}

/// Says which columns of a wide table must stay readable: the name, and the words of closed sets, which are the verdicts.
fn metadata(shape: Shape, span: Span) -> Option<PipelineMetadata> {
    if matches!(shape, Shape::Record(_)) {
        return None;
    }
    let tells = |column: &&Column| column.name == "name" || matches!(column.kind, Kind::Choice(_));
    let columns: Vec<_> = shape.columns().iter().filter(tells).map(|column| column.name).collect();
    (!columns.is_empty()).then(|| PipelineMetadata::default().with_table_width_priority_columns(span, columns))
}

struct Held {
    rows: Vec<NuValue>,
    ended: bool,
}

fn hold(stream: &mut Stream, span: Span) -> Result<Held> {
    let begin = Instant::now();
    let mut rows = Vec::new();
    while rows.len() < HELD_ROWS && (stream.ready() > 0 || begin.elapsed() < HELD_TIME) {
        match stream.next() {
            Some(row) => rows.push(to_nu(row?, span)),
            None => return Ok(Held { rows, ended: true }),
        }
    }
    Ok(Held { rows, ended: false })
}

/// The rows that were not held back. Dropping it ends the producer, and only then Ctrl-C is no longer listened to.
struct Rest {
    stream: Stream,
    spans: Spans,
    _interrupts: HandlerGuard,
}

impl Iterator for Rest {
    type Item = NuValue;

    fn next(&mut self) -> Option<NuValue> {
        Some(match self.stream.next()? {
            Ok(row) => to_nu(row, self.spans.head()),
            Err(error) => NuValue::error(labeled(error, &self.spans).into(), self.spans.head()),
        })
    }
}
