//! PLACEHOLDER
#![allow(missing_docs)]
crate::choice! {
    /// V.
    pub enum Verdict {
        /// C.
        Consistent = "consistent",
        /// D.
        Divergent = "divergent",
        /// N.
        NotComparable = "not_comparable",
    }
}
crate::record! {
    /// R.
    pub struct HashReport {
        /// V.
        verdict: Verdict,
        /// R.
        revision: crate::id::Revision,
        /// M.
        minority: Vec<String>,
    }
}
pub(crate) async fn compare(
    _: &crate::context::Context<'_>,
    _: &crate::change::ClusterView,
    _: Option<crate::id::Revision>,
    _: std::time::Duration,
) -> crate::Result<HashReport> {
    Err(crate::Error::internal("x"))
}
