//! Steps that only look: they prove something before the next one, or after the last.

use std::path::Path;

use super::run::{Deed, Run, standing};
use crate::change::failed::{Alarmed, NotEqual, SnapshotFailed, StillFull};
use crate::change::observe::{Depth, observe};
use crate::change::plan::{Action, Who};
use crate::change::view::{ClusterView, Verdict};
use crate::error::{Error, Result};
use crate::id::MemberId;
use crate::ops::alarm::disarm::{self, full};
use crate::ops::hash::{self, Consistency as Equality};
use crate::ops::snapshot::save;
use crate::ops::status::alarms_of;
use crate::rpc::{Consistency, RangeQuery};
use crate::units::Bytes;
use crate::value::to_value;
use crate::wait::{Look, TimedOut, until};

impl Run<'_, '_> {
    /// Saves a snapshot; a file of its name is whole, whatever happens.
    pub(super) async fn save_snapshot(
        &self,
        path: Option<&Path>,
        except: Option<MemberId>,
        view: &ClusterView,
    ) -> Result<Deed> {
        let path = path.ok_or_else(|| Error::internal("a snapshot without a place"))?;
        let saved = self.ctx.unless_cancelled(save::save(self.ctx, view, path, except)).await;
        let saved = saved.map_err(|source| SnapshotFailed { source })?;
        let detail = format!("{} from {}, revision {}: {}", saved.size, saved.member, saved.revision, saved.path);
        Ok(Deed { detail, result: to_value(&saved).ok(), already: false })
    }

    /// Compares what the members hold.
    pub(super) async fn compare_hashes(&self, all: bool) -> Result<Deed> {
        let view = self.observe(&Action::CompareHashes { all }).await?;
        let report =
            self.ctx.unless_cancelled(hash::compare(self.ctx, self.cluster, &view, None, self.patience())).await?;
        let told = format!("{}: {}", report.verdict, report.reason);
        // Who is away cannot be compared; who serves has to be.
        let serves = |row: &hash::Row| {
            row.member_id.and_then(|id| view.get(id)).is_some_and(|m| m.serves() && !m.member.is_learner)
        };
        let silent = report.members.iter().any(|row| row.hash.is_none() && serves(row));
        if report.verdict == Equality::Divergent || silent || (all && report.verdict != Equality::Consistent) {
            return Err(NotEqual { told }.into());
        }
        Ok(Deed { detail: told, result: to_value(&report).ok(), already: false })
    }

    /// Waits until a member is healthy.
    pub(super) async fn await_healthy(&mut self, who: &Who) -> Result<Deed> {
        let this = &*self;
        let view = until(this.ctx, "the member is healthy", this.bound, async || {
            let view = this.ctx.unless_cancelled(observe(this.cluster, Depth::Reads)).await?;
            let found = who.find(&view);
            if let Some(member) = found
                && let Some(alarm) = alarms_of(&view, member).first()
            {
                // It does not go away by itself.
                return Err(Alarmed { member: member.member.label(), alarm: *alarm }.into());
            }
            let verdict = found.map(|m| view.verdict(m));
            Ok(match verdict {
                Some(Verdict::Healthy) if view.confirmed => Look::Ready(view),
                Some(verdict) => Look::NotYet(format!("it is {verdict}; {}", standing(&view))),
                None => Look::NotYet("it is not a member".to_owned()),
            })
        })
        .await?;
        let detail = standing(&view);
        self.seen = view;
        Ok(Deed { detail, ..Deed::default() })
    }

    /// Says whether a compaction was applied: then what came before its revision cannot be read any more.
    pub(super) async fn is_compacted(&self, action: &Action, view: &ClusterView) -> bool {
        let Action::Compact { revision, .. } = action else { return false };
        let query = RangeQuery {
            key: vec![0],
            end: Vec::new(),
            revision: revision.0 - 1,
            limit: 1,
            keys_only: true,
            count_only: true,
            // Whoever has applied it shows that it was agreed on.
            consistency: Consistency::Serializable,
        };
        for endpoint in view.voters().filter(|m| m.serves()).filter_map(|m| m.endpoint.as_ref()) {
            let Ok(node) = self.cluster.node(endpoint) else { continue };
            if let Err(error) = self.ctx.unless_cancelled(node.range(&query, self.cluster.deadline())).await
                && error.code() == "compacted"
            {
                return true;
            }
        }
        false
    }

    /// Sees that every database is well below its quota. The servers tell their sizes with some delay.
    pub(super) async fn check_space(&self, quota: Option<i64>) -> Result<Deed> {
        let what = "every database is below nine tenths of its quota";
        let mut untold = false;
        let fullest = until(self.ctx, what, self.bound.min(SIZES_SETTLE), async || {
            let view = self.ctx.unless_cancelled(observe(self.cluster, Depth::Status)).await?;
            untold = disarm::untold(&view, quota).is_some();
            Ok(match (full(&view, quota), view.fullest(quota)) {
                (None, Some((member, size, quota))) => {
                    let told = (member.member.label(), Bytes(size), Bytes(quota));
                    Look::Ready(format!("the fullest, {}, holds {} of {}", told.0, told.1, told.2))
                }
                (refusal, _) => Look::NotYet(refusal.map(|refusal| refusal.message).unwrap_or_default()),
            })
        });
        let fullest = fullest.await;
        // Who is away may have room, and is only to be waited for.
        let detail = fullest.map_err(|source| match source.code() {
            TimedOut::CODE if !untold => StillFull { source }.into(),
            _ => source,
        })?;
        Ok(Deed { detail, ..Deed::default() })
    }
}

/// How long the sizes that members tell may take to settle after a defragmentation.
const SIZES_SETTLE: std::time::Duration = std::time::Duration::from_secs(5);
