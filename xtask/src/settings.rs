//! What the caller's environment says. [`Settings::read`] is the only place that looks at it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where things are and how strict to be.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The root of the work tree.
    pub(crate) root: PathBuf,
    /// The cargo that runs this task, so that every stage uses the same toolchain.
    pub(crate) cargo: PathBuf,
    /// The cache folder, absolute.
    pub(crate) cache: PathBuf,
    /// The folders of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// The folders of `ETCDSH_ETCD_DIR`, absolute.
    pub(crate) etcd_dirs: Vec<PathBuf>,
    /// `PROTOC`, which goes before the cached protoc in a build.
    pub(crate) protoc: Option<PathBuf>,
    /// The names of the variables that choose a cluster.
    pub(crate) chosen: Vec<OsString>,
    /// Whether a version that cannot be tested is a failure.
    pub(crate) ci: bool,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn read() -> Result<Self> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let root = set("CARGO_MANIFEST_DIR")
            .and_then(|folder| Some(Path::new(&folder).parent()?.to_owned()))
            .ok_or_else(|| Error::new("run this as `cargo xtask`, from the work tree"))?;
        let cache = cache_path(set("ETCDSH_CACHE"), set("XDG_CACHE_HOME"), set("HOME"))
            .ok_or_else(|| Error::new("there is no HOME; set ETCDSH_CACHE to a folder"))?;
        Ok(Self {
            root,
            cargo: set("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            cache: absolute(&cache)?,
            path: split(set("PATH")),
            etcd_dirs: split(set("ETCDSH_ETCD_DIR")).iter().map(|folder| absolute(folder)).collect::<Result<_>>()?,
            protoc: set("PROTOC").map(PathBuf::from),
            chosen: env::vars_os().map(|(name, _)| name).filter(|name| chooses(name)).collect(),
            ci: set("CI").is_some_and(|value| value == "true"),
        })
    }

    /// The program of this name on `PATH`.
    pub(crate) fn on_path(&self, name: &str) -> Option<PathBuf> {
        search(&self.path, name)
    }
}

/// Whether a variable of this name tells etcdctl or etcdsh which cluster to talk to.
fn chooses(name: &OsStr) -> bool {
    name == "ETCDSH_PROFILE" || name.as_encoded_bytes().starts_with(b"ETCDCTL_")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("resolve", path))
}

fn split(value: Option<OsString>) -> Vec<PathBuf> {
    value
        .as_deref()
        .map_or_else(Vec::new, |value| env::split_paths(value).filter(|folder| folder != Path::new("")).collect())
}

fn cache_path(
    own: Option<impl AsRef<OsStr>>,
    xdg: Option<impl AsRef<OsStr>>,
    home: Option<impl AsRef<OsStr>>,
) -> Option<PathBuf> {
    let path = |value: &OsStr| PathBuf::from(value);
    own.map(|own| path(own.as_ref())).or_else(|| {
        // The XDG specification asks to ignore a relative path.
        xdg.map(|xdg| path(xdg.as_ref()))
            .filter(|xdg| xdg.is_absolute())
            .or_else(|| home.map(|home| path(home.as_ref()).join(".cache")))
            .map(|caches| caches.join("etcdsh"))
    })
}

fn search(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// Whether this is a file that may be executed.
pub(crate) fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_cache_is_where_the_most_local_setting_says() {
        let none = None::<&str>;
        let chosen = |own, xdg, home| cache_path(own, xdg, home);
        assert_eq!(chosen(Some("c"), Some("/x"), Some("/h")), Some("c".into()));
        assert_eq!(chosen(none, Some("/x"), Some("/h")), Some("/x/etcdsh".into()));
        assert_eq!(chosen(none, Some("x"), Some("/h")), Some("/h/.cache/etcdsh".into()));
        assert_eq!(chosen(none, none, Some("/h")), Some("/h/.cache/etcdsh".into()));
        assert_eq!(chosen(none, none, none), None);
    }

    #[test]
    fn what_chooses_a_cluster_is_told_from_the_rest() {
        assert!(["ETCDCTL_ENDPOINTS", "ETCDCTL_USER", "ETCDSH_PROFILE"].iter().all(|name| chooses(OsStr::new(name))));
        assert!(!["ETCDSH_CACHE", "ETCDSH_LOG", "ETCD_NAME", "PATH"].iter().any(|name| chooses(OsStr::new(name))));
    }

    #[test]
    fn folder_lists_skip_empty_entries() {
        assert_eq!(split(Some("/a::b:".into())), [PathBuf::from("/a"), PathBuf::from("b")]);
        assert!(split(None).is_empty());
    }

    #[test]
    fn a_search_takes_the_first_executable_file() {
        let base = env::temp_dir().join(format!("xtask-search-{}", std::process::id()));
        let folders: Vec<_> = ["folder", "plain", "good", "later"].map(|name| base.join(name)).into();
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
        }
        fs::create_dir(folders[0].join("tool")).unwrap();
        for (folder, mode) in folders.iter().zip([0, 0o644, 0o755, 0o755]).skip(1) {
            fs::write(folder.join("tool"), "").unwrap();
            fs::set_permissions(folder.join("tool"), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(search(&folders, "tool"), Some(folders[2].join("tool")));
        assert_eq!(search(&folders, "other"), None);
        fs::remove_dir_all(&base).unwrap();
    }
}
