//! Files on a member's machine: whose data there are, and how they are moved aside. It is done with the small programs that every
//! machine has, so that the same is done on this machine and over ssh.

use std::time::Duration;

use super::flags::Told;
use super::runner::Machine;
use super::{Data, HostError, data};
use crate::context::Context;
use crate::error::Result;

/// Where a member's data lie.
#[derive(Debug, Clone)]
pub(super) struct Dirs {
    /// etcd's data dir.
    pub(super) data: String,
    /// etcd's WAL dir, where it is not in the data dir.
    pub(super) wal: Option<String>,
}

/// A process of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pid: String,
    /// For how long it has run.
    pub(super) age: Duration,
}

impl Dirs {
    fn member(&self) -> String {
        format!("{}/member", self.data)
    }

    fn wal(&self) -> String {
        self.wal.clone().unwrap_or_else(|| format!("{}/member/wal", self.data))
    }

    /// Holds that these are what a process has, where it says so.
    pub(super) fn are(&self, member: &str, by: &str, told: Told) -> Result<(), HostError> {
        for (setting, dir, profile) in
            [("data_dir", told.data_dir, self.data.clone()), ("wal_dir", told.wal_dir, self.wal())]
        {
            if let Some(dir) = dir.filter(|dir| dir.trim_end_matches('/') != profile) {
                let (member, by) = (member.to_owned(), by.to_owned());
                return Err(HostError::Dir { member, by, setting, dir, profile });
            }
        }
        Ok(())
    }

    /// Holds that the data could be moved aside.
    pub(super) async fn may_move(&self, ctx: &Context<'_>, machine: &Machine) -> Result<()> {
        let member = self.member();
        let wal = self.wal.as_deref();
        if let Some(wal) = wal {
            only_wal(machine, wal, names(ctx, machine, wal).await??.as_deref().unwrap_or_default())?;
            let is_link = machine.ask(ctx, &["test", "-L", wal]).await?.code == 0;
            // The link would be moved, and the new log would lie where the link was.
            if is_link {
                return Err(unmovable(machine, wal, "is a symbolic link"));
            }
        }
        for path in [Some(member.as_str()), wal].into_iter().flatten() {
            let Some(_) = names(ctx, machine, path).await?? else { continue };
            if machine.ask(ctx, &["stat", "-c", "%m", "--", path]).await?.text().trim() == path {
                return Err(unmovable(machine, path, "is where a disk is mounted"));
            }
            let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            // A disk that has failed is often read-only from then on.
            if machine.ask(ctx, &["test", "-w", folder]).await?.code != 0 {
                return Err(unmovable(machine, path, "lies in a folder that cannot be written to"));
            }
        }
        Ok(())
    }

    /// Finds etcd's process by its data dir. A container's processes stand in its machine's table.
    pub(super) async fn found(&self, ctx: &Context<'_>, machine: &Machine) -> Result<Option<Found>> {
        let words = ["ps", "-ww", "-C", "etcd", "-o", "pid=", "-o", "etimes=", "-o", "args="];
        let done = machine.ask(ctx, &words).await?;
        // It exits with 1 where there is no such process, and says nothing then.
        if done.code != 0 && !(done.code == 1 && done.said.trim().is_empty()) {
            return Err(machine.failed(&words, &done).into());
        }
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let dir = super::flags::value(&words, "data-dir")?;
            let (pid, seconds) = (*words.first()?, words.get(1)?.parse().ok()?);
            (dir.trim_end_matches('/') == self.data)
                .then(|| Found { pid: pid.to_owned(), age: Duration::from_secs(seconds) })
        };
        Ok(done.text().lines().find_map(read))
    }

    /// Reads whose data there are.
    pub(super) async fn read(&self, ctx: &Context<'_>, machine: &Machine) -> Result<Data> {
        let wal = self.wal();
        let files = match names(ctx, machine, &wal).await? {
            Ok(names) => names.unwrap_or_default(),
            Err(failed) => return Ok(Data::Unknown(failed.to_string())),
        };
        if let Some(first) = data::first_wal(files.iter().map(String::as_str)) {
            let (path, size) = (format!("{wal}/{first}"), data::HEAD.to_string());
            let words = ["head", "-c", &size, "--", &path];
            let done = machine.ask(ctx, &words).await?;
            return Ok(match machine.succeeded(&words, done) {
                Ok(done) => data::of_wal(&done.out),
                Err(failed) => Data::Unknown(failed.to_string()),
            });
        }
        Ok(match names(ctx, machine, &self.member()).await? {
            Ok(names) => data::without_wal(!files.is_empty() || names.is_some_and(|names| !names.is_empty())),
            Err(failed) => Data::Unknown(failed.to_string()),
        })
    }

    /// Moves the data aside, and returns where they lie now. The data dir itself stays, with its owner and its mode, because it
    /// may be where a disk is mounted, and its parent may not be etcd's; everything that etcd keeps in it is in one folder.
    pub(super) async fn set_aside(&self, ctx: &Context<'_>, machine: &Machine) -> Result<Option<String>> {
        let stamp = chrono::Utc::now().format(STAMP);
        let mut moved = Vec::new();
        // The database goes first: without its log it would be taken for a new member's.
        for path in [Some(self.member()), self.wal.clone()].into_iter().flatten() {
            let Some(found) = names(ctx, machine, &path).await?? else { continue };
            if self.wal.as_ref() == Some(&path) {
                only_wal(machine, &path, &found)?;
            }
            let aside = format!("{path}.aside-{stamp}");
            // A command may be carried out long after it was given up, and the folder may be a new member's by then: what is
            // moved is the folder that was seen, and no other one of its name.
            let inode = machine.ask(ctx, &["stat", "-c", "%i", "--", &path]).await?.text();
            let done = machine.act(&moves(&path, inode.trim(), &aside)).await?;
            // What mv does not move for the sake of what is there already, it passes over in silence.
            if names(ctx, machine, &path).await??.is_some() {
                return Err(HostError::NotMoved { path, place: machine.place(), said: done.said }.into());
            }
            moved.push(aside);
        }
        Ok((!moved.is_empty()).then(|| moved.join(" and ")))
    }
}

fn unmovable(machine: &Machine, path: &str, why: &'static str) -> crate::Error {
    HostError::Unmovable { path: path.to_owned(), place: machine.place(), why }.into()
}

/// Returns the command that moves a folder, as long as it is the one of this number.
fn moves<'w>(path: &'w str, inode: &'w str, aside: &'w str) -> [&'w str; 14] {
    ["find", path, "-maxdepth", "0", "-inum", inode, "-exec", "mv", "-n", "-T", "--", path, aside, ";"]
}

/// Holds that a WAL dir has what etcd puts there and nothing else: it is moved as a whole, and another member's files, or a data dir,
/// would go with it.
fn only_wal(machine: &Machine, path: &str, found: &[String]) -> Result<(), HostError> {
    let foreign = found.iter().find(|name| !WAL_FILES.iter().any(|end| name.ends_with(end)));
    match foreign {
        Some(name) => {
            let (path, name) = (path.to_owned(), name.clone());
            Err(HostError::NotOnlyWal { path, name, place: machine.place() })
        }
        None => Ok(()),
    }
}

/// How the names end of what etcd has in a WAL dir: segments, those that are prepared, and those that it has repaired.
const WAL_FILES: [&str; 3] = [".wal", ".tmp", ".broken"];

/// Returns the names in a folder; none where there is no such folder. Who may not look is told so.
pub(super) async fn names(
    ctx: &Context<'_>,
    machine: &Machine,
    folder: &str,
) -> Result<Result<Option<Vec<String>>, HostError>> {
    let words = ["ls", "-A1", "--", folder];
    let done = machine.ask(ctx, &words).await?;
    Ok(match done.code {
        0 => Ok(Some(done.text().lines().map(str::to_owned).collect())),
        _ if done.said.contains("No such file or directory") => Ok(None),
        _ => Err(machine.failed(&words, &done)),
    })
}

/// Reads a file of text.
pub(super) async fn read_text(ctx: &Context<'_>, machine: &Machine, path: &str) -> Result<String> {
    let words = ["cat", "--", path];
    let done = machine.ask(ctx, &words).await?;
    Ok(machine.succeeded(&words, done)?.text())
}

/// Writes a file anew, with its owner and mode, and keeps what it was beside it.
pub(super) async fn rewrite(machine: &Machine, path: &str, old: Option<&str>, new: &str) -> Result<(), HostError> {
    if old == Some(new) {
        return Ok(());
    }
    let real;
    let mut path = path;
    if old.is_some() {
        // A link stays, and what it leads to is written.
        real = machine.act(&["readlink", "-f", "--", path]).await?.text();
        path = real.trim_end_matches('\n');
        let stamp = chrono::Utc::now().format(STAMP);
        machine.act(&["cp", "-p", "--", path, &format!("{path}.before-{stamp}")]).await?;
        machine.act(&["cp", "-p", "--", path, &format!("{path}.part")]).await?;
    }
    write_text(machine, path, new).await
}

/// The time in the names of what is kept.
pub(super) const STAMP: &str = "%Y%m%dT%H%M%S%.6f";

/// Writes a file so that a reader sees the old content or the new one, and never a part.
pub(super) async fn write_text(machine: &Machine, path: &str, content: &str) -> Result<(), HostError> {
    let part = format!("{path}.part");
    if let Some((folder, _)) = path.rsplit_once('/') {
        machine.act(&["mkdir", "-p", "--", folder]).await?;
    }
    machine.act_on(&["tee", "--", &part], content.as_bytes()).await?;
    machine.act(&["mv", "-f", "-T", "--", &part, path]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
    async fn a_move_that_comes_late_leaves_another_folder_of_that_name_alone() {
        use std::os::unix::fs::MetadataExt;
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name).to_string_lossy().into_owned();
        let (member, aside, late) = (at("member"), at("aside"), at("late"));
        let machine = Machine::new(&Places::from_env(home.path().to_owned(), |_| None), None);
        std::fs::create_dir(&member).unwrap();
        let inode = std::fs::metadata(&member).unwrap().ino().to_string();
        machine.act(&moves(&member, &inode, &aside)).await.unwrap();
        assert!(std::fs::exists(&aside).unwrap() && !std::fs::exists(&member).unwrap());
        std::fs::create_dir(&member).unwrap();
        machine.act(&moves(&member, &inode, &late)).await.unwrap();
        assert!(std::fs::exists(&member).unwrap() && !std::fs::exists(&late).unwrap());
    }
}
