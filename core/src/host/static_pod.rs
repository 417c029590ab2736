//! A member that is a static pod: a kubelet runs what lies in its manifests folder, so a member is stopped by moving its manifest
//! out of there, and started by moving it back. Where the manifest is, is all that has to be known after a crash in between.

use std::time::{Duration, Instant};

use super::error::cut;
use super::files::{Dirs, Found, STAMP, names, read_text, rewrite};
use super::flags::Told;
use super::runner::Machine;
use super::{Data, HostError, LINES, Process, StartConfiguration, TAIL, manifest};
use crate::context::Context;
use crate::error::Result;
use crate::sandbox::end_of_log;
use crate::wait::{Look, until};

/// For how long a process that was started is watched.
const STEADY: Duration = Duration::from_secs(1);
/// The folder beside the manifests folder, where manifests lie that no kubelet is to see.
const PARKED: &str = "etcdsh-parked";
/// Where kubelets keep the logs of pods.
const LOGS: &str = "/var/log/pods";

/// Drives one static pod.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    pub(super) member: String,
    pub(super) machine: Machine,
    pub(super) manifest: String,
    /// How long the kubelet takes at most to see that a manifest has gone.
    pub(super) file_check: Duration,
    /// The file with the log, where it is not where a kubelet keeps it.
    pub(super) log: Option<String>,
    pub(super) dirs: Dirs,
}

/// What is seen of the pod.
struct Seen {
    /// The manifest lies where the kubelet reads it.
    placed: bool,
    /// A manifest lies where it was moved to.
    parked: bool,
    /// etcd's process.
    process: Option<Found>,
}

impl Seen {
    /// While the manifest is in its place, a process may come at any time.
    fn process(&self) -> Process {
        if self.placed || self.process.is_some() { Process::Running } else { Process::Stopped }
    }
}

impl Driver {
    pub(super) fn describe(&self) -> String {
        format!("the static pod {} on {}", self.manifest, self.machine.place())
    }

    pub(super) async fn look(&self, ctx: &Context<'_>) -> Result<(Process, Data)> {
        let process = self.seen(ctx).await?.process();
        Ok((process, self.dirs.read(ctx, &self.machine).await?))
    }

    /// Reads the tag of the image.
    pub(super) async fn etcd_version(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(manifest::image_version(&self.text(ctx).await?).map(str::to_owned))
    }

    pub(super) async fn process_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.seen(ctx).await?.process.map(|found| found.pid))
    }

    pub(super) async fn called(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(told(&self.text(ctx).await?).name)
    }

    pub(super) async fn preflight(&self, ctx: &Context<'_>) -> Result<()> {
        let text = self.text(ctx).await?;
        self.takes(&text)?;
        self.dirs.may_move(ctx, &self.machine).await
    }

    pub(super) async fn fits(&self, ctx: &Context<'_>) -> Result<()> {
        Ok(self.has_dirs(&self.text(ctx).await?)?)
    }

    /// Reads the manifest, wherever it is.
    async fn text(&self, ctx: &Context<'_>) -> Result<String> {
        let seen = self.seen(ctx).await?;
        let path = if seen.placed { self.manifest.clone() } else { self.parked() };
        read_text(ctx, &self.machine, &path).await
    }

    pub(super) async fn stop(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        let seen = self.seen(ctx).await?;
        let parked = self.parked();
        if seen.placed {
            let (folder, _) = split(&parked);
            self.machine.act(&["mkdir", "-p", "--", folder]).await?;
            if seen.parked {
                // Somebody has made the manifest anew; the older one is kept all the same.
                self.shift(ctx, &parked, &format!("{parked}.older-{}", stamp())).await?;
            }
            self.shift(ctx, &self.manifest, &parked).await?;
        }
        // A process that has run for a while is ended by the kubelet, because the manifest has gone. In a crash loop it ends by itself,
        // and the kubelet may be about to start it again: it has to have looked first.
        let steady = seen.process.is_some_and(|process| process.age > self.file_check);
        let noticed = if seen.placed && !steady { self.file_check } else { Duration::ZERO };
        let mut away_since = None;
        let ended = async || {
            Ok(match self.dirs.found(ctx, &self.machine).await? {
                Some(Found { pid, .. }) => {
                    away_since = None;
                    Look::NotYet(format!("its process {pid} is there"))
                }
                None if away_since.get_or_insert_with(Instant::now).elapsed() >= noticed => Look::Ready(()),
                None => Look::NotYet("the kubelet may not have seen yet that its manifest has gone".to_owned()),
            })
        };
        let left = || format!("the manifest was moved to {parked}, and the kubelet ends the pod");
        until(ctx, &format!("{} has ended", self.describe()), bound + noticed, ended).await.map_err(cut(left))
    }

    pub(super) async fn start(
        &self,
        ctx: &Context<'_>,
        with: Option<&StartConfiguration>,
        bound: Duration,
    ) -> Result<()> {
        let (seen, parked) = (self.seen(ctx).await?, self.parked());
        if let Some(with) = with {
            if seen.process() != Process::Stopped {
                return Err(self.runs("so its start configuration would not reach it").into());
            }
            let text = read_text(ctx, &self.machine, &parked).await?;
            self.takes(&text)?;
            self.write(&text, &manifest::with(&text, with)).await?;
        }
        if !seen.placed {
            self.shift(ctx, &parked, &self.manifest).await?;
        }
        let left = || "the manifest is in its place, and the kubelet starts the pod".to_owned();
        self.stays(ctx, bound).await.map_err(cut(left))
    }

    /// Waits until one and the same process has run for a moment.
    async fn stays(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        let mut first: Option<(String, Instant)> = None;
        let what = format!("{} has run for a moment", self.describe());
        let ended = until(ctx, &what, bound.max(STEADY), async || {
            let found = self.dirs.found(ctx, &self.machine).await?;
            Ok(match (found.map(|found| found.pid), &first) {
                (pid, Some((known, _))) if pid.as_ref() != Some(known) => Look::Ready(true),
                (_, Some((_, since))) if since.elapsed() >= STEADY => Look::Ready(false),
                (Some(pid), None) => {
                    first = Some((pid, Instant::now()));
                    Look::NotYet("it runs".to_owned())
                }
                (_, Some(_)) => Look::NotYet("it runs".to_owned()),
                (None, None) => Look::NotYet("the kubelet has not started it yet".to_owned()),
            })
        });
        if !ended.await? {
            return Ok(());
        }
        let lines = self.last_log(ctx).await.unwrap_or_default();
        Err(HostError::Ended { member: self.member.clone(), by: self.describe(), lines }.into())
    }

    pub(super) async fn set_aside(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if self.seen(ctx).await?.process() != Process::Stopped {
            return Err(self.runs("so its data stay where they are").into());
        }
        self.dirs.set_aside(ctx, &self.machine).await
    }

    pub(super) async fn last_log(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        let Some(file) = self.log_file(ctx).await? else { return Ok(Vec::new()) };
        let words = ["tail", "-n", TAIL, "--", &file];
        let done = self.machine.ask(ctx, &words).await?;
        let text = self.machine.succeeded(&words, done)?.text();
        Ok(end_of_log(&text.lines().map(|line| plain(line).to_owned()).collect::<Vec<_>>(), LINES))
    }

    /// Returns the newest log of a container named etcd in a pod whose name begins with etcd.
    async fn log_file(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if let Some(file) = &self.log {
            return Ok(Some(file.clone()));
        }
        let words = ["find", LOGS, "-path", "*_etcd-*/etcd/*.log", "-printf", "%T@ %p\n"];
        let found = self.machine.ask(ctx, &words).await?.text();
        let found = found.lines().filter_map(|line| line.split_once(' '));
        let newest = found.max_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)));
        Ok(newest.map(|(_, path)| path.to_owned()))
    }

    async fn seen(&self, ctx: &Context<'_>) -> Result<Seen> {
        let there = async |path: &str| -> Result<bool> {
            let (folder, name) = split(path);
            Ok(names(ctx, &self.machine, folder).await??.is_some_and(|names| names.iter().any(|known| known == name)))
        };
        let (placed, parked) = (there(&self.manifest).await?, there(&self.parked()).await?);
        if !placed && !parked {
            let what = format!("the manifest {}", self.manifest);
            return Err(HostError::Missing { what, place: self.machine.place() }.into());
        }
        Ok(Seen { placed, parked, process: self.dirs.found(ctx, &self.machine).await? })
    }

    fn runs(&self, consequence: &'static str) -> HostError {
        HostError::Runs { member: self.member.clone(), by: self.describe(), consequence }
    }

    /// Holds that a start configuration can be written into the manifest.
    fn takes(&self, text: &str) -> Result<(), HostError> {
        if let Some(why) = manifest::unfit(text) {
            let (member, by) = (self.member.clone(), self.describe());
            let help = "write etcd's flags into the manifest as kubeadm does, one a line".to_owned();
            return Err(HostError::Deaf { member, by, why, help });
        }
        self.has_dirs(text)
    }

    fn has_dirs(&self, text: &str) -> Result<(), HostError> {
        self.dirs.are(&self.member, &self.describe(), told(text))
    }

    /// Writes the manifest anew where it is parked, with its owner and mode, and keeps what it was.
    async fn write(&self, old: &str, new: &str) -> Result<(), HostError> {
        rewrite(&self.machine, &self.parked(), Some(old), new).await
    }

    /// Moves a manifest, and sees that it was moved.
    async fn shift(&self, ctx: &Context<'_>, from: &str, to: &str) -> Result<()> {
        let done = self.machine.act(&["mv", "-n", "-T", "--", from, to]).await?;
        if names(ctx, &self.machine, from).await??.is_some() {
            let (path, place) = (from.to_owned(), self.machine.place());
            return Err(HostError::NotMoved { path, place, said: done.said }.into());
        }
        Ok(())
    }

    fn parked(&self) -> String {
        let (folder, name) = split(&self.manifest);
        format!("{}/{PARKED}/{name}", split(folder).0)
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn stamp() -> String {
    chrono::Utc::now().format(STAMP).to_string()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

/// Reads what the manifest says of its process.
fn told(text: &str) -> Told {
    Told::by(|flag| manifest::value(text, flag).map(str::to_owned))
}

/// Takes off what a container's runtime writes before each line: a time, the stream, and whether the line is whole.
fn plain(line: &str) -> &str {
    let rest = || {
        let (_, rest) = line.split_once(' ')?;
        let (stream, rest) = rest.split_once(' ')?;
        let (_, rest) = rest.split_once(' ')?;
        matches!(stream, "stdout" | "stderr").then_some(rest)
    };
    rest().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-01-02T03:04:05.678Z stderr F {\"msg\":\"a b\"}", "{\"msg\":\"a b\"}")]
    #[case("{\"msg\":\"a b\"}", "{\"msg\":\"a b\"}")]
    #[case("panic: tocommit(9) is out of range", "panic: tocommit(9) is out of range")]
    fn a_line_of_a_containers_log_is_read(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(plain(line), expected);
    }
}
