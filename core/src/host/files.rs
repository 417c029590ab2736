//! Files on a member's machine: whose data there are, and how they are moved aside. It is done with the small programs that every
//! machine has, so that the same is done on this machine and over ssh.

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

impl Dirs {
    fn member(&self) -> String {
        format!("{}/member", self.data)
    }

    fn wal(&self) -> String {
        self.wal.clone().unwrap_or_else(|| format!("{}/member/wal", self.data))
    }

    /// Holds that these are what a process has, where its flags say so.
    pub(super) fn are(&self, member: &str, by: &str, dir: Option<&str>) -> Result<(), HostError> {
        match dir.filter(|dir| dir.trim_end_matches('/') != self.data) {
            Some(dir) => Err(HostError::Dir {
                member: member.to_owned(),
                by: by.to_owned(),
                dir: dir.to_owned(),
                profile: self.data.clone(),
            }),
            None => Ok(()),
        }
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
        let stamp = chrono::Utc::now().format("%Y%m%dT%H%M%S%.6f");
        let mut moved = Vec::new();
        // The database goes first: without its log it would be taken for a new member's.
        for path in [Some(self.member()), self.wal.clone()].into_iter().flatten() {
            if names(ctx, machine, &path).await??.is_none() {
                continue;
            }
            let aside = format!("{path}.aside-{stamp}");
            machine.act(&["mv", "-n", "-T", "--", &path, &aside]).await?;
            // What mv does not move for the sake of what is there already, it passes over in silence.
            if names(ctx, machine, &path).await??.is_some() {
                return Err(HostError::NotMoved { path, place: machine.place() }.into());
            }
            moved.push(aside);
        }
        Ok((!moved.is_empty()).then(|| moved.join(" and ")))
    }
}

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
