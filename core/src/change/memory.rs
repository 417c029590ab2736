//! What runs that were interrupted had done, for the one that goes on with them.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::change::journal::folder;
use crate::change::plan::{Action, Plan};
use crate::change::record::RunRecord;
use crate::change::view::ClusterView;
use crate::id::{ClusterId, MemberId};

/// What runs that were interrupted had done, for the one that goes on with them.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// The run that is gone on with.
    pub(crate) run: String,
    /// The cluster that it was about.
    pub(crate) cluster_id: ClusterId,
    /// What it had planned.
    planned: Vec<Action>,
    /// The steps that were begun, the newest first, and what came of each, where that was known.
    steps: Vec<(Json, Option<String>)>,
    /// The restart that was begun last.
    restart: Option<Action>,
}

impl Memory {
    /// Gathers what a run and those that it went on with had done.
    pub(crate) fn of(state: &Path, run: &RunRecord) -> Self {
        let planned = run.planned.iter().map(Action::deserialize).collect::<Result<_, _>>();
        // Who does not understand the plan cannot say that it has come true.
        let planned = planned.unwrap_or_default();
        let mut memory =
            Memory { run: run.id.clone(), cluster_id: run.cluster_id, planned, steps: Vec::new(), restart: None };
        let mut next = Some(run.clone());
        while let Some(run) = next {
            let begun = run.steps.iter().rev().map(|step| Action::deserialize(&step.action));
            let mut restarts = begun.flatten().filter(|action| matches!(action, Action::RestartMember { .. }));
            memory.restart = memory.restart.or_else(|| restarts.next());
            memory.steps.extend(run.steps.into_iter().rev().map(|step| (step.action, step.outcome)));
            next = run.resumes.and_then(|id| RunRecord::read(&folder(state).join(format!("{id}.jsonl"))));
        }
        memory
    }

    /// Returns the plan of the run, where all of it is seen to have come true: what it was for may not be there any more, so
    /// that it could not be planned again. A member that was removed is gone, and another one may have its name.
    pub(crate) fn came_true(&self, operation: &'static str, view: &ClusterView) -> Option<Plan> {
        let all = !self.planned.is_empty() && self.planned.iter().all(|action| view.already(action).is_some());
        let reason = || format!("the run {} had planned it", self.run);
        let again = |plan: Plan, action: &Action| plan.then(action.clone(), reason());
        all.then(|| self.planned.iter().fold(Plan::new(operation, view), again))
    }

    /// Returns the member that was being restarted last, where it does not serve: it is down since, and by us.
    pub(crate) fn taken_down(&self, view: &ClusterView) -> Option<MemberId> {
        let id = self.restart.as_ref()?.target()?;
        view.get(id).filter(|member| !member.serves()).map(|_| id)
    }

    /// Returns the members that were removed, or may have been.
    pub(crate) fn removed(&self) -> Vec<MemberId> {
        let begun = self.steps.iter().filter(|(_, outcome)| outcome.as_deref() != Some("failed"));
        let removed = begun.filter_map(|(step, _)| match Action::deserialize(step) {
            Ok(Action::RemoveMember { id }) => Some(id),
            _ => None,
        });
        removed.collect()
    }

    /// Says whether an action was done before.
    pub(crate) fn has_done(&self, action: &Action) -> bool {
        let Ok(action) = serde_json::to_value(action) else { return false };
        self.steps.iter().any(|(step, outcome)| *step == action && outcome.as_deref() == Some("done"))
    }

    /// Says whether a snapshot may have been saved to this file: the last time that it was begun, it was done, or nobody knows.
    pub(crate) fn may_have_saved(&self, file: &Path) -> bool {
        let is_it = |step: &Json| matches!(Action::deserialize(step), Ok(Action::SaveSnapshot { path: Some(path), .. }) if path == file);
        let last = self.steps.iter().find(|(step, _)| is_it(step));
        last.is_some_and(|(_, outcome)| matches!(outcome.as_deref(), None | Some("done" | "already")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::record::find;
    use crate::change::record::tests::{ALREADY, DONE, INTENT, journal};

    #[test]
    fn what_was_done_is_remembered_over_several_interruptions() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path();
        journal(state, "a", "", &[INTENT, DONE]);
        journal(state, "bb", "a", &[ALREADY]);
        let defragment = Action::Defragment { id: crate::id::MemberId(0xb) };
        let memory = Memory::of(state, &find(state, "bb").unwrap());
        assert!(memory.has_done(&defragment) && !memory.has_done(&Action::ProveWrite));
        journal(state, "ccc", "", &[INTENT]);
        assert!(!Memory::of(state, &find(state, "ccc").unwrap()).has_done(&defragment));
    }

    #[test]
    fn a_file_is_ours_only_when_we_may_have_made_it() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path();
        let ours = |id: &str| Memory::of(state, &find(state, id).unwrap()).may_have_saved(Path::new("/backup.db"));
        let step = r#""step":{"action":"save_snapshot","path":"/backup.db","except":"b","reason":"y"}"#;
        let begun = format!(r#"{{"time":"t","entry":"intent","number":1,{step}}}"#);
        let ended = |word: &str| {
            format!(r#"{{"time":"t","entry":"outcome","number":1,{step},"outcome":"{word}","detail":""}}"#)
        };
        journal(state, "a", "", &[INTENT]);
        journal(state, "bb", "", &[&begun]);
        journal(state, "ccc", "", &[&begun, &ended("done")]);
        journal(state, "dddd", "ccc", &[&ended("already")]);
        // What failed at last was not saved, whatever was tried before; also where it was refused before it was begun.
        journal(state, "eeeee", "bb", &[&begun, &ended("failed")]);
        journal(state, "ffffff", "", &[&ended("failed")]);
        assert_eq!(["a", "bb", "ccc", "dddd", "eeeee", "ffffff"].map(ours), [false, true, true, true, false, false]);
        assert_eq!(find(state, "ffffff").unwrap().steps[0].action["action"], "save_snapshot");
    }

    #[test]
    fn a_plan_that_came_true_is_not_made_again() {
        use crate::change::exhaustive::{State, member};
        let home = tempfile::tempdir().unwrap();
        let view = |members: &[u64]| ClusterView {
            cluster_id: ClusterId(0xa),
            confirmed: true,
            members: members.iter().map(|id| member(*id, State::Healthy, false, Some(1), 0)).collect(),
            alarms: Vec::new(),
            hosting: Default::default(),
            facts: Default::default(),
        };
        let remember = |steps: &str| {
            let plan = format!(r#"{{"operation":"member remove","cluster_id":"a","steps":[{steps}]}}"#);
            let first = format!(r#"{{"time":"t","entry":"plan","plan":{plan},"allow":[],"resumes":null}}"#);
            std::fs::create_dir_all(folder(home.path())).unwrap();
            std::fs::write(folder(home.path()).join("a.jsonl"), first).unwrap();
            Memory::of(home.path(), &find(home.path(), "a").unwrap())
        };
        let remove = r#"{"action":"remove_member","id":"b","reason":"it was asked for"}"#;
        let plan = remember(remove).came_true("member remove", &view(&[1, 2])).unwrap();
        assert_eq!(plan.steps[0].action, Action::RemoveMember { id: crate::id::MemberId(0xb) });
        assert_eq!(plan.steps[0].reason, "the run a had planned it");
        // It is there still; part of it leaves no trace; the plan of another version; there was nothing to do.
        assert!(remember(remove).came_true("member remove", &view(&[1, 0xb])).is_none());
        for steps in [&format!(r#"{remove},{{"action":"prove_write","reason":"x"}}"#), r#"{"action":"new"}"#, ""] {
            assert!(remember(steps).came_true("member remove", &view(&[1, 2])).is_none(), "{steps}");
        }
    }
}
