//! What can stand where the cursor is: functions with their help, options, members, profiles, variables.

use std::any::TypeId;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use etcdsh_core::args::{Kind, Param};
use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::change::record::to_name;
use etcdsh_core::operation::Entry;
use etcdsh_core::profile;
use etcdsh_core::report::Shape;
use reedline::{Completer, CompletionResult, CompletionStatus, Span, Suggestion};
use rhai::{Array, Dynamic, Map, Scope};

use super::live::{Answered, Members, Named};
use super::scan::{Argument, Spot, Which, spot};
use crate::cluster::Cluster;
use crate::docs;
use crate::engine::{AMBIENT, Interpreter};
use crate::functions::takes;
use crate::stream::Rows;

const KEYWORDS: &[&str] = &[
    "as", "break", "catch", "const", "continue", "do", "else", "export", "false", "fn", "for", "if", "import", "in",
    "let", "loop", "private", "return", "switch", "this", "throw", "true", "try", "until", "while",
];

/// Functions that are called without a receiver.
const FREE: &[&str] =
    &["connect", "debug", "exit", "now", "parse_json", "print", "range", "run", "sleep", "timestamp", "type_of"];

const COMMANDS: &[(&str, &str)] = &[
    (".help", "what there is; with a name, its help"),
    (".vars", "the variables"),
    (".clear", "an empty screen"),
    (".quit", "leave"),
];

/// What evaluations have left behind.
#[derive(Default)]
pub(super) struct Snapshot {
    variables: Vec<Variable>,
    functions: Vec<Named>,
}

struct Variable {
    name: String,
    about: String,
    kind: TypeId,
    /// The fields of a map.
    fields: Vec<String>,
    cluster: Option<Cluster>,
}

/// What the completer and the shell share.
pub(super) struct Shared {
    interpreter: Arc<Interpreter>,
    snapshot: Mutex<Snapshot>,
    members: Members,
    /// Functions by the type of their receiver; made when it is first needed.
    methods: OnceLock<Vec<(TypeId, Named)>>,
}

impl Shared {
    /// Makes it.
    ///
    /// # Errors
    /// The system refused a thread.
    pub(super) fn new(interpreter: Arc<Interpreter>) -> std::io::Result<Arc<Self>> {
        let (snapshot, methods) = Default::default();
        Ok(Arc::new(Shared { interpreter, snapshot, members: Members::start()?, methods }))
    }

    /// Takes note of what an evaluation has left behind.
    pub(super) fn update(&self, scope: &Scope<'_>, functions: impl Iterator<Item = Named>) {
        let mut variables: Vec<Variable> = Vec::new();
        for (name, _, value) in scope.iter_raw() {
            // The last definition of a name comes first, and it is the one that counts.
            if !variables.iter().any(|known| known.name == name) {
                variables.push(Variable::new(name, value));
            }
        }
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) =
            Snapshot { variables, functions: functions.collect() };
        self.members.forget();
    }
}

impl Variable {
    fn new(name: &str, value: &Dynamic) -> Self {
        let map = value.read_lock::<Map>();
        let fields =
            map.as_ref().map(|map| map.keys().take(200).map(ToString::to_string).collect()).unwrap_or_default();
        drop(map);
        Variable {
            name: name.to_owned(),
            about: value.type_name().rsplit("::").next().unwrap_or_default().to_owned(),
            kind: value.type_id(),
            fields,
            cluster: value.read_lock::<Cluster>().map(|cluster| cluster.clone()),
        }
    }
}

/// Completes lines.
pub(super) struct Words {
    shared: Arc<Shared>,
    /// Whether the last answer was that there would be one.
    waiting: bool,
}

impl Words {
    /// Makes it.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Words { shared, waiting: false }
    }
}

impl Completer for Words {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let typed = line.get(..pos).unwrap_or(line);
        self.waiting = false;
        let Some((start, words)) = self.shared.words(typed) else {
            self.waiting = true;
            return CompletionResult::Pending;
        };
        let prefix = typed.get(start..).unwrap_or_default();
        let bare = prefix.to_lowercase();
        let fits = |word: &&Word| word.text.trim_start_matches('"').to_lowercase().starts_with(&bare);
        let found: Vec<Suggestion> = words.iter().filter(fits).map(|word| word.suggestion(start, pos)).collect();
        CompletionResult::fresh(found)
    }

    fn poll_completion(&mut self) -> CompletionStatus {
        if !self.waiting {
            CompletionStatus::Idle
        } else if self.shared.members.is_waiting() {
            CompletionStatus::Pending
        } else {
            self.waiting = false;
            CompletionStatus::Ready
        }
    }
}

struct Word {
    text: String,
    about: String,
}

impl Word {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Word { text: text.into(), about: about.into() }
    }

    fn suggestion(&self, start: usize, end: usize) -> Suggestion {
        Suggestion {
            value: self.text.clone(),
            description: Some(self.about.clone()).filter(|about| !about.is_empty()),
            span: Span { start, end },
            ..Suggestion::default()
        }
    }
}

fn named(words: &[Named]) -> impl Iterator<Item = Word> + '_ {
    words.iter().map(|(text, about)| Word::new(text, about))
}

fn operation(entry: &Entry) -> Word {
    Word::new(entry.card.identifier(), format!("{}  {}", entry.card.summary, docs::usage(entry)))
}

fn option(param: &Param) -> Word {
    let default = param.default.map(|default| format!(" (default {default})")).unwrap_or_default();
    Word::new(format!("{}: ", param.name), format!("{}: {}{default}", docs::kind(param.kind), param.doc()))
}

impl Shared {
    /// Returns what can stand at the end of a text, and where it starts; `None` while an answer is on its way.
    fn words(&self, typed: &str) -> Option<(usize, Vec<Word>)> {
        if typed.starts_with('.') && !typed.contains(' ') {
            return Some((0, COMMANDS.iter().map(|(name, about)| Word::new(*name, *about)).collect()));
        }
        if let Some(topic) = typed.strip_prefix('?') {
            return Some((typed.len() - topic.len(), CATALOGUE.iter().map(operation).collect()));
        }
        Some(match spot(typed) {
            Spot::Nowhere => (typed.len(), Vec::new()),
            Spot::Answer { start, function, item } => (start, self.answer(function, item)),
            Spot::Method { start, receiver } => (start, self.methods(receiver)),
            Spot::Option { start, function } => (start, options(function).map(option).collect()),
            Spot::Text { start, argument } => (start, self.values(argument)?),
            Spot::Word { start, argument } => {
                let quoted = |word: Word| Word::new(format!("{:?}", word.text), word.about);
                let mut words: Vec<_> = self.values(argument)?.into_iter().map(quoted).collect();
                words.extend(self.names());
                (start, words)
            }
        })
    }

    /// Returns what fits an argument.
    fn values(&self, argument: Option<Argument<'_>>) -> Option<Vec<Word>> {
        let Some(mut kind) = argument.as_ref().and_then(kind_of) else { return Some(Vec::new()) };
        while let Kind::List(item) = kind {
            kind = *item;
        }
        Some(match kind {
            Kind::Choice(words) => words.iter().map(|word| Word::new(*word, "")).collect(),
            Kind::Profile => {
                let names = profile::names(None, &self.interpreter.session.setup.places).unwrap_or_default();
                names.into_iter().map(|name| Word::new(name, "profile")).collect()
            }
            Kind::Run { open } => {
                let runs = to_name(&self.interpreter.session.setup.places.state, open);
                runs.map(|run| Word::new(run.id, run.state.word())).collect()
            }
            Kind::Member => match self.cluster(argument.and_then(|argument| argument.receiver)) {
                Some((variable, cluster)) => match self.members.of(&variable, &cluster) {
                    Answered::Names(names) => named(&names).collect(),
                    Answered::Soon => return None,
                },
                None => Vec::new(),
            },
            _ => Vec::new(),
        })
    }

    /// Returns the cluster that a variable holds.
    fn cluster(&self, receiver: Option<&str>) -> Option<(String, Cluster)> {
        let name = receiver?;
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = match snapshot.variables.iter().find(|variable| variable.name == name) {
            Some(variable) => variable.cluster.clone()?,
            None if name == "etcd" => self.interpreter.cluster(),
            None => return None,
        };
        Some((name.to_owned(), cluster))
    }

    fn methods(&self, receiver: Option<&str>) -> Vec<Word> {
        if self.cluster(receiver).is_some() {
            return CATALOGUE.iter().map(operation).collect();
        }
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(variable) = snapshot.variables.iter().find(|variable| Some(variable.name.as_str()) == receiver) else {
            return Vec::new();
        };
        let fields = variable.fields.iter().map(|field| Word::new(field, "field"));
        fields.chain(self.methods_of(variable.kind)).collect()
    }

    /// Returns what an operation's answer has: columns, or functions where it is a list.
    fn answer(&self, function: &str, item: bool) -> Vec<Word> {
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.card.identifier() == function) else { return Vec::new() };
        match (entry.shape, item) {
            (Shape::Record(columns) | Shape::Maybe(columns), false) | (Shape::Table(columns), true) => {
                columns.iter().map(|column| Word::new(column.name, column.doc.trim())).collect()
            }
            (Shape::Table(_), false) => self.methods_of(TypeId::of::<Array>()).collect(),
            (Shape::Stream(_), false) => self.methods_of(TypeId::of::<Rows>()).collect(),
            _ => Vec::new(),
        }
    }

    fn methods_of(&self, kind: TypeId) -> impl Iterator<Item = Word> + '_ {
        let methods = self.methods.get_or_init(|| methods(&self.interpreter));
        methods.iter().filter(move |(known, _)| *known == kind).map(|(_, (name, about))| Word::new(name, about))
    }

    fn names(&self) -> Vec<Word> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let variables = snapshot.variables.iter().map(|variable| Word::new(&variable.name, &variable.about));
        let mut words: Vec<_> = variables.chain(named(&snapshot.functions)).collect();
        words.extend(AMBIENT.iter().map(|(name, about)| Word::new(*name, *about)));
        words.extend(FREE.iter().map(|name| Word::new(*name, "function")));
        words.extend(KEYWORDS.iter().map(|name| Word::new(*name, "keyword")));
        words
    }
}

fn options(function: &str) -> impl Iterator<Item = &'static Param> + use<> {
    takes(function).into_iter().flat_map(|(_, takes)| takes.all()).filter(|param| !param.positional)
}

fn kind_of(argument: &Argument<'_>) -> Option<Kind> {
    let (_, takes) = takes(argument.function)?;
    let param = match argument.which {
        Which::Place(0) if argument.function == "connect" => return Some(Kind::Profile),
        Which::Place(place) => takes.positional().nth(place),
        Which::Named(name) => takes.all().find(|param| param.name == name),
    };
    param.map(|param| param.kind)
}

fn methods(interpreter: &Interpreter) -> Vec<(TypeId, Named)> {
    let mut methods = interpreter.engine.collect_fn_metadata(
        None,
        |info| {
            let found = info.metadata;
            let named = found.name.starts_with(|c: char| c.is_alphabetic()) && !found.name.contains('$');
            let about = found.comments.first().and_then(|comment| comment.lines().next()).unwrap_or_default();
            let about = about.trim_start_matches('/').trim().to_owned();
            found.param_types.first().filter(|_| named).map(|kind| (*kind, (found.name.to_string(), about)))
        },
        true,
    );
    methods.sort_by(|(_, a), (_, b)| a.cmp(b));
    methods.dedup_by(|(a_kind, a), (b_kind, b)| a_kind == b_kind && a.0 == b.0);
    methods
}
