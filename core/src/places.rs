//! The folders of the caller. Core never reads the environment; a front end reads it and hands over this.

use std::path::{Path, PathBuf};

/// Where things lie for one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The caller's current folder: relative paths are taken from here.
    pub cwd: PathBuf,
    /// The caller's home folder, for a leading `~`.
    pub home: Option<PathBuf>,
    /// Where `config.toml` and the REPL's start-up script lie.
    pub config: PathBuf,
    /// Where journals, sandboxes and the REPL's history lie.
    pub state: PathBuf,
    /// Where etcd binaries are looked for, in order: folders that hold `etcd`, or subfolders named by version that do.
    pub etcd: Vec<PathBuf>,
    /// Where programs of the system are looked for, in order.
    pub programs: Vec<PathBuf>,
}

impl Places {
    /// Works out the folders from the environment of the caller, which a front end reads through `var`.
    ///
    /// `XDG_CONFIG_HOME`, `XDG_STATE_HOME` and `XDG_CACHE_HOME` move the folders; `ETCDSH_ETCD_DIR` names folders with etcd
    /// binaries; `ETCDSH_CACHE` moves the cache in which `cargo xtask setup` puts them.
    pub fn from_env(cwd: PathBuf, var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let home = var("HOME").map(PathBuf::from);
        let base = |name: &str, below_home: &str| {
            var(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.as_deref().unwrap_or(&cwd).join(below_home))
        };
        let cache = var("ETCDSH_CACHE").map_or_else(|| base("XDG_CACHE_HOME", ".cache").join("etcdsh"), PathBuf::from);
        let listed = |name: &str| {
            let value = var(name).unwrap_or_default();
            std::env::split_paths(&value).filter(|path| path.is_absolute()).collect::<Vec<_>>()
        };
        let mut etcd = listed("ETCDSH_ETCD_DIR");
        etcd.extend(listed("PATH"));
        etcd.push(cache.join("etcd"));
        Places {
            config: base("XDG_CONFIG_HOME", ".config").join("etcdsh"),
            programs: Some(listed("PATH")).filter(|found| !found.is_empty()).unwrap_or_else(standard),
            state: base("XDG_STATE_HOME", ".local/state").join("etcdsh"),
            etcd,
            home,
            cwd,
        }
    }

    /// Makes a path absolute: `~` is the caller's home, and a relative path starts in the caller's folder.
    pub fn absolute(&self, path: &str) -> PathBuf {
        match (&self.home, path.strip_prefix('~')) {
            (Some(home), Some("")) => home.clone(),
            (Some(home), Some(rest)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => join(&self.cwd, path),
        }
    }

    /// Returns where the state of sandboxes lies.
    pub fn sandboxes(&self) -> PathBuf {
        self.state.join("sandbox")
    }
}

/// Where the programs of a system are, where nothing else is said.
fn standard() -> Vec<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from).to_vec()
}

fn join(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(vars: &[(&str, &str)]) -> Places {
        let vars: Vec<(String, String)> = vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Places::from_env(PathBuf::from("/here"), move |name| {
            vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn folders_follow_the_environment() {
        let plain = places(&[("HOME", "/home/ann"), ("PATH", "/usr/bin:/bin")]);
        assert_eq!(plain.config, Path::new("/home/ann/.config/etcdsh"));
        assert_eq!(plain.state, Path::new("/home/ann/.local/state/etcdsh"));
        assert_eq!(plain.programs, ["/usr/bin", "/bin"].map(PathBuf::from));
        assert_eq!(plain.etcd, ["/usr/bin", "/bin", "/home/ann/.cache/etcdsh/etcd"].map(PathBuf::from));
        let moved =
            places(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("ETCDSH_CACHE", "/c"), ("ETCDSH_ETCD_DIR", "/e")]);
        assert_eq!(moved.state, Path::new("/s/etcdsh"));
        assert_eq!(moved.programs, standard());
        assert_eq!(moved.etcd, ["/e", "/c/etcd"].map(PathBuf::from));
    }

    #[test]
    fn paths_start_where_the_caller_is() {
        let places = places(&[("HOME", "/home/ann")]);
        assert_eq!(places.absolute("a.db"), Path::new("/here/a.db"));
        assert_eq!(places.absolute("/a.db"), Path::new("/a.db"));
        assert_eq!(places.absolute("~/a.db"), Path::new("/home/ann/a.db"));
        assert_eq!(places.absolute("~a.db"), Path::new("/here/~a.db"));
    }
}
