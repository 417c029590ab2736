//! What journals tell: which changes were made, and how each ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::args::{Kind, Typed};
use crate::change::journal::folder;
use crate::error::{Fault, Result, suggest};
use crate::id::ClusterId;

crate::choice! {
    /// How a run stands.
    pub enum RunState {
        /// It goes on.
        Running = "running",
        /// Every step came true.
        Done = "done",
        /// It stopped before its end, and said so.
        Stopped = "stopped",
        /// It ended without a word: its program or its machine died.
        Interrupted = "interrupted",
        /// It came to its end in a later run.
        Resumed = "resumed",
    }
}

impl RunState {
    /// Says whether there is something to go on with.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Stopped | Self::Interrupted)
    }
}

/// How a user names a run: a plain text, of a kind of its own so that a face can suggest what there is, and where it says
/// `OPEN` only what can be gone on with.
#[derive(Debug, Clone, Deserialize)]
pub struct RunName<const OPEN: bool = false>(pub String);

impl<const OPEN: bool> Typed for RunName<OPEN> {
    const KIND: Kind = Kind::Run { open: OPEN };
}

/// A run, as its journal tells it.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Its name.
    pub id: String,
    /// When it began, as RFC 3339.
    pub started: String,
    /// The operation.
    pub operation: String,
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The arguments with which it is planned again.
    pub again: serde_json::Map<String, Json>,
    /// The refusals that its caller allowed.
    pub allow: Vec<String>,
    /// The run that it went on with.
    pub resumes: Option<String>,
    /// Whether a closure carried out what was done on hosts.
    pub by_closure: bool,
    /// The actions that were planned, as they were journalled.
    pub planned: Vec<Json>,
    /// The steps that were begun or passed over, in order.
    pub steps: Vec<StepRecord>,
    /// How it stands.
    pub state: RunState,
    /// The code of what stopped it.
    pub stopped_by: Option<String>,
}

/// A step of a run.
#[derive(Debug, Clone)]
pub struct StepRecord {
    /// Its place in the plan, counted from one.
    pub number: i64,
    /// The action, as it was journalled.
    pub action: Json,
    /// What came of it; none where the run ended before that was known.
    pub outcome: Option<String>,
    /// More about it.
    pub detail: String,
    /// Facts that were needed later.
    pub result: Json,
    /// When that was written, as RFC 3339.
    pub time: String,
}

#[derive(Deserialize)]
struct PlanLine {
    operation: String,
    cluster_id: ClusterId,
    steps: Vec<Json>,
    #[serde(default)]
    again: serde_json::Map<String, Json>,
    #[serde(default)]
    by_closure: bool,
}

impl RunRecord {
    /// Reads a journal. A last line that was cut short by a crash is passed over.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let id = path.file_stem()?.to_string_lossy().into_owned();
        // A crash may have cut the last line within a character.
        let bytes = std::fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<Json> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let word = |line: &Json, name: &str| line.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let first = lines.first().filter(|line| word(line, "entry") == "plan")?;
        let plan = PlanLine::deserialize(first.get("plan")?).ok()?;
        let list = |name: &str| first.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        let planned = plan.steps.into_iter().map(action_of).collect::<Vec<_>>();
        let mut run = RunRecord {
            id,
            started: word(first, "time"),
            operation: plan.operation,
            cluster_id: plan.cluster_id,
            again: plan.again,
            allow: list("allow").iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            resumes: first.get("resumes").and_then(Json::as_str).map(str::to_owned),
            by_closure: plan.by_closure,
            planned,
            steps: Vec::new(),
            state: if is_held(path) { RunState::Running } else { RunState::Interrupted },
            stopped_by: None,
        };
        for line in lines.get(1..).unwrap_or_default() {
            let number = line.get("number").and_then(Json::as_i64).unwrap_or_default();
            let time = word(line, "time");
            match word(line, "entry").as_str() {
                "intent" => {
                    let action = line.get("step").cloned().map(action_of).unwrap_or_default();
                    let (outcome, detail, result) = (None, String::new(), Json::Null);
                    run.steps.push(StepRecord { number, action, outcome, detail, result, time });
                }
                "outcome" => {
                    let (outcome, detail) = (Some(word(line, "outcome")), word(line, "detail"));
                    let result = line.get("result").cloned().unwrap_or_default();
                    match run.steps.last_mut().filter(|step| step.number == number && step.outcome.is_none()) {
                        Some(step) => {
                            (step.outcome, step.detail, step.result, step.time) = (outcome, detail, result, time);
                        }
                        None => {
                            let at = usize::try_from(number - 1).ok();
                            let planned = || at.and_then(|at| run.planned.get(at)).cloned().unwrap_or_default();
                            // Journals of older versions do not name the step here.
                            let action = line.get("step").cloned().map_or_else(planned, action_of);
                            run.steps.push(StepRecord { number, action, outcome, detail, result, time });
                        }
                    }
                }
                "end" => {
                    let ok = line.get("ok").and_then(Json::as_bool) == Some(true);
                    run.state = if ok { RunState::Done } else { RunState::Stopped };
                    run.stopped_by = line.get("code").and_then(Json::as_str).map(str::to_owned);
                }
                _ => {}
            }
        }
        Some(run)
    }

    /// Returns how many steps came true.
    pub fn done(&self) -> usize {
        // A hand-over that was put before a step has its number.
        let last = self.steps.iter().map(|step| (step.number, step.outcome.as_deref())).collect::<BTreeMap<_, _>>();
        last.into_values().filter(|outcome| matches!(outcome, Some("done" | "already"))).count()
    }
}

/// Leaves the reason out: the same step may be planned for another one.
fn action_of(mut step: Json) -> Json {
    if let Some(fields) = step.as_object_mut() {
        fields.remove("reason");
    }
    step
}

fn is_held(path: &Path) -> bool {
    // Two who look at once must not take each other for the run.
    let lock = File::open(path).map(|file| file.try_lock_shared());
    matches!(lock, Ok(Err(std::fs::TryLockError::WouldBlock)))
}

fn journals(state: &Path) -> impl Iterator<Item = PathBuf> {
    let files = std::fs::read_dir(folder(state)).into_iter().flatten().flatten();
    // To open a pipe would wait for its writer.
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "jsonl") && path.is_file();
    files.map(|file| file.path()).filter(is_journal)
}

/// Returns the names of the runs whose journals cannot be read. An empty one is of a run that ended before its first line.
pub fn unreadable(state: &Path) -> Vec<String> {
    let written = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
    let damaged = journals(state).filter(|path| written(path) && RunRecord::read(path).is_none());
    damaged.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
}

/// Returns every run that journals below a state folder tell of, the newest first.
pub fn runs(state: &Path) -> Vec<RunRecord> {
    let mut runs: Vec<_> = journals(state).filter_map(|path| RunRecord::read(&path)).collect();
    runs.sort_by(|a, b| (&b.started, &b.id).cmp(&(&a.started, &a.id)));
    // A run that is being gone on with goes on too, and one that was gone on with to the end is over.
    for (of, becomes) in [(RunState::Running, RunState::Running), (RunState::Done, RunState::Resumed)] {
        let with = |run: &&RunRecord| run.state == of;
        let mut before: Vec<String> = runs.iter().filter(with).filter_map(|run| run.resumes.clone()).collect();
        // A run that went on with another, and was gone on with itself, settles both.
        while let Some(id) = before.pop() {
            if let Some(run) = runs.iter_mut().find(|run| run.id == id && run.state != RunState::Done) {
                run.state = becomes;
                before.extend(run.resumes.clone());
            }
        }
    }
    runs
}

/// Returns the runs that a user may name: all, or those that can be gone on with.
pub fn to_name(state: &Path, open: bool) -> impl Iterator<Item = RunRecord> {
    runs(state).into_iter().filter(move |run| run.state.is_open() || !open)
}

/// Finds a run by its name, or by a beginning that no other run has.
///
/// # Errors
/// There is none, or more than one.
pub fn find(state: &Path, wanted: &str) -> Result<RunRecord> {
    let mut all = runs(state);
    if let Some(at) = all.iter().position(|run| run.id == wanted) {
        return Ok(all.swap_remove(at));
    }
    let ids: Vec<String> = all.iter().map(|run| run.id.clone()).collect();
    let mut found: Vec<_> = all.into_iter().filter(|run| !wanted.is_empty() && run.id.starts_with(wanted)).collect();
    match (found.len(), found.pop()) {
        (1, Some(run)) => Ok(run),
        (0, _) => {
            if let Some(id) = unreadable(state).into_iter().find(|id| id == wanted) {
                return Err(NoSuchRun::Unreadable { id }.into());
            }
            let known: Vec<&str> = ids.iter().map(String::as_str).collect();
            Err(NoSuchRun::Unknown { wanted: wanted.to_owned(), suggestion: suggest(wanted, &known) }.into())
        }
        _ => Err(NoSuchRun::Several { wanted: wanted.to_owned() }.into()),
    }
}

/// Returns the run that went on last with a run, or that run itself: it knows what both have done.
pub fn last_of(state: &Path, run: RunRecord) -> RunRecord {
    let (mut last, all) = (run, runs(state));
    // The newest one is first; no run goes on with one that is newer.
    while let Some(next) = all.iter().find(|next| next.resumes.as_ref() == Some(&last.id)) {
        last = next.clone();
    }
    last
}

/// No run is meant, or more than one.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchRun {
    /// There is none.
    #[error("no run is named {wanted:?}")]
    Unknown {
        /// What was said.
        wanted: String,
        /// One with a similar name.
        suggestion: Option<String>,
    },
    /// There are several.
    #[error("more than one run is named {wanted:?}")]
    Several {
        /// What was said.
        wanted: String,
    },
    /// There is one, and nobody can tell what it did.
    #[error("the journal of the run {id} cannot be read")]
    Unreadable {
        /// Its name.
        id: String,
    },
}

impl Fault for NoSuchRun {
    fn code(&self) -> &'static str {
        match self {
            NoSuchRun::Unknown { .. } => "run_not_found",
            NoSuchRun::Several { .. } => "run_ambiguous",
            NoSuchRun::Unreadable { .. } => "run_unreadable",
        }
    }

    fn argument(&self) -> Option<&str> {
        Some("id")
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            NoSuchRun::Unknown { suggestion: Some(near), .. } => format!("did you mean {near}?"),
            NoSuchRun::Unreadable { .. } => {
                "its first line is damaged; run the operation itself again, which finds out what is done already"
                    .to_owned()
            }
            _ => "`change list` names the runs; a beginning that no other has is enough".to_owned(),
        })
    }
}

#[cfg(test)]
pub(in crate::change) mod tests {
    use super::*;

    /// Writes a journal of these lines behind that of its plan.
    pub(in crate::change) fn journal(state: &Path, id: &str, resumes: &str, lines: &[&str]) {
        std::fs::create_dir_all(folder(state)).unwrap();
        let steps = r#"[{"action":"stop_member","id":"b","name":"infra2","reason":"x"},{"action":"defragment","id":"b","reason":"x"}]"#;
        let plan = format!(r#""plan":{{"operation":"defrag","cluster_id":"a","steps":{steps},"again":{{"keep":1}}}}"#);
        let time = format!(r#""time":"2026-11-26T03:15:0{}Z""#, id.len() % 10);
        let resumes = if resumes.is_empty() { "null".to_owned() } else { format!("{resumes:?}") };
        let first = format!(r#"{{{time},"entry":"plan",{plan},"allow":["quorum_at_risk"],"resumes":{resumes}}}"#);
        let text = std::iter::once(first.as_str()).chain(lines.iter().copied()).collect::<Vec<_>>().join("\n");
        std::fs::write(folder(state).join(format!("{id}.jsonl")), text).unwrap();
    }

    pub(in crate::change) const ALREADY: &str =
        r#"{"time":"t","entry":"outcome","number":1,"outcome":"already","detail":"it was"}"#;
    pub(in crate::change) const INTENT: &str =
        r#"{"time":"t","entry":"intent","number":2,"step":{"action":"defragment","id":"b","reason":"y"}}"#;
    pub(in crate::change) const DONE: &str =
        r#"{"time":"t","entry":"outcome","number":2,"outcome":"done","detail":"","result":{"freed":5}}"#;

    #[test]
    fn a_journal_tells_how_its_run_stands() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path();
        journal(state, "a", "", &[ALREADY, INTENT]);
        journal(state, "bb", "", &[ALREADY, INTENT, DONE, r#"{"time":"t","entry":"end","ok":true}"#]);
        journal(state, "ccc", "", &[ALREADY, INTENT, DONE, r#"{"time":"t","entry":"end","ok":false}"#]);
        // The machine died while it wrote.
        journal(state, "dddd", "", &[ALREADY, INTENT, r#"{"time":"t","entry":"outcome","number":2,"detail":"ä"#]);
        let cut = std::fs::read(folder(state).join("dddd.jsonl")).unwrap();
        std::fs::write(folder(state).join("dddd.jsonl"), &cut[..cut.len() - 1]).unwrap();
        journal(state, "eeeee", "a", &[r#"{"time":"t","entry":"end","ok":true}"#]);
        std::fs::write(folder(state).join("f.jsonl"), "no journal").unwrap();
        let told: Vec<_> = runs(state).iter().map(|run| format!("{} {} {}", run.id, run.state, run.done())).collect();
        assert_eq!(told, ["eeeee done 0", "dddd interrupted 1", "ccc stopped 2", "bb done 2", "a resumed 1"]);
        let held = std::fs::File::open(folder(state).join("dddd.jsonl")).unwrap();
        held.lock().unwrap();
        assert_eq!(find(state, "dd").unwrap().state, RunState::Running);
        let run = find(state, "ccc").unwrap();
        assert_eq!((run.planned.len(), run.allow.as_slice()), (2, ["quorum_at_risk".to_owned()].as_slice()));
        assert_eq!(run.steps[1].result["freed"], 5);
    }

    #[test]
    fn a_run_that_is_gone_on_with_goes_on_and_its_last_run_knows_all() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path();
        journal(state, "a", "", &[INTENT]);
        journal(state, "bb", "a", &[INTENT]);
        journal(state, "ccc", "bb", &[ALREADY]);
        journal(state, "dddd", "", &[]);
        let last = |id: &str| last_of(state, find(state, id).unwrap()).id;
        assert_eq!(["a", "bb", "ccc", "dddd"].map(last), ["ccc", "ccc", "ccc", "dddd"]);
        let held = std::fs::File::open(folder(state).join("ccc.jsonl")).unwrap();
        held.lock().unwrap();
        let states = ["a", "bb", "ccc", "dddd"].map(|id| find(state, id).unwrap().state);
        assert_eq!(states, [RunState::Running, RunState::Running, RunState::Running, RunState::Interrupted]);
    }

    #[test]
    fn a_run_is_found_by_what_only_it_begins_with() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path();
        journal(state, "20261126T031500Z-defrag-1111", "", &[]);
        journal(state, "20261126T031500Z-defrag-1222", "", &[]);
        assert_eq!(find(state, "20261126T031500Z-defrag-12").unwrap().id, "20261126T031500Z-defrag-1222");
        std::fs::write(folder(state).join("torn.jsonl"), "{\"time\"").unwrap();
        std::fs::write(folder(state).join("empty.jsonl"), "").unwrap();
        assert_eq!(unreadable(state), ["torn"]);
        let wrong = ["2026", "", "20261126T031500Z-defrag-1112", "torn"];
        let wrong = wrong.map(|wanted| find(state, wanted).map(drop).unwrap_err());
        insta::assert_snapshot!(crate::tests::shown(wrong), @r#"
        run_ambiguous (id): more than one run is named "2026"
          help: `change list` names the runs; a beginning that no other has is enough
        run_not_found (id): no run is named ""
          help: `change list` names the runs; a beginning that no other has is enough
        run_not_found (id): no run is named "20261126T031500Z-defrag-1112"
          help: did you mean 20261126T031500Z-defrag-1111?
        run_unreadable (id): the journal of the run torn cannot be read
          help: its first line is damaged; run the operation itself again, which finds out what is done already
        "#);
    }
}
