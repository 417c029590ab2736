//! Sandboxes that are gone when the call that made them ends. Where it is killed, the next such call takes away what it left, since
//! the processes of a sandbox outlive whoever started them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use super::Sandbox;
use super::error::cannot;
use super::files::{make_folder, remove, rename};
use super::state::Lock;
use crate::error::{Error, Result};
use crate::places::Places;
use crate::rpc::Cluster;

/// How the name of the file ends that a living call holds locked.
const ALIVE: &str = ".alive";

/// A sandbox of one call. It is waited for whatever happens, so it does not obey Ctrl-C.
pub(crate) struct Fleeting {
    sandbox: Sandbox,
    alive: PathBuf,
    /// Dropped after all else: as long as it is locked, nobody takes the sandbox for a leftover.
    _lock: File,
    ended: bool,
}

impl Fleeting {
    /// Chooses a name of which there is no sandbox, after those were taken away whose calls have died; returns their names too.
    ///
    /// # Errors
    /// The folder of the sandboxes cannot be written.
    pub(crate) async fn new(places: &Places) -> Result<(Self, Vec<String>)> {
        make_folder(&places.sandboxes())?;
        let swept = sweep(places).await;
        let name = format!("drill-{:08x}", crate::change::random() & 0xffff_ffff);
        let sandbox = Sandbox::named(places, &name)?;
        let alive = places.sandboxes().join(format!(".{name}{ALIVE}"));
        let part = alive.with_extension("part");
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let lock = opened.map_err(cannot(format!("write {}", part.display())))?;
        // It is locked before it has the name under which it is looked for. Where files cannot be locked, nothing is swept.
        let _ = lock.try_lock();
        rename(&part, &alive)?;
        Ok((Fleeting { sandbox, alive, _lock: lock, ended: false }, swept))
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        self.sandbox.name()
    }

    /// Ends its processes, and removes all of it.
    ///
    /// # Errors
    /// A process could not be ended, or a file not be removed.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.ended = true;
        end(&self.sandbox).await?;
        Ok(remove(&self.alive)?)
    }
}

impl Drop for Fleeting {
    fn drop(&mut self) {
        if !self.ended {
            // The call broke off, and nothing can be waited for any more.
            self.sandbox.kill_now();
            let _ = remove(&self.sandbox.folder);
            let _ = Lock::forget(&self.sandbox.folder);
            let _ = remove(&self.alive);
        }
    }
}

async fn end(sandbox: &Sandbox) -> Result<()> {
    sandbox.stop(false).await?;
    Ok(Lock::forget(&sandbox.folder)?)
}

/// Takes away the sandboxes of calls that have died. What cannot be taken away is tried again the next time.
async fn sweep(places: &Places) -> Vec<String> {
    let mut swept = Vec::new();
    for entry in std::fs::read_dir(places.sandboxes()).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_prefix('.').and_then(|name| name.strip_suffix(ALIVE)) else { continue };
        let (Ok(sandbox), Ok(lock)) = (Sandbox::named(places, name), File::open(entry.path())) else { continue };
        if lock.try_lock().is_ok() && end(&sandbox).await.is_ok() && remove(&entry.path()).is_ok() {
            swept.push(name.to_owned());
        }
    }
    swept
}

impl Sandbox {
    /// Writes a key, to find out whether the cluster takes writes.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn write_one(&self, key: &str, deadline: Instant) -> Result<()> {
        let cluster = Cluster::new(self.profile()?)?;
        let member = cluster.profile().endpoints.first().ok_or_else(|| Error::internal("a sandbox without members"))?;
        cluster.node(member)?.scratch().put(key, "1", deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
    async fn what_a_call_left_that_died_is_taken_away_by_the_next() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::from_env(home.path().to_owned(), |_| None);
        let (living, swept) = Fleeting::new(&places).await.unwrap();
        assert_eq!(swept, [""; 0]);
        let (dead, _) = Fleeting::new(&places).await.unwrap();
        for sandbox in [&living.sandbox, &dead.sandbox] {
            std::fs::create_dir_all(sandbox.folder.join("logs")).unwrap();
        }
        let (name, alive) = (dead.name().to_owned(), dead.alive.clone());
        // Its lock goes and nothing else, as when the process is killed.
        let mut dead = dead;
        dead.ended = true;
        drop(dead);
        assert!(alive.exists());
        let (next, swept) = Fleeting::new(&places).await.unwrap();
        assert_eq!(swept, [name]);
        assert!(living.sandbox.folder.exists());
        living.end().await.unwrap();
        drop(next);
        let left = std::fs::read_dir(places.sandboxes()).unwrap().map(|file| file.unwrap().path());
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
    }
}
