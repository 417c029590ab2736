//! A member that is a unit of systemd, on this machine or on one that ssh reaches.
//!
//! A start configuration reaches etcd through its environment: it is written to a file that the unit reads last. Flags and a
//! settings file win over the environment, so a unit with such is refused before anything is stopped.

use std::time::{Duration, Instant};

use super::error::cut;
use super::files::{Dirs, read_text, write_text};
use super::runner::Machine;
use super::{Data, HostError, LINES, Process, StartConfiguration, TAIL, flags};
use crate::context::Context;
use crate::error::Result;
use crate::sandbox::end_of_log;
use crate::wait::{Look, until};

/// For how long a process that was started is watched.
const STEADY: Duration = Duration::from_secs(1);
/// What is asked about a unit.
const SHOWN: &str =
    "LoadState,ActiveState,SubState,MainPID,ExecStart,Environment,EnvironmentFiles,InvocationID,ExecMainStatus";
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
        let process = self.seen(ctx).await?.process();
        Ok((process, self.dirs.read(ctx, &self.machine).await?))
    }

    pub(super) async fn preflight(&self, ctx: &Context<'_>, with: Option<&StartConfiguration>) -> Result<()> {
        let seen = self.seen(ctx).await?;
        self.hears(ctx, &seen, with).await
    }

    pub(super) async fn fits(&self, ctx: &Context<'_>) -> Result<()> {
        let seen = self.seen(ctx).await?;
        Ok(self.has_dir(&seen, &self.environments(ctx, &seen).await)?)
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
                self.hand_over(with).await?;
            }
            None if !stopped => return Ok(()),
            None => {}
        }
        // A unit that has failed too often is not started again before this; one that has not, does not need it.
        let _ = self.systemctl(&["reset-failed"]).await;
        self.systemctl(&["--no-block", "start"]).await?;
        let left = || format!("{} was told to start", self.describe());
        self.stays(ctx, bound).await.map_err(cut(left))
    }

    /// Waits until one and the same process has run for a moment.
    async fn stays(&self, ctx: &Context<'_>, bound: Duration) -> Result<()> {
        let mut first: Option<(String, Instant)> = None;
        let what = format!("{} has run for a moment", self.describe());
        let ended = until(ctx, &what, bound.max(STEADY), async || {
            let seen = self.seen(ctx).await?;
            let (pid, dead) = (seen.pid().to_owned(), matches!(seen.get("ActiveState"), "failed"));
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
        self.has_dir(seen, &texts)?;
        for (place, text) in &texts {
            if let Some(word) = hidden(text) {
                let why = format!("{place} has {word}, which wins over the environment");
                return Err(deaf(why, "take it out, and set the variables of etcd in its place").into());
            }
        }
        Ok(())
    }

    /// Returns what the unit's environment says, in the order in which it is read, and where.
    async fn environments(&self, ctx: &Context<'_>, seen: &Seen) -> Vec<(String, String)> {
        let mut texts = vec![("Environment".to_owned(), seen.get("Environment").to_owned())];
        for file in seen.env_files() {
            // A file that is not there, or that may not be read, says nothing here.
            texts.push((file.to_owned(), read_text(ctx, &self.machine, file).await.unwrap_or_default()));
        }
        texts
    }

    fn has_dir(&self, seen: &Seen, texts: &[(String, String)]) -> Result<(), HostError> {
        let line = seen.command_line();
        let dir = flags::value(&line, "data-dir").or_else(|| texts.iter().rev().find_map(|(_, text)| data_dir(text)));
        self.dirs.are(&self.member, &self.describe(), dir.filter(|dir| !dir.starts_with('$')))
    }

    /// Writes the start configuration to where the unit reads it last.
    async fn hand_over(&self, with: &StartConfiguration) -> Result<(), HostError> {
        let lines = with.variables().map(|(name, value)| format!("{name}=\"{}\"\n", escaped(&value)));
        let variables = format!("# Written by etcdsh; etcd reads it only while it has no data.\n{}", lines.concat());
        if let Some(file) = &self.env_file {
            return write_text(&self.machine, file, &variables).await;
        }
        let folder = self.drop_ins.clone().unwrap_or_else(|| format!("/run/systemd/system/{}.d", self.unit));
        let file = format!("{folder}/{VARIABLES}");
        write_text(&self.machine, &file, &variables).await?;
        let drop_in = format!("[Service]\nEnvironmentFile={file}\n");
        write_text(&self.machine, &format!("{folder}/{DROP_IN}"), &drop_in).await?;
        self.machine.act(&["systemctl", "--no-ask-password", "daemon-reload"]).await.map(drop)
    }
}

/// Finds the data dir in an environment.
fn data_dir(text: &str) -> Option<&str> {
    let words = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']));
    let mut words = words.flat_map(|line| line.split_whitespace()).map(|word| word.trim_matches(['"', '\'']));
    words.find_map(|word| word.strip_prefix("ETCD_DATA_DIR=")).map(|dir| dir.trim_matches(['"', '\'']))
}

/// Finds in an environment what etcd would take before its variables.
fn hidden(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let words =
        lines.flat_map(|line| line.split(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'')));
    let mut words = words.flat_map(|word| [Some(word), word.split_once('=').map(|(_, value)| value)]).flatten();
    words.find(|word| {
        let plain = word.trim_start_matches('-').split('=').next().unwrap_or_default();
        let flag = word.starts_with('-') && (plain == flags::CONFIG_FILE || plain.starts_with("initial-cluster"));
        (flag && plain != "initial-cluster-token") || word.starts_with("ETCD_CONFIG_FILE=")
    })
}

/// Escapes a value for an environment file in double quotes.
fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, letter| {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(letter);
        text
    })
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

    #[rstest]
    #[case("ETCD_NAME=a\nETCD_DATA_DIR=\"/var/lib/etcd\"\n", Some("/var/lib/etcd"))]
    #[case("ETCD_NAME=a ETCD_DATA_DIR=/x ETCD_DEBUG=true", Some("/x"))]
    #[case("\"ETCD_DATA_DIR=/x\"", Some("/x"))]
    #[case("# ETCD_DATA_DIR=/x\nMY_ETCD_DATA_DIR=/y", None)]
    fn a_data_dir_is_found_in_an_environment(#[case] text: &str, #[case] dir: Option<&str>) {
        assert_eq!(data_dir(text), dir);
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

    #[rstest]
    #[case("ETCD_NAME=a\nETCD_INITIAL_CLUSTER=\"a=http://a:1\"\nETCD_INITIAL_CLUSTER_STATE=new", None)]
    #[case("# DAEMON_ARGS=\"--initial-cluster=a\"\n", None)]
    #[case("DAEMON_ARGS=\"--initial-cluster-token=x\"", None)]
    #[case("DAEMON_ARGS=\"--data-dir /x --initial-cluster a=b\"", Some("--initial-cluster"))]
    #[case("DAEMON_ARGS=--config-file=/x", Some("--config-file=/x"))]
    #[case("ETCD_NAME=a ETCD_CONFIG_FILE=/x", Some("ETCD_CONFIG_FILE=/x"))]
    fn what_is_hidden_in_an_environment_is_found(#[case] text: &str, #[case] found: Option<&str>) {
        assert_eq!(hidden(text), found);
    }
}
