//! The same test on every version of etcd, side by side: most of it is waiting.

use etcdsh_core::sandbox::Options;

use crate::tools::{MATRIX, etcd};

/// One of the clusters on which a test runs.
pub struct Turn {
    /// The minor version of its etcd.
    pub version: &'static str,
    /// How it is started: together they speak TLS and plain HTTP, and have users and none.
    pub options: Options,
    /// Which of all turns this is, from 0.
    pub number: usize,
    /// How many turns there are.
    pub of: usize,
}

impl Turn {
    /// Returns which of the numbers from 1 on are this one's, when the turns share them out.
    pub fn share(&self) -> impl Iterator<Item = usize> + use<> {
        (1 + self.number..).step_by(self.of)
    }
}

/// Runs a test on those of these versions that can be had here, each in a thread that is named after it; says how many they are.
///
/// # Panics
/// It failed on one of them, or there is none.
pub fn side_by_side(versions: &[&str], test: impl Fn(Turn) + Sync) -> usize {
    let here: Vec<&'static str> =
        MATRIX.iter().copied().filter(|version| versions.contains(version) && etcd(version).is_some()).collect();
    assert!(!here.is_empty(), "none of {versions:?} is here");
    let turn = |number: usize, version: &'static str| {
        let (tls, auth) = match version {
            "3.4" => (true, false),
            "3.6" => (false, false),
            _ => (true, true),
        };
        Turn { version, options: Options { tls, auth, ..Options::default() }, number, of: here.len() }
    };
    std::thread::scope(|scope| {
        let start = |(number, version): (usize, &&'static str)| {
            let (turn, test) = (turn(number, version), &test);
            let thread = std::thread::Builder::new().name(format!("etcd {version}"));
            thread.spawn_scoped(scope, move || test(turn)).expect("a thread")
        };
        let all: Vec<_> = here.iter().enumerate().map(start).collect();
        let failed: Vec<_> = all.into_iter().filter_map(|thread| thread.join().err()).collect();
        if let Some(first) = failed.into_iter().next() {
            std::panic::resume_unwind(first);
        }
    });
    here.len()
}
