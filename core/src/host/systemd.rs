//! A member that is a unit of systemd, on this machine or on one that ssh reaches.
//!
//! A start configuration reaches etcd through its environment: it is written to a file that the unit reads last. Flags and a
//! settings file win over the environment, so a unit with such is refused before anything is stopped.

use std::time::{Duration, Instant};

use super::error::cut;
use super::files::{Dirs, Found, names, read_text, rewrite, write_text};
use super::flags::Told;
use super::runner::Machine;
use super::{Data, HostError, LINES, Process, StartConfiguration, TAIL, environment, flags};
use crate::context::Context;
use crate::error::Result;
use crate::sandbox::end_of_log;
use crate::wait::{Look, until};

/// For how long a process that was started is watched.
const STEADY: Duration = Duration::from_secs(1);
/// What is asked about a unit.
const SHOWN: &str =
    "LoadState,ActiveState,SubState,MainPID,ExecStart,Environment,EnvironmentFiles,InvocationID,ExecMainStatus";
/// The property with the variables that stand in the unit itself.
const ENVIRONMENT: &str = "Environment";
/// The names of our files in the unit's folder for additions. They are read in the order of their names.
const DROP_IN: &str = "zz-etcdsh-start.conf";
const VARIABLES: &str = "etcdsh-start.env";

/// Drives one unit.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    pub(super) member: String,
    pub(super) machine: Machine,
    pub(super) unit: String,
    /// The environment file that a start configuration is written to; else one beside a drop-in.
    pub(super) env_file: Option<String>,
    /// The folder for the drop-in.
    pub(super) drop_ins: Option<String>,
    /// The file with the log, where it is not in the journal.
    pub(super) log: Option<String>,
    pub(super) dirs: Dirs,
}

/// What systemd says of the unit.
struct Seen {
    fields: Vec<(String, String)>,
}

impl Seen {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &'static str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    fn pid(&self) -> &str {
        Some(self.get("MainPID")).filter(|pid| *pid != "0").unwrap_or_default()
    }

    /// A unit that is to be started again in a moment counts as one that is there: it may come at any time.
    fn process(&self) -> Process {
        match self.get("ActiveState") {
            "inactive" | "failed" if self.pid().is_empty() => Process::Stopped,
            "" => Process::Unknown,
            _ => Process::Running,
        }
    }

    fn state(&self) -> String {
        format!("{} ({})", self.get("ActiveState"), self.get("SubState"))
    }

    /// Returns the words of the command line that systemd runs.
    fn command_line(&self) -> Vec<&str> {
        let argv = self.get("ExecStart").split_once("argv[]=").map(|(_, rest)| rest).unwrap_or_default();
        argv.split_once(" ; ").map_or(argv, |(argv, _)| argv).split_whitespace().collect()
    }

    /// Returns the environment files in the order in which they are read.
    fn env_files(&self) -> Vec<&str> {
        self.all("EnvironmentFiles").filter_map(|file| file.split(" (").next()).collect()
    }
}

impl Driver {
    pub(super) fn describe(&self) -> String {
        format!("the systemd unit {} on {}", self.unit, self.machine.place())
    }

    pub(super) async fn look(&self, ctx: &Context<'_>) -> Result<(Process, Data)> {
        let process = match self.seen(ctx).await?.process() {
            // Somebody may have started it beside the unit.
            Process::Stopped if self.dirs.found(ctx, &self.machine).await?.is_some() => Process::Running,
            process => process,
        };
        Ok((process, self.dirs.read(ctx, &self.machine).await?))
    }

    /// Asks the program itself, if it is etcd: what else may stand there might start something.
    pub(super) async fn etcd_version(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let seen = self.seen(ctx).await?;
        let Some(program) = seen.command_line().first().copied().filter(|program| program.ends_with("/etcd")) else {
            return Ok(None);
        };
        let done = self.machine.ask(ctx, &[program, "--version"]).await?;
        Ok(version_in(&done.text()))
    }

    pub(super) async fn process_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        match self.seen(ctx).await?.pid() {
            "" => Ok(self.dirs.found(ctx, &self.machine).await?.map(|found| found.pid)),
            pid => Ok(Some(pid.to_owned())),
        }
    }

    pub(super) async fn called(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let seen = self.seen(ctx).await?;
        Ok(told(&seen, &self.environments(ctx, &seen).await).name)
    }

    pub(super) async fn preflight(&self, ctx: &Context<'_>, with: Option<&StartConfiguration>) -> Result<()> {
        let seen = self.seen(ctx).await?;
        self.hears(ctx, &seen, with).await?;
        self.dirs.may_move(ctx, &self.machine).await
    }

    pub(super) async fn fits(&self, ctx: &Context<'_>) -> Result<()> {
        let seen = self.seen(ctx).await?;
        Ok(self.has_dirs(&seen, &self.environments(ctx, &seen).await)?)
    }

    pub(super) async fn stop(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        if self.seen(ctx).await?.process() == Process::Stopped {
            return Ok(());
        }
        self.systemctl(&["--no-block", "stop"]).await?;
        let ended = async || {
            let seen = self.seen(ctx).await?;
            Ok(if seen.process() == Process::Stopped { Look::Ready(()) } else { Look::NotYet(seen.state()) })
        };
        let left = || format!("{} was told to stop", self.describe());
        until(ctx, &format!("{} has ended", self.describe()), bound, ended).await.map_err(cut(left))
    }

    pub(super) async fn start(
        &self,
        ctx: &Context<'_>,
        with: Option<&StartConfiguration>,
        bound: Duration,
    ) -> Result<()> {
        let seen = self.seen(ctx).await?;
        let stopped = seen.process() == Process::Stopped;
        match with {
            Some(_) if !stopped => return Err(self.runs("so its start configuration would not reach it").into()),
            Some(with) => {
                self.hears(ctx, &seen, Some(with)).await?;
                self.hand_over(ctx, with).await?;
            }
            None if !stopped => return Ok(()),
            None => {}
        }
        // A unit that has failed too often is not started again before this; one that has not, does not need it.
        let _ = self.systemctl(&["reset-failed"]).await;
        self.systemctl(&["--no-block", "start"]).await?;
        let left = || format!("{} was told to start", self.describe());
        self.stays(ctx, bound, seen.get("InvocationID")).await.map_err(cut(left))
    }

    /// Waits until one and the same process has run for a moment. Each start of the unit has an invocation of its own.
    async fn stays(&self, ctx: &Context<'_>, bound: Duration, before: &str) -> Result<()> {
        let mut first: Option<(String, Instant)> = None;
        let what = format!("{} has run for a moment", self.describe());
        let ended = until(ctx, &what, bound.max(STEADY), async || {
            let seen = self.seen(ctx).await?;
            let over = seen.process() == Process::Stopped && seen.get("InvocationID") != before;
            let (pid, dead) = (seen.pid().to_owned(), over || seen.get("ActiveState") == "failed");
            let again = seen.get("SubState").starts_with("auto-restart");
            Ok(match &first {
                Some((known, _)) if *known != pid => Look::Ready(true),
                Some((_, since)) if since.elapsed() >= STEADY => Look::Ready(false),
                None if dead || again => Look::Ready(true),
                None if !pid.is_empty() => {
                    first = Some((pid, Instant::now()));
                    Look::NotYet(seen.state())
                }
                _ => Look::NotYet(seen.state()),
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
        if let Some(Found { pid, .. }) = self.dirs.found(ctx, &self.machine).await? {
            let by = format!("process {pid} on {}, beside the unit {}", self.machine.place(), self.unit);
            let (member, consequence) = (self.member.clone(), "so its data stay where they are");
            return Err(HostError::Runs { member, by, consequence }.into());
        }
        self.dirs.set_aside(ctx, &self.machine).await
    }

    pub(super) async fn last_log(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        let invocation;
        let words = if let Some(file) = &self.log {
            vec!["tail", "-n", TAIL, "--", file]
        } else {
            let seen = self.seen(ctx).await?;
            // What an earlier process said is not why this one ended.
            invocation = match seen.get("InvocationID") {
                "" => format!("_SYSTEMD_UNIT={}", self.unit),
                id => format!("_SYSTEMD_INVOCATION_ID={id}"),
            };
            vec!["journalctl", "--no-pager", "-q", "-o", "cat", "-n", TAIL, &invocation]
        };
        let done = self.machine.ask(ctx, &words).await?;
        let text = self.machine.succeeded(&words, done)?.text();
        Ok(end_of_log(&text.lines().map(str::to_owned).collect::<Vec<_>>(), LINES))
    }

    async fn seen(&self, ctx: &Context<'_>) -> Result<Seen> {
        let words = ["systemctl", "--no-pager", "show", "-p", SHOWN, "--", &self.unit];
        let done = self.machine.ask(ctx, &words).await?;
        let text = self.machine.succeeded(&words, done)?.text();
        let fields = text.lines().filter_map(|line| line.split_once('='));
        let seen = Seen { fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() };
        if matches!(seen.get("LoadState"), "not-found" | "masked" | "") {
            return Err(
                HostError::Missing { what: format!("the unit {}", self.unit), place: self.machine.place() }.into()
            );
        }
        Ok(seen)
    }

    async fn systemctl(&self, words: &[&str]) -> Result<(), HostError> {
        let all: Vec<&str> = ["systemctl", "--no-ask-password"].iter().chain(words).copied().collect();
        let all: Vec<&str> = all.into_iter().chain(["--", &self.unit]).collect();
        self.machine.act(&all).await.map(drop)
    }

    fn runs(&self, consequence: &'static str) -> HostError {
        HostError::Runs { member: self.member.clone(), by: self.describe(), consequence }
    }

    /// Holds that the unit would take a start configuration from its environment.
    async fn hears(&self, ctx: &Context<'_>, seen: &Seen, with: Option<&StartConfiguration>) -> Result<()> {
        let deaf = |why: String, help: &str| HostError::Deaf {
            member: self.member.clone(),
            by: self.describe(),
            why,
            help: help.to_owned(),
        };
        let line = seen.command_line();
        if let Some((flag, value)) = flags::conflict(&line, &self.member, with) {
            let why = format!("its command line has --{flag}={value}, which wins over the environment");
            return Err(deaf(why, "take the flag out of ExecStart, and set its variable in an environment file").into());
        }
        if let Some(own) = &self.env_file
            && seen.env_files().last() != Some(&own.as_str())
        {
            let help = "let EnvironmentFile of the unit name it last, or leave env_file out of the profile";
            return Err(deaf(format!("{own} is not the last environment file that it reads"), help).into());
        }
        // What is hidden in a variable cannot be seen on the command line.
        let texts = self.environments(ctx, seen).await;
        self.has_dirs(seen, &texts)?;
        for (place, text) in &texts {
            if let Some(word) = environment::hidden(text) {
                let why = format!("{place} has {word}, which wins over the environment");
                return Err(deaf(why, "take it out, and set the variables of etcd in its place").into());
            }
        }
        Ok(())
    }

    /// Returns what the unit's environment says, in the order in which it is read, and where.
    async fn environments(&self, ctx: &Context<'_>, seen: &Seen) -> Vec<(String, String)> {
        let mut texts = vec![(ENVIRONMENT.to_owned(), seen.get(ENVIRONMENT).to_owned())];
        for file in seen.env_files() {
            // A file that is not there, or that may not be read, says nothing here.
            texts.push((file.to_owned(), read_text(ctx, &self.machine, file).await.unwrap_or_default()));
        }
        texts
    }

    fn has_dirs(&self, seen: &Seen, texts: &[(String, String)]) -> Result<(), HostError> {
        self.dirs.are(&self.member, &self.describe(), told(seen, texts))
    }

    /// Writes the start configuration to where the unit reads it last.
    async fn hand_over(&self, ctx: &Context<'_>, with: &StartConfiguration) -> Result<()> {
        if let Some(file) = &self.env_file {
            // It may be the only one that the unit has, with much else in it.
            let old = match names(ctx, &self.machine, file).await?? {
                Some(_) => Some(read_text(ctx, &self.machine, file).await?),
                None => None,
            };
            let new = environment::with(old.as_deref().unwrap_or_default(), with);
            return Ok(rewrite(&self.machine, file, old.as_deref(), &new).await?);
        }
        let folder = self.drop_ins.clone().unwrap_or_else(|| format!("/run/systemd/system/{}.d", self.unit));
        let file = format!("{folder}/{VARIABLES}");
        write_text(&self.machine, &file, &environment::with("", with)).await?;
        let drop_in = format!("[Service]\nEnvironmentFile={file}\n");
        write_text(&self.machine, &format!("{folder}/{DROP_IN}"), &drop_in).await?;
        self.machine.act(&["systemctl", "--no-ask-password", "daemon-reload"]).await?;
        Ok(())
    }
}

/// Reads what the unit says of its process. A flag wins over a variable, and of the files with variables the last one does.
fn told(seen: &Seen, texts: &[(String, String)]) -> Told {
    let line = seen.command_line();
    Told::by(|flag| {
        let variable = environment::variable_of(flag);
        let in_text = |(place, text): &(String, String)| {
            if place == ENVIRONMENT {
                environment::in_environment(text, &variable)
            } else {
                environment::in_file(text, &variable)
            }
        };
        flags::value(&line, flag).map(str::to_owned).or_else(|| texts.iter().rev().find_map(in_text))
    })
}

/// Reads what `etcd --version` says.
fn version_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).map(|version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn seen(text: &str) -> Seen {
        let fields = text.lines().filter_map(|line| line.trim().split_once('='));
        Seen { fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    #[test]
    fn what_systemd_says_is_read() {
        let seen = seen(
            "ExecStart={ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd --name infra1 $ARGS ; ignore_errors=no ; pid=7 }
             EnvironmentFiles=/etc/default/etcd (ignore_errors=yes)
             EnvironmentFiles=/run/x.env (ignore_errors=no)
             MainPID=7
             ActiveState=active
             SubState=running",
        );
        assert_eq!(seen.command_line(), ["/usr/bin/etcd", "--name", "infra1", "$ARGS"]);
        assert_eq!(seen.env_files(), ["/etc/default/etcd", "/run/x.env"]);
        assert_eq!((seen.pid(), seen.state(), seen.process()), ("7", "active (running)".to_owned(), Process::Running));
    }

    #[test]
    fn a_flag_wins_over_a_file_and_a_later_file_over_an_earlier_one() {
        let unit = seen("ExecStart={ argv[]=/usr/bin/etcd --name=$ETCD_NAME --data-dir /data ; pid=7 }");
        let texts = [
            (ENVIRONMENT, "ETCD_NAME=a ETCD_WAL_DIR=/one"),
            ("/x.env", "ETCD_WAL_DIR=/two\nETCD_DATA_DIR=/other"),
            ("/y.env", ""),
        ];
        let texts = texts.map(|(place, text)| (place.to_owned(), text.to_owned()));
        let dir = |dir: &str| Some(dir.to_owned());
        assert_eq!(told(&unit, &texts), Told { name: None, data_dir: dir("/data"), wal_dir: dir("/two") });
        let bare = seen("ExecStart={ argv[]=/usr/bin/etcd ; pid=7 }");
        assert_eq!(told(&bare, &texts), Told { name: dir("a"), data_dir: dir("/other"), wal_dir: dir("/two") });
    }

    #[rstest]
    #[case("inactive", "dead", "0", Process::Stopped)]
    #[case("failed", "failed", "0", Process::Stopped)]
    #[case("activating", "auto-restart", "0", Process::Running)]
    #[case("activating", "start", "12", Process::Running)]
    #[case("deactivating", "stop-sigterm", "12", Process::Running)]
    #[case("failed", "failed", "12", Process::Running)]
    #[case("", "", "0", Process::Unknown)]
    fn a_process_is_there_or_may_come(
        #[case] active: &str,
        #[case] sub: &str,
        #[case] pid: &str,
        #[case] process: Process,
    ) {
        assert_eq!(seen(&format!("ActiveState={active}\nSubState={sub}\nMainPID={pid}")).process(), process);
    }
}
