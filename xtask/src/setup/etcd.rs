//! The etcd servers, with etcdctl and etcdutl, in the versions of the test matrix.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cache::{self, Cache};
use crate::error::{Error, Result};
use crate::process;
use crate::settings::{self, Settings};
use crate::setup::{debian, go, say, took};
use crate::version::Version;

/// The oldest version of the matrix.
const FROM_DEBIAN: Version = Version::new(3, 4, 23);

/// The others. Each module's `go.mod` is the place that names its version.
const FROM_GO: [(&str, &str); 3] = [
    ("3.5", include_str!("../../etcd/3.5/go.mod")),
    ("3.6", include_str!("../../etcd/3.6/go.mod")),
    ("3.7", include_str!("../../etcd/3.7/go.mod")),
];

/// The minor that a try gets when the machine has no etcd.
const FOR_TRY: &str = "3.6";

/// How long a version that could not be had is not asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A version of the matrix that is built.
#[derive(Debug, Clone, Copy)]
struct Release {
    minor: &'static str,
    version: Version,
}

/// An etcd that the machine has already.
#[derive(Debug)]
struct Given {
    version: Version,
    folder: PathBuf,
}

/// Makes sure that there is one etcd: the caller's own, or else a built one.
pub(super) fn get_one(settings: &Settings, cache: &Cache) -> Result<()> {
    let on_path = || {
        let program = settings.on_path("etcd")?;
        examine(program.parent()?)
    };
    let newest = given(settings)?.into_iter().max_by_key(|given| given.version);
    let usable = |given: &Given| given.version >= FROM_DEBIAN;
    if let Some(found) = newest.or_else(on_path).filter(usable) {
        report(&found);
        return Ok(());
    }
    let mut releases = releases()?;
    releases.retain(|release| release.minor == FOR_TRY);
    releases.retain(|release| !ready(cache, release.version));
    get_built(settings, cache, &releases)
}

/// Makes sure that every version of the matrix is in the cache.
pub(super) fn get_matrix(settings: &Settings, cache: &Cache) -> Result<()> {
    let given = given(settings)?;
    let packaged = match find(&given, FROM_DEBIAN) {
        Some(found) => link(cache, found),
        None => get_packaged(settings, cache, FROM_DEBIAN),
    };
    let mut steps = vec![packaged];
    let mut missing = Vec::new();
    for release in releases()? {
        match find(&given, release.version) {
            Some(found) => steps.push(link(cache, found)),
            None if ready(cache, release.version) => {}
            None => missing.push(release),
        }
    }
    steps.push(get_built(settings, cache, &missing));
    super::all(steps)
}

/// Whether the cache has this version.
fn ready(cache: &Cache, version: Version) -> bool {
    let ready = cache::holds(&cache::etcd(&cache.root, version), programs(version));
    if ready {
        say(&format!("etcd {version}"), "ready");
    }
    ready
}

fn get_built(settings: &Settings, cache: &Cache, missing: &[Release]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let versions: Vec<_> = missing.iter().map(|release| release.version).collect();
    let go = go::find(settings, &versions)?;
    for Release { minor, version } in missing {
        let started = Instant::now();
        let piece = format!("etcd {version}");
        say(&piece, "building with Go: two or three minutes for the first version, less for each further one");
        let stage = cache.stage("etcd")?;
        let module = settings.root.join("xtask/etcd").join(minor);
        go::build(&go, &module, *version, &stage)?;
        check(&stage, *version)?;
        cache.publish(&stage, &cache::etcd(&cache.root, *version))?;
        say(&piece, &format!("built in {}", took(started)));
    }
    Ok(())
}

/// Gets the version that comes as packages. Not every machine can have it, so its absence is told, not fatal, except
/// in CI, where a smaller matrix must not pass for the whole.
fn get_packaged(settings: &Settings, cache: &Cache, version: Version) -> Result<()> {
    if ready(cache, version) {
        return Ok(());
    }
    let piece = format!("etcd {version}");
    let note = cache::missing(&cache.root, version);
    if let Some(reason) = recent(&note).filter(|_| !settings.ci) {
        say(&piece, &format!("NOT TESTED: {}", reason.trim()));
        return Ok(());
    }
    let started = Instant::now();
    say(&piece, "from Debian's packages, about 13 MB");
    let stage = cache.stage("etcd")?;
    let made = debian::unpack(settings, version, &stage).and_then(|made| check(&made, version).map(|()| made));
    match made {
        Ok(made) => {
            cache.publish(&made, &cache::etcd(&cache.root, version))?;
            say(&piece, &format!("unpacked in {}", took(started)));
            cache::remove(&note)
        }
        Err(error) => not_tested(settings, &piece, &note, &error),
    }
}

fn not_tested(settings: &Settings, piece: &str, note: &Path, error: &Error) -> Result<()> {
    let reason = format!("{error}; ETCDSH_ETCD_DIR can name a folder with its etcd and etcdctl");
    if settings.ci {
        return Err(Error::new(format!("{piece} cannot be tested: {reason}")));
    }
    say(piece, &format!("NOT TESTED: {reason}"));
    if let Some(parent) = note.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    fs::write(note, format!("{reason}\n")).map_err(Error::io("write", note))
}

/// Repeats which version the last setup could not get, and why.
pub(crate) fn repeat_not_tested(settings: &Settings) {
    if let Ok(reason) = fs::read_to_string(cache::missing(&settings.cache, FROM_DEBIAN)) {
        say(&format!("etcd {FROM_DEBIAN}"), &format!("NOT TESTED: {}", reason.trim()));
    }
}

/// What a note of the last day says.
fn recent(note: &Path) -> Option<String> {
    let age = note.metadata().ok()?.modified().ok()?.elapsed().ok()?;
    (age < ASK_AGAIN_AFTER).then(|| fs::read_to_string(note).ok())?
}

fn link(cache: &Cache, found: &Given) -> Result<()> {
    report(found);
    cache.link(&found.folder, &cache::etcd(&cache.root, found.version))?;
    cache::remove(&cache::missing(&cache.root, found.version))
}

fn report(found: &Given) {
    let piece = format!("etcd {}", found.version);
    say(&piece, &format!("from {}", found.folder.display()));
}

/// The servers in the folders of `ETCDSH_ETCD_DIR` and in the folders right below them. A chosen setting that gives
/// nothing is an error.
fn given(settings: &Settings) -> Result<Vec<Given>> {
    let mut found = Vec::new();
    for folder in &settings.etcd_dirs {
        let entries = fs::read_dir(folder).map_err(Error::io("read, from ETCDSH_ETCD_DIR,", folder))?;
        let mut below: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        below.sort();
        let before = found.len();
        found.extend(examine(folder));
        found.extend(below.iter().filter_map(|folder| examine(folder)));
        if found.len() == before {
            let folder = folder.display();
            return Err(Error::new(format!("ETCDSH_ETCD_DIR: there is no working etcd in {folder}")));
        }
    }
    Ok(found)
}

/// The server in this folder, if there is one that runs.
fn examine(folder: &Path) -> Option<Given> {
    let program = folder.join("etcd");
    if !settings::is_program(&program) {
        return None;
    }
    match process::version(&program) {
        Ok(version) => Some(Given { version, folder: folder.to_owned() }),
        Err(error) => {
            say("etcd", &format!("passed over: {error}"));
            None
        }
    }
}

/// The first given server of this version that has all its programs beside it.
fn find(given: &[Given], version: Version) -> Option<&Given> {
    given.iter().filter(|given| given.version == version).find(|given| {
        let missing = |name: &&&str| !settings::is_program(&given.folder.join(name));
        let Some(missing) = programs(version).iter().find(missing) else {
            return true;
        };
        let folder = given.folder.display();
        say(&format!("etcd {version}"), &format!("{folder} passed over: it has no {missing}"));
        false
    })
}

/// What a release consists of. etcdutl came with 3.5.
fn programs(version: Version) -> &'static [&'static str] {
    if version < Version::new(3, 5, 0) { &["etcd", "etcdctl"] } else { &["etcd", "etcdctl", "etcdutl"] }
}

/// Refuses what does not run, or is not what was asked for.
fn check(folder: &Path, version: Version) -> Result<()> {
    let found = process::version(&folder.join("etcd"))?;
    if found != version {
        return Err(Error::new(format!("asked for etcd {version}, got {found}")));
    }
    Ok(())
}

/// The version of a minor that is built.
pub(crate) fn built(minor: &str) -> Result<Version> {
    let mut releases = releases()?.into_iter();
    let release = releases.find(|release| release.minor == minor);
    release.map(|release| release.version).ok_or_else(|| Error::new(format!("no etcd {minor} is built")))
}

fn releases() -> Result<Vec<Release>> {
    let release = |(minor, module)| {
        let version = pinned(module, "server")
            .ok_or_else(|| Error::new(format!("xtask/etcd/{minor}/go.mod names no server version")))?;
        Ok(Release { minor, version })
    };
    FROM_GO.into_iter().map(release).collect()
}

/// The version that a `go.mod` pins for one of etcd's modules.
fn pinned(module: &str, name: &str) -> Option<Version> {
    let path = format!("go.etcd.io/etcd/{name}/v3 ");
    let line = module.lines().find_map(|line| line.trim().strip_prefix(&path));
    Version::find(line?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_pins_its_three_programs_to_one_version_of_its_minor() {
        for (release, (minor, module)) in releases().unwrap().iter().zip(FROM_GO) {
            assert!(release.version.to_string().starts_with(&format!("{minor}.")));
            for name in ["server", "etcdctl", "etcdutl"] {
                assert_eq!(pinned(module, name), Some(release.version), "{minor} {name}");
                assert!(module.contains(&format!("\n\tgo.etcd.io/etcd/{name}/v3\n")));
            }
        }
        assert!(FROM_GO.iter().any(|(minor, _)| *minor == FOR_TRY));
    }

    #[test]
    fn a_pin_is_read_from_its_own_line() {
        let module = "tool go.etcd.io/etcd/server/v3\n\tgo.etcd.io/etcd/server/v3 v3.9.1 // why\n";
        assert_eq!(pinned(module, "server"), Some(Version::new(3, 9, 1)));
        assert_eq!(pinned(module, "etcdctl"), None);
    }
}
