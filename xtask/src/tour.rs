//! `cargo xtask try`: a cluster of three members, a tour through it in the real nu, and then a shell on it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::faces::Faces;
use crate::interrupts::Interrupts;
use crate::process;
use crate::settings::Settings;
use crate::setup::{self, Need, say};
use crate::workspace::{self, Build};

/// The name of the sandbox, which is the name of its profile too: the default of every command.
const SANDBOX: &str = "sandbox";

/// How the sandbox is started, as it is shown and run.
const START: &str = "etcd sandbox start | select name state version client_url";

const HINT: &str = "
You are in nu, with the plugin loaded and the profile `sandbox` chosen. Try:

  etcd status                             every member: versions, sizes, raft
  etcd keys --prefix etcdsh-sandbox/      what was written while infra2 was down
  etcd sandbox kill infra1; etcd health   a power cut, and what the cluster says
  etcd can remove infra2 | get refusals   what is refused then, and why
  etcd sandbox restart infra1             back again
  etcd snapshot save /tmp/backup.db       a backup
  etcd --help                             the rest; Tab completes members too
  etcdsh eval 'etcd.health()'             in Rhai; `etcdsh` is its shell

Elsewhere, `--profile sandbox` finds this cluster too.
Ctrl-D or `exit` leaves the shell";

/// Greets nobody, and shows in the prompt that this is not the usual nu.
const CONFIG: &str = "$env.config.show_banner = false; $env.PROMPT_COMMAND = {|| $'(pwd) (ansi yellow)sandbox' }";

/// Brings what is needed, takes the tour and, on a terminal, leaves the caller in nu.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    setup::run(settings, Need::Try)?;
    say("build", "the workspace: some minutes the first time, and nothing later");
    let programs = workspace::build(settings, Build::Debug)?;
    let home = settings.cache.join("try");
    fs::create_dir_all(&home).map_err(Error::io("create", &home))?;
    let mut faces = Faces::new(settings, programs, &home)?;
    faces.set("ETCDSH_PROFILE", SANDBOX);
    let tour = Tour { faces, home, script: settings.root.join("xtask/tour.nu") };
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if tour.exists()? {
        return tour.meet_existing(terminal);
    }
    tour.on_a_new_one(terminal)
}

struct Tour {
    faces: Faces,
    home: PathBuf,
    script: PathBuf,
}

impl Tour {
    /// Whether there is a sandbox of that name.
    fn exists(&self) -> Result<bool> {
        let count = format!("etcd sandbox list | where sandbox == {SANDBOX} | length");
        Ok(process::read(&mut self.faces.nu(["-c", &count]))?.trim() != "0")
    }

    /// A sandbox that is there may be somebody's work, so what becomes of it is theirs to say.
    fn meet_existing(&self, terminal: bool) -> Result<()> {
        if !terminal {
            return Err(Error::new(format!(
                "there is a sandbox named `{SANDBOX}` already, and the tour needs that name: stop and remove it with \
                 `etcd sandbox stop` in nu, or with `etcdsh eval 'etcd.sandbox_stop()'`"
            )));
        }
        println!("\nThere is a sandbox named `{SANDBOX}` already:");
        self.run(&format!("etcd sandbox list --name {SANDBOX} | select name state version client_url"))?;
        match ask("Stop and remove it for a new tour [s], use it as it is without the tour [u], or leave [any]? ")?
            .as_str()
        {
            "s" => {
                self.run("etcd sandbox stop | ignore")?;
                self.on_a_new_one(terminal)
            }
            "u" => {
                println!("{HINT}; the sandbox stays.\n");
                self.shell()
            }
            _ => Ok(()),
        }
    }

    /// The whole tour. The sandbox is gone afterwards, whatever happens.
    fn on_a_new_one(&self, terminal: bool) -> Result<()> {
        let interrupts = Interrupts::hold()?;
        println!("\n# Three members on this machine, real etcd processes with TLS.\n> {START}");
        self.run(START)?;
        let toured = process::run(self.faces.nu([&self.script]).current_dir(&self.home));
        if let Err(error) = interrupts.check().and(toured) {
            return Err(self.keep(error));
        }
        if terminal {
            println!("{HINT}, and stops and removes the sandbox.\n");
            // However the caller leaves the shell, it was not the tour that failed.
            let _ = self.shell();
        }
        self.run("etcd sandbox stop | ignore")?;
        println!("\nThe sandbox is stopped and removed. Take the tour again with `cargo xtask try`.");
        Ok(())
    }

    /// Stops the members of a tour that failed, and says where their logs are.
    fn keep(&self, error: Error) -> Error {
        let logs = process::read(&mut self.faces.nu(["-c", "etcd sandbox list | get log | to text"]));
        let stopped = match self.run("etcd sandbox stop --keep | ignore") {
            Ok(()) => "its members are stopped; `etcd sandbox stop` removes them",
            Err(_) => "its members may still run; `etcd sandbox stop` stops and removes them",
        };
        let logs = logs.unwrap_or_else(|error| error.message);
        let message =
            format!("the tour failed: {error}\nthe sandbox `{SANDBOX}` is kept, {stopped}; the logs:\n{logs}");
        Error { message, ..error }
    }

    fn shell(&self) -> Result<()> {
        process::run(&mut self.faces.nu(["--execute", CONFIG]))
    }

    fn run(&self, commands: &str) -> Result<()> {
        process::run(&mut self.faces.nu(["-c", commands]))
    }
}

/// Asks the person at the terminal.
fn ask(question: &str) -> Result<String> {
    print!("{question}");
    let failed = |error: io::Error| Error::new(format!("cannot ask: {error}"));
    io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim().to_lowercase())
}
