//! The members of clusters, for completion. They are asked for on a thread of their own, so that typing never waits for a
//! network; what is not there in time is there at the next try.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use etcdsh_core::blocking::Call;
use etcdsh_core::catalogue::find;
use etcdsh_core::report::Answer;
use etcdsh_core::value::{Record, Value};

use crate::cluster::Cluster;

/// How long an answer counts as new.
const FRESH: Duration = Duration::from_secs(3);
/// How long a completion waits for an answer before it goes on without.
const PATIENCE: Duration = Duration::from_millis(300);

/// A name, and what it is.
pub(super) type Named = (String, String);

/// The members by the name of the variable that holds their cluster.
pub(super) struct Members {
    known: Arc<Mutex<HashMap<String, Known>>>,
    questions: mpsc::Sender<(String, Cluster)>,
}

#[derive(Default)]
struct Known {
    names: Vec<Named>,
    asked: Option<Instant>,
    answered: Option<Instant>,
}

/// What is known now.
pub(super) enum Answered {
    /// All that there is to know.
    Names(Vec<Named>),
    /// The answer is on its way.
    Soon,
}

impl Members {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused.
    pub(super) fn start() -> std::io::Result<Self> {
        let known = Arc::new(Mutex::new(HashMap::<String, Known>::new()));
        let (questions, asked) = mpsc::channel::<(String, Cluster)>();
        let answers = Arc::clone(&known);
        let serve = move || {
            for (variable, cluster) in asked {
                // A cluster that does not answer has no names to offer; the user will hear why when the line is run.
                let names = ask(&cluster).unwrap_or_default();
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                let known = answers.entry(variable).or_default();
                (known.names, known.asked, known.answered) = (names, None, Some(Instant::now()));
            }
        };
        std::thread::Builder::new().name("completion".to_owned()).spawn(serve)?;
        Ok(Members { known, questions })
    }

    /// Returns the members of a cluster, or asks for them.
    pub(super) fn of(&self, variable: &str, cluster: &Cluster) -> Answered {
        let mut known = self.lock();
        let known = known.entry(variable.to_owned()).or_default();
        let fresh = known.answered.is_some_and(|at| at.elapsed() < FRESH);
        match known.asked {
            _ if fresh => Answered::Names(known.names.clone()),
            Some(asked) if asked.elapsed() < PATIENCE => Answered::Soon,
            Some(_) => Answered::Names(known.names.clone()),
            None => {
                known.asked = Some(Instant::now());
                // The thread lives as long as this does.
                let _ = self.questions.send((variable.to_owned(), cluster.clone()));
                Answered::Soon
            }
        }
    }

    /// Says whether a question that was asked lately is still open.
    pub(super) fn is_waiting(&self) -> bool {
        self.lock().values().any(|known| known.asked.is_some_and(|asked| asked.elapsed() < PATIENCE))
    }

    /// Forgets everything: variables may mean other clusters now, and clusters other members.
    pub(super) fn forget(&self) {
        self.lock().retain(|_, known| {
            known.answered = None;
            known.asked.is_some()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(cluster: &Cluster) -> Option<Vec<Named>> {
    let session = cluster.session();
    let answer = session.driver().ok()?.call(Call {
        entry: find("member list")?,
        args: Record::new(),
        subject: Some(cluster.subject().ok()?),
        places: &session.setup.places,
        hooks: &[],
        events: &|_| {},
        // Not the token of the evaluation: what runs in the foreground has nothing to do with this.
        cancel: Default::default(),
    });
    let Ok(Answer::Value(Value::List(rows))) = answer else { return None };
    Some(rows.iter().filter_map(Value::as_record).filter_map(member).collect())
}

fn member(row: &Record) -> Option<Named> {
    let text = |column| row.get(column).and_then(Value::as_text).map(str::to_owned);
    let (id, status) = (text("member_id")?, text("status").unwrap_or_default());
    Some(match text("name") {
        Some(name) => (name, format!("{id} {status}")),
        None => (id, status),
    })
}
