//! Running programs on a member's machine: this one, or one that the system's ssh reaches. Commands are words, never lines for a
//! shell; where a shell cannot be avoided, because sshd hands everything to one, each word is quoted.

mod pour;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::HostError;
use crate::context::Context;
use crate::error::Result;
use crate::places::Places;

/// How long a question may take, and how long something small that is done.
const BOUND: Duration = Duration::from_secs(30);
/// What `timeout` exits with when it has ended a command, and when it had to kill it.
const CUT: [i32; 2] = [124, 137];
/// How long ssh may take to connect, in seconds.
const CONNECT: u32 = 10;
/// For how long a connection is kept for the next command, in seconds.
const PERSIST: u32 = 60;
/// The most that a command may answer.
const LIMIT: usize = 1024 * 1024;
/// How long output may still come after a program has ended: one that it left behind may keep the pipe open.
const DRAIN: Duration = Duration::from_millis(500);
/// The longest path that a socket can have, less what ssh adds while it makes one.
const SOCKET: usize = 100 - 17;
/// What ssh exits with when it did not get through.
const UNREACHABLE: i32 = 255;

/// A machine that a member runs on.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Whom ssh calls; nobody, where it is this machine.
    host: Option<String>,
    programs: Vec<PathBuf>,
    /// Where ssh keeps connections for the next command.
    sockets: PathBuf,
    bound: Duration,
}

/// What came of a command.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) said: String,
}

impl Done {
    /// Returns what it printed, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// Whether a command changes anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Asks,
    Acts,
}

impl Machine {
    pub(super) fn new(places: &Places, host: Option<&str>) -> Self {
        Machine {
            host: host.map(str::to_owned),
            programs: places.programs.clone(),
            sockets: places.state.join("ssh"),
            bound: BOUND,
        }
    }

    /// Says which machine it is.
    pub(super) fn place(&self) -> String {
        self.host.clone().unwrap_or_else(|| "this machine".to_owned())
    }

    /// Asks something, which is given up on Ctrl-C. Any exit code is an answer.
    pub(super) async fn ask(&self, ctx: &Context<'_>, words: &[&str]) -> Result<Done> {
        ctx.unless_cancelled(async { Ok(self.run(words, &[], Does::Asks).await?) }).await
    }

    /// Does something, which is run to its end in any case. It has to succeed.
    pub(super) async fn act(&self, words: &[&str]) -> Result<Done, HostError> {
        self.act_on(words, &[]).await
    }

    /// The same with something to read on its standard input.
    pub(super) async fn act_on(&self, words: &[&str], input: &[u8]) -> Result<Done, HostError> {
        self.succeeded(words, self.run(words, input, Does::Acts).await?)
    }

    /// Holds that a command succeeded.
    pub(super) fn succeeded(&self, words: &[&str], done: Done) -> Result<Done, HostError> {
        if done.code == 0 { Ok(done) } else { Err(self.failed(words, &done)) }
    }

    /// Says that a command failed.
    pub(super) fn failed(&self, words: &[&str], done: &Done) -> HostError {
        let said = if done.said.trim().is_empty() { "it said nothing".to_owned() } else { done.said.trim().to_owned() };
        HostError::Failed { place: self.place(), command: words.join(" "), code: done.code, said }
    }

    async fn run(&self, words: &[&str], input: &[u8], does: Does) -> Result<Done, HostError> {
        let mut command = self.command(words, does)?;
        let program = || words.first().copied().unwrap_or_default().to_owned();
        let io = |source| HostError::Io { program: program(), source };
        let mut child = command.spawn().map_err(io)?;
        let stdin = child.stdin.take();
        let give = async {
            if let Some(mut stdin) = stdin {
                // A program that ends without reading says why in its own way.
                let _ = stdin.write_all(input).await;
            }
        };
        let done = timeout(self.bound, talk(&mut child, give)).await;
        let too_slow =
            |bound: Duration| HostError::TooSlow { place: self.place(), command: words.join(" "), bound: bound.into() };
        let Ok(done) = done else {
            let _ = child.start_kill();
            return Err(too_slow(self.bound));
        };
        let (status, out, said) = done.map_err(io)?;
        if out.len() > LIMIT {
            return Err(HostError::TooLong { place: self.place(), command: words.join(" "), limit: LIMIT });
        }
        let done = Done { code: code(status), out, said: String::from_utf8_lossy(&said).into_owned() };
        match &self.host {
            Some(host) if done.code == UNREACHABLE => {
                Err(HostError::Unreachable { host: host.clone(), said: last_line(&done.said) })
            }
            Some(_) if CUT.contains(&done.code) && does == Does::Acts => Err(too_slow(self.bound_there())),
            _ => Ok(done),
        }
    }

    /// Returns how long a command that changes something may run on another machine, and is killed soon after: it ends there before
    /// it is given up here, so that it does not come true when something else has been done meanwhile.
    fn bound_there(&self) -> Duration {
        self.bound * 2 / 3
    }

    fn command(&self, words: &[&str], does: Does) -> Result<Command, HostError> {
        let mut command = match &self.host {
            None => {
                let name = words.first().copied().unwrap_or_default();
                let mut command = Command::new(self.program(name)?);
                command.arg0(name).args(words.iter().skip(1));
                command
            }
            Some(host) => {
                let mut command = Command::new(self.program("ssh")?);
                let (act, kill) = (self.bound_there().as_secs().to_string(), (self.bound / 6).as_secs().to_string());
                let cut: &[&str] = match does {
                    Does::Asks => &[],
                    Does::Acts => &["timeout", "-k", &kill, &act],
                };
                command.args(self.options(host)).arg("--").arg(host).arg(line(&[cut, words].concat()));
                command
            }
        };
        // What is said is read here, so it is to be said in English; and Ctrl-C is for us, who decide what it means.
        command.env("LC_ALL", "C").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    fn program(&self, name: &str) -> Result<PathBuf, HostError> {
        let found = self.programs.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| HostError::NoProgram { program: name.to_owned() })
    }

    fn options(&self, host: &str) -> Vec<String> {
        let mut options = vec![
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={CONNECT}"),
            "ConnectionAttempts=1".to_owned(),
            "ServerAliveInterval=5".to_owned(),
            "ServerAliveCountMax=3".to_owned(),
            "RemoteCommand=none".to_owned(),
        ];
        if let Some(socket) = self.socket(host) {
            options.push("ControlMaster=auto".to_owned());
            options.push(format!("ControlPath=\"{socket}\""));
            options.push(format!("ControlPersist={PERSIST}"));
        }
        let pairs = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
        ["-T".to_owned()].into_iter().chain(pairs).collect()
    }

    /// Returns where the connection to a host is kept; nowhere, if the path would be too long for a socket, or a folder for it
    /// cannot be made: then each command connects anew.
    fn socket(&self, host: &str) -> Option<String> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, host.as_bytes());
        let name: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let path = self.sockets.join(name);
        let text = path.to_str().filter(|text| text.len() <= SOCKET && !text.contains(['"', '\\', '\n']))?;
        make_folder(&self.sockets).ok()?;
        // ssh takes a percent sign for the beginning of a word that it replaces.
        Some(text.replace('%', "%%"))
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Gives a program its input, and takes what it says until it ends.
async fn talk(child: &mut Child, give: impl Future<Output = ()>) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let status = {
        let mut take = std::pin::pin!(async { tokio::join!(give, read(stdout, &mut out), read(stderr, &mut said)) });
        tokio::select! {
            biased;
            _ = &mut take => child.wait().await?,
            status = child.wait() => {
                // The connection that ssh keeps for the next command may hold the other end of a pipe.
                let _ = timeout(DRAIN, take).await;
                status?
            }
        }
    };
    Ok((status, out, said))
}

/// Reads a pipe to its end, and keeps a little more than is allowed of it, so that too much can be told.
async fn read(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = vec![0; 16 * 1024];
    while let Ok(length) = pipe.read(&mut part).await {
        if length == 0 {
            break;
        }
        if into.len() <= LIMIT {
            into.extend(part.iter().take(length));
        }
    }
}

/// As a shell has it: a signal counts from 128 on.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn last_line(said: &str) -> String {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("ssh said nothing").to_owned()
}

/// Makes one line for a remote shell, in which each word is what it was.
fn line(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    ["env".to_owned(), "LC_ALL=C".to_owned()].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(host: Option<&str>, state: &str) -> Machine {
        let mut places = Places::from_env(PathBuf::from("/"), |_| None);
        places.state = state.into();
        Machine::new(&places, host)
    }

    #[test]
    fn each_word_reaches_a_remote_shell_as_it_is() {
        assert_eq!(line(&["ls", "-A1", "it's", "$HOME *"]), r"env LC_ALL=C 'ls' '-A1' 'it'\''s' '$HOME *'");
    }

    #[test]
    fn a_connection_is_kept_only_where_its_socket_can_be() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("a%b");
        let kept = machine(None, state.to_str().unwrap()).socket("root@10.0.0.1").unwrap();
        assert!(kept.contains("/a%%b/ssh/"), "{kept}");
        assert!(machine(None, state.to_str().unwrap()).options("h").contains(&"ControlMaster=auto".to_owned()));
        let deep = format!("{}/{}", home.path().display(), "d".repeat(90));
        assert_eq!(machine(None, &deep).socket("root@10.0.0.1"), None);
        assert!(!machine(None, &deep).options("h").iter().any(|option| option.contains("Control")));
        assert!(!std::path::Path::new(&deep).exists());
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
    async fn what_a_program_does_is_bounded_in_time_and_size() {
        let here = machine(None, "/none");
        let run = async |words: &[&str]| here.act(words).await.map(|done| done.text());
        // Only what never ends in time gets a short bound; on a busy machine everything else takes its time.
        let short = Machine { bound: Duration::from_millis(300), ..machine(None, "/none") };
        assert_eq!(run(&["echo", "a"]).await.unwrap(), "a\n");
        let read = here.act_on(&["cat"], b"given").await.unwrap();
        assert_eq!(read.out, b"given");
        let errors = [
            short.act(&["sleep", "5"]).await.map(|done| done.text()).unwrap_err(),
            run(&["head", "-c", "2000000", "/dev/zero"]).await.unwrap_err(),
            run(&["ls", "/none"]).await.unwrap_err(),
            run(&["false"]).await.unwrap_err(),
            run(&["no-such-program"]).await.unwrap_err(),
        ];
        insta::assert_snapshot!(crate::tests::shown(errors.map(Into::into)), @"
        host_failed: on this machine, `sleep 5` did not end within 300ms
          help: see what keeps that machine busy, and run this again
        host_failed: on this machine, `head -c 2000000 /dev/zero` answered with more than 1048576 bytes
        host_failed: on this machine, `ls /none` ended with exit code 2: ls: cannot access '/none': No such file or directory
          help: see on that machine why; when that is mended, go on, or run this again
        host_failed: on this machine, `false` ended with exit code 1: it said nothing
          help: see on that machine why; when that is mended, go on, or run this again
        program_not_found: the program no-such-program is not in a folder of PATH
          help: install it, or add its folder to PATH
        ");
    }

    /// The shell that ssh would reach is one of this machine here.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
    async fn what_changes_something_elsewhere_has_ended_there_when_it_is_given_up() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let (ssh, pid) = (home.path().join("ssh"), home.path().join("pid"));
        std::fs::write(&ssh, "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n").unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let there = machine(Some("member.test"), home.path().to_str().unwrap());
        let there = Machine { programs: vec![home.path().to_owned()], bound: Duration::from_secs(6), ..there };
        let deaf = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pid.display());
        let error = there.act(&["sh", "-c", &deaf]).await.map(|done| done.text()).unwrap_err();
        assert!(error.to_string().ends_with(" did not end within 4s"), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        // One that was killed may still be in the table until somebody has taken note of it.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let given_up = std::time::Instant::now();
        while runs() {
            assert!(given_up.elapsed() < Duration::from_secs(1), "it runs on");
            crate::wait::sleep(Duration::from_millis(10)).await;
        }
    }
}
