//! Finding an etcd binary, and learning its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use crate::places::Places;

/// What a user gets who does not say which etcd.
const PREFERRED: &str = "3.6";

/// An etcd binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Etcd {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

impl Etcd {
    /// Says whether it belongs to a minor version.
    pub(super) fn is_minor(&self, minor: &[u64]) -> bool {
        numbers(&self.version).starts_with(minor)
    }
}

/// Finds the etcd that a user means: a path is taken as it is, a version such as `3.5` is the newest one that begins so, and
/// nothing is the newest 3.6, or else the newest of all.
pub(super) fn find(wanted: Option<&str>, places: &Places) -> Result<Etcd, SandboxError> {
    if wanted.is_some_and(|wanted| wanted.trim().is_empty()) {
        return Err(SandboxError::EtcdUnnamed);
    }
    if let Some(path) = wanted.filter(|wanted| wanted.contains('/')) {
        let path = places.absolute(path);
        return ask(if path.is_dir() { path.join("etcd") } else { path });
    }
    // Folders are searched in the order of the caller's preference, so the first of equals is kept.
    let mut found: Vec<Etcd> = Vec::new();
    for etcd in places.etcd.iter().flat_map(|folder| in_folder(folder)) {
        if !found.iter().any(|known| known.version == etcd.version) {
            found.push(etcd);
        }
    }
    found.sort_by_key(|etcd| std::cmp::Reverse(numbers(&etcd.version)));
    let versions = || found.iter().map(|etcd| etcd.version.clone()).collect();
    let newest = |of: &str| found.iter().find(|etcd| etcd.is_minor(&numbers(of)));
    let chosen = match wanted {
        Some(version) if numbers(version).is_empty() => None,
        Some(version) => newest(version),
        None => newest(PREFERRED).or(found.first()),
    };
    match chosen {
        // The version that is in a folder's name is believed only for choosing.
        Some(etcd) => ask(etcd.path.clone()),
        None => Err(SandboxError::EtcdNotFound { wanted: wanted.map(str::to_owned), found: versions() }),
    }
}

fn in_folder(folder: &Path) -> Vec<Etcd> {
    let mut found = Vec::new();
    let own = folder.join("etcd");
    // What cannot be run, for example because it was built for another machine, is no candidate.
    found.extend(own.is_file().then(|| ask(own).ok()).flatten());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().trim_start_matches('v').to_owned();
        let path = entry.path().join("etcd");
        if numbers(&version).len() == 3 && path.is_file() {
            found.push(Etcd { path, version });
        }
    }
    found
}

/// Asks a binary for its version.
fn ask(path: PathBuf) -> Result<Etcd, SandboxError> {
    let unusable = |problem: String| SandboxError::EtcdUnusable { path: path.clone(), problem };
    let output = Command::new(&path)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| unusable(format!("it does not start: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next().and_then(|line| line.strip_prefix("etcd Version: ")) {
        Some(version) if !numbers(version).is_empty() => Ok(Etcd { path, version: version.trim().to_owned() }),
        _ => Err(unusable("it does not tell its version".to_owned())),
    }
}

/// Reads the numbers of a version such as `3.6.16` or `3.7.0-rc.0`; what is none has no numbers.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    fn fake(folder: &Path, version: &str) {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("etcd");
        std::fs::write(&path, format!("#!/bin/sh\necho 'etcd Version: {version}'\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[rstest]
    #[case(None, Ok("3.6.16"))]
    #[case(Some("3.5"), Ok("3.5.35"))]
    #[case(Some("3.5.4"), Ok("3.5.4"))]
    #[case(Some("3"), Ok("3.7.3"))]
    #[case(Some("3.4"), Err("no etcd 3.4 was found; there are 3.7.3, 3.6.16, 3.6.9, 3.5.35, 3.5.4"))]
    #[case(Some(""), Err("the argument etcd is empty"))]
    #[case(Some("new"), Err("no etcd new was found; there are 3.7.3, 3.6.16, 3.6.9, 3.5.35, 3.5.4"))]
    fn the_newest_that_fits_is_chosen(#[case] wanted: Option<&str>, #[case] expected: Result<&str, &str>) {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("cache");
        for version in ["3.5.4", "3.5.35", "3.6.16", "3.7.3"] {
            fake(&cache.join(version), version);
        }
        fake(&home.path().join("bin"), "3.6.9");
        let mut places = Places::from_env(home.path().to_owned(), |_| None);
        places.etcd = vec![home.path().join("bin"), home.path().join("missing"), cache];
        let found = find(wanted, &places).map(|etcd| etcd.version).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        fake(home.path(), "3.4.23");
        let places = Places::from_env(home.path().to_owned(), |_| None);
        assert_eq!(find(Some("./etcd"), &places).unwrap().version, "3.4.23");
        assert_eq!(find(Some("./"), &places).unwrap().version, "3.4.23");
        let error = find(Some("/bin/true"), &places).unwrap_err().to_string();
        assert_eq!(error, "/bin/true cannot be used as etcd: it does not tell its version");
    }
}
